---@meta _
-- Made by `make library` out of lua/banyan/supervisor.lua. Do not edit.

---@class banyan.supervisor
local supervisor = {}

--- Stops a supervisor, after its children in reverse start order. Yields until
-- it has ended.
---@param dest banyan.Pid|string|table  as for start_child
---@param reason? any  default "normal"
---@param timeout? integer|string  milliseconds, default no limit; it stops all
---  the same when they have passed
---@return true|nil ok  true if it ended for this reason
---@return any err  "noproc", "noconnection", "timeout", "calling_self", or the
---  other reason for which it ended
function supervisor.stop(dest, reason, timeout) end
