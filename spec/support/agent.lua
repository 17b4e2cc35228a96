--- A server named "agent" that calls functions for other nodes. They travel as
-- bytecode: they have no upvalues but the globals. A string is the source of
-- one, for a node under another Lua.

local banyan = require "banyan"
local server = require "banyan.server"

local agent = {}

local unpack = table.unpack or unpack

local behaviour = {}

-- Each call has a process of its own, so that a call may wait.
function behaviour.handle_call(_, msg, from)
  banyan.spawn(function()
    local fn = assert(load(msg.code, "=call"))
    local results = { pcall(fn, unpack(msg.args, 1, msg.n)) }
    if results[1] then
      server.reply(from, true, unpack(results, 2, 6))
    else
      server.reply(from, false, tostring(results[2]))
    end
  end)
  return server.noreply
end

-- Calls a function in a process that stays, for what the function links to it.
function behaviour.handle_cast(_, msg)
  banyan.spawn(function()
    banyan.trap_exit(true)
    assert(load(msg.code, "=cast"))(unpack(msg.args, 1, msg.n))
    local message
    repeat message = banyan.receive() until message == "end"
  end)
end

function agent.start_link()
  return server.start_link(behaviour, nil, { name = "agent" })
end

local function message_of(fn, ...)
  return {
    code = type(fn) == "string" and fn or string.dump(fn),
    args = { ... }, n = select("#", ...),
  }
end

--- Calls fn(...) on a node.
---@return boolean|nil ok  false: it raised the error; nil: the call failed
---@return any ...  its values, or the error
function agent.call(node, timeout, fn, ...)
  return server.call({ name = "agent", node = node }, message_of(fn, ...),
    timeout)
end

--- Calls fn(...) there, in a process that stays and keeps its links.
function agent.open(node, fn, ...)
  server.cast({ name = "agent", node = node }, message_of(fn, ...))
end

return agent
