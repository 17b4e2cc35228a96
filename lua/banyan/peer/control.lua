--- The control process of a peer, on its origin: a server that stands for it.
-- Private to banyan.peer.
--
--   booting   its OS process was started; the control connection is awaited
--   running   it has said that its node runs
--   down      it is gone, and why; the server goes on only where the option
--             peer_down is "continue"
--
-- What the peer is told before all else is one line, the same on its
-- descriptor 3 and on its standard input, so that it can take it from whichever
-- of the two has come through: see boot.lua. Callbacks of luv put down what has
-- come in the state below, or tell the server, which does all that waits. They,
-- and other processes, may come between any two steps of a process: what must
-- not be seen half done is done in core.unbroken.

local core = require "banyan.core"
core.skip_in_errors()
local Far = require "banyan.peer.far"
local guard = require "banyan.guard"
local kinds = require "banyan.peer.kinds"
local listeners = require "banyan.peer.listener"
local ports = require "banyan.peer.port"
local owned = require "banyan.owned"
local programs = require "banyan.peer.program"
local route = require "banyan.peer.route"
local server = require "banyan.server"
local streams = require "banyan.driver.stream"
local transport = require "banyan.driver.transport"
local uv = require "banyan.driver.uv"
local wait = require "banyan.wait"
local wires = require "banyan.peer.wire"

local await_wait = wait(core.await_wait)

local CUT_MS = 150    -- that a peer may take to end once it is cut off
local KILLED_MS = 5000 -- from TERM to the end of what was killed
local ASKED_MS = 5000 -- in which who waits for a boot asks how it went
local EXIT_MS = 500   -- after the connection, that its end may take to be known

local M = {}

--- The states of the peers of this Lua state, by pid.
local states = {}
M.states = states

-- What only this file has: messages with it are its own. A function goes by
-- reference, and never to another node.
local function mine() end

local function tell(s, what, value)
  core.tell(s.pid, { by = mine, what = what, value = value })
end

local function tell_later(s, ms, what)
  core.send_after(ms, s.pid, { by = mine, what = what })
end

-- --- what a peer says --------------------------------------------------------

-- A message of the peer to a process: of this node at once, else by the server.
local function pass_on(s, kind, to, message)
  if not core.is_pid(to) then return end
  if kind == kinds.SEND and core.life(to) == s.own_life then
    core.send(to, message)
  else
    tell(s, kind == kinds.SEND and "send" or "cast",
      { to = to, message = message })
  end
end

local function event(s, name, reason)
  core.event(name, {
    pid = s.pid, os_pid = s.program.pid, peer = s.node, reason = reason,
  })
end

local function on_started(s, pid, node)
  if s.state ~= "booting" or not core.is_pid(pid) then return end
  -- It went to the background: what was started is over, which is told soon.
  if s.program.ended then return end
  local life = core.life(pid)
  if life == s.own_life or route.peers[life] then return end
  s.remote, s.node = pid, node or nil
  if s.mode == "dist" then
    s.wire = Far.new(pid, s.key)
  else
    s.life, route.peers[life] = life, s.wire
  end
  s.state = "running"
  tell(s, "started")
end

local function on_data(s, kind, ...)
  if kind == kinds.REPLY then
    local number = ...
    local done = s.pending[number]
    if not done then return end
    s.pending[number] = nil
    done(select(2, ...))
  elseif kind == kinds.STARTED then
    on_started(s, ...)
  elseif kind == kinds.SEND or kind == kinds.MAIL then
    pass_on(s, kind, ...)
  end
end

-- The functions of a wire that is, or may become, the control connection.
local function callbacks(s, get)
  local function nothing() end
  return {
    open = nothing, noise = nothing, output = nothing,
    data = function(...) on_data(s, ...) end,
    ended = function(reason)
      if s.wire == get() then tell(s, "lost", reason) end
    end,
  }
end

local function default_output(stream, text)
  local file = stream == "stdout" and io.stdout or io.stderr
  file:write(text)
  file:flush()
