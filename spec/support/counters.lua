--- Functions for the nodes of spec.support.cluster that run a distributed
-- supervisor named "counters", whose children are of spec.support.counter.
--
-- They are sent as bytecode, so each asks for the modules that it needs.

local counters = {}

--- Starts the supervisor below another one, in a process that stays.
function counters.open(opts)
  local ds = require "banyan.distributed_supervisor"
  opts = opts or {}
  opts.name = "counters"
  _G.tree = assert(require("banyan.supervisor").start_link {
    ds.child_spec(opts),
  })
end

--- How many nodes run children.
function counters.members()
  local nodes = require("banyan.distributed_supervisor").nodes("counters")
  return nodes and #nodes or 0
end

--- Starts children, a list of {id=, arg=, node=}; answers why some did not
-- start: id -> text.
function counters.start(list)
  local ds = require "banyan.distributed_supervisor"
  local counter = require "spec.support.counter"
  local failed = {}
  for _, one in ipairs(list) do
    local pid, err = ds.start_child("counters", counter.spec(one.id, one.arg),
      one.node)
    if not pid then failed[one.id] = tostring(err) end
  end
  return failed
end

--- Adds to a child; answers its sum.
function counters.add(id, n)
  return require("banyan.distributed_supervisor").call("counters", id, n)
end

--- Adds n to each; answers how many say `expected` then.
function counters.add_all(ids, n, expected)
  local ds = require "banyan.distributed_supervisor"
  local right = 0
  for _, id in ipairs(ids) do
    if ds.call("counters", id, n) == expected then right = right + 1 end
  end
  return right
end

--- How many children run in all.
function counters.everywhere()
  local _, everywhere = require("banyan.distributed_supervisor").count(
    "counters")
  return everywhere
end

--- How many children run there.
function counters.here()
  return #require("banyan.distributed_supervisor").local_children("counters")
end

--- How many processes of children are there: also those that lookups do not
-- show, because they are to end.
function counters.processes()
  local core = require "banyan.core"
  local count = 0
  for _, pid in ipairs(core.processes()) do
    local info = core.process_info(pid)
    if info and info.label == "spec.support.counter" then count = count + 1 end
  end
  return count
end

--- Where each runs: id -> node.
function counters.places()
  local places = {}
  local ds = require "banyan.distributed_supervisor"
  for id, pid in pairs(ds.children("counters")) do places[id] = pid:node() end
  return places
end

function counters.explain(id)
  local found = require("banyan.distributed_supervisor").explain("counters",
    id)
  return found and found.state, found and found.node
end

function counters.terminate(id)
  local ok, err = require("banyan.distributed_supervisor").terminate_child(
    "counters", id)
  return ok, tostring(err)
end

--- The node that the ring names.
function counters.owner(id)
  return require("banyan.distributed_supervisor").node_for("counters", id)
end

--- How many events of a kind there were on that node.
function counters.events(kind) return _G.event_counts[kind] or 0 end

--- As from outside of the program.
function counters.sigterm()
  require("luv").kill(require("luv").os_getpid(), "sigterm")
end

-- --- the test's side ---------------------------------------------------------

function counters.ids(n)
  local ids = {}
  for i = 1, n do ids[i] = i end
  return ids
end

function counters.list(n, arg)
  local list = {}
  for i = 1, n do list[i] = { id = i, arg = arg } end
  return list
end

--- Waits until each node of a list has all of them as members.
function counters.await_members(c, nodes)
  for _, node in ipairs(nodes) do
    c:wait(node.name .. " knows all members", function()
      return node:call(counters.members) == #nodes
    end)
  end
end

--- Starts nodes that all run the supervisor.
function counters.together(c, opts, ...)
  local nodes = { c:start(...) }
  for _, node in ipairs(nodes) do node:open(counters.open, opts) end
  counters.await_members(c, nodes)
  return nodes
end

--- The processes of children on all of these nodes.
function counters.in_all(nodes)
  local sum = 0
  for _, node in ipairs(nodes) do sum = sum + node:call(counters.processes) end
  return sum
end

--- The first id of a row that belongs to a node.
function counters.id_on(asked, node, skip)
  for i = 1, 1000 do
    local id = "id" .. i
    if asked:call(counters.owner, id) == node.name
      and not (skip and skip[id]) then
      if skip then skip[id] = true end
      return id
    end
  end
end

return counters
