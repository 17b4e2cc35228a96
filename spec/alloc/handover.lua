-- What a child's server does with the state of another, each thing once: it
-- resumes with it, hands its own over, resolves a conflict.

local core = require "banyan.core"
local resume = require "banyan.resume"
local server = require "banyan.server"
local stage = require "spec.alloc.stage"

local STATE = { score = 3, names = { "a", "b" } }

-- What may not be, memory or none.
local wrong

local Room = { name = "room" }

function Room:init() self.score = 0 end

function Room:resume(state, how)
  if how == "raise" then error { "in resume", state } end
  if how == "slow" then core.sleep(50) end
  self.score = state.score
end

function Room:handle_call() return self.score end

function Room:handoff(why)
  if why == "raise" then error { "in handoff" } end
  if why == "nothing" then return nil end
  if why == "function" then return print end
  if why == "slow" then core.sleep(30) end
  return { score = self.score, names = { why } }
end

function Room:resolve_conflict(state)
  if state.how == "raise" then error { "in resolve_conflict" } end
  if state.how == "stop" then return server.stop_with { "shutdown", 1 } end
  self.score = self.score + state.score
end

-- A server that was given the state: it has it, or does not run.
local function given(how, module, bytes)
  resume.give(bytes or assert(core.dist.encode(STATE)), how)
  local ok, pid = pcall(server.start_link, module or Room, nil,
    { timeout = 20 })
  resume.forget(core.self())
  if not ok or not pid then return nil end
  local score = server.call(pid, "score", 100)
  if score ~= nil and score ~= 3 then wrong = "it runs without the state" end
  return pid
end

-- It ends once what it returned was taken, or goes on; its caller hears of
-- nothing else. Who calls it meanwhile is told that it is not there.
local function hand_over(why, reason, goes_on)
  local pid = given "checkpoint"
  if not pid then return end
  local taken
  local function permit(at, state)
    if at == "end" and state and state.score ~= 3 then
      wrong = "it handed over what it has not"
    end
    taken = taken or at == "end" and state ~= nil
    return at == "begin" or not goes_on
  end
  local late = core.spawn(function()
    local _, err = server.call(pid, "score", 100)
    if err == "shutdown" then wrong = "a late call is taken for served" end
  end)
  pcall(server.call, pid, { "$system", "handoff", why, reason, permit }, 100)
  if taken and not goes_on and core.is_alive(pid) then
    core.sleep(1)
    if core.is_alive(pid) then wrong = "it goes on without its state" end
  end
  if late then late:exit "kill" end
end

local function resolve(state, module)
  local pid = given("checkpoint", module)
  if not pid then return end
  server.call(pid, { "$system", "resolve_conflict", state }, 100)
  local score = server.call(pid, "score", 100)
  if score ~= nil and score ~= 3 and score ~= 10 then
    wrong = "it resolved the conflict more than once"
  end
end

local function without_callbacks()
  return { handle_call = function() return 3 end }
end

local things = {
  function() core.trap_exit(true) end,
  function() given "checkpoint" end,
  function() given "handoff" end,
  function() given "raise" end,
  function() given "slow" end,
  function() given("checkpoint", nil, "\255\255\255") end,
  function() hand_over "leave" end,
  function() hand_over("move", "shutdown", true) end,
  function() hand_over("raise", "shutdown", true) end,
  function() hand_over("conflict", { "shutdown", { "conflict", 1 } }) end,
  function() hand_over "nothing" end,
  function() hand_over "function" end,
  function() hand_over "raise" end,
  function() hand_over "slow" end,
  function()
    local pid = server.start(without_callbacks())
    server.call(pid, { "$system", "handoff", "leave", "shutdown",
      function() return true end }, 100)
  end,
  function() resolve { score = 7 } end,
  function() resolve { how = "raise" } end,
  function() resolve { how = "stop" } end,
  function() resolve({ score = 7 }, without_callbacks()) end,
  function() core.dist.decode(core.dist.encode(STATE)) end,
  function() while core.receive(0) do end end,
}

local function probe()
  return not wrong and stage.probe(function()
    resume.give(core.dist.encode(STATE), "handoff")
    local pid = assert(server.start(Room))
    resume.forget(core.self())
    assert(server.call(pid, { "$system", "resolve_conflict", STATE }))
    local watch = core.monitor(pid)
    local state
    local ok = server.call(pid, { "$system", "handoff", "conflict",
      { "shutdown", 5 }, function(at, returned)
        if at == "end" then state = returned end
        return true
      end })
    assert(ok and state.score == 6 and state.names[1] == "conflict")
    local down = core.receive()
    assert(down.ref == watch and down.reason[2] == 5)
  end)
end

return function() stage.live(things) end, probe, stage.clear