end

-- --- its start ---------------------------------------------------------------

local function let_port_go(s)
  ports.release(s.held_port)
  s.held_port = nil
end

local function find_name(s, opts)
  if opts.name or not opts.short then return opts.name end
  local port
  port, s.held_port = ports.find(opts.host)
  if not port then return nil, "no_port" end
  local host = opts.host:find ":" and "[" .. opts.host .. "]" or opts.host
  return ("%s@%s:%d"):format(opts.short, host, port)
end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The line that a peer is told.
local function make_line(s, opts)
  local own = core.node_name()
  local config = {
    mode = s.mode, token = s.token, key = s.key, name = s.node,
    links = opts.links, group = s.program.pid, control = s.pid,
    origin = own, worker = opts.worker,
  }
  if s.listener then
    config.hosts, config.port = s.listener.addresses, s.listener.port
  end
  -- A program that takes it for Lua takes it for a comment, and shows nothing.
  return "--" .. hex(core.to_bytes(config)) .. "\n"
end

local function write_line(s, opts)
  local line = make_line(s, opts)
  local function done() end -- one that has ended is told of by its end
  uv.write(s.program.life, line, done)
  uv.write(s.program.stdin, line, done)
end

-- The two ways that a control connection by stdio may come about: over the
-- lifeline where that has come through, else framed in standard output. The
-- peer takes one, and the one that opens is it.
local function await_stdio(s)
  local program, near, framed = s.program, nil, nil
  local on = callbacks(s, function() return near end)
  function on.open()
    s.wire = near
    local other = framed
    framed = nil
    s.framed = nil
    other:feed(nil) -- the rest of what was noise
  end
  local life = streams.new(program.life)
  near = wires.new(s.pid, false, s.token, transport.entropy(32), life, on)
  near:read(life)
  on = callbacks(s, function() return framed end)
  function on.open() s.wire = framed end
  function on.noise(text) s.output("stdout", text) end
  on.output = on.noise
  framed = wires.new(s.pid, false, s.token, transport.entropy(32),
    streams.new(program.stdin), on)
  s.framed = framed
end

local function on_output(s, stream, text)
  if stream == "stdout" and s.framed then
    s.framed:feed(text)
  elseif text then
    s.output(stream, text)
  end
end

local function start_program(s, opts)
  local why
  s.program, why = programs.start(opts, function(stream, text)
    on_output(s, stream, text)
  end, function(ending) tell(s, "exit", ending) end)
  if not s.program then return nil, core.reason { "exec", why } end
  if s.mode == "stdio" then await_stdio(s) end
  write_line(s, opts)
  return true
end

local function listen(s, opts)
  local why
  s.listener, why = listeners.open(s.pid, opts.ip, opts.port, s.token,
    function(wire)
      wire.on = callbacks(s, function() return wire end)
      s.wire = wire
    end)
  if not s.listener then return nil, core.reason { "listen", why } end
  return true
end

-- In core.unbroken.
local function boot(s, opts)
  local node, ok, why
  node, why = find_name(s, opts)
  if why then return nil, why end
  s.node = node
  if s.mode == "tcp" then
    ok, why = listen(s, opts)
    if not ok then return nil, why end
  end
  return start_program(s, opts)
end

-- --- its end -----------------------------------------------------------------

local function failure(code, detail)
  return core.reason { code, detail }
end

local function answer_pending(s, reason)
  local pending = s.pending
  s.pending = {}
  local err = failure("peer_down", reason)
  for _, done in pairs(pending) do done(nil, err) end
end

-- Nothing goes over the control connection any more.
local function disconnect(s)
  if s.life and route.peers[s.life] == s.wire then route.peers[s.life] = nil end
  s.life = nil
  if s.listener then s.listener:close() end
  if s.wire then s.wire:close() end
  if s.framed then s.framed:close() end
  let_port_go(s)
end

