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

--- Closes a handle that is not closing yet.
---@param handle userdata
---@param closed? fun()  called when that is done; must not raise
function handles.close(handle, closed)
  handles.count = handles.count + 1
  newest = with_finalizer()
  handle:close(function()
    handles.count = handles.count - 1
    if handles.count == 0 then newest = nil end
    if closed then closed() end
  end)
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

--- Closes a stream once what was written to it is sent, or is known to be
-- lost; also when the other side has taken nothing of it for `silent_ms`, and
-- after LINGER_MS in any case.
---@param stream userdata
function handles.linger(stream)
  local timer = uv.new_timer()
  handles.count = handles.count + 1
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

--- From now on, streams that linger have at most `ms` left.
---@param ms integer
function handles.hurry(ms)
  uv.update_time()
  for stream, timer in pairs(lingering) do
    timer:start(ms, 0, function() cut(stream) end)
  end
end

return handles
