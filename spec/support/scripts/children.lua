--- Children for random supervisors, and what must hold of them and their
-- supervisors after every step:
--
--  * a supervisor that is not in the middle of something has in its table what
--    it is linked to, and each child of its that lives is there once;
--  * whatever it started ends with it;
--  * it starts no child more often by itself than its intensity allows;
--  * children stop in reverse start order, one at a time, each within the time
--    that it is given;
--  * it ends by itself only after too many restarts, or by auto_shutdown.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local Children = {}
Children.__index = Children

--- The children of the run that is under way.
function Children.new()
  local children = setmetatable({ list = {}, sups = {}, sup_of = {} }, Children)
  lockstep.invariant(function() return children:check() end, "the supervisors")
  return children
end

function Children:wrong(text, ...)
  self.problem = self.problem or text:format(...)
end

-- --- supervisors -------------------------------------------------------------

--- A supervisor that is to be started.
---@param config table  strategy, max_restarts, period (ms), auto; ordered:
---  children stop one after the other
function Children:supervisor(config)
  local sup = { number = #self.sups + 1, config = config, asked = {},
    starts = {}, failures = 0, place = {}, terminating = {}, rests = {},
    shapes = {} }
  self.sups[sup.number] = sup
  return sup
end

-- It calls a start function: that is how its pid is known first.
local function note_pid(children, sup, pid)
  if sup.pid == pid then return end
  sup.pid, sup.ended = pid, false
  children.sup_of[pid] = sup
end

--- Somebody has asked it to start (or stop) the child; done is to be called
-- when the answer is there.
function Children.asks(_, set, id)
  set[id] = (set[id] or 0) + 1
  return function() set[id] = set[id] - 1 end
end

--- A child may be stopped from now on, and stay so. If it was to be started
-- again, with others that were stopped for it, these stay so too, as in OTP.
function Children.stops(_, sup, id)
  sup.rests[id] = true
  if sup.must_end == id then sup.must_end = nil end
  if sup.config.strategy == "one_for_one" then return end
  for other in pairs(sup.shapes) do sup.rests[other] = true end
end

local function is_being_stopped(sup, id)
  if sup.config.strategy == "one_for_one" then
    return (sup.terminating[id] or 0) > 0
  end
  for _, count in pairs(sup.terminating) do
    if count > 0 then return true end
  end
end

-- Of children that start one after the other, each comes after those before
-- it in the table.
local function check_order(children, sup, id)
  local place = sup.place[id]
  if place and sup.started and place <= sup.started then
    children:wrong("supervisor %d starts %s out of turn", sup.number,
      tostring(id))
  end
  sup.started = place
end

