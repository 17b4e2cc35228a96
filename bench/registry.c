/* What joins, splits and deaths cost in the machines of a distributed
 * supervisor, in bytes and CPU, for 3,000 to 300,000 children: the nodes are
 * simulated in this process (spec/core/dist_crowd.h), so what Lua does with it
 * is not in.
 *
 *     registry              all of it
 *     registry join 24 3000
 *     registry death 3 30000     all ran on the one that dies
 *     registry split 8 3000 100  so many start on one side meanwhile
 *
 * CPU is that of all nodes together. Where the machine does other things as
 * well, instructions tell more:
 *
 *     valgrind --tool=callgrind --toggle-collect=measured registry death 3 3000
 */
#define _POSIX_C_SOURCE 200809L

#include <time.h>

#include "../spec/core/dist_crowd.h"

static int64_t cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t longest_step(const crowd *c) {
  uint32_t longest = 0;
  for (int i = 0; i < c->count; i++)
    if (c->nodes[i].longest > longest) longest = c->nodes[i].longest;
  return longest;
}

/* One copy of the registry: what the last node to join takes where there is
 * only one other. */
static uint64_t copy_size(uint32_t children) {
  crowd *c = crowd_new(2);
  crowd_boot(c, 0);
  crowd_fill(c, 0, 0, children);
  crowd_await(c, children, 600000);
  crowd_count(c);
  crowd_boot(c, 1);
  crowd_await(c, children, 600000);
  uint64_t size = c->nodes[0].record_bytes[BYN_RECORD_ENTRY];
  crowd_free(c);
  return size;
}

static crowd *full(int nodes, int booted, uint32_t children) {
  crowd *c = crowd_new(nodes);
  for (int i = 0; i < booted; i++)
    crowd_boot(c, i);
  crowd_await(c, 0, 60000);
  for (uint32_t id = 0; id < children; id += 64) {
    uint32_t to = id + 64 < children ? id + 64 : children;
    crowd_fill(c, (int)(id / 64) % booted, id, to);
  }
  crowd_await(c, children, 600000);
  crowd_run(c, 3000);
  return c;
}

/* A node begins, or is killed, until all agree. Answers how long that took. */
__attribute__((noinline)) static int64_t measured(crowd *c, int node,
                                                  uint32_t children) {
  if (c->nodes[node].d)
    crowd_kill(c, node);
  else
    crowd_boot(c, node);
  return crowd_await(c, children, 6000000);
}

static void join(int nodes, uint32_t children) {
  uint64_t copy = copy_size(children);
  crowd *c = full(nodes, nodes - 1, children);
  crowd_count(c);
  int64_t cpu = cpu_ns();
  int64_t took = measured(c, nodes - 1, children);
  cpu = cpu_ns() - cpu;
  double sent = (double)crowd_sent(c);
  printf("join   %2d nodes %7" PRIu32 " children: %8.2f MB, %6.2f copies, "
         "%6" PRId64 " ms, CPU %7.2f us a child, longest step %" PRIu32 "\n",
         nodes, children, sent / 1e6, sent / (double)copy, took,
         (double)cpu / 1e3 / children, longest_step(c));
  crowd_free(c);
}

static void death(int nodes, uint32_t children) {
  crowd *c = crowd_new(nodes);
  crowd_boot(c, 0);
  crowd_fill(c, 0, 0, children);
  crowd_await(c, children, 600000);
  for (int i = 1; i < nodes; i++)
    crowd_boot(c, i);
  crowd_await(c, children, 600000);
  crowd_run(c, 3000);
  crowd_count(c);
  int64_t cpu = cpu_ns();
  int64_t took = measured(c, 0, children);
  cpu = cpu_ns() - cpu;
  printf("death  %2d nodes %7" PRIu32 " children: %8.2f MB, %6.0f B a child, "
         "%6" PRId64 " ms, CPU %7.2f us a child, longest step %" PRIu32 "\n",
         nodes, children, (double)crowd_sent(c) / 1e6,
         (double)crowd_sent(c) / children, took, (double)cpu / 1e3 / children,
         longest_step(c));
  crowd_free(c);
}

/* Those of one half run no children, so that nothing is started twice. */
static void split(int nodes, uint32_t children, uint32_t more) {
  crowd *c = crowd_new(nodes);
  for (int i = 0; i < nodes; i++) {
    c->hosts[i] = i < nodes / 2;
    crowd_boot(c, i);
  }
  crowd_await(c, 0, 60000);
  crowd_fill(c, 0, 0, children);
  crowd_await(c, children, 600000);
  crowd_run(c, 3000);
  for (int i = 0; i < nodes / 2; i++)
    for (int j = nodes / 2; j < nodes; j++)
      crowd_cut(c, i, j, false);
  crowd_run(c, 12000);
  crowd_fill(c, 0, children, children + more);
  crowd_run(c, 5000);
  crowd_count(c);
  for (int i = 0; i < nodes / 2; i++)
    for (int j = nodes / 2; j < nodes; j++)
      crowd_connect(c, i, j);
  int64_t took = crowd_await(c, children + more, 600000);
  printf("split  %2d nodes %7" PRIu32 " children and %" PRIu32
         ": %8.2f MB, %6" PRId64 " ms\n",
         nodes, children, more, (double)crowd_sent(c) / 1e6, took);
  crowd_free(c);
}

int main(int argc, char **argv) {
  int nodes = argc > 2 ? atoi(argv[2]) : 0;
  uint32_t children = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
  if (argc > 3 && strcmp(argv[1], "join") == 0) {
    join(nodes, children);
  } else if (argc > 3 && strcmp(argv[1], "death") == 0) {
    death(nodes, children);
  } else if (argc > 4 && strcmp(argv[1], "split") == 0) {
    split(nodes, children, (uint32_t)strtoul(argv[4], NULL, 10));
  } else {
    join(24, 3000);
    join(24, 30000);
    death(3, 3000);
    death(3, 30000);
    death(3, 100000);
    death(3, 300000);
    split(8, 3000, 100);
  }
  return 0;
}
