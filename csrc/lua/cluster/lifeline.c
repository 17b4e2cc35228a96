/* A thread that ends the OS process once the other end of a file is gone. */
#define _GNU_SOURCE
#include "lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "../value/compat.h"

/* Where a socket cannot tell that its other end sends no more, it tells when
 * that is closed. */
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

#define LINE_MAX_BYTES 1000000
#define GONE (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)
#define STATUS 1 /* of the exit */

/* Its group, where that is its own, has what it started and what it was started
 * by. */
static void *wait_for_end(void *argument) {
  intptr_t packed = (intptr_t)argument;
  struct pollfd fd = {.fd = (int)(packed >> 1), .events = POLLRDHUP};
  for (;;) {
    int n = poll(&fd, 1, -1);
    if (n > 0 && (fd.revents & GONE)) break;
  }
  if (packed & 1) kill(0, SIGKILL);
  _exit(STATUS);
}

static int begin_thread(intptr_t argument) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, wait_for_end, (void *)argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error) pthread_detach(thread);
  return error;
}

static int fail_with(lua_State *L, int error) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

static bool leads_group(void) {
  return getpgrp() == getpid();
}

static int l_lifeline(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1), group = luaL_checkinteger(L, 2);
  bool whole = group == (lua_Integer)getpgrp() || leads_group();
  int error = begin_thread((intptr_t)fd << 1 | whole);
  if (error) return fail_with(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_lifeline_is_there(lua_State *L) {
  struct stat stat;
  int fd = (int)luaL_checkinteger(L, 1);
  lua_pushboolean(L, fstat(fd, &stat) == 0 && S_ISSOCK(stat.st_mode));
  return 1;
}

/* One byte, once it is there: read's answer. */
static ssize_t read_byte(int fd, char *byte) {
  for (;;) {
    ssize_t n = read(fd, byte, 1);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      struct pollfd ready = {.fd = fd, .events = POLLIN};
      (void)poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return n;
    }
  }
}

static int l_lifeline_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 0; i < LINE_MAX_BYTES; i++) {
    char byte;
    ssize_t n = read_byte(fd, &byte);
    if (n < 0) return fail_with(L, errno);
    if (n == 0) break;
    if (byte == '\n') {
      luaL_pushresult(&line);
      return 1;
    }
    luaL_addchar(&line, byte);
  }
  lua_pushnil(L);
  lua_pushliteral(L, "no line came");
  return 2;
}

static int l_lifeline_end_group(lua_State *L) {
  (void)L;
  if (!leads_group()) return 0;
  (void)signal(SIGTERM, SIG_IGN);
  (void)kill(0, SIGTERM);
  return 0;
}

static int l_lifeline_own(lua_State *L) {
  (void)fcntl((int)luaL_checkinteger(L, 1), F_SETFD, FD_CLOEXEC);
  return 0;
}

static int l_empty_stdin(lua_State *L) {
  (void)L;
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  (void)dup2(fd, STDIN_FILENO);
  if (fd != STDIN_FILENO) (void)close(fd);
  return 0;
}

void byn_lifeline_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"lifeline", l_lifeline},
      {"lifeline_is_there", l_lifeline_is_there},
      {"lifeline_read", l_lifeline_read},
      {"lifeline_own", l_lifeline_own},
      {"lifeline_end_group", l_lifeline_end_group},
      {"empty_stdin", l_empty_stdin},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
