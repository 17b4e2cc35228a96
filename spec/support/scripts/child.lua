--- Children of random distributed supervisors: servers that know their id, and
-- crash or leave when they are told to.

local banyan = require "banyan"
local server = require "banyan.server"

local Child = {}

--- All that were started in the run under way: {id=, pid=, node=, at=}.
Child.started = {}

function Child:init(arg)
  self.id = arg.id
  if arg.crash_ms then
    banyan.send_after(arg.crash_ms, banyan.self(), "crash")
  end
  if arg.end_ms then
    banyan.trap_exit(true)
    self.end_ms = arg.end_ms
  end
end

function Child:handle_call() return self.id end

function Child:handle_cast(message)
  if message == "crash" then error("crash", 0) end
  if message == "leave" then return server.stop_with "normal" end
  return self.id
end

function Child.handle_info(_, message)
  if message == "crash" then error("crash", 0) end
end

function Child:terminate()
  if self.end_ms then banyan.sleep(self.end_ms) end
end

--- More: crash_ms: it raises so long after its start; end_ms: its end takes so
-- long.
function Child.start_link(id, more)
  local arg = { id = id }
  for key, value in pairs(more or {}) do arg[key] = value end
  local pid, why = server.start_link(Child, arg)
  if pid then
    table.insert(Child.started,
      { id = id, pid = pid, node = banyan.node(), at = banyan.now() })
  end
  return pid, why
end

return Child
