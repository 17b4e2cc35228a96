--- A node monitor whose set is changed again and again, between all kinds of
-- it, while sources answer, are late, fail and hang, and while it crashes: each
-- node is announced once in either direction, and what an earlier source says
-- counts for nothing.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local node_monitor = require "banyan.node_monitor"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local NODES = { "a@h:1", "b@h:1", "c@h:1" }
local ROUNDS = 6
local REFRESH_MS, TIMEOUT_MS, LATE_MS = 20, 30, 25
local SOON_MS = 3 -- all that needs no time is done

local function any_set()
  local list = {}
  for _, node in ipairs(NODES) do
    if choose(2) == 2 then list[#list + 1] = node end
  end
  return list
end

local function shown(list) return table.concat(list, " ") end

-- What a source does each time: all but the first two fail.
local acts = {
  function(list) return list end,
  function(list)
    banyan.sleep(choose(LATE_MS))
    return list
  end,
  function() error "no answer" end,
  function() banyan.exit "gone" end,
  function() return { "nobody" } end,
  function() banyan.sleep(math.huge) end,
}
local GOOD = 2

-- A source that answers the list, or fails.
local function new_source(state, list)
  local one = { act = choose(#acts) }
  one.good, one.list = one.act <= GOOD, list
  function one.fn()
    if one.retired then state.problem = "a source of before was asked" end
    if one.pid and banyan.is_alive(one.pid) then
      state.problem = "a source was asked twice at once"
    end
    one.pid = banyan.self()
    return acts[one.act](list)
  end
  return one
end

local function callbacks(state)
  return function(node)
    if state.told[node] then state.problem = node .. " came up twice" end
    state.told[node] = true
  end, function(node, info)
    if not state.told[node] then state.problem = node .. " went down twice" end
    if info.reason ~= "removed" then state.problem = info.reason end
    state.told[node] = nil
  end
end

local function told(state)
  local list = {}
  for node in pairs(state.told) do list[#list + 1] = node end
  table.sort(list)
  return list
end

-- Another process does it, and may be overtaken.
local function change_meanwhile(state)
  local one = new_source(state, any_set())
  banyan.spawn(node_monitor.reconfigure, "m", { source = one.fn })
  banyan.sleep(choose(LATE_MS))
  return one
end

-- Changes the set; keeps in `state` what it is to be.
local function change(state)
  local before = state.source
  local overtaken = choose(2) == 2 and change_meanwhile(state)
  if overtaken then
    -- It may have answered or not, and its answer may be on the way.
    state.expected = nil
    if before then before.retired = true end
  end
  local list, source = any_set(), nil
  if choose(3) == 1 then
    assert(node_monitor.reconfigure("m", { nodes = list }))
    state.expected = list
  elseif choose(4) == 1 then
    assert(node_monitor.reconfigure "m")
    state.expected = {}
  else
    source = new_source(state, list)
    assert(node_monitor.reconfigure("m", { source = source.fn }))
    if source.good then state.expected = list end
  end
  state.source = source
  for _, old in ipairs { before or false, overtaken } do
    if old then old.retired = true end
  end
end

local function crash()
  banyan.whereis("m"):exit "kill"
  banyan.sleep(1)
end

local function check(state)
  local status = node_monitor.status "m"
  if not status then return end
  local set = shown(status.managed)
  local expected = state.expected and shown(state.expected) or set
  assert(set == expected,
    ("the set is %q and should be %q"):format(set, expected))
end

local function check_told(state)
  banyan.sleep(SOON_MS)
  local status = node_monitor.status "m"
  -- Its source may have failed or answered meanwhile, but not otherwise.
  local heard, set = shown(told(state)), shown(status.managed)
  assert(heard == set, ("%q was heard, and the set is %q"):format(heard, set))
end

--- The body.
return function()
  local state = { told = {}, expected = {} }
  local up, down = callbacks(state)
  lockstep.invariant(function() return state.problem == nil, state.problem end)
  local top = assert(supervisor.start_link({
    { id = "m", start = { "banyan.node_monitor", "start_link", { {
      name = "m", refresh_ms = REFRESH_MS, timeout_ms = TIMEOUT_MS,
      announce = "managed", nodes = {}, on_node_up = up, on_node_down = down,
    } } } },
  }, { max_restarts = ROUNDS }))
  for _ = 1, ROUNDS do
    change(state)
    check(state)
    check_told(state)
    if choose(3) == 1 then crash() end
    banyan.sleep(choose(2 * REFRESH_MS))
    check(state)
    check_told(state)
  end
  supervisor.stop(top)
end
