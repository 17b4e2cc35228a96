--- Paths of Unix sockets: who may be dialled there, and how a node or a
-- listener takes one. Private to this library.

local address = require "banyan.address"
local core = require "banyan.core"
local uv = require "banyan.driver.uv"

local unix_path = {}

local OTHERS_WRITE = 18 -- 0022
local OWN_ONLY = 384 -- 0600

-- Does a mode have any of these bits?
local function has(mode, bits)
  while bits > 0 do
    if bits % 2 == 1 and mode % 2 == 1 then return true end
    mode, bits = math.floor(mode / 2), math.floor(bits / 2)
  end
  return false
end

local function above(path)
  return path:match "^(.+)/[^/]*$" or "/"
end

--- What is wrong with a directory in which this user's sockets are to be; nil
-- if nobody else may write there.
---@param path string
---@return string|nil why
function unix_path.directory_fault(path)
  local stat, why = uv.fs_stat(path)
  if not stat then return why end
  if stat.type ~= "directory" then return path .. " is no directory" end
  if stat.uid ~= uv.getuid() then
    return path .. " belongs to another user"
  end
  if has(stat.mode, OTHERS_WRITE) then
    return ("others may write in %s (mode %03o)"):format(path, stat.mode % 512)
  end
end

--- May a node be dialled at this path, which another has told? It has to be a
-- socket of this user, in a directory where nobody else may write.
---@param path string
---@return boolean
function unix_path.may_be_dialled(path)
  if path:sub(1, 1) ~= "/" or #path > address.LONGEST_PATH then return false end
  local stat = uv.fs_lstat(path)
  if not stat or stat.type ~= "socket" or stat.uid ~= uv.getuid() then
    return false
  end
  return unix_path.directory_fault(above(path)) == nil
end

-- Removes a socket on which nobody listens. One that takes its place meanwhile
-- is another file.
local function remove_stale(path)
  local before = uv.fs_lstat(path)
  if not before or before.type ~= "socket" then return false end
  if core.path_listens(path) ~= false then return false end
  local after = uv.fs_lstat(path)
  if not after or after.ino ~= before.ino then return false end
  return uv.fs_unlink(path) ~= nil
end

local function bind(pipe, path)
  local called, ok, why = pcall(uv.pipe_bind, pipe, path)
  if not called then return nil, ok end
  return ok, why
end

--- Binds a pipe, or has it take the place of a socket that was left over. Does
-- not yield.
---@param pipe userdata
---@param path string
---@return any ok
---@return string|nil err  of luv
function unix_path.bind(pipe, path)
  local ok, why = bind(pipe, path)
  if ok or not tostring(why):find "^EADDRINUSE" then return ok, why end
  if not remove_stale(path) then return nil, why end
  return bind(pipe, path)
end

--- The same for a node: only this user may connect, or put another socket
-- there.
---@param pipe userdata
---@param path string
---@return any ok
---@return string|nil err
function unix_path.bind_for_user(pipe, path)
  local fault = unix_path.directory_fault(above(path))
  if fault then return nil, fault end
  local ok, why = unix_path.bind(pipe, path)
  if not ok then return nil, why end
  return uv.fs_chmod(path, OWN_ONLY)
end

--- Which file a path is, for unix_path.close.
---@param path string
---@return table|nil id
function unix_path.id(path)
  local stat = uv.fs_lstat(path)
  return stat and { dev = stat.dev, ino = stat.ino }
end

-- Where it is then; nil if there is nothing to be put back.
local function put_aside(path, own)
  local id = own and unix_path.id(path)
  if not id then return nil end
  if id.ino == own.ino and id.dev == own.dev then return nil end
  local aside = ("%s.%d"):format(path, uv.os_getpid())
  return uv.fs_rename(path, aside) and aside or nil
end

--- Closes the pipe that was bound to a path. That removes what is there, which
-- may be the socket of another program by now: such a one is put aside for that
-- moment, unless memory is short.
---@param path string|nil  nil for what is no pipe
---@param own table|nil  what unix_path.id said when the pipe was bound
---@param close fun(arg)  no closure, for which there may be no memory
---@param arg any
function unix_path.close(path, own, close, arg)
  local tried, aside = pcall(put_aside, path, own)
  close(arg)
  if tried and aside then pcall(uv.fs_rename, aside, path) end
end

return unix_path
