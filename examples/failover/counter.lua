--- A child of the demo: a counter. Which of them runs where, and on which node
-- it is started again, is none of its business.

local banyan = require "banyan"
local server = require "banyan.server"

local Counter = {}

function Counter:init(id)
  self.id = id
  self.count = 0
end

--- "add" answers the new count, "look" the old one; both the node it runs on.
function Counter:handle_call(message)
  if message == "add" then self.count = self.count + 1 end
  return self.count, banyan.node()
end

function Counter.start_link(id)
  return server.start_link(Counter, id)
end

return Counter
