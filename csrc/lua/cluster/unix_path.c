/* Whether anybody listens on a path is asked by a connection that is closed. */
#include "unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../value/compat.h"
#include "../value/world.h"

/* 0, or an error of the system. */
static int try_to_connect(const struct sockaddr_un *address) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0), error = 0;
  if (fd < 0) return errno;
  if (fcntl(fd, F_SETFL, O_NONBLOCK) ||
      connect(fd, (const struct sockaddr *)address, sizeof *address))
    error = errno;
  close(fd);
  return error;
}

static int l_path_listens(lua_State *L) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  int error = ENAMETOOLONG;
  if (n < sizeof address.sun_path) {
    memcpy(address.sun_path, path, n + 1);
    error = try_to_connect(&address);
  }
  if (!error || error == ECONNREFUSED || error == EAGAIN ||
      error == EWOULDBLOCK || error == EINPROGRESS) {
    lua_pushboolean(L, error != ECONNREFUSED);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

void byn_unix_path_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"path_listens", l_path_listens},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
