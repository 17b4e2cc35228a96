--- A connection that belongs to a process. See banyan.io.
--
-- What arrives is read by luv at once, up to a limit, also while nobody waits
-- for it: then a read finds it without a turn of the loop. Beyond the limit
-- luv stops to read, the kernel's buffer fills, and the other side waits.

local core = require "banyan.core"
local addresses = require "banyan.io.address"
local Buffer = require "banyan.io.buffer"
local handles = require "banyan.driver.handles"
local luv_driver = require "banyan.driver.luv"
local options = require "banyan.options"
local owner = require "banyan.io.owner"
local uv = require "banyan.driver.uv"

local AHEAD = 65536 -- bytes that are read while nobody waits for them
-- Messages in the mailbox of the owner of an active socket: from MANY on luv
-- stops to read, from FEW on it reads again.
local MANY, FEW = 100, 50

---@class banyan.Socket
local Socket = {}
local unbroken, wait, check = core.unbroken, owner.wait, owner.check
local class = { __index = Socket, __name = "socket" }

local M = {}

-- The fields of a socket's table, besides those of owner.lua:
--
--   opts           high_water, max_line
--   buffer         bytes that nobody has taken yet
--   reading        does luv read?
--   late           what came while memory was too short to keep it, or false;
--                  luv does not read then
--   over           nothing more comes: "closed" or an error, or false
--   failed         nothing can be sent: an error, or false
--   mode           false, "once" or true: see active
--   writes         how many writes luv has not finished
--   wants          while the owner waits in a read: so many bytes are enough;
--                  or false
--   on_read, on_written     its callbacks
--
-- Errors are as luv gave them: their codes are made where they are read.

-- --- reading -----------------------------------------------------------------

local function stop_reading(s)
  if not s.reading then return end
  s.reading = false
  s.handle:read_stop()
end

local paused = {} -- active sockets whose owners have long mailboxes

local function start_reading(s)
  if s.reading or s.over or s.late or paused[s] then return end
  local ok, why = s.handle:read_start(s.on_read)
  s.reading, s.over = ok ~= nil, not ok and why
end

-- Hands over what there is, as far as the mode says. What was told is noted
-- once that has not failed.
local function send_messages(s)
  local buffer = s.buffer
  if s.mode and buffer.size > 0 then
    core.tell(s.owner, { tag = "data", socket = s.ref, data = buffer:all() })
    buffer:clear()
    if s.mode == "once" then s.mode = false end
  end
  if s.mode and s.over and not s.late then
    core.tell(s.owner,
      { tag = "closed", socket = s.ref, reason = addresses.code(s.over) })
    s.mode = false
  end
  if s.mode and (core.queue_length(s.owner) or 0) >= MANY then
    paused[s] = true
    stop_reading(s)
  end
end

-- After each step: who has a short mailbox again?
local function resume_paused()
  for s in pairs(paused) do
    local length = s.handle and core.queue_length(s.owner)
    if not length or length <= FEW or not s.mode then
      paused[s] = nil
      if length and not pcall(start_reading, s) then owner.fall_behind(s) end
    end
  end
end

table.insert(luv_driver.after_step, resume_paused)

local function has_enough(s)
  if s.over or s.buffer.size >= s.wants then return true end
  return s.waits == "line" and s.buffer:may_have_line()
end

local function on_read(s, err, data)
  local buffer, wants = s.buffer, s.wants
  if not s.handle then return end
  if data then
    s.late = data
    buffer:push(data, s.waits == "line")
    s.late = false
  else
    stop_reading(s)
    s.over = err or "closed"
  end
  if s.mode then
    send_messages(s)
  elseif wants and has_enough(s) then
    owner.wake(s)
  end
  local size = buffer.size
  if size < AHEAD or size < (wants or 0) then return end
  if s.handle then stop_reading(s) end
end

-- What comes now would be before what is late.
local function pause(s)
  if s.late and s.handle then stop_reading(s) end
end

-- After an on_read that failed.
local function catch_up(s)
  if s.late then
    s.buffer:push(s.late, s.waits == "line")
    s.late = false
  end
  if s.mode then send_messages(s) end
  if s.mode or s.buffer.size < math.max(AHEAD, s.wants or 0) then
    start_reading(s)
  end
end

