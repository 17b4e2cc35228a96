--- Starts a control process and waits for its peer. Private to this library.

local core = require "banyan.core"
local server = require "banyan.server"

-- The control process is loaded late: it needs luv.
local function control() return require "banyan.peer.control" end

--- Yields until the peer has booted or has failed to, if that is waited for.
---@param starter function  server.start or server.start_link
---@param settings table  of options.lua
---@return banyan.Pid|nil peer
---@return any node  its name or nil; or an error
return function(starter, settings)
  local pid, err = starter(control().Control, settings)
  if not pid then return nil, err end
  local state = control().states[pid]
  if not settings.waits then return pid, state and state.node end
  local node
  node, err = server.call(pid, { what = "boot" }, "infinity")
  if err ~= nil then
    return nil, type(err) == "table" and err[1] == "boot_failed" and err
      or core.reason { "boot_failed", err }
  end
  return pid, node
end
