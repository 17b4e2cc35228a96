-- Exit signals and monitors in every combination (a cell of the table): whether
-- the process traps exits, the reason, how the signal is sent, and whether the
-- other process is alive, dead or on a lost node.
--
-- The expected results follow from Erlang's rules, stated once below. All cells
-- were checked against OTP 25, on one node and between two. A link to a dead
-- process is as between two nodes of Erlang, where link() cannot raise.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B = remote.A, remote.B
local spawn_on = remote.spawn_on

local REASONS = { "normal", "shutdown", "kill", "other" }

-- --- the rules ---------------------------------------------------------------

-- The effect of an exit signal that reaches a process: "dead" or "message", and
-- the reason; nothing if it is ignored.
local function on_signal(traps, reason, way)
  if reason == "kill" and way ~= "link" then return "dead", "killed" end
  if traps then return "message", reason end
  if reason ~= "normal" or way == "self" then return "dead", reason end
end

-- The reason of a link or monitor whose process is dead or lost.
local BROKEN = { dead = "noproc", lost = "noconnection" }

local function expected(traps, reason, way, other)
  if other == "alive" then return on_signal(traps, reason, way) end
  if way == "link" then return on_signal(traps, BROKEN[other], way) end
  -- A signal to a dead process, or to a lost node, is dropped.
end

-- --- the cells ---------------------------------------------------------------

local net

-- A process with a record of its exit reason, `dead`, and of its `messages`.
local function subject(where, traps)
  local s = { messages = {} }
  s.pid = spawn_on(where, function()
    core.trap_exit(traps)
    while true do
      local msg = core.receive()
      if msg.run then msg.run() else table.insert(s.messages, msg) end
    end
  end)
  spawn_on(where, function()
    core.monitor(s.pid)
    s.dead = core.receive().reason
  end)
  net:settle()
  return s
end

-- Runs `fn` in a subject of the node `where`.
local function make(where, s, fn)
  remote.node(where):send(s.pid, { run = fn })
  net:settle()
end

local function lose()
  net:on(A, function() core.disconnect(B) end)
  net:settle()
  net:on(A, function() assert.same({}, core.nodes()) end)
end

local function exits(where, s, reason)
  make(where, s, function() core.exit(reason) end)
end

-- Each sets up a cell. It returns the process that the signal goes to, and the
-- process that the EXIT must be from. The other process is on `where`.
local arrange = { link = {}, signal = {}, self = {} }

function arrange.link.alive(where, traps, reason)
  local one, other = subject(A, traps), subject(where, false)
  make(A, one, function() core.link(other.pid) end)
  exits(where, other, reason)
  return one, other
end

function arrange.link.dead(where, traps, reason)
  local one, other = subject(A, traps), subject(where, false)
  exits(where, other, reason)
  make(A, one, function() core.link(other.pid) end)
  return one, other
end

-- The other process ends after its node was lost: there is no second signal.
function arrange.link.lost(where, traps, reason)
  local one, other = subject(A, traps), subject(where, true)
  make(A, one, function() core.link(other.pid) end)
  lose()
  exits(where, other, reason)
  return one, other
end

-- For signals, the process that gets the signal is on `where`.
function arrange.signal.alive(where, traps, reason)
  local one, other = subject(where, traps), subject(A, false)
  make(A, other, function() assert.is_true(one.pid:exit(reason)) end)
  return one, other
end

function arrange.signal.dead(where, traps, reason)
  local one, other = subject(where, traps), subject(A, true)
  exits(where, one, "before")
  assert.equal("before", one.dead)
  make(A, other, function() assert.is_true(one.pid:exit(reason)) end)
  return other
end

function arrange.signal.lost(where, traps, reason)
  local one, other = subject(where, traps), subject(A, true)
  lose()
  make(A, other, function() assert.is_true(one.pid:exit(reason)) end)
  net:on(A, function() assert(core.connect(B)) end)
  assert.same({}, other.messages)
  return one
end

function arrange.self.alive(where, traps, reason)
  local one = subject(where, traps)
  make(where, one, function() core.self():exit(reason) end)
  return one, one
end

