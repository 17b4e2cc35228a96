--- A child that does not come back for long: its supervisor tries again and
-- again, and answers others between two attempts.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local CLIENTS, FAILURES = 2, 12

-- Of the attempts while a request waits, one may have begun before it came,
-- and another when it had its turn behind others.
local MOST_BETWEEN = CLIENTS + 2

local function flaky_start(state)
  return function()
    state.attempts = state.attempts + 1
    if state.attempts > 1 and state.attempts <= FAILURES then
      if choose(3) == 3 then banyan.sleep(1) end
      return nil, "no"
    end
    return banyan.spawn_link(function()
      if banyan.receive() == "crash" then error("crash", 0) end
    end)
  end
end

-- How many attempts there were while a client waited for its answer.
local function watch(state, client)
  local info = client.asking and core.process_info(client.pid)
  if not info or info.status ~= "waiting" then
    client.since = nil
    return true
  end
  client.since = client.since or state.attempts
  local between = state.attempts - client.since
  return between <= MOST_BETWEEN,
    ("%d attempts before an answer"):format(between)
end

local function ask(sup, client)
  for _ = 1, choose(3) do
    client.asking = true
    local rows = assert(supervisor.which_children(sup, "infinity"))
    client.asking = false
    assert(#rows == 2)
  end
end

local function start_clients(sup, state)
  for _ = 1, CLIENTS do
    local client = {}
    client.pid = banyan.spawn_monitor(function() ask(sup, client) end)
    lockstep.invariant(function() return watch(state, client) end)
  end
end

--- The body.
return function()
  local state = { attempts = 0 }
  local sup = assert(supervisor.start_link({
    { id = "flaky", start = flaky_start(state) },
    { id = "steady", start = function()
      return banyan.spawn_link(function() banyan.receive() end)
    end },
  }, { strategy = ({ "one_for_one", "one_for_all", "rest_for_one" })[choose(3)],
    max_restarts = math.huge }))
  local rows = supervisor.which_children(sup)
  rows[1].pid:send "crash"
  start_clients(sup, state)
  for _ = 1, CLIENTS do
    local down = banyan.receive()
    assert(down.reason == "normal", tostring(down.reason))
  end
  assert(supervisor.stop(sup, "normal"))
end