-- Sees to it that no OS process is left. Yields.
local function finish(s, may_wait)
  local program = s.program
  disconnect(s)
  program:cut()
  if program:wait(await_wait, CUT_MS) then return end
  program:terminate()
  if not may_wait then program.spared = true return end
  program:wait(await_wait, KILLED_MS)
end

-- Stops a peer that runs, as the option `shutdown` says. Yields.
local function shut_down(s)
  local running = s.state == "running"
  s.state, s.down = "down", "stopped"
  answer_pending(s, "stopped")
  if s.shutdown ~= "close" and running then
    local asked = s.wire:put(kinds.STOP, s.shutdown == "stop")
    if asked then s.program:wait(await_wait, s.stop_ms) end
  end
  finish(s, s.shutdown ~= "close")
end

local function announce(s, message)
  local notify = s.notify
  if not notify then return end
  message.tag, message.peer = notify[2], s.pid
  core.send_now(notify[1], message)
end

-- It did not boot. Where somebody waits for that, he hears of it here, and of
-- nothing else.
local function fail_boot(s, reason)
  announce(s, { failed = reason })
  if not s.waits then return false end
  s.failed = failure("boot_failed", reason)
  if s.parent then core.unlink(s.parent) end
  if s.waiter then server.reply(s.waiter, nil, s.failed) end
  return true
end

-- Has a worker come to the end of its work?
local function is_done(s, reason)
  return s.program.ending and type(reason) == "table"
    and reason[1] == "exit_status" and reason[2] == 0
end

-- It is gone, or given up. Answers what the server does next.
local function go_down(s, reason)
  if s.state == "down" then return end
  local booting = s.state == "booting"
  s.state, s.down = "down", reason
  event(s, "peer_lost", reason)
  answer_pending(s, reason)
  finish(s, true)
  if booting and fail_boot(s, reason) then
    if s.waiter then return server.stop_with "normal" end
    -- He has not asked yet.
    tell_later(s, ASKED_MS, "leave")
    return
  end
  if s.peer_down == "stop" or s.peer_down == "done" and is_done(s, reason) then
    return server.stop_with "normal"
  end
  if s.peer_down ~= "continue" then return server.stop_with(reason) end
end

-- The server has ended.
local function release(s)
  states[s.pid] = nil
  s.state, s.down = "down", s.down or "stopped"
  answer_pending(s, s.down)
  disconnect(s)
end

-- --- the server --------------------------------------------------------------

local Control = { name = "peer" }

function Control.init(_, opts)
  local s = {
    pid = core.self(), mode = opts.mode, state = "booting", pending = {},
    number = 0, token = assert(uv.random(32)), waits = opts.waits,
    notify = opts.notify, parent = opts.parent, shutdown = opts.shutdown,
    stop_ms = opts.stop_ms, peer_down = opts.peer_down,
  }
  s.own_life = core.life(s.pid)
  s.key = s.mode == "dist" and hex(assert(uv.random(32))) or nil
  s.output = guard.wrap(s.pid, opts.on_output or default_output)
  core.trap_exit(true)
  states[s.pid] = s
  owned.add(s.pid, { release = function() release(s) end })
  local ok, why = core.unbroken(boot, s, opts)
  if not ok then return nil, failure("boot_failed", why) end
  if opts.boot_ms then tell_later(s, opts.boot_ms, "late") end
end

local on_call = {}

-- Answers node | nil, err once the boot is over.
function on_call.boot(s, _, from)
  if s.state == "running" then return s.node end
  if s.failed then
    server.reply(from, nil, s.failed)
    return server.stop_with "normal"
  end
  s.waiter = from
  return server.noreply
end

function on_call.state(s)
  return M.state(s)
end

function Control.handle_call(_, message, from)
  local s = states[core.self()]
  local fn = type(message) == "table" and on_call[message.what]
  if not fn then return nil, "bad_call" end
  return fn(s, message, from)
end

local on_info = {}

function on_info.started(s)
  let_port_go(s)
  if s.mode == "dist" then s.ref = core.monitor(s.remote) end
  event(s, "peer_started")
  announce(s, { started = s.node or false })
  if s.waiter then server.reply(s.waiter, s.node) end
  s.waiter = nil
