--- How peer connections get from node to node with the driver "luv": over its
-- sockets. Private to this library.
--
-- This is one of two transports; the other one is lockstep's
-- (lockstep/transport.lua). What both can do:
--
--   clock()                  milliseconds that never go back
--   entropy(n)               n bytes that nobody can guess
--   later(here, ms, fn)      -> fn(), by which it is not called any more
--   resolve(host, timeout)   -> addresses | nil, code. Yields
--   connect(here, address, port, done)
--                            -> close(). done(code), or done(nil, stream) of
--                            driver/stream.lua; neither after close()
--
-- `here` is a pid of the node; errors in callbacks are its events. Connections
-- that come in are handed to whoever has a claim, see driver/luv.lua.

local addresses = require "banyan.io.address"
local core = require "banyan.core"
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local streams = require "banyan.driver.stream"
local uv = require "banyan.driver.uv"

local transport = { clock = core.clock, resolve = addresses.resolve }

function transport.entropy(n)
  return assert(uv.random(n))
end

function transport.later(here, ms, fn)
  local timer = uv.new_timer()
  timer:start(ms, 0, guard.wrap(here, function()
    if not handles.exiting then fn() end
  end))
  return function() handles.close(timer) end
end

function transport.connect(here, address, port, done)
  local tcp = uv.new_tcp()
  local function failed(err)
    handles.close(tcp)
    done(addresses.code(err))
  end
  local _, ok, why = pcall(uv.tcp_connect, tcp, address, port,
    guard.wrap(here, function(err)
      if handles.exiting or tcp:is_closing() then return end
      if err then return failed(err) end
      done(nil, streams.of_tcp(tcp))
    end))
  if type(ok) == "string" then ok, why = nil, ok end
  if not ok then failed(why) end
  return function() handles.close(tcp) end
end

return transport
