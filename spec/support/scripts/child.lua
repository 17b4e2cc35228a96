--- Children of random distributed supervisors: servers that know their id, and
-- crash or leave when they are told to.

local banyan = require "banyan"
local server = require "banyan.server"

local Child = {}

--- All that were started in the run under way: {id=, pid=, node=}.
Child.started = {}

function Child:init(id) self.id = id end

function Child:handle_call() return self.id end

function Child:handle_cast(message)
  if message == "crash" then error("crash", 0) end
  if message == "leave" then return server.stop_with "normal" end
  return self.id
end

function Child.start_link(id)
  local pid, why = server.start_link(Child, id)
  if pid then
    table.insert(Child.started, { id = id, pid = pid, node = banyan.node() })
  end
  return pid, why
end

return Child
