--- Handles of luv, from their close until they are closed.
--
-- A program must not end while a handle is closing: luv 1.44 and others then
-- call back into a Lua state that is gone, and crash. A handle that was never
-- closed does no harm; luv closes it itself. So all handles of this library
-- are closed here. Each close leaves behind an object with a finalizer. When
-- the Lua state is closed, finalizers run from the newest object to the
-- oldest, so this one runs before those of luv's handles, and turns the loop
-- until they are closed. Private to this library.

local uv = require "banyan.driver.uv"

local handles = {
  --- The program ends: callbacks, but those of closes, have nothing to do.
  exiting = false,
  --- How many are closing, or linger.
  count = 0,
  --- Milliseconds that the other side of one that lingers may take nothing.
  silent_ms = 5000,
}

local LINGER_MS = 60000

local new_proxy = rawget(_G, "newproxy") -- luacheck: ignore 113
local newest -- the object whose finalizer counts

-- A process or a callback that calls os.exit is in the loop, which cannot be
-- turned then.
local function finalize(object)
  if object ~= newest or uv.loop_mode() then return end
  handles.exiting = true
  handles.hurry(0)
  while handles.count > 0 do uv.run("nowait") end
end

-- Lua 5.1 has finalizers of userdata only.
local function with_finalizer()
  if not new_proxy then return setmetatable({}, { __gc = finalize }) end
  local object = new_proxy(true)
  getmetatable(object).__gc = finalize
  return object
end

local function make_newest()
  newest = with_finalizer()
end

local function on_closed()
  handles.count = handles.count - 1
  if handles.count == 0 then newest = nil end
end

--- What `close` calls when it is done, and fn(). It is made beforehand, since a
-- close must not fail for want of memory.
---@param fn fun()  must not raise
---@return fun()
function handles.closer(fn)
  return function()
    on_closed()
    fn()
  end
end

--- Closes a handle, unless it is closing already. Where memory is short, only
-- the object with the finalizer is missing.
---@param handle userdata
---@param closer? fun()  of handles.closer
function handles.close(handle, closer)
  if handle:is_closing() then return end
  handle:close(closer or on_closed)
  handles.count = handles.count + 1
  pcall(make_newest)
end

--- Has the end of a node, and of the program, wait until the function that this
-- answers is called.
---@return fun()  a second call does nothing
function handles.hold()
  local held = true
  handles.count = handles.count + 1
  pcall(make_newest)
  return function()
    if held then on_closed() end
    held = false
  end
end

local lingering = {} -- stream -> the timer of its limit

local function cut(stream)
  local timer = lingering[stream]
  lingering[stream] = nil
  if not timer then return end
  handles.close(timer)
  handles.close(stream)
  handles.count = handles.count - 1
end

local function begin_to_linger(stream, timer)
  lingering[stream] = timer
  newest = with_finalizer()
  local unsent = uv.stream_get_write_queue_size(stream)
  local left, ms = LINGER_MS, handles.silent_ms
  timer:start(ms, ms, function()
    local before = unsent
    unsent, left = uv.stream_get_write_queue_size(stream), left - ms
    if unsent == before or left <= 0 then cut(stream) end
  end)
  if not stream:shutdown(function() cut(stream) end) then cut(stream) end
end

--- Closes a stream once what was written to it is sent, or is known to be
-- lost; also when the other side has taken nothing of it for `silent_ms`, and
-- after LINGER_MS in any case. Where memory is short it raises an error, and
-- has done nothing.
---@param stream userdata
function handles.linger(stream)
  local timer = uv.new_timer()
  handles.count = handles.count + 1
  local ok, err = pcall(begin_to_linger, stream, timer)
  if ok then return end
  handles.count = handles.count - 1
  lingering[stream] = nil
  handles.close(timer)
  error(err, 0)
end

--- From now on, streams that linger have at most `ms` left.
---@param ms integer
function handles.hurry(ms)
  uv.update_time()
  for stream, timer in pairs(lingering) do
    timer:start(ms, 0, function() cut(stream) end)
  end
end

return handles
