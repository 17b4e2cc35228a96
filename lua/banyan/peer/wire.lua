--- A control channel (core.channel) on a stream: bytes in, frames out. Private
-- to banyan.peer and banyan.peers.
--
-- The stream is luv's (driver/stream.lua) or lockstep's. What frames say is
-- told to `on`, a table of functions that must not wait:
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

local HIGH_WATER = 8 * 1024 * 1024 -- bytes unsent, from which on senders wait

local Wire = {}
Wire.__index = Wire

local M = {}

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

--- Bytes that the kernel has not taken.
function Wire:unsent()
  return self.output and self.output:unsent() or 0
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
  local ok, why = self.output:write(bytes)
  if not ok then self:fail(why) end
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

--- Has its streams closed at once, and no more told.
function Wire:close()
  self.over = self.over or "closed"
  self:wake()
  if self.output then self.output:close() end
  if self.input then self.input:close() end
end

--- The same, once what was written last is sent.
function Wire:hang_up()
  local output = self.output
  if not self.over and self:unsent() > 0 and output:linger() then
    self.output, self.input = nil, nil
  end
  self:close()
end

-- --- making ------------------------------------------------------------------

-- What a stream tells.
local function listener(self)
  return {
    read = function(err, data)
      if self.over then return end
      if err then return self:fail(err) end
      self:feed(data)
    end,
    written = function(err)
      if err then return self:fail(err) end
      if self:unsent() <= HIGH_WATER then self:wake() end
    end,
    -- The frame at fault is not told again.
    again = function()
      if not self.over then self:walk() end
    end,
  }
end

--- Reads from a stream from now on.
---@param input table
function Wire:read(input)
  if self.input ~= input then
    self.input = input
    if input ~= self.output then input:attach(self.here, listener(self)) end
  end
  input:go_on()
end

--- A control channel.
---@param here banyan.Pid  whose node's events errors are
---@param dialer boolean
---@param token string
---@param nonce string  32 bytes that nobody can guess
---@param output table|nil  the stream to write to
---@param on table  see above
function M.new(here, dialer, token, nonce, output, on)
  local self = setmetatable({
    here = here, on = on, output = output, waiting = {},
    sent = 0, -- bytes that the stream was given
    over = false,
    channel = core.channel(dialer, token, nonce),
  }, Wire)
  if output then output:attach(here, listener(self)) end
  return self
end

return M
