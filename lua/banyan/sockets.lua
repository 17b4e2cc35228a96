--- Where the Unix sockets of an origin and its workers are: a directory of this
-- user alone. Private to this library.
--
-- The name of a socket has the OS process of the origin in it. What is left of
-- one that is gone is removed by the next program that uses the directory.

local address = require "banyan.address"
local core = require "banyan.core"
local names = require "banyan.name"
local unix_path = require "banyan.unix_path"
local uv = require "banyan.driver.uv"

local sockets = {}

local OWN_DIRECTORY = 448 -- 0700
local OLD_S = 60 -- one that is younger may be about to listen
local SHORT = 32 -- bytes of a node's name in that of its socket
local WIDEST = "a@localhost:65535" -- no node's port has more digits

local function candidates()
  local list = {}
  local runtime = os.getenv "XDG_RUNTIME_DIR"
  if runtime and runtime:sub(1, 1) == "/" then
    list[1] = runtime .. "/banyan"
  end
  list[#list + 1] = ("%s/banyan-%d"):format(uv.os_tmpdir(), uv.getuid())
  return list
end

-- One of a container that shares the directory may only seem to be gone.
local function is_gone(pid)
  if not pid then return false end
  local _, _, code = uv.kill(tonumber(pid), 0)
  return code == "ESRCH"
end

local function remove_left_over(directory)
  local found = uv.fs_scandir(directory)
  local function next_name() return found and uv.fs_scandir_next(found) end
  local now = uv.gettimeofday()
  for file in next_name do
    local path = directory .. "/" .. file
    local stat = is_gone(file:match "%-(%d+)%.sock$") and uv.fs_lstat(path)
    if stat and stat.type == "socket" and now - stat.mtime.sec > OLD_S
      and core.path_listens(path) == false then
      uv.fs_unlink(path)
    end
  end
end

-- What keeps a path from being the directory: the path itself, as it would be
-- in an address, or what is there.
local function fault_of(path)
  if path:find "[%s%c]" then return path .. " has a blank in it" end
  local fits, why = sockets.path(path, WIDEST, uv.os_getpid())
  if not fits then return why end
  uv.fs_mkdir(path, OWN_DIRECTORY)
  return unix_path.directory_fault(path)
end

--- The directory, which is made at first use.
---@return string|nil path
---@return string|nil err
function sockets.directory()
  local why
  for _, path in ipairs(candidates()) do
    why = fault_of(path)
    if not why then
      remove_left_over(path)
      return path
    end
  end
  return nil, "there is no place for Unix sockets: " .. why
end

--- The socket of a node, by its name, of which the port is its own on this
-- machine.
---@param directory string
---@param name string
---@param origin integer  the OS process of the origin
---@return string|nil path
---@return string|nil err
function sockets.path(directory, name, origin)
  local short = name:match("^[^@]*"):gsub("[^%w_-]", "_")
  local rest = ("-%d-%d.sock"):format(names.parse(name).port, origin)
  local room = address.LONGEST_PATH - #directory - #"/" - #rest
  if room >= 0 then
    return directory .. "/" .. short:sub(1, math.min(room, SHORT)) .. rest
  end
  return nil, ("the path of %s is too long for sockets"):format(directory)
end

return sockets