end

function on_info.late(s)
  if s.state == "booting" then return go_down(s, "timeout") end
end

function on_info.leave()
  return server.stop_with "normal"
end

function on_info.exit(s, ending)
  return go_down(s, core.reason(ending))
end

-- The connection is gone: most often because its process is, whose end says
-- more.
function on_info.lost(s, reason)
  if s.state == "down" then return end
  local program = s.program
  if program:wait(await_wait, EXIT_MS) then
    reason = core.reason(program.ending)
  end
  return go_down(s, reason)
end

function on_info.send(_, value)
  core.send_now(value.to, value.message)
end

function on_info.cast(_, value)
  core.cast_now(value.to, value.message)
end

function Control.handle_info(_, message)
  local s = states[core.self()]
  if type(message) ~= "table" then return end
  if message.by == mine then
    return on_info[message.what](s, message.value)
  elseif message.tag == "$peer_frame" and s.key then
    on_data(s, Far.open(message, s.key))
  elseif message.tag == "DOWN" and s.ref and message.ref == s.ref then
    return on_info.lost(s, core.reason { "nodedown", s.node })
  end
end

function Control.terminate()
  local s = states[core.self()]
  if s.state ~= "down" then shut_down(s) end
end

M.Control = Control

-- --- for callers -------------------------------------------------------------

--- "booting", "running" or {"down", reason}.
function M.state(s)
  if s.state == "down" then return failure("down", s.down) end
  return s.state
end

local function given_up(s)
  if s.state == "down" then return nil, failure("peer_down", s.down) end
  return nil, "noconnection"
end

-- What cannot be sent is a mistake of the program: the error names the function
-- that it called, and where in which argument that is.
local function misuse(s, what, name, why)
  local text = tostring(why):match "cannot send .*"
  if not text then error(why, 0) end
  local before, path = text:match "^(.*) %(msg(.*)%)$"
  -- By distribution all that is sent is one message, and the argument in it.
  if path and s.mode == "dist" then path = path:gsub("^%[%d+%]", "") end
  core.misuse(("%s: %s (%s%s)"):format(what, before or text, name, path or ""))
end

--- Sends a frame, once there is room. Yields, then.
---@param s table
---@param what string  the function that the program called
---@param name string  its argument that may be any value, the last one here
---@return true|nil ok
---@return any err
function M.put(s, what, name, kind, ...)
  if s.state ~= "running" then return given_up(s) end
  s.wire:await_room(await_wait)
  local fine, ok, why = pcall(s.wire.put, s.wire, kind, ...)
  if not fine then misuse(s, what, name, ok) end
  if why == "closed" then return given_up(s) end
  return ok, why
end

-- Sends a call, whose answer `done` is to get. Where the connection is closed,
-- that is given it as the peer is found to be down. Answers the number of the
-- call, or nil, err; the third value is an error to raise.
local function begin(s, done, module, fn, args)
  if s.state ~= "running" then return given_up(s) end
  local number = s.number + 1
  local fine, ok, why =
    pcall(s.wire.put, s.wire, kinds.CALL, number, module, fn, args)
  if not fine then return nil, nil, ok end
  if not ok and why ~= "closed" then return nil, why end
  s.number, s.pending[number] = number, done
  return number
end

local function forget(s, number, ...)
  s.pending[number] = nil
  return ...
end

--- Calls a function on the peer. Yields.
---@param s table
---@param what string  the function that the program called
function M.call(s, what, module, fn, args, timeout)
  if s.state ~= "running" then return given_up(s) end
  s.wire:await_room(await_wait)
  local done = core.await_begin()
  local number, why, wrong = core.unbroken(begin, s, done, module, fn, args)
  if wrong ~= nil then misuse(s, what, "args", wrong) end
  if not number then return nil, why end
  return forget(s, number, await_wait(done, timeout))
end

return M