-- What a read of that kind answers now; nothing if it has to wait.
local function take(s, how)
  local buffer = s.buffer
  if how == "line" then return buffer:take_line(s.opts.max_line, s.over) end
  if buffer.size >= (how or 1) then return buffer:take(how or buffer.size) end
end

local function check_how(how)
  if how == nil or how == "line" then return end
  if type(how) == "number" and how % 1 == 0 and how >= 1 and how < 2 ^ 53 then
    return
  end
  error('socket:read: how must be nil, "line" or a number of bytes from 1 on, '
    .. "got " .. tostring(how), 3)
end

--- Reads. Yields while what was asked for is not there.
---@param how? integer|"line"  nil: what comes next, at least one byte; a
---  number: exactly so many bytes; "line": up to the next "\n", without that
---  and a "\r" before it; the last line may lack its end
---@param timeout? integer|number|string  milliseconds, no limit by default.
---  What came in meanwhile stays to be read
---@return string|nil data
---@return string|nil err  "closed": the other side sends nothing more (what was
---  too short for `how` can still be read without it), or the socket is closed;
---  "timeout"; "line_too_long": longer than the option max_line, the bytes
---  stay; or a code such as "econnreset". An error if the socket is active, or
---  belongs to another process
function Socket:read(how, timeout)
  local s = check(self, class, "socket:read")
  if how ~= nil then check_how(how) end
  if timeout ~= nil then
    timeout = options.timeout(timeout, "socket:read", 2)
  end
  if not s.handle then return nil, "closed" end
  if s.mode then
    error("socket:read: the socket is active: its data come as messages", 2)
  end
  local deadline = timeout and owner.deadline(timeout)
  while true do
    if s.buffer.size > 0 or s.over then
      local data, err = unbroken(take, s, how)
      if data then return data end
      if err or s.over then return nil, err or addresses.code(s.over) end
    end
    s.wants = how == "line" and s.opts.max_line + 2 or how or 1
    if not s.reading then start_reading(s) end
    local came, why = wait(s, how == "line" and "line" or "data",
      deadline and owner.left(deadline), has_enough)
    s.wants = false
    if not came then return nil, why end
  end
end

--- For the generic for: reads a line at a time, until there is none, be it that
-- nothing more comes or that the read has failed. Each read yields.
---@return fun(): string|nil
function Socket:lines()
  owner.check(self, class, "socket:lines")
  return function() return (Socket.read(self, "line")) end
end

local function set_mode(s, mode)
  s.mode = mode
  paused[s] = nil
  if not mode then return end
  send_messages(s)
  start_reading(s)
end

--- Has data sent to the owner as messages, {tag="data", socket=, data=}, and
-- once, when nothing more comes, {tag="closed", socket=, reason=}: "closed" or
-- the code of an error. While there are many messages in the mailbox, what
-- arrives stays in the kernel. Does not yield.
---@param mode boolean|"once"  true: until further notice; "once": one message
---  of either kind, then false; false: data are for read
---@return true|nil ok
---@return string|nil err  "closed": the socket is closed. An error if it
---  belongs to another process
function Socket:active(mode)
  local s = owner.check(self, class, "socket:active")
  if type(mode) ~= "boolean" and mode ~= "once" then
    error('socket:active: true, "once" or false expected, got '
      .. tostring(mode), 2)
  end
  if not s.handle then return nil, "closed" end
  core.unbroken(set_mode, s, mode)
  return true
end

-- --- writing -----------------------------------------------------------------

local try_write = uv.try_write

local function unsent(s)
  return s.writes > 0 and uv.stream_get_write_queue_size(s.handle) or 0
end

local function can_write(s)
  return s.failed or unsent(s) <= s.opts.high_water
end

local function on_written(s, err)
  s.writes = s.writes - 1
  if not s.handle then return end
  if err then s.failed = err end
  if s.waits == "write" and can_write(s) then owner.wake(s) end
end

-- Gives luv what the kernel has not taken. A stream that lacks it is of no use.
local function write_rest(s, data, n)
  s.failed = "enomem"
  if n > 0 then data = data:sub(n + 1) end
  local ok, why = uv.write(s.handle, data, s.on_written)
  if ok then s.writes = s.writes + 1 end
  s.failed = not ok and why
end

