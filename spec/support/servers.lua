--- Servers for the specs of servers, started by the process of a test.

local busted = require "busted"
local core = require "banyan.core"
local run = require "spec.support.run"
local server = require "banyan.server"

local servers = {}

--- `it`, with the body run as a process.
function servers.test(name, body)
  busted.it(name, function() run(body) end)
end

--- A module whose callbacks are given; `init` keeps its argument as self.arg.
function servers.module(callbacks)
  if not callbacks.init then
    callbacks.init = function(self, arg) self.arg = arg end
  end
  return callbacks
end

function servers.start(callbacks, arg, opts)
  return assert(server.start(servers.module(callbacks), arg, opts))
end

--- A callback that sends {what, ...} to the process of the test.
function servers.teller(what)
  local test_process = core.self()
  return function(...)
    core.send(test_process, { what, select(2, ...) })
  end
end

--- The next message, which has to be there without any wait.
function servers.next_message()
  return core.receive(0)
end

return servers
