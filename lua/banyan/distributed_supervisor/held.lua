-- What waits for a child that is known and does not run just now: calls, and
-- messages for its next process.
--
-- A hold is what waits for one id on this node. Its messages are sent first, in
-- their order, by a process of their own: that may have to wait for a slow
-- node. Then those who wait to call go on. While there is a hold nobody goes
-- past it, so that the order of what one process sends stays. If the child ends
-- again meanwhile, the rest waits for the next process.
--
-- The coordinator says when a child has another process. It looks at all holds
-- from time to time, too: a child may end for good, or a hold be over.
--
-- A hold for an entity that is idle, or that nobody has heard of, has the
-- coordinator ask for its start. If that fails, what waits is answered so.
--
-- What is here changes in one go, so that nobody sees half of it.

local core = require "banyan.core"
core.skip_in_errors()
local views = require "banyan.distributed_supervisor.views"
local wait = require "banyan.wait"

local now = core.now
local call_pid = wait(core.call)
local await_wait = wait(core.await_wait)

local held = {}

local LOOK_MS = 100  -- all holds are looked at so often
local AGAIN_MS = 100 -- until a process that was out of reach is called again

local is_id = { string = true, number = true, userdata = true }

-- Does the child exist, whether or not it runs? Until this node has heard what
-- the others know, any may. An entity does.
local function is_known(view, id)
  if not is_id[type(id)] then return false end
  if view.entity then return true end
  local state = view.dist:state(id)
  if state == "unknown" then return not view.dist:is_ready() end
  return state ~= "ended" and state ~= "idle"
end

-- Is what does not run not to be waited for, as there is no quorum?
local function lacks_quorum(view) return view.dist:quorum() == true end

--- Does a child not run, and is it not to be waited for?
function held.is_denied(view, id)
  return views.pid(view, id) == nil and lacks_quorum(view)
end

