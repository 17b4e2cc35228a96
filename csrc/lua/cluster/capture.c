/* The standard output of this OS process, framed by a thread. */
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../core/alloc.h"
#include "../../core/assert.h"

#define PIECE 32768 /* of output, in one frame */
#define DRAIN_S 2   /* that the exit of the OS process may wait */

/* The output is the OS process's, so is what follows. `lock` is held while
 * `waiting` or `seal` are used; the rest is the thread's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t drained = PTHREAD_COND_INITIALIZER;
static byn_seal seal;
static byn_buf waiting; /* whole frames */
static bool on, draining, is_drained;
static int sink, source, wake[2];

/* The thread must not use Lua's allocator. */
static void *allocate(void *ud, void *block, size_t old_size, size_t size) {
  (void)ud;
  (void)old_size;
  if (size) return realloc(block, size);
  free(block);
  return NULL;
}

static const byn_alloc heap = {.fn = allocate};

/* --- the thread ----------------------------------------------------------- */

static bool write_all(const uint8_t *at, size_t n) {
  while (n > 0) {
    ssize_t done = write(sink, at, n);
    if (done > 0) {
      at += done;
      n -= (size_t)done;
    } else if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd room = {.fd = sink, .events = POLLOUT};
      (void)poll(&room, 1, -1);
    } else if (done == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

/* Writes the frames that wait; false: there were none. After an error all is
 * dropped: the lifeline ends this OS process soon. */
static bool write_waiting(void) {
  static bool broken;
  byn_buf mine;
  pthread_mutex_lock(&lock);
  mine = waiting;
  byn_buf_init(&waiting, &heap);
  pthread_mutex_unlock(&lock);
  bool any = mine.len > 0;
  if (any && !broken) broken = !write_all(mine.data, mine.len);
  byn_buf_free(&mine);
  return any;
}

static void put_output(const uint8_t *bytes, size_t n) {
  pthread_mutex_lock(&lock);
  byn_seal_put(&seal, BYN_CHANNEL_OUTPUT, bytes, n, &waiting);
  byn_buf_truncate(&waiting, waiting.len); /* memory is short: it is lost */
  pthread_mutex_unlock(&lock);
}

/* Has the OS process's exit begun? */
static bool is_draining(void) {
  pthread_mutex_lock(&lock);
  bool is = draining;
  pthread_mutex_unlock(&lock);
  return is;
}

static void tell_drained(void) {
  pthread_mutex_lock(&lock);
  is_drained = true;
  pthread_cond_signal(&drained);
  pthread_mutex_unlock(&lock);
}

static void *pump(void *unused) {
  static uint8_t piece[PIECE];
  struct pollfd fds[2] = {{.fd = source, .events = POLLIN},
                          {.fd = wake[0], .events = POLLIN}};
  for (;;) {
    if (write_waiting()) continue;
    bool last = is_draining();
    int ready = poll(fds, 2, last ? 0 : -1);
    if (ready > 0 && fds[1].revents) {
      ssize_t some = read(wake[0], piece, sizeof piece);
      (void)some;
    }
    ssize_t n = ready > 0 && fds[0].revents ? read(source, piece, PIECE) : -1;
    if (n > 0) put_output(piece, (size_t)n);
    if (n == 0) fds[0].fd = -1; /* nobody prints any more */
    if (last && n <= 0 && !write_waiting()) tell_drained();
    if (last && n <= 0) break;
  }
  return unused;
}

static int begin_thread(void) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, pump, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error) pthread_detach(thread);
  return error;
}

/* --- the rest ------------------------------------------------------------- */

static void awake(void) {
  ssize_t done = write(wake[1], "", 1); /* full: it is awake already */
  (void)done;
}

/* At the exit of the OS process. */
static void drain(void) {
  struct timespec limit;
  fflush(stdout);
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec += DRAIN_S;
  pthread_mutex_lock(&lock);
  draining = true;
  awake();
  int error = 0;
  while (!is_drained && !error)
    error = pthread_cond_timedwait(&drained, &lock, &limit);
  pthread_mutex_unlock(&lock);
}

static int make_pipe(int fds[2]) {
  if (pipe(fds)) return errno;
  (void)fcntl(fds[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(fds[1], F_SETFD, FD_CLOEXEC);
  return 0;
}

int byn_capture_begin(const byn_seal *with) {
  int output[2], error;
  byn_assert(!on);
  fflush(stdout);
  sink = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
  if (sink < 0) return errno;
  if ((error = make_pipe(output)) || (error = make_pipe(wake))) return error;
  (void)fcntl(wake[1], F_SETFL, O_NONBLOCK);
  source = output[0];
  if (dup2(output[1], STDOUT_FILENO) < 0) return errno;
  (void)close(output[1]);
  seal = *with;
  byn_buf_init(&waiting, &heap);
  if ((error = begin_thread())) return error;
  on = true;
  if (atexit(drain)) return ENOMEM;
  return 0;
}

bool byn_capture_is_on(void) {
  return on;
}

bool byn_capture_put(const void *body, size_t n) {
  byn_assert(on);
  pthread_mutex_lock(&lock);
  size_t before = waiting.len;
  byn_seal_put(&seal, BYN_CHANNEL_DATA, body, n, &waiting);
  bool done = !waiting.failed;
  if (!done) byn_buf_truncate(&waiting, before);
  pthread_mutex_unlock(&lock);
  awake();
  return done;
}
