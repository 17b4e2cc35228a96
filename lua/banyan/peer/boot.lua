--- A peer, from its start to its end: what its interpreter is told to load. It
-- does not return. Private to banyan.peer.
--
-- The origin writes one line to descriptor 3 and to standard input;
-- BANYAN_PEER in the environment says that the former may be there. Whichever
-- is, is the lifeline: this OS process ends with it. Without descriptor 3
-- (behind ssh, in a container) standard input is all that there is, and a
-- control channel by stdio goes out through standard output, in which it stands
-- framed.

local core = require "banyan.core"
local uv = require "banyan.driver.uv"

local FAILED = 1 -- the status of a boot that fails
local CONNECT_MS = 10000

local config

local function give_up(why)
  local worker = config and config.worker
  io.stderr:write(worker and "worker " .. config.name or "banyan.peer", ": ",
    tostring(why), "\n")
  os.exit(FAILED)
end

-- --- before there is a node --------------------------------------------------

local function unhex(text)
  return (text:gsub("%x%x", function(byte)
    return string.char(tonumber(byte, 16))
  end))
end

local function find_lifeline()
  local fd = tonumber(os.getenv "BANYAN_PEER" or "")
  uv.os_unsetenv "BANYAN_PEER"
  if fd and core.lifeline_is_there(fd) then
    core.lifeline_own(fd)
    return fd, false
  end
  return 0, true
end

local function read_config(fd)
  local line, why = core.lifeline_read(fd)
  if not line then
    give_up("this program is started by banyan.peer, which tells it what to do "
      .. "on its standard input: " .. why)
  end
  local fine, told = core.from_bytes(unhex(line:sub(3)))
  if not fine or type(told) ~= "table" then
    give_up "what the origin told is not understood"
  end
  return told
end

local lifeline, framed = find_lifeline()
config = read_config(lifeline)
assert(core.lifeline(lifeline, framed and -1 or config.group))
if not framed then core.empty_stdin() end

-- --- the control connection --------------------------------------------------

local banyan = require "banyan"
local Far = require "banyan.peer.far"
local handles = require "banyan.driver.handles"
local kinds = require "banyan.peer.kinds"
local luv_driver = require "banyan.driver.luv"
local route = require "banyan.peer.route"
local sockets = require "banyan.sockets"
local streams = require "banyan.driver.stream"
local transport = require "banyan.driver.transport"
local wires = require "banyan.peer.wire"
local works = require "banyan.peer.work"

-- Messages to the control process.
local STOP, HALT, WORK = "$peer_stop", "$peer_halt", "$peer_work"

-- What is printed is written once a line is whole, and after each turn.
io.stdout:setvbuf "line"
table.insert(luv_driver.after_step, function()
  io.stdout:flush()
  return false
end)

-- The origin ends what is left of the group, where it is on the same machine.
local function leave(status)
  io.stdout:flush()
  if framed then core.lifeline_end_group() end
  os.exit(status)
end

-- Without links there is nobody to say goodbye to.
local function stop(me, in_order)
  if in_order then return core.tell(me, { tag = STOP }) end
  if not config.name then leave(0) end
  core.tell(me, { tag = HALT })
end

local function halt()
  for _, node in ipairs(banyan.nodes()) do banyan.disconnect(node) end
  banyan.sleep(1) -- the end of this turn writes it
  leave(0)
end

local work

local function on_data(me, kind, ...)
  if kind == kinds.STOP then
    stop(me, (...))
  elseif work:take(kind, ...) then
    core.tell(me, { tag = WORK })
  end
end

-- Before the output is captured: the handshake.
local function write_framed(wire)
  local bytes = wire.channel:take()
  if not bytes then return end
  io.stdout:write(bytes)
  io.stdout:flush()
end

local function open_stdio(me, on)
  local pipe = uv.new_pipe(false)
  assert(pipe:open(lifeline))
  local stream = streams.new(pipe)
  local wire = wires.new(me, true, config.token, transport.entropy(32),
    not framed and stream or nil, on)
  if framed then wire.flush = write_framed end
  wire:read(stream)
  wire:flush()
  return wire
end

local function connect(host, port)
  local socket = uv.new_tcp()
  local why = banyan.await(function(done)
    local fine, ok, err = pcall(socket.connect, socket, host, port, done)
    if not fine or not ok then done(fine and err or ok) end
  end, CONNECT_MS)
  if not why then return socket end
  handles.close(socket)
end

local function open_tcp(me, on)
  local socket
  for _, host in ipairs(config.hosts) do
    socket = socket or connect(host, config.port)
  end
  if not socket then give_up "the origin cannot be reached over TCP" end
  local stream = streams.of_tcp(socket)
  local wire = wires.new(me, true, config.token, transport.entropy(32), stream,
    on)
  wire:read(stream)
  wire:flush()
  return wire
