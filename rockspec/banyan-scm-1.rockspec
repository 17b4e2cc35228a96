rockspec_format = "3.0"
package = "banyan"
version = "scm-1"
-- Built from a checkout: `luarocks make rockspec/banyan-scm-1.rockspec`.
source = { url = "git+file://." }
description = {
  summary = "Processes, supervision trees and distributed supervisors",
  detailed = [[
    What Erlang/OTP gives Erlang programs, for Lua programs: cheap isolated
    processes, supervisors that restart what crashes, and supervisors whose
    children are spread over many nodes by a hash ring and come back on a
    surviving node when one dies. The core is C and does no I/O.
  ]],
  labels = { "actors", "concurrency", "supervision", "distributed" },
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.1, < 5.5, ~= 5.2, ~= 5.3", -- 5.1 stands for LuaJIT
  "luv >= 1.44",
  "lua-cjson >= 2.1",
}
external_dependencies = {
  XXHASH = { header = "xxhash.h" },
  SODIUM = { header = "sodium.h" },
}
-- The Makefile finds the sources and the Lua files; no list of them here.
build = {
  type = "make",
  build_target = "build",
  build_variables = {
    BUILD = "build/rock",
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    XXHASH_INCDIR = "$(XXHASH_INCDIR)",
    XXHASH_LIBDIR = "$(XXHASH_LIBDIR)",
    SODIUM_INCDIR = "$(SODIUM_INCDIR)",
    SODIUM_LIBDIR = "$(SODIUM_LIBDIR)",
  },
  install_variables = {
    BUILD = "build/rock",
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    XXHASH_INCDIR = "$(XXHASH_INCDIR)",
    XXHASH_LIBDIR = "$(XXHASH_LIBDIR)",
    SODIUM_INCDIR = "$(SODIUM_INCDIR)",
    SODIUM_LIBDIR = "$(SODIUM_LIBDIR)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    LIBRARYDIR = "$(PREFIX)/library",
  },
}
