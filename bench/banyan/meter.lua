-- What this OS process has used: CPU, and what it wrote to sockets. Counting
-- begins when this file is loaded, which must be before the driver is used.

local uv = require "luv"

local meter = {}

local bytes, writes = 0, 0

local function count(n)
  bytes, writes = bytes + n, writes + 1
end

local try_write, write = uv.try_write, uv.write

function uv.try_write(stream, text)
  local n, err, name = try_write(stream, text)
  if n and n > 0 then count(n) end
  return n, err, name
end

function uv.write(stream, text, done)
  count(#text)
  return write(stream, text, done)
end

--- Microseconds of CPU, of all threads.
function meter.cpu()
  local usage = uv.getrusage()
  local function micros(t) return t.sec * 1e6 + t.usec end
  return micros(usage.utime) + micros(usage.stime)
end

--- CPU; bytes; writes; the clock in ns, which is the same for all processes.
function meter.read()
  return meter.cpu(), bytes, writes, uv.hrtime()
end

return meter