-- Gives bytes to luv: what the kernel does not take at once waits there.
local function write_now(s, data)
  local n = 0
  if s.writes == 0 then
    local sent, why, code = try_write(s.handle, data)
    if not sent and code ~= "EAGAIN" then
      s.failed = why
      return nil, addresses.code(why)
    end
    n = sent or 0
    if n == #data then return true end
  end
  write_rest(s, data, n)
  if not s.failed then return true end
  return nil, addresses.code(s.failed)
end

local function joined(data)
  if type(data) == "table" then
    local ok, text = pcall(table.concat, data)
    if ok then return text end
  end
  error("socket:write: a string or a list of strings expected, got "
    .. type(data), 3)
end

--- Writes. Yields while more than `high_water` bytes are unsent; the data are
-- then handed on as a whole. It works also after the other side has ended its
-- half. What was written before a close is still sent, as long as the other
-- side takes some of it every 5 s, for at most a minute.
---@param data string|string[]
---@param timeout? integer|number|string  milliseconds, no limit by default
---@return true|nil ok  true: sent or waiting to be, not: received
---@return string|nil err  "timeout": nothing of `data` will be sent; "closed":
---  the socket is closed; or a code such as "epipe". An error if it belongs to
---  another process
function Socket:write(data, timeout)
  local s = check(self, class, "socket:write")
  if type(data) ~= "string" then data = joined(data) end
  if timeout ~= nil then
    timeout = options.timeout(timeout, "socket:write", 2)
  end
  if not s.handle then return nil, "closed" end
  if s.writes > 0 then
    local deadline = owner.deadline(timeout)
    while not can_write(s) do
      local fits, why = wait(s, "write", owner.left(deadline), can_write)
      if not fits then return nil, why end
    end
  end
  if s.failed then return nil, addresses.code(s.failed) end
  if data == "" then return true end
  return unbroken(write_now, s, data)
end

-- --- its owner, its end ------------------------------------------------------

-- Closes the handle. What luv has not sent yet is given some time.
local function release(s)
  if not s.handle then return end
  paused[s] = nil
  stop_reading(s)
  if s.writes > 0 and not s.failed then
    handles.linger(s.handle)
  else
    handles.close(s.handle)
  end
  s.handle, s.mode, s.late, s.buffer = false, false, false, false
end

--- Makes another process the owner. Messages that were sent to the caller stay
-- in its mailbox. Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return true|nil ok
---@return string|nil err  "noproc": it has ended, and the caller is the owner
---  still; "closed": the socket is closed. An error if it belongs to another
---  process
function Socket:give(pid)
  local s = owner.check(self, class, "socket:give")
  return owner.give(s, pid, "socket:give")
end

--- Closes the socket. What was written before is still sent, see write. Does
-- not yield. A second call does nothing.
---@return true  an error if the socket belongs to another process
function Socket:close()
  core.unbroken(owner.close, owner.check(self, class, "socket:close"))
  return true
end

--- The address of the other side. Does not yield.
---@return string|nil address  "host:port", "[::1]:port" or "unix:path" (of a
---  side that connected: "unix:")
---@return string|nil err  "closed", "enotconn". An error if the socket belongs
---  to another process
function Socket:peer()
  local s = owner.check(self, class, "socket:peer")
  if not s.handle then return nil, "closed" end
  local name, why = s.handle:getpeername()
  if not name then return nil, addresses.code(why) end
  return addresses.show(name)
end

--- Closes the socket where it is a to-be-closed variable of Lua 5.4.
class.__close = function(self) Socket.close(self) end

class.__tostring = function(self)
  local s = core.referent(self, class)
  return ("socket<%s>"):format(s.handle and tostring(s.owner) or "closed")
end

-- --- making ------------------------------------------------------------------

local function prepare(s)
  s.buffer = Buffer.new()
  s.on_read = owner.callback(s, on_read)
  s.on_written = owner.callback(s, on_written)
  s.ref = core.reference(s, class)
end

--- A socket of the caller. Called in core.unbroken, with the making of the
-- handle.
---@param handle userdata  of luv, not connected yet
---@param opts table  high_water, max_line
---@return userdata socket
---@return table state
function M.new(handle, opts)
  local s = owner.take({
    handle = handle, opts = opts, writes = 0, release = release,
    pause = pause, catch_up = catch_up, connected = false, reading = false,
    late = false, over = false, failed = false, mode = false, wants = false,
  }, prepare)
  return s.ref, s
end

return M
