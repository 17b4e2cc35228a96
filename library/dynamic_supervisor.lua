---@meta _
-- Made by `make library` out of lua/banyan/dynamic_supervisor.lua. Do not edit.

---@class banyan.dynamic_supervisor
local dynamic_supervisor = {}

--- The children, in start order. Yields. It has each that is there throughout,
-- once, see supervisor.which_children.
---@param sup banyan.Pid|string|table
---@return table|nil list  of {pid=, state="running"|"restarting", type=}
---@return any err  "noproc", "noconnection"
function dynamic_supervisor.which_children(sup) end

--- How many children there are. Yields.
---@param sup banyan.Pid|string|table
---@return table|nil counts  {specs=, active=, supervisors=, workers=}
---@return any err  "noproc", "noconnection"
function dynamic_supervisor.count_children(sup) end

--- Stops a supervisor after its children, which stop side by side. Yields
-- until it has ended.
---@param dest banyan.Pid|string|table  as for start_child
---@param reason? any  default "normal"
---@param timeout? integer|string  milliseconds, default no limit; it stops all
---  the same when they have passed
---@return true|nil ok  true if it ended for this reason
---@return any err  as for supervisor.stop
function dynamic_supervisor.stop(dest, reason, timeout) end
