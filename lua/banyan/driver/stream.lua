--- A stream of luv, as wires (peer/wire.lua) use it. Private to this library.
--
-- This is one of two kinds of streams; the other one is lockstep's
-- (lockstep/transport.lua). What both can do:
--
--   attach(here, on)   on is told what happens, by functions that must not
--                      wait: read(err, data), where err is a code, and nothing
--                      at all stands for the end; written(err), once more of
--                      what was written has left; again(), after a later step,
--                      where memory was short in one of the two. Errors in
--                      these are events of the node that made `here`, a pid.
--   go_on(), pause()   it reads from now on, and does not
--   write(bytes)       -> true | nil, code
--   unsent()           bytes that were written and have not left
--   is_closing(), close()
--   linger()           closes it once all has left; false: that cannot be done
--   address()          "host:port" of the other end

local addresses = require "banyan.io.address"
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local luv_driver = require "banyan.driver.luv"
local uv = require "banyan.driver.uv"

local KEEPALIVE_S = 30

local Stream = {}
Stream.__index = Stream

local streams = {}

-- --- callbacks ---------------------------------------------------------------

-- Set of streams with a callback that was broken off, for want of memory.
local behind = {}

table.insert(luv_driver.after_step, function()
  for stream in pairs(behind) do
    behind[stream] = nil
    stream.again()
  end
  return next(behind) ~= nil
end)

-- A callback of luv. One that fails has `again` called later.
local function guarded(self, here, fn)
  local wrapped = guard.wrap(here, function(...)
    if not handles.exiting then fn(...) end
    return true
  end)
  return function(...)
    if not wrapped(...) then behind[self] = true end
  end
end

function Stream:attach(here, on)
  self.again = guarded(self, here, on.again)
  self.on_read = guarded(self, here, function(err, data)
    on.read(err and addresses.code(err), data)
  end)
  self.on_written = guard.wrap(here, function(err)
    if handles.exiting then return end
    self.writes = self.writes - 1
    on.written(err and addresses.code(err))
  end)
end

-- --- reading, writing --------------------------------------------------------

function Stream:go_on()
  if not self:is_closing() then self.handle:read_start(self.on_read) end
end

function Stream:pause()
  self.handle:read_stop()
end

function Stream:write(bytes)
  local n = 0
  if self.writes == 0 then
    n = uv.try_write(self.handle, bytes) or 0
    if n == #bytes then return true end
  end
  if n > 0 then bytes = bytes:sub(n + 1) end
  local ok, why = uv.write(self.handle, bytes, self.on_written)
  if not ok then return nil, addresses.code(why) end
  self.writes = self.writes + 1
  return true
end

function Stream:unsent()
  if self.writes == 0 or self:is_closing() then return 0 end
  return uv.stream_get_write_queue_size(self.handle)
end

-- --- its end -----------------------------------------------------------------

function Stream:is_closing()
  return self.handle:is_closing()
end

function Stream:close()
  handles.close(self.handle)
end

function Stream:linger()
  return not self:is_closing() and pcall(handles.linger, self.handle)
end

function Stream:address()
  return addresses.show(self.handle:getpeername() or nil)
end

-- --- making ------------------------------------------------------------------

--- Of a handle that is open.
---@param handle userdata
---@return table stream
function streams.new(handle)
  return setmetatable({ handle = handle, writes = 0 }, Stream)
end

--- Of a TCP connection that is open.
---@param tcp userdata
---@return table stream
function streams.of_tcp(tcp)
  tcp:nodelay(true)
  tcp:keepalive(true, KEEPALIVE_S)
  return streams.new(tcp)
end

return streams
