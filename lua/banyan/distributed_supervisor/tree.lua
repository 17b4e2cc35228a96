-- The processes of a distributed supervisor on one node:
--
--   tree (a supervisor, linked to the caller of start_link)
--     processes    the parent of the children that run here
--     coordinator  registered under the supervisor's name
--     nodes        where the option `nodes` is a source: a node monitor, which
--                  tells the coordinator of each answer
--
-- A coordinator that crashes is started again, without the children, which it
-- finds; with it the node monitor, which goes on from the last answer.
-- If the processes end, so does the coordinator, and both begin again; the
-- machine of the node (csrc/core/dist) knows which children are to run. A
-- coordinator that ends in order, as it does when a limit is exceeded with
-- on_limit = "escalate", ends the tree.

local core = require "banyan.core"
local Coordinator = require "banyan.distributed_supervisor.coordinator"
local nodes = require "banyan.distributed_supervisor.nodes"
local Processes = require "banyan.distributed_supervisor.processes"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local tree = {}

-- Why the tree did not start, as a caller of start_link is to hear it.
local function plain(err)
  local inner = type(err) == "table" and err[1] == "shutdown" and err[2]
  if type(inner) == "table" and inner[1] == "failed_to_start_child" then
    return inner[3]
  end
  return err
end

--- Starts the tree, linked to the caller. Yields.
---@param opts table  checked, with defaults filled in
---@return banyan.Pid|nil pid
---@return any err
function tree.start_link(opts)
  local processes
  local first = opts.node_source and nodes.ask(opts) or {}
  local children = {
    {
      id = "processes", type = "supervisor",
      start = function()
        local why
        processes, why = server.start_link(Processes, opts.name)
        return processes, why
      end,
    },
    {
      id = "coordinator", restart = "transient", significant = true,
      shutdown = "infinity",
      start = function()
        return server.start_link(Coordinator, {
          opts = opts, processes = processes, tree = core.self(),
          nodes = first.nodes,
        }, { name = opts.name })
      end,
    },
  }
  if opts.node_source then
    children[#children + 1] = {
      id = "nodes",
      start = function()
        local answer = first
        first = {}
        return nodes.start_link(opts, answer)
      end,
    }
  end
  local pid, err = supervisor.start_link(children,
    { strategy = "rest_for_one", auto_shutdown = "any_significant" })
  if not pid then return nil, plain(err) end
  return pid
end

return tree
