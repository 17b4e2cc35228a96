--- A child that counts, for specs of what a fault costs: one that never stopped
-- goes on from where it was.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

-- starts: how many there were in this Lua state.
local counter = { name = "spec.support.counter", starts = 0 }

--- What an argument may have: start_ms: init takes so long; end_ms: so does
-- terminate; crash_ms: it raises so long after its start; start_child: {name,
-- id}, which init starts; hang: init never answers; text: for size.
function counter:init(arg)
  self.count, self.arg = 0, arg
  counter.starts = counter.starts + 1
  if arg.start_ms then banyan.sleep(arg.start_ms) end
  if arg.hang then banyan.receive() end
  if arg.end_ms then banyan.trap_exit(true) end
  if arg.crash_ms then
    banyan.send_after(arg.crash_ms, banyan.self(), "crash")
  end
  if arg.start_child then
    local name, id = arg.start_child[1], arg.start_child[2]
    local pid, err = ds.start_child(name, counter.spec(id))
    self.started = pid and "started" or tostring(err)
  end
end

--- Adds what it is sent and answers the sum; "started" answers how init's
-- start_child went; "node" where it runs; "block" holds up the whole node.
function counter:handle_call(msg)
  if msg == "started" then return self.started end
  if msg == "node" then return banyan.node() end
  self.count = self.count + msg
  return self.count
end

function counter.handle_info(_, msg)
  if msg == "crash" then error("told to crash") end
end

function counter:terminate()
  if self.arg.end_ms then banyan.sleep(self.arg.end_ms) end
end

function counter.start_link(arg) return server.start_link(counter, arg) end

--- The spec of a child.
function counter.spec(id, arg)
  return {
    id = id, start = { "spec.support.counter", "start_link", { arg or {} } },
  }
end

return counter
