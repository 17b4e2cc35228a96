--- A worker that takes its time to begin.

local uv = require "luv"

io.stdout:write("worker ", uv.os_getpid(), " loading\n")
io.stdout:flush()
uv.sleep(500)

return { main = function() require "banyan".sleep(math.huge) end }
