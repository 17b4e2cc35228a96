-- The smallest server: it keeps its argument and replies with each message.

local server = require "banyan.server"

local Echo = {}

function Echo:init(arg) self.arg = arg end
function Echo.handle_call(_, message) return message end

function Echo.start_link(arg) return server.start_link(Echo, arg) end

return Echo
