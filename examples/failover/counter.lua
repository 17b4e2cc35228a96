--- A child of the demo: a counter. The distributed supervisor decides on which
-- node it runs; nothing here depends on that.

local banyan = require "banyan"
local server = require "banyan.server"

local Counter = {}

function Counter:init(id)
  self.id = id
  self.count = 0
end

--- "add" answers the new count and "look" the old one, both also the node.
function Counter:handle_call(message)
  if message == "add" then self.count = self.count + 1 end
  return self.count, banyan.node()
end

function Counter.start_link(id)
  return server.start_link(Counter, id)
end

return Counter
