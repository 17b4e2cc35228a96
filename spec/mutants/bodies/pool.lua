--- A dynamic supervisor of which several processes want more children than it
-- may have. It is stopped in time, or killed; no child outlives it.

local banyan = require "banyan"
local dynamic = require "banyan.dynamic_supervisor"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local MOST, CLIENTS, STARTS = 2, 3, 2
local SHUTDOWNS = { 2, 5, 50 }
local SLOW = { 0, 1, 10 } -- ms that a child takes to stop

local function child(kid)
  banyan.trap_exit(true)
  banyan.send(kid.sup, "ready")
  repeat until banyan.receive().tag == "EXIT"
  if kid.slow > 0 then banyan.sleep(kid.slow) end
end

local function start(state, kid)
  kid.pid = banyan.spawn_link(function() child(kid) end)
  state.kids[#state.kids + 1] = kid
  banyan.spawn(function()
    local ref = banyan.monitor(kid.pid)
    repeat until banyan.receive().ref == ref
    kid.ended = banyan.now()
  end)
  banyan.receive(function(msg) return msg == "ready" end)
  return kid.pid
end

local function living(state)
  local list = {}
  for _, kid in ipairs(state.kids) do
    if banyan.is_alive(kid.pid) then list[#list + 1] = kid end
  end
  return list
end

local function client(state, sup)
  for _ = 1, STARTS do
    local kid = { sup = sup, slow = SLOW[choose(#SLOW)],
      shutdown = SHUTDOWNS[choose(#SHUTDOWNS)] }
    local pid, err = dynamic.start_child(sup, { id = "kid",
      shutdown = kid.shutdown, restart = "temporary",
      start = function() return start(state, kid) end })
    if not pid and err ~= "max_children" then return end
    if pid and choose(2) == 2 then dynamic.terminate_child(sup, pid) end
  end
end

local function wait_for(refs)
  while next(refs) do
    local msg = banyan.receive()
    if msg.tag == "DOWN" then refs[msg.ref] = nil end
  end
end

-- They stop side by side, each in its own time.
local function stop(state, sup)
  local since, kids = banyan.now(), living(state)
  assert(dynamic.stop(sup))
  banyan.sleep(1)
  for _, kid in ipairs(kids) do
    local ms = math.min(kid.slow, kid.shutdown)
    assert(kid.ended - since == ms, "a stop takes too long, or not enough")
  end
end

local function kill(sup)
  local ref = banyan.monitor(sup)
  sup:exit "kill"
  wait_for { [ref] = true }
end

return function()
  banyan.trap_exit(true)
  local state, refs = { kids = {} }, {}
  lockstep.invariant(function()
    return #living(state) <= MOST, "there are more children than may be"
  end)
  local sup = assert(dynamic.start_link { max_children = MOST })
  for _ = 1, CLIENTS do
    local _, ref = banyan.spawn_monitor(function() client(state, sup) end)
    refs[ref] = true
  end
  if choose(2) == 2 then
    wait_for(refs)
    stop(state, sup)
  else
    banyan.sleep(choose(6) - 1)
    kill(sup)
    banyan.sleep(0)
  end
  assert(#living(state) == 0, "a child outlives its supervisor")
end
