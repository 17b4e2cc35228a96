--- A control channel (core.channel) on a stream of luv: bytes in, frames out.
-- Private to banyan.peer and banyan.peers.
--
-- What frames say is told to `on`, a table of functions that must not wait:
--
--   open()                the other end has proved itself
--   data(kind, ...)       a frame
--   output(text)          standard output of the other end, framed
--   noise(text)           what else came
--   bad()                 a frame of no use to this Lua; may be missing
--   ended(reason)         nothing more comes: "closed", a code, or why the
--                         other end was not believed; told once

local core = require "banyan.core"
core.skip_in_errors()
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local luv_driver = require "banyan.driver.luv"
local uv = require "banyan.driver.uv"

local HIGH_WATER = 8 * 1024 * 1024 -- bytes unsent, from which on senders wait

local Wire = {}
Wire.__index = Wire

local M = {}

local function code_of(err)
  return (tostring(err):match "^[%w_]+" or "error"):lower()
end

-- Tells what there is. A callback may close the wire.
local function walk(self, what, a, ...)
  if not what then return false end
  local on = self.on
  if what == "data" then
    on.data(a, ...)
  elseif what == "ended" then
    self:fail(a)
  elseif what ~= "bad" or on.bad then
    on[what](a)
  end
  return true
end

function Wire:walk()
  local channel = self.channel
  while walk(self, channel:next()) do end
  self:flush()
end

function Wire:fail(reason)
  if self.over then return end
  self.over = reason
  self:wake()
  self.on.ended(reason)
end

--- Bytes that came, for a stream that somebody else reads; nil: the last ones
-- have come.
---@param data string|nil
function Wire:feed(data)
  if self.over then return end
  if data then
    self.channel:feed(data)
  else
    self.channel:finish()
  end
  self:walk()
  if not data then self:fail "closed" end
end

-- --- writing -----------------------------------------------------------------

function Wire:wake()
  local waiting = self.waiting
  self.waiting = {}
  for _, done in ipairs(waiting) do done(true) end
end

local function on_written(self, err)
  self.writes = self.writes - 1
  if err then return self:fail(code_of(err)) end
  if self:unsent() <= HIGH_WATER then self:wake() end
end

--- Bytes that the kernel has not taken.
function Wire:unsent()
  if not self.writes or self.writes == 0 or self.output:is_closing() then
    return 0
  end
  return uv.stream_get_write_queue_size(self.output)
end

local function has_room(self)
  return self.over or self:unsent() <= HIGH_WATER
end

local function await(self, done)
  if has_room(self) then return done(true) end
  self.waiting[#self.waiting + 1] = done
end

--- Has a process that sends a lot wait. Yields, then.
---@param await_wait function
---@param timeout? integer  milliseconds
---@return boolean ok  false: there is none by then
function Wire:await_room(await_wait, timeout)
  local deadline = timeout and core.now() + timeout
  while not has_room(self) do
    local left = deadline and deadline - core.now()
    if left and left <= 0 then return false end
    local done = core.await_begin()
    core.unbroken(await, self, done)
    await_wait(done, left)
  end
  return true
end

--- Writes what the channel has to say.
function Wire:flush()
  local bytes = self.channel:take()
  if not bytes or self.over or self.output:is_closing() then return end
  self.sent = self.sent + #bytes
  local n = 0
  if self.writes == 0 then
    n = uv.try_write(self.output, bytes) or 0
    if n == #bytes then return end
  end
  if n > 0 then bytes = bytes:sub(n + 1) end
  local ok, why = uv.write(self.output, bytes, self.on_written)
  if ok then
    self.writes = self.writes + 1
  else
    self:fail(code_of(why))
  end
end

local function put(self, kind, ...)
  if self.over then return nil, "closed" end
  local ok, why = self.channel:put(kind, ...)
  if ok then self:flush() end
  return ok, why
end

--- Sends a frame. Does not yield; raises what cannot be sent.
---@return true|nil ok
---@return string|nil err  "closed", "too_large", "out_of_memory"
function Wire:put(kind, ...)
  -- Frames have numbers: another process must not write before this one has.
  return core.unbroken(put, self, kind, ...)
end

--- Has the stream that writes closed, once it has written; and no more told.
function Wire:close()
  self.over = self.over or "closed"
  self:wake()
  if self.output and not self.output:is_closing() then
    handles.close(self.output)
  end
  if self.input and not self.input:is_closing() then
    handles.close(self.input)
  end
end

-- --- making ------------------------------------------------------------------

-- Where memory is short while frames are told, an error breaks that off: what
-- is left is told after a later step. The frame at fault is not told again.
local behind = {}

table.insert(luv_driver.after_step, function()
  for wire in pairs(behind) do
    behind[wire] = nil
    wire.go_on()
  end
  return next(behind) ~= nil
end)

-- A function for a callback of luv.
local function guarded(self, fn)
  local wrapped = guard.wrap(self.here, function(...)
    if not (handles.exiting or self.over) then fn(self, ...) end
    return true
  end)
  return function(...)
    if not wrapped(...) then behind[self] = true end
  end
end

local function on_read(self, err, data)
  if err then return self:fail(code_of(err)) end
  self:feed(data)
end

--- Reads from a stream from now on.
---@param input userdata
function Wire:read(input)
  self.input = input
  input:read_start(guarded(self, on_read))
end

--- A control channel.
---@param here banyan.Pid  whose node's events errors are
---@param dialer boolean
---@param token string
---@param output userdata|nil  the stream to write to
---@param on table  see above
function M.new(here, dialer, token, output, on)
  local self = setmetatable({
    here = here, on = on, output = output, waiting = {},
    writes = output and 0 or false,
    sent = 0, -- bytes that luv was given
    over = false,
    channel = core.channel(dialer, token, assert(uv.random(32))),
  }, Wire)
  self.on_written = guard.wrap(here, function(err)
    if not handles.exiting then on_written(self, err) end
  end)
  self.go_on = guarded(self, self.walk)
  return self
end

return M