-- A start that nobody asked for is a restart. Where nothing comes between the
-- decision and the start, all are counted together and exactly; else those of
-- each child, and one more is allowed, which may have been decided long ago.
local function count_start(children, sup, shape)
  local id = shape.id
  local first = not sup.starts[id]
  local exact = sup.config.strategy == "one_for_one" and not sup.backs_off
  sup.starts[id] = sup.starts[id] or {}
  if first or (sup.asked[id] or 0) > 0 or sup.booting then return end
  local starts, now = exact and sup.starts or sup.starts[id], banyan.now()
  starts[#starts + 1] = now
  local most = sup.config.max_restarts + (exact and 0 or 1)
  local before = starts[#starts - most]
  if before and now - before < sup.config.period then
    children:wrong("supervisor %d restarted %s too often: %d times in %d ms",
      sup.number, exact and "children" or id, most + 1, now - before)
  end
end

-- --- children ----------------------------------------------------------------

-- In what order children stand in the table; nil: none is known.
local function order(sup, child) return sup.place[child.id] end

-- A child hears that it is to stop, or is ended for that.
local function note_stop(children, child)
  local sup = child.sup
  child.asked_to_stop_at = child.asked_to_stop_at or banyan.now()
  if child.shutdown == "brutal_kill" then
    children:wrong("child %d was asked to stop instead of being killed",
      child.number)
  end
  local asked = (sup.terminating[child.id] or 0) > 0
  if not sup.config.ordered or asked then return end
  for _, other in ipairs(children.list) do
    local later = other.sup == sup and not other.ended and other ~= child
      and order(sup, child) and order(sup, other)
      and order(sup, other) > order(sup, child)
    if later and core.is_alive(other.pid) and not other.leaving then
      children:wrong("child %d was stopped before child %d", child.number,
        other.number)
    end
  end
end

local function stop_slowly(child)
  if child.manner == "slow" then banyan.sleep(choose(4)) end
  if child.manner == "deaf" then banyan.sleep(math.huge) end
  child.leaving = true
  banyan.exit "shutdown"
end

local function run_child(children, child)
  if child.manner ~= "obedient" then
    banyan.trap_exit(true)
    child.traps = true
  end
  while true do
    local message = banyan.receive()
    if message == "crash" then
      child.leaving, child.crashed = true, true
      error("crash", 0)
    elseif message == "leave" then
      child.leaving, child.left = true, true
      return
    elseif message == "signal" then
      child.sup.pid:exit "odd"
    elseif message.from == child.sup.pid and message.reason == "shutdown" then
      note_stop(children, child)
      stop_slowly(child)
    end
  end
end

local MANNERS = { "obedient", "polite", "slow", "deaf" }

--- A start function for a child that is a process.
---@param shape table  id, shutdown; flaky: it may fail to start
function Children:start_function(sup, shape)
  return function()
    note_pid(self, sup, banyan.self())
    sup.rests[shape.id], sup.shapes[shape.id] = nil, shape
    count_start(self, sup, shape)
    if sup.config.ordered then check_order(self, sup, shape.id) end
    if shape.flaky and (not sup.booting or choose(4) == 4) then
      local way = choose(8)
      if way == 5 then banyan.sleep(choose(3)) end
      if way == 8 then
        sup.rests[shape.id] = true
        return nil, "ignore"
      end
      if way > 5 then
        sup.failures = sup.failures + 1
        sup.rests[shape.id] = (sup.asked[shape.id] or 0) > 0 or nil
      end
      if way == 6 then return nil, "no" end
      if way == 7 then error("cannot start", 0) end
    end
    local child = { id = shape.id, sup = sup, shutdown = shape.shutdown,
      manner = shape.manner }
    child.pid = banyan.spawn_link(function() run_child(self, child) end)
    -- Another supervisor may have started a child before that spawn.
    child.number = #self.list + 1
    self.list[child.number] = child
    if choose(6) == 6 then banyan.sleep(choose(3)) end
    return child.pid
  end
end

--- A child spec's draw.
function Children.shape(_, sup, id)
  local shape = { id = id, flaky = choose(3) == 3 }
  shape.manner = MANNERS[choose(#MANNERS)]
  shape.shutdown = ({ 3, 0, "brutal_kill", "infinity" })[choose(4)]
  if shape.manner == "deaf" and shape.shutdown == "infinity" then
    shape.shutdown = 5
  end
  shape.restart = ({ "permanent", "transient", "temporary" })[choose(3)]
  if choose(4) == 4 then
    sup.backs_off = true
    shape.backoff = { min = 1, max = 4, factor = 2, jitter = 0.5 }
  end
  return shape
end

--- One that lives, from the outside: a client sends it this.
function Children:pick()
  local alive = {}
  for _, child in ipairs(self.list) do
    if not child.ended then alive[#alive + 1] = child end
  end
  return alive[1] and alive[choose(#alive)]
end

--- A client ends a child.
function Children.hit(_, child)
  local way = choose(5)
  if way == 1 then
    banyan.send(child.pid, "crash")
  elseif way == 2 then
    banyan.send(child.pid, "leave")
  elseif way == 5 then
    banyan.send(child.pid, "signal")
  elseif way == 3 then
    child.pid:exit "kill"
    child.leaving = true
  else
    child.pid:exit "odd"
    if not child.traps then child.leaving = true end
  end
end

local FINE = {
  noproc = true, shutdown = true, killed = true, not_found = true,
  running = true, restarting = true, no = true, error = true, ignore = true,
  already_started = true, already_present = true, normal = true, odd = true,
  max_children = true,
}

--- A request was answered: may it fail so?
function Children:answered(what, ok, why)
  local code = type(why) == "table" and why[1] or why
  if not ok and not FINE[code] then
    self:wrong("%s answered %s", what, tostring(why))
  end
end

-- --- what must hold ----------------------------------------------------------

-- It lives on after it was to be dead, and nobody is about to kill it.
local function check_bound(children, child, now)
  local bound = child.asked_to_stop_at and type(child.shutdown) == "number"
    and child.asked_to_stop_at + child.shutdown
  if bound and now > bound
    and core.process_info(child.sup.pid).status == "waiting" then
    children:wrong("child %d lives %d ms after it should have been killed",
      child.number, now - bound)
  end
end

-- A significant child has ended by itself: that ends the supervisor.
local function note_left(child)
  local sup = child.sup
  local shape = sup.shapes[child.id]
  if child.left and shape and shape.significant and not child.asked_to_stop_at
    and sup.config.auto == "any_significant"
    and sup.config.strategy == "one_for_one"
    and not is_being_stopped(sup, child.id) then
    sup.must_end = child.id
  end
end

local function check_children(children, now)
  for _, child in ipairs(children.list) do
    if not child.ended and not core.is_alive(child.pid) then
      child.ended = true
      note_left(child)
      if child.leaving and not child.asked_to_stop_at then
        child.sup.failures = child.sup.failures + 1
      elseif not child.traps and child.shutdown ~= "brutal_kill"
        and not child.sup.ended and core.is_alive(child.sup.pid) then
        note_stop(children, child)
      end
    elseif not child.ended then
      if child.sup.ended then
        children:wrong("child %d outlives supervisor %d", child.number,
          child.sup.number)
      else
        check_bound(children, child, now)
      end
    end
  end
end

local function check_end(children, sup)
  sup.ended = true
  if sup.above then sup.above.failures = sup.above.failures + 1 end
  if sup.asked_to_end or sup.booting or sup.above then return end
  local auto = sup.config.auto and sup.config.auto ~= "never"
  if not auto and sup.failures <= sup.config.max_restarts then
    children:wrong("supervisor %d gave up after %d failures", sup.number,
      sup.failures)
  end
end

-- Its links, but for its parent's.
local function linked_to(sup, info)
  local set, count = {}, 0
  for _, pid in ipairs(info.links) do
    if pid ~= info.parent and pid ~= sup.guest then
      set[pid], count = true, count + 1
    end
  end
  return set, count
end

-- A permanent child that has stopped is to come back, unless somebody stopped
-- it, or it ignored its start: now, or with one that is tried again.
local function check_rest(children, sup, rows, info)
  local again, resting
  for _, row in ipairs(rows) do
    local shape = sup.shapes[row.id]
    if row.state == "restarting" then again = row end
    if row.state == "stopped" and shape and shape.restart == "permanent"
      and not sup.rests[row.id] and (sup.asked[row.id] or 0) == 0
      and not is_being_stopped(sup, row.id) then
      resting = row
    end
  end
  if resting and not again then
    children:wrong("supervisor %d does not start %s again", sup.number,
      tostring(resting.id))
  elseif again and not sup.backs_off and info.status == "waiting"
    and info.message_queue_len == 0 then
    children:wrong("supervisor %d has forgotten to try again", sup.number)
  end
end

local function check_table(children, sup, rows)
  local info = core.process_info(sup.pid)
  check_rest(children, sup, rows, info)
  sup.started = nil
  if sup.must_end and info.status == "waiting"
    and info.message_queue_len == 0 then
    children:wrong("supervisor %d outlives its significant child", sup.number)
  end
  local links, count = linked_to(sup, info)
  local alive, present = 0, {}
  sup.place = {}
  for i, row in ipairs(rows) do
    local id = row.id
    if id ~= nil then
      if present[id] then
        children:wrong("supervisor %d has %s twice", sup.number, tostring(id))
      end
      present[id], sup.place[id] = true, i
    end
    if row.pid then
      if present[row.pid] then
        children:wrong("supervisor %d has a child twice", sup.number)
      end
      present[row.pid] = true
      if core.is_alive(row.pid) then
        alive = alive + 1
        if not links[row.pid] then
          children:wrong("supervisor %d is not linked to its child", sup.number)
        end
      end
    end
  end
  if alive ~= count then
    children:wrong("supervisor %d has %d links for %d children", sup.number,
      count, alive)
  end
  for _, child in ipairs(children.list) do
    if child.sup == sup and not child.ended and not present[child.pid] then
      children:wrong("child %d is not in the table of supervisor %d",
        child.number, sup.number)
    end
  end
end

function Children:check()
  local now = core.now()
  for _, sup in ipairs(self.sups) do
    if sup.pid and not sup.ended and not core.is_alive(sup.pid) then
      check_end(self, sup)
    end
  end
  check_children(self, now)
  for _, sup in ipairs(self.sups) do
    local rows = sup.pid and not sup.ended
      and core.supervisor.rows(sup.pid)
    if rows then check_table(self, sup, rows) end
  end
  if self.problem then return false, self.problem end
  return true
end

return Children
