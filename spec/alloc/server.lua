-- What servers do, each thing once; then three about an init that takes too
-- long.

local core = require "banyan.core"
local server = require "banyan.server"
local stage = require "spec.alloc.stage"

local Desk = { name = "desk" }

function Desk:init(arg)
  self.held, self.arg = {}, arg
  return server.continue { "first" }
end

function Desk:handle_continue(arg) self.arg = arg end

function Desk:handle_call(msg, from)
  if msg[1] == "echo" then return msg, { "and more" } end
  if msg[1] == "stop" then return server.stop_with({ "shutdown", 1 }, msg) end
  if msg[1] == "crash" then error { "crash", msg } end
  if msg[1] == "function" then return setmetatable({}, {}) end
  if msg[1] == "timeout" then server.timeout(5) end
  table.insert(self.held, from)
  return server.noreply
end

function Desk:handle_cast(msg)
  for _, from in ipairs(self.held) do server.reply(from, msg, { 2 }) end
  self.held = {}
  return server.continue(msg)
end

function Desk:handle_info(msg)
  if msg == "timeout" then self.held = {} end
end

function Desk.format_status(_, status)
  status.state.arg = "***"
  return status
end

function Desk:terminate(reason) self.reason = reason end

local function start(it)
  it.desk = it.desk and core.is_alive(it.desk) and it.desk
    or server.start(Desk, { "arg" }) or nil
  return it.desk
end

local function fails() error { "in init" } end

local things = {
  function() core.trap_exit(true) end,
  start,
  function(it) server.call(start(it), { "echo" }) end,
  function(it) server.call(start(it), { "later" }, 20) end,
  function(it)
    local desk = start(it)
    core.spawn(function() server.cast(desk, { "answer" }) end)
    server.call(desk, { "later" }, 50)
  end,
  function(it) server.request(start(it), { "timeout" }) core.sleep(20) end,
  function(it) core.send(start(it), { "info" }) end,
  function(it) server.get_state(start(it)) end,
  function(it) server.get_status(start(it)) end,
  function(it)
    server.replace_state(start(it), function(s) return { held = s.held } end)
  end,
  function(it) server.replace_state(start(it), fails) end,
  function(it) server.call(start(it), { "function" }) end,
  function(it) server.call(start(it), { "crash" }) end,
  function(it) server.call(start(it), { "stop" }) end,
  function(it) server.stop(start(it), { "shutdown", { 2 } }) end,
  function() server.start_link(Desk, 1, { name = "desk", timeout = 100 }) end,
  function() server.start_link(Desk, 1, { name = "desk" }) end,
  function() server.call("desk", { "echo" }) end,
  function() server.stop("desk") end,
  function() server.start_link { init = fails } end,
  function()
    server.start_link({ init = function() core.sleep(50) end }, nil,
      { name = "slow", timeout = 20 })
  end,
  function() server.start_link { init = function()
    return nil, { "no" }
  end } end,
  function() server.start { init = function() return server.ignore end } end,
  function() server.cast(server.start {}, { 1 }) end,
  function()
    local pid = server.start { terminate = fails }
    server.stop(pid)
  end,
  function() while core.receive(0) do end end,
}

local function probe()
  return stage.probe(function()
    local pid = assert(server.start(Desk, 1, { name = "probe" }))
    assert(server.call("probe", { "echo" })[1] == "echo")
    assert(server.get_status(pid).state.arg == "***")
    assert(server.stop(pid))
  end)
end

local function start_slowly()
  stage.node:spawn(function()
    server.start_link({ init = function() core.sleep(math.huge) end }, nil,
      { timeout = 25 })
  end)
  stage.step(2)
end

-- Neither the server nor its starter waits.
local function nobody_waits()
  stage.step(20)
  return stage.node:process_count() == 0
end

return function() stage.live(things) end, probe, stage.clear, start_slowly,
  function() stage.step(2) end, nobody_waits