end

-- The control connection, once it is open.
local function open(me)
  local nothing = function() end
  local opened
  local wire
  local fine = banyan.await(function(done)
    local on = {
      open = function()
        opened = true
        done(true)
      end,
      noise = nothing, output = nothing,
      data = function(...) on_data(me, ...) end,
      -- Nothing else has the origin's word: this OS process is over.
      ended = function(reason)
        if not opened then give_up("the origin: " .. reason) end
        leave(FAILED)
      end,
    }
    wire = (config.mode == "stdio" and open_stdio or open_tcp)(me, on)
  end)
  assert(fine)
  if config.mode == "stdio" and framed then
    local ok, why = wire.channel:capture()
    if not ok then give_up(why) end
    wire.flush = nothing
  end
  return wire
end

-- --- the control process -----------------------------------------------------

-- By distribution: the origin is whom the messages with the key come from.
local function take_far(me, message)
  local function take(kind, ...)
    if kind then on_data(me, kind, ...) end
    return kind ~= nil
  end
  return take(Far.open(message, config.key))
end

-- It traps exits: whoever links itself to it and ends has ended alone. It ends
-- when it is told to, or when SIGTERM has its node stop.
local function serve(me)
  local ref = config.mode == "dist" and banyan.monitor(config.control)
  local parent = banyan.process_info(me).parent
  while true do
    local message = banyan.receive()
    local tag = type(message) == "table" and message.tag
    if tag == WORK then
      work:step()
    elseif tag == STOP or tag == "EXIT" and message.from == parent then
      return
    elseif tag == "DOWN" and message.ref == ref then
      leave(0)
    elseif tag == HALT then
      halt()
    elseif tag == "DOWN" then
      work:down(message.ref, message.reason)
    elseif tag == "$peer_frame" and ref then
      take_far(me, message)
    end
  end
end

-- What the origin asks for from here on is answered. Yields.
local function open_control(me)
  local wire
  if config.mode == "dist" then
    wire = Far.new(config.control, config.key)
    local ok, why = banyan.connect(config.origin, CONNECT_MS)
    if not ok then give_up(("%s: %s"):format(config.origin, tostring(why))) end
  else
    wire = open(me)
    route.origin = wire
  end
  work = works.new(wire)
  wire:put(kinds.STARTED, me, banyan.node())
end

local function control(on_open)
  local me = banyan.self()
  banyan.trap_exit(true)
  banyan.set_label "peer"
  open_control(me)
  if on_open then on_open() end
  serve(me)
  return true
end

-- --- workers -----------------------------------------------------------------
--
-- The main process of a worker's node runs what the origin's option `worker`
-- says; what serves the origin is a process beside it. So the node begins and
-- ends as by banyan.run: with its main, or by SIGTERM, which is how it is
-- stopped for its origin, too.

local TERMINATED = 143 -- the status of a worker that somebody else has stopped
local told_to_stop = false

local function worker_function()
  local worker = config.worker
  local found, module = pcall(require, worker.module)
  if not found then give_up(module) end
  local fn = type(module) == "table" and module[worker.fn]
  if type(fn) == "function" then return fn end
  give_up(("%s.%s is no function"):format(worker.module, worker.fn))
end

local function end_in_order()
  told_to_stop = true
  uv.kill(uv.os_getpid(), "sigterm")
end

local function worker_main()
  local worker, fn = config.worker, worker_function()
  local me = banyan.self()
  local ref = banyan.make_ref()
  banyan.spawn(function()
    control(function() banyan.send(me, { ref = ref }) end)
    end_in_order()
    banyan.sleep(math.huge)
  end)
  banyan.receive(ref)
  banyan.set_label(worker.module .. "." .. worker.fn)
  local first, err =
    fn((table.unpack or unpack)(worker.args, 1, worker.count))
  if first == nil and err ~= nil then give_up(err) end
  return true
end

local function options()
  local opts = { name = config.name }
  for key, value in pairs(config.links or {}) do opts[key] = value end
  local worker = config.worker
  local path = worker and worker.directory
    and sockets.path(worker.directory, config.name, worker.origin)
  if path then opts.address = "unix:" .. path end
  return opts
end

local fine, ok, why = pcall(banyan.run, options(),
  config.worker and worker_main or control)
if not fine then give_up(ok) end
if not ok and why ~= "shutdown" then give_up(why) end
if not ok and config.worker and not told_to_stop then leave(TERMINATED) end
leave(0)