local function hold_of(view, id)
  local hold = view.held[id]
  if hold then return hold end
  hold = { id = id, waiters = {}, messages = {}, first = 1, last = 0,
    dropped = 0, delivering = false, moving = false,
    asking = false, ask_at = 0, by = core.self() } -- see ask
  view.held[id] = hold
  view.held_list[#view.held_list + 1] = hold
  if not view.held_looked_at then
    view.held_looked_at = true
    core.cast_now(view.name, { tag = "look_at_held", key = view.key })
  end
  return hold
end

-- In these states an entity runs after it was asked for.
local to_ask_for = { unknown = true, ended = true, idle = true }

-- Does anybody wait?
local function is_wanted(hold)
  if hold.first <= hold.last then return true end
  for _, waiter in ipairs(hold.waiters) do
    if not waiter.over then return true end
  end
  return false
end

-- Has the coordinator ask for the start of an entity that somebody waits for,
-- unless it has, or others are about to start it. `again`: a process of it was
-- there just now.
local function ask(view, hold, again)
  if not view.entity or hold.asking or not is_wanted(hold) then return end
  local state = view.dist:state(hold.id)
  if not to_ask_for[state] then return end
  -- One that ends by itself as soon as it runs is not started without pause.
  if again and state == "ended" then hold.ask_at = now() + AGAIN_MS end
  if now() < hold.ask_at then return end
  hold.asking, hold.ask_at = true, now() + AGAIN_MS
  core.cast_now(view.name,
    { tag = "ask_for", id = hold.id, by = hold.by, key = view.key })
end

-- --- letting go --------------------------------------------------------------

-- Has it no messages? Then its waiters may go, and the next who sends or calls.
local function is_empty(hold) return hold.first > hold.last end

-- Does it know that this pid is none, or was out of reach just now?
local function avoids(waiter, pid)
  if pid == nil or waiter.stale ~= pid then return false end
  return not waiter.again_at or core.now() < waiter.again_at
end

-- Wakes those who wait, but for those who avoid this pid.
local function wake(hold, pid)
  local rest = {}
  for _, waiter in ipairs(hold.waiters) do
    if not waiter.over then
      if avoids(waiter, pid) then
        rest[#rest + 1] = waiter
      else
        waiter.done()
      end
    end
  end
  hold.waiters = rest
end

local function tell_dropped(view, hold)
  if hold.dropped == 0 then return end
  core.event("held_dropped", {
    supervisor = view.name, id = hold.id, count = hold.dropped,
  })
  hold.dropped = 0
end

-- The list forgets it when it is looked at.
local function close(view, hold)
  tell_dropped(view, hold)
  if view.held[hold.id] == hold then view.held[hold.id] = nil end
  hold.closed = true
end

-- The next message and the pid that it goes to; none: the messages are sent, or
-- the child does not run.
local function take(view, hold)
  local pid = not hold.moving and views.pid(view, hold.id) or nil
  if pid ~= nil and not is_empty(hold) then
    local message = hold.messages[hold.first]
    hold.messages[hold.first] = nil
    hold.first = hold.first + 1
    return pid, message
  end
  hold.delivering = false
  if pid == nil then return end
  wake(hold, pid)
  if #hold.waiters == 0 then close(view, hold) end
end

-- Nobody may come between: the child may be about to move, and others are told
-- that nothing more is sent to this process of it.
local function send_next(view, hold)
  local pid, message = take(view, hold)
  if pid == nil then return nil end
  local value = core.dist.decode(message.bytes)
  if message.kind == "cast" then
    core.cast_now(pid, value)
  else
    core.send_now(pid, value)
  end
  return pid
end

local function deliver(view, hold)
  while true do
    local pid = core.unbroken(send_next, view, hold)
    if pid == nil then return end
    core.await_room(pid)
  end
end

-- One that is killed leaves the rest to another.
local function is_delivering(hold)
  return hold.delivering and core.is_alive(hold.deliverer)
end

-- Lets go what may go.
local function release(view, hold)
  if hold.closed or hold.moving or is_delivering(hold) then return end
  local pid = views.pid(view, hold.id)
  if pid == nil then
    if lacks_quorum(view) then return wake(hold) end
    if is_known(view, hold.id) then return ask(view, hold) end
    wake(hold)
    return close(view, hold)
  end
  if not is_empty(hold) then
    hold.deliverer = core.spawn(function() deliver(view, hold) end)
    hold.delivering = true
    return
  end
  wake(hold, pid)
  if #hold.waiters == 0 then close(view, hold) end
end

--- A child has another process, or none any more. For the coordinator.
function held.shown(view, id)
  local hold = view.held[id]
  if hold then release(view, hold) end
end

--- The process of a child is about to stop, as that moves or rests: nobody
-- sends to it by id from now on. Or it goes on. For the coordinator.
function held.hold(view, id, moving)
  local hold = view.held[id]
  if not hold and not moving then return end
  hold = hold or hold_of(view, id)
  hold.moving = moving
  release(view, hold)
end

local function forget_dead(hold)
  local rest = {}
  for _, waiter in ipairs(hold.waiters) do
    if not waiter.over and core.is_alive(waiter.pid) then
      rest[#rest + 1] = waiter
    end
  end
  hold.waiters = rest
end

--- What became of asking for an entity, if it waits still. For the coordinator.
---@param view table
---@param id any
---@param err any  why it was not started; nil: it was, or will be
function held.asked(view, id, err)
  local hold = view.held[id]
  if not hold then return end
  hold.asking = false
  if err == nil or views.pid(view, id) ~= nil then
    return release(view, hold)
  end
  hold.dropped = hold.dropped + hold.last - hold.first + 1
  hold.first, hold.last, hold.messages = 1, 0, {}
  for _, waiter in ipairs(hold.waiters) do waiter.failed = err end
  wake(hold)
  close(view, hold)
end

--- A coordinator begins: it has asked for nothing yet.
function held.open(view)
  for _, hold in ipairs(view.held_list) do hold.asking = false end
end

--- Looks at all holds. For the coordinator.
---@return boolean more  there are some: look again after a while
function held.look(view)
  local list, rest = view.held_list, {}
  for _, hold in ipairs(list) do
    release(view, hold)
    if not hold.closed then
      forget_dead(hold)
      tell_dropped(view, hold)
      if #hold.waiters == 0 and is_empty(hold) and not hold.moving
        and not is_delivering(hold) then
        close(view, hold)
      else
        rest[#rest + 1] = hold
      end
    end
  end
  view.held_list = rest
  view.held_looked_at = #rest > 0
  return #rest > 0
end

--- The same for its coordinator, again and again while there are some.
function held.look_again(coordinator)
  local view = coordinator.view
  if not held.look(view) then return end
  core.send_after(LOOK_MS, coordinator.me,
    { tag = "look_at_held", key = view.key })
end

--- The supervisor is no more on this node: those who wait see that.
function held.close(view)
  for _, hold in ipairs(view.held_list) do
    if not hold.closed then
      hold.first, hold.last, hold.messages = 1, 0, {}
      wake(hold)
      close(view, hold)
    end
  end
  view.held_list, view.held_looked_at = {}, false
end

-- --- messages ----------------------------------------------------------------

-- The pid that a message may be sent to, or what became of it.
local function keep(view, id, kind, bytes)
  if view.left then return nil, "not_started" end
  local hold, pid = view.held[id], views.pid(view, id)
  if not hold and pid ~= nil then return pid end
  if pid == nil and lacks_quorum(view) then return nil, "no_quorum" end
  if not hold and not is_known(view, id) then return nil, "noproc" end
  hold = hold or hold_of(view, id)
  if hold.last - hold.first + 1 >= view.max_held then
    hold.dropped = hold.dropped + 1
    return true
  end
  hold.messages[hold.last + 1] = { kind = kind, bytes = bytes }
  hold.last = hold.last + 1
  if pid == nil then ask(view, hold) end
  return true
end

--- Keeps a message for the next process of a child, unless it can be sent.
---@param view table
---@param id any
---@param kind string  "send" or "cast"
---@param msg any
---@param what string  the function that the program called
---@return banyan.Pid|true|nil pid  send it there; true: it is kept
---@return string|nil err  "noproc", "no_quorum"
function held.keep(view, id, kind, msg, what)
  if not view.held[id] then
    local pid = views.pid(view, id)
    if pid ~= nil then return pid end
  end
  -- Nobody knows yet on which node that process will be.
  local bytes, problem = core.dist.encode(msg)
  if not bytes then core.misuse(("%s: %s"):format(what, problem)) end
  return core.unbroken(keep, view, id, kind, bytes)
end

-- --- calls -------------------------------------------------------------------

-- The pid to call, or the waiter that `done` is of now, or neither: there is no
-- such child, or the supervisor has left since the caller looked for it: nobody
-- would wake the waiter. `stale`: that pid was called, and is none; or was out
-- of reach, if `far`: then it may be the one to call again after a while.
local function find(view, id, stale, far, done)
  if view.left then return nil end
  local hold, pid = view.held[id], views.pid(view, id)
  local free = not hold
    or (is_empty(hold) and not hold.delivering and not hold.moving)
  if pid ~= nil and pid ~= stale and free then return pid end
  if pid == nil and lacks_quorum(view) then return nil, nil, "no_quorum" end
  if not hold and not is_known(view, id) then return nil end
  hold = hold or hold_of(view, id)
  local waiter = { done = done, pid = core.self(), stale = stale }
  if far then waiter.again_at = core.now() + AGAIN_MS end
  hold.waiters[#hold.waiters + 1] = waiter
  if pid == nil then ask(view, hold, stale ~= nil) end
  return nil, waiter
end

local function await_pid(name, id, stale, far, deadline)
  while true do
    local view = views.of(name)
    if not view then return nil, "not_started" end
    local pid, waiter, problem = core.unbroken(find, view, id, stale, far,
      core.await_begin())
    if pid ~= nil then return pid end
    if problem then return nil, problem end
    if not waiter then return nil, view.left and "not_started" or "noproc" end
    local left = deadline and math.max(deadline - core.now(), 0)
    local _, late = await_wait(waiter.done, left)
    waiter.over = true
    if waiter.failed ~= nil then return nil, waiter.failed end
    if late == "timeout" then return nil, "timeout" end
    if far then stale, far = nil, false end
  end
end

-- Does the caller know that nobody had its last call, which answered that?
local function missed(err)
  return (err == "noproc" or err == "noconnection") and core.call_untaken()
end

-- From another node, a process that had the call and ended for the reason
-- "noproc" looks as if it had not been there.
local function ended_noproc(name, pid)
  local view = views.of(name)
  return view ~= nil and view.ended_noproc[pid] == true
end

local finish

local function attempt(name, id, msg, pid, deadline)
  local left = deadline and math.max(deadline - core.now(), 0)
  return finish(name, id, msg, pid, deadline,
    call_pid(pid, msg, left or "infinity"))
end

-- What the call of `pid` answered, or what that of its next process does.
function finish(name, id, msg, pid, deadline, ...)
  local first, err = ...
  if first ~= nil or not missed(err) then return ... end
  local next_pid, problem = await_pid(name, id, pid,
    err == "noconnection", deadline)
  if next_pid == nil then return nil, problem end
  if ended_noproc(name, pid) then return nil, err end
  return attempt(name, id, msg, next_pid, deadline)
end

--- Calls a child; waits until it runs. Yields.
---@param view table
---@param id any
---@param msg any
---@param ms integer|nil  milliseconds; nil: no limit
---@return any ...
function held.call(view, id, msg, ms)
  local deadline = ms and now() + ms
  if view.held[id] == nil then
    local pid = view.pids[id]
    if pid ~= nil then
      return finish(view.name, id, msg, pid, deadline,
        call_pid(pid, msg, ms or "infinity"))
    end
  end
  local pid, problem = await_pid(view.name, id, nil, false, deadline)
  if pid == nil then return nil, problem end
  return attempt(view.name, id, msg, pid, deadline)
end

return held
