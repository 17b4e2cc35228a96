--- A supervisor whose child crashes, and whose start fails, at times that lie
-- on both sides of the window: it gives up when it must, and not before.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local PERIOD = 20
local GAPS = { 0, 1, 7, PERIOD - 1, PERIOD, PERIOD + 1 }
local CRASHES = 5

-- Does a supervisor that had to restart at these times still run?
local function is_allowed(times, limit)
  local window = {}
  for _, at in ipairs(times) do
    while window[1] and at - window[1] > PERIOD do table.remove(window, 1) end
    if #window == limit then return false end
    window[#window + 1] = at
  end
  return true
end

local function start(state)
  if state.fails > 0 then
    state.fails = state.fails - 1
    table.insert(state.times, banyan.now())
    return nil, "not now"
  end
  state.pid = banyan.spawn_link(function()
    banyan.receive()
    banyan.exit "crash"
  end)
  return state.pid
end

-- The row of the only child, once it is not being restarted; nil: the
-- supervisor has given up.
local function row_at_rest(sup)
  while true do
    local rows = supervisor.which_children(sup)
    if not rows then return nil end
    if rows[1].state ~= "restarting" then return rows[1] end
    banyan.sleep(1)
  end
end

local function crash(state)
  local ref = banyan.monitor(state.pid)
  state.fails = choose(4) - 1
  banyan.send(state.pid, "crash")
  repeat until banyan.receive().ref == ref
  table.insert(state.times, banyan.now())
end

return function()
  local limit = choose(5) - 1
  local state = { times = {}, fails = 0 }
  local backoff = choose(2) == 2
    and { min = 5, max = 10, factor = 2, jitter = 0 } or nil
  banyan.trap_exit(true)
  local sup = assert(supervisor.start_link({
    { id = "child", start = function() return start(state) end,
      backoff = backoff },
  }, { max_restarts = limit, max_seconds = PERIOD / 1000 }))
  for _ = 1, CRASHES do
    banyan.sleep(GAPS[choose(#GAPS)])
    crash(state)
    local row = row_at_rest(sup)
    if not is_allowed(state.times, limit) then
      assert(not row, "a supervisor restarts more often than it may")
      return
    end
    assert(row, "a supervisor gives up too early")
    assert(row.pid == state.pid, "a child was not started again")
  end
end