local function check(kind, reason, one, from)
  if kind == "dead" then
    assert.equal(reason, one.dead)
    assert.same({}, one.messages)
  elseif kind == "message" then
    assert.is_nil(one.dead)
    assert.same({ { tag = "EXIT", from = from.pid, reason = reason } },
      one.messages)
  else
    assert.is_nil(one.dead)
    assert.same({}, one.messages)
  end
end

-- Where the other process of a cell can be.
local PLACES = {
  alive = { A, B }, dead = { A, B }, lost = { B },
}

local function each_cell(visit)
  for _, way in ipairs { "link", "signal", "self" } do
    for _, other in ipairs { "alive", "dead", "lost" } do
      for _, where in ipairs(arrange[way][other] and PLACES[other] or {}) do
        for _, traps in ipairs { false, true } do
          for _, reason in ipairs(REASONS) do
            visit(traps, reason, way, other, where)
          end
        end
      end
    end
  end
end

describe("the table of exit signals:", function()
  after_each(remote.close)

  local count = 0
  each_cell(function(traps, reason, way, other, where)
    count = count + 1
    it(("a process that %s, %q by %s, the other process %s %s"):format(
      traps and "traps exits" or "does not trap exits", reason, way,
      where == A and "here" or "there", other), function()
        net = remote.nodes { A, B }
        local one, from = arrange[way][other](where, traps, reason)
        local kind, why = expected(traps, reason, way, other)
        check(kind, why, one, from)
      end)
  end)

  it("has all of its cells", function()
    -- link and signal: two places alive, two dead, one lost; self: two places.
    assert.equal((5 + 5 + 2) * 2 * #REASONS, count)
  end)
end)

-- --- monitors ----------------------------------------------------------------

-- What happens to the monitored process, on `where`.
local FATES = {}
for _, reason in ipairs(REASONS) do
  FATES["that ends for " .. reason] = {
    why = reason,
    after = function(where, s) exits(where, s, reason) end,
  }
end
FATES["that is killed"] = {
  why = "killed",
  after = function(where, s)
    make(where, s, function() core.self():exit("kill") end)
  end,
}
FATES["that ends of an exit signal"] = {
  why = "signal",
  after = function(where, s)
    make(where, s, function() core.self():exit("signal") end)
  end,
}
FATES["that is dead"] = {
  why = "noproc",
  before = function(where, s) exits(where, s, "other") end,
}
FATES["whose node is lost"] = {
  why = "noconnection", places = { B },
  after = lose,
}
FATES["whose node was lost before"] = {
  why = "noconnection", places = { B },
  before = lose,
}
FATES["no longer monitored when it ends"] = {
  after = function(where, s, one, it)
    make(A, one, function() core.demonitor(it.ref) end)
    exits(where, s, "other")
  end,
}

-- The forms of the argument of monitor.
local FORMS = {
  pid = function(s) return s.pid end,
  ["name and node"] = function(_, where)
    return { name = "watched", node = where }
  end,
  name = function() return "watched" end,
}

local function watch(form, fate, where, traps)
  net = remote.nodes { A, B }
  local one, watched, it = subject(A, traps), subject(where, false), {}
  make(where, watched, function() core.register("watched") end)
  if fate.before then fate.before(where, watched, one, it) end
  it.dest = FORMS[form](watched, where)
  make(A, one, function() it.ref = core.monitor(it.dest) end)
  if fate.after then fate.after(where, watched, one, it) end
  local down = { tag = "DOWN", ref = it.ref, pid = it.dest, reason = fate.why }
  assert.same(fate.why and { down } or {}, one.messages)
  assert.is_nil(one.dead)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

describe("the table of monitors:", function()
  after_each(remote.close)

  for _, form in ipairs(sorted_keys(FORMS)) do
    for _, name in ipairs(sorted_keys(FATES)) do
      local fate = FATES[name]
      for _, where in ipairs(fate.places or { A, B }) do
        local known = form ~= "name" or where == A
        for _, traps in ipairs(known and { false, true } or {}) do
          it(("by %s of a %s %s, for one that %s exits"):format(form,
            where == A and "process here" or "process there", name,
            traps and "traps" or "does not trap"), function()
              watch(form, fate, where, traps)
            end)
        end
      end
    end
  end
end)
