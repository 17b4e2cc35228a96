--- An sshd of the specs' own: its configuration, its keys and its port on
-- loopback are made for it, in a folder of its own. The user's ~/.ssh and the
-- system's sshd have no part in it.
--
--    local ssh = require("spec.support.ssh").open()
--    ssh:exec(...)     what banyan.peer takes as `exec`: these words over there
--    ssh:close()
--
-- It ends with this program: the shell around it reads standard input, whose
-- other end is here.

local address = require "spec.support.address"
local lua = require "spec.support.lua"
local program = require "spec.support.program"
local uv = require "luv"

local Ssh = {}
Ssh.__index = Ssh

local ssh = {}

local FIND = 'PATH="$PATH:/usr/sbin"; '

-- One that runs as an ordinary user lets in that user alone.
local SERVER = [[
ListenAddress 127.0.0.1:%d
HostKey %s/host
AuthorizedKeysFile %s/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
LogLevel INFO
SetEnv %s
]]

local CLIENT = [[
Host there
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s/user
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s/known
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function run(command)
  local child = program.command(command)
  local code = child:finish()
  assert(code == 0, child.err .. child.out)
end

-- What this interpreter needs there to find what it finds here.
local function environment()
  local list = {}
  for _, name in ipairs { "LUA_PATH", "LUA_CPATH", "ASAN_OPTIONS" } do
    local value = os.getenv(name)
    if value then list[#list + 1] = ('"%s=%s"'):format(name, value) end
  end
  return table.concat(list, " ")
end

local function make_keys(dir)
  for _, name in ipairs { "host", "user" } do
    run(("exec ssh-keygen -q -t ed25519 -N '' -f %s/%s"):format(dir, name))
  end
end

-- As root, sshd wants this folder; Debian makes it with each boot of a machine
-- that has a server.
local function make_run_folder()
  if uv.getuid() == 0 then run "exec mkdir -p /run/sshd" end
end

--- Why there can be none; nil: there can.
---@return string|nil
function ssh.is_missing()
  for _, name in ipairs { "sshd", "ssh", "ssh-keygen" } do
    if not lua.finds(name) and not uv.fs_access("/usr/sbin/" .. name, "X") then
      return name .. " is not installed (make deps)"
    end
  end
end

function ssh.open()
  local dir = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
    .. "/banyan-ssh-XXXXXX"))
  local self = setmetatable({
    dir = dir, port = address.free_port(), config = dir .. "/config",
  }, Ssh)
  make_keys(dir)
  make_run_folder()
  write(dir .. "/known", ("[127.0.0.1]:%d %s"):format(self.port,
    read(dir .. "/host.pub")))
  write(self.config, CLIENT:format(self.port, uv.os_get_passwd().username, dir,
    dir))
  write(dir .. "/sshd", SERVER:format(self.port, dir, dir, environment()))
  self.server = program.command(FIND .. '"$(command -v sshd)" -D -e -f '
    .. dir .. "/sshd & read -r _; kill $!; wait", {
      env = { LD_PRELOAD = false },
    })
  self.server:wait_for("Server listening", "err")
  return self
end

--- The words become one line for a shell there.
function Ssh:exec(...)
  return { "ssh", { "-F", self.config, "there", ... } }
end

--- This interpreter, in this folder. A library that is to be loaded before all
-- others is for the interpreter alone: not every shell bears a sanitizer.
function Ssh:lua()
  return self:exec("cd", uv.cwd(), "&&", "exec", "env",
    "LD_PRELOAD=" .. (os.getenv "LD_PRELOAD" or ""), uv.exepath())
end

function Ssh:close()
  self.server.stdin:close()
  self.server:finish()
  run("exec rm -r " .. self.dir)
end

return ssh
