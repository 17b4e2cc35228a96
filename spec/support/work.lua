--- What workers run in the specs, and how these ask about them.

local banyan = require "banyan"
local uv = require "luv"

local M = {}

--- Has a supervisor that its child ends by crashing.
function M.give_up()
  require "banyan.supervisor".start_link {
    {
      id = 1, start = function()
        return banyan.spawn_link(function() error("on purpose", 0) end)
      end,
    },
  }
  banyan.sleep(math.huge)
end

--- Answers {ask=} until it is told {exit=}, {raise=}, {fail=}, {gives_up=} or
-- {done=}.
function M.serve(...)
  banyan.register "work"
  local args = { ... }
  while true do
    local m = banyan.receive()
    if m.ask then
      m.ask:send {
        tag = "work", pid = uv.os_getpid(), node = banyan.node(),
        nodes = banyan.nodes(), args = args,
      }
    elseif m.exit then
      os.exit(m.exit)
    elseif m.raise then
      error(m.raise, 0)
    elseif m.gives_up then
      M.give_up()
    elseif m.fail then
      return nil, m.fail
    elseif m.done then
      return true
    end
  end
end

--- Prints when it is asked to stop, and has a child with something to do then.
function M.tidy()
  local server = require "banyan.server"
  local supervisor = require "banyan.supervisor"
  local Child = { name = "child" }
  function Child.init() banyan.trap_exit(true) end
  function Child.terminate()
    banyan.sleep(50)
    print(banyan.node():match "^[^@]+" .. " is tidy")
  end
  assert(supervisor.start_link {
    { id = 1, start = function() return server.start_link(Child) end },
  })
  banyan.sleep(math.huge)
end

--- Never stops of its own accord: its server takes an hour to terminate.
function M.stubborn()
  local server = require "banyan.server"
  local Child = { name = "child" }
  function Child.init() banyan.trap_exit(true) end
  function Child.terminate() banyan.sleep(3600000) end
  assert(server.start_link(Child))
  M.serve()
end

--- The OS process of the only worker.
function M.pid_of(wanted)
  local _, answer = next(M.all(wanted))
  return answer.pid
end

--- Runs children of the distributed supervisor "rooms".
function M.rooms()
  assert(require "banyan.distributed_supervisor".start_link { name = "rooms" })
  M.serve()
end

function M.raise() error("on purpose", 0) end

--- Waits until fn() is true.
function M.eventually(what, fn)
  local limit = banyan.now() + 30000
  while true do
    local value = fn()
    if value then return value end
    if banyan.now() > limit then error("it did not come about: " .. what, 2) end
    banyan.sleep(10)
  end
end

--- What the worker of a node answers; nil if there is none now.
function M.ask(node)
  if not banyan.send({ name = "work", node = node },
    { ask = banyan.self() }) then
    return nil
  end
  return (banyan.receive(function(m)
    return type(m) == "table" and m.tag == "work" and m.node == node
  end, 1000))
end

--- What all workers answer, by node, once there are so many that know each
-- other and this one.
function M.all(wanted)
  return M.eventually(wanted .. " workers that know each other", function()
    local found, count = {}, 0
    for _, node in ipairs(banyan.nodes()) do
      local answer = M.ask(node)
      if answer and #answer.nodes >= wanted then
        found[node], count = answer, count + 1
      end
    end
    return count == wanted and found
  end)
end

--- Is there such an OS process?
function M.lives(pid)
  return uv.kill(pid, 0) ~= nil
end

return M
