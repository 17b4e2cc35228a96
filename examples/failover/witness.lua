--- A server on each node of the demo. It carries out the requests of the main
-- program, which so sees the cluster from that node.

local banyan = require "banyan"
local counters = require "banyan.distributed_supervisor"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local Witness = {}

--- Starts some of the counters, by their ids.
function Witness.start(_, ids)
  for _, id in ipairs(ids) do
    local pid, err = counters.start_child("counters", {
      id = id,
      start = { "failover.counter", "start_link", { id } },
    })
    if not pid then return nil, err end
  end
  return #ids
end

--- Calls each counter once. Returns a table id -> {count, node}, and the ids
-- that did not reply.
function Witness.call(_, ids, message)
  local answers, silent = {}, {}
  for _, id in ipairs(ids) do
    local count, node = counters.call("counters", id, message)
    if count then
      answers[id] = { count, node }
    else
      silent[#silent + 1] = id
    end
  end
  return answers, silent
end

--- The pids of the counters that run on this node.
function Witness.here()
  return counters.local_children("counters")
end

--- The nodes that run counters, as seen from this node.
function Witness.nodes()
  return counters.nodes("counters")
end

function Witness:handle_call(message)
  return self[message[1]](self, message[2], message[3])
end

function Witness.start_link()
  return server.start_link(Witness, nil, { name = "witness" })
end

--- Calls the witness of a node.
function Witness.ask(node, ...)
  return server.call({ name = "witness", node = node }, { ... }, 60000)
end

--- Starts all that a node of the demo runs, linked to the caller.
function Witness.start_tree(listener)
  return supervisor.start_link {
    counters.child_spec { name = "counters", listeners = { listener } },
    "failover.witness",
  }
end

--- The main function of the other nodes: runs until it gets a message to stop.
function Witness.main()
  banyan.register("main")
  assert(Witness.start_tree())
  return banyan.receive(function(message) return message == "stop" end)
end

return Witness
