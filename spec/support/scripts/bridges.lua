--- Peer connections between the nodes of two clusters: processes start and stop
-- them, subscribe, publish, call, serve, advertise, and end, while nodes crash
-- and come back, are paused and cut off, connections break, and children of
-- peers and their supervisors are killed. What must hold:
--
--  * each end that is over is told of once, to on_down and to monitors, and for
--    one reason; in the end what a node lists and counts is connected, and to
--    an end of the other side; nothing has dialled again;
--  * a message reaches each subscriber at most once, and in the order in which
--    it was sent; exactly once while the connection lives and the child that
--    hands it over does;
--  * a call is answered once, rightly or with a reason, and served once;
--  * what is advertised is known as long as the connection works, and is
--    forgotten once its time is over;
--  * in the end subscriptions are there as often as processes have them.

local banyan = require "banyan"
local bridge_ends = require "spec.support.scripts.bridge_ends"
local each_life = require "spec.support.scripts.lives"
local lockstep = require "banyan.lockstep"
local peers = require "banyan.peers"
local run_on = require "spec.support.scripts.on"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local CLUSTERS = { { "a1@a1:1", "a2@a2:1" }, { "b1@b1:1", "b2@b2:1" } }
local KEY = { realm = "script", secret = "of the script" }
local OPERATIONS = 120
local GAP_MS, SHORT_MS, LONG_MS, CALM_MS = 100, 3000, 20000, 60000
local TOPICS = { "a", "a.b", "a.b.c", "b" }
local WANTED = { "a", "a.b", "b", "a*", "a.*", "*" }
local SERVICES = { "s1", "s2", "s3" }
local TTLS = { 400, 3000, 20000 }
local CHILDREN = { "connection", "pubsub", "pubsub", "rpc", "advertisements" }
local LARGE = ("x"):rep(3 * 1024 * 1024)

local run

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

local function on(node, what) return run_on(run.cluster, node, what) end

local function pick(list) return list[choose(#list)] end

local function some_node() return pick(run.cluster.nodes) end

-- A node of the other cluster.
local function other_node(node)
  return pick(node:find "^a" and CLUSTERS[2] or CLUSTERS[1])
end

-- --- calls -------------------------------------------------------------------

local WHY = {
  timeout = true, noproc = true, noconnection = true, aborted = true,
}

local procedures = {}

function procedures.double(args)
  return { 2 * args.n }
end

function procedures.slow(args)
  banyan.sleep(args.ms)
  return { 2 * args.n }
end

function procedures.fail()
  error("as it should", 0)
end

function procedures.never()
  banyan.receive(function() return false end)
end

-- How much the other end has published, and who that is.
function procedures.sync(args, one)
  one.mate = run.ends.all[args.from]
  one.mate.mate = one
  return { #one.published, one.index }
end

-- The end that serves. One that has dialled may not know its pid yet.
local function server_of(node, pid)
  repeat
    local info = peers.info(pid)
    if not info then return nil end
    if info.direction == "in" then return run.ends:of(node, pid) end
    local one = run.ends.by_pid[pid]
    if not one then banyan.sleep(1) end
  until one
  return run.ends.by_pid[pid]
end

local function serve(node, name)
  peers.serve(name, function(args, info)
    local one = server_of(node, info.peer)
    if not one then return end -- nobody hears the answer
    one.workers[#one.workers + 1] = banyan.self()
    run.served[args.id] = (run.served[args.id] or 0) + 1
    if run.served[args.id] > 1 then
      wrong("call %d is served %d times", args.id, run.served[args.id])
    end
    return procedures[name](args, one)
  end)
end

local function code_of(why)
  return type(why) == "table" and why[1] or why
end

local function is_right(procedure, n, answer, why)
  local code = code_of(why)
  if answer then
    return (procedure == "double" or procedure == "slow")
      and answer[1] == 2 * n
  end
  if procedure == "fail" and code == "error" then
    return why[2] == "as it should"
  end
  return procedure == "none" and code == "undef" or WHY[code] == true
end

local function call(one, procedure, timeout)
  run.calls = run.calls + 1
  local id, n = run.calls, choose(100)
  run.open[id] = { one = one, procedure = procedure }
  local args = { id = id, n = n, ms = choose(2000) }
  local answer, why = peers.call(one.pid, procedure, args, timeout)
  run.open[id] = nil
  if not is_right(procedure, n, answer, why) then
    wrong("%s answers %s, %s", procedure, tostring(answer and answer[1]),
      tostring(why))
  elseif banyan.receive(0) then
    wrong("%s is answered again", procedure)
  end
  return answer, why
end

-- --- topics ------------------------------------------------------------------

-- Nobody but the agent of an end publishes there.
local function publish(one, topic, large)
  local n = #one.published + 1
  local it = { topic = topic }
  one.published[n] = it
  it.ok = peers.publish(one.pid, topic,
    { n = n, of = one.index, large = large and LARGE or nil })
end

local function sync(one)
  run.calls = run.calls + 1
  return peers.call(one.pid, "sync", { id = run.calls, from = one.index }, 5000)
end

local function take(one, sub, message)
  if message.tag == "publish" then
    run.ends:got(one, sub, message)
  elseif message.tag == "end" then
    sub.over = true
    if message.quietly then return end
    peers.unsubscribe(one.pid, sub.ref)
    sub.ref = nil
  end
end

local function subscribe(one, topic)
  local sub = { topic = topic, got = {} }
  sub.pid = banyan.self()
  sub.ref = peers.subscribe(one.pid, topic)
  if not sub.ref then return end
  one.subs[#one.subs + 1] = sub
  local answer = sync(one)
  if answer then sub.confirmed = answer[1] end
  repeat take(one, sub, banyan.receive()) until sub.over
end

-- --- the agent of an end -----------------------------------------------------

local orders = {}

function orders.publish(one, order)
  for _ = 1, order.times do
    publish(one, order.topic or pick(TOPICS), order.large)
  end
end

function orders.call(one, order)
  banyan.spawn(function() call(one, order.procedure, order.timeout) end)
end

function orders.subscribe(one, order)
  banyan.spawn(function() subscribe(one, order.topic) end)
end

function orders.stop(one)
  peers.stop_peer(one.pid)
end

local function watch(one)
  local ref = banyan.monitor(one.pid)
  while true do
    local message = banyan.receive()
    if message.ref ~= ref then wrong "a message for nobody" end
    one.dead, one.dead_of = one.dead + 1, message.reason
  end
end

local function attend(one)
  banyan.spawn(function() watch(one) end)
  one.agent = banyan.self()
  while true do
    local order = banyan.receive()
    orders[order.what](one, order)
  end
end

-- An end that was accepted has somebody as soon as anything is known of it.
local function attend_accepted(node, pid)
  local one = run.ends:of(node, pid)
  if not one.agent then
    one.agent = banyan.spawn(function() attend(one) end)
  end
  return one
end

-- --- nodes -------------------------------------------------------------------

local function accept(node)
  peers.accept {
    realm = KEY.realm, secret = KEY.secret,
    on_up = function(pid) run.ends:up(attend_accepted(node, pid)) end,
    on_down = function(pid, reason)
      run.ends:down(attend_accepted(node, pid), reason)
    end,
  }
end

-- The supervisor of peers is started again, as by a supervisor.
local function keep_peers(node)
  banyan.trap_exit(true)
  for name in pairs(procedures) do serve(node, name) end
  accept(node)
  while true do
    local pid = peers.start_link()
    banyan.receive(function(m) return m.tag == "EXIT" and m.from == pid end,
      pid and math.huge or 0)
    banyan.sleep(choose(3) - 1)
  end
end

local function open(node)
  run.ends.lives[node] = (run.ends.lives[node] or 0) + 1
  run.advertised[node] = {}
  run.cluster:spawn(node, function() keep_peers(node) end)
end

-- Starts a peer; the process that does stays as the agent of that end.
local function dial(node, target)
  run.starts = run.starts + 1
  local one = run.ends:add(node, run.starts, target)
  run.cluster:spawn(node, function()
    local pid = peers.start_peer("banyan://" .. target:match "@(.*)", {
      realm = KEY.realm, secret = KEY.secret, timeout_ms = choose(10) * 1000,
      on_up = function() run.ends:up(one) end,
      on_down = function(_, reason) run.ends:down(one, reason) end,
    })
    if not pid then return end
    run.ends:name(one, pid)
    attend(one)
  end)
end

-- --- services ----------------------------------------------------------------

local function advertise(node, service)
  run.values = run.values + 1
  local value = run.values
  on(node, function()
    if choose(4) == 1 then
      peers.withdraw(service)
      run.advertised[node][service] = nil
      return true
    end
    local ttl_ms = pick(TTLS)
    peers.advertise(service, value, { ttl_ms = ttl_ms })
    run.advertised[node][service] = { value = value, ttl_ms = ttl_ms }
    return true
  end)
end

-- What a node knows of what others advertise, that says nothing any more.
local function check_forgotten(node, since, now)
  on(node, function()
    for _, pid in ipairs(peers.list_peers()) do
      local info = peers.info(pid)
      local from = info and run.by_address[info.address]
      for service, it in pairs(from and run.advertised[from] or {}) do
        local values = info.state == "connected"
          and peers.discover(pid, service)
        if it.ttl_ms < now - since and values and values[1] == it.value then
          wrong("%s still knows %s of %s", node, service, from)
        end
      end
    end
    return true
  end)
end

-- --- operations --------------------------------------------------------------

local function is_there(one)
  return one.agent and one.downs == 0 and not run.ends:is_gone(one)
end

local function some_end()
  local list = {}
  for _, one in ipairs(run.ends.all) do
    if is_there(one) then list[#list + 1] = one end
  end
  return #list > 0 and pick(list) or nil
end

local function order(one, what, more)
  more.what = what
  banyan.send(one.agent, more)
end

local function end_subscription(one)
  local list = {}
  for _, sub in ipairs(one.subs) do
    if not sub.over then list[#list + 1] = sub end
  end
  if #list == 0 then return end
  banyan.send(pick(list).pid, { tag = "end", quietly = choose(2) == 1 })
end

-- Kills a child of a peer, while something comes for it.
local function kill_child(one)
  local id = pick(CHILDREN)
  one.lossy = one.lossy or id == "pubsub"
  if one.mate and is_there(one.mate) then
    order(one.mate, "publish", { times = 10 })
    order(one.mate, "call", { procedure = "double", timeout = 5000 })
  end
  run.cluster:spawn(one.node, function()
    for _, row in ipairs(supervisor.which_children(one.pid) or {}) do
      if row.id == id and row.pid then row.pid:exit "kill" end
    end
  end)
end

local at_an_end = {
  function(one)
    order(one, "publish", { times = choose(5) })
  end,
  function(one) order(one, "subscribe", { topic = pick(WANTED) }) end,
  function(one)
    order(one, "call", {
      procedure = pick { "double", "slow", "fail", "never", "none" },
      timeout = pick { 5000, 100, 1 },
    })
  end,
  end_subscription,
  kill_child,
  function(one) order(one, "stop", {}) end,
}

-- What is rare has few of these.
local WEIGHTS = { 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5, 5, 6 }

local faults = {}

function faults.crash()
  local node = some_node()
  run.cluster:crash(node)
  run.ends.lives[node] = run.ends.lives[node] + 1
  banyan.sleep(choose(LONG_MS))
  run.cluster:restart(node)
end

function faults.pause()
  local node = some_node()
  run.cluster:pause(node)
  banyan.sleep(choose(choose(2) == 1 and SHORT_MS or LONG_MS))
  run.cluster:resume(node)
end

function faults.isolate()
  local node = some_node()
  local since = banyan.now()
  run.cluster:isolate(node)
  banyan.sleep(choose(choose(2) == 1 and SHORT_MS or LONG_MS))
  check_forgotten(node, since, banyan.now())
  run.cluster:heal()
end

function faults.cut()
  local node = some_node()
  run.cluster:cut(node, other_node(node))
end

function faults.half_open()
  local node = some_node()
  run.cluster:half_open(node, other_node(node), choose(2) == 1)
end

function faults.latency()
  local node = some_node()
  run.cluster:set_link(node, other_node(node),
    { latency = choose(300), jitter = choose(300) })
end

function faults.supervisor()
  on(some_node(), function()
    local pid = banyan.whereis "banyan.peers"
    if pid then pid:exit(choose(2) == 1 and "kill" or "shutdown") end
    return true
  end)
end

-- More than may wait for a child, or be unsent.
function faults.flood()
  for _, one in ipairs(run.ends.all) do
    if is_there(one) then
      order(one, "publish", { times = 4, large = true })
    end
  end
end

local FAULTS = {
  "crash", "pause", "isolate", "cut", "half_open", "latency", "supervisor",
}

local function operate()
  local what = choose(20)
  if what == 1 then
    faults[run.floods and choose(4) == 1 and "flood" or pick(FAULTS)]()
  elseif what <= 4 then
    local node = some_node()
    dial(node, other_node(node))
  elseif what <= 6 then
    advertise(some_node(), pick(SERVICES))
  else
    local one = some_end()
    if one then at_an_end[pick(WEIGHTS)](one) end
  end
end

-- --- in the end --------------------------------------------------------------

local function check_services(one, other)
  local info = peers.info(one.pid)
  local count = 0
  for _, service in ipairs(SERVICES) do
    local it = run.advertised[other.node][service]
    local values = peers.discover(one.pid, service)
    if not values or values[1] ~= (it and it.value) then
      wrong("%s knows %s as %s, not %s", bridge_ends.show(one), service,
        tostring(values and values[1]), tostring(it and it.value))
    end
    count = count + (it and 1 or 0)
  end
  if info and info.services ~= count then
    wrong("%s counts %d services, not %d", bridge_ends.show(one), info.services,
      count)
  end
end

local function check_counts(one, other)
  local mine, theirs = peers.info(one.pid), {}
  local subs, busy = 0, 0
  for _, sub in ipairs(one.subs) do
    if not sub.over then subs = subs + 1 end
  end
  for _, sub in ipairs(other.subs) do
    if not sub.over then theirs[sub.topic] = true end
  end
  for _, pid in ipairs(one.workers) do
    if banyan.is_alive(pid) then busy = busy + 1 end
  end
  local topics = 0
  for _ in pairs(theirs) do topics = topics + 1 end
  local what = bridge_ends.show(one)
  if not mine then return wrong("%s is gone", what) end
  if mine.subscriptions ~= subs then
    wrong("%s counts %d subscriptions, not %d", what, mine.subscriptions, subs)
  elseif mine.topics ~= topics then
    wrong("%s counts %d topics, not %d", what, mine.topics, topics)
  elseif mine.calls ~= 0 then
    wrong("%s has %d calls that wait", what, mine.calls)
  elseif mine.serving ~= busy then
    wrong("%s serves %d calls, not %d", what, mine.serving, busy)
  end
end

local function check_messages(one, other, last)
  for _, sub in ipairs(one.subs) do
    if not sub.over then
      if sub.confirmed and not one.lossy then
        run.ends:check_complete(one, sub, other, sub.confirmed)
      end
      run.ends:check_complete(one, sub, other, last)
    end
  end
end

local function check_pair(one, other)
  on(one.node, function()
    check_counts(one, other)
    for _ = 1, 5 do
      check_services(one, other)
      banyan.sleep(137)
    end
    if not call(one, "double", 5000) then
      wrong("%s: a call is not answered", bridge_ends.show(one))
    end
    return true
  end)
  local last = #other.published
  for _, topic in ipairs(TOPICS) do
    order(other, "publish", { topic = topic, times = 1 })
  end
  banyan.sleep(500)
  if #other.published ~= last + #TOPICS then
    wrong("%s does not publish", bridge_ends.show(other))
  end
  check_messages(one, other, last)
end

-- Who is at the other end of one that has dialled.
local function mate_of(one)
  local index = on(one.node, function()
    local answer, why = sync(one)
    if not answer then wrong("no sync: %s", tostring(why)) end
    return answer and answer[2]
  end)
  return index and run.ends.all[index]
end

local function check_all()
  local lists = {}
  for _, node in ipairs(run.cluster.nodes) do
    lists[node] = on(node, function() return run.ends:list(node) end)
  end
  for _, one in ipairs(run.ends:check(lists)) do
    local other = one.number and mate_of(one)
    if other then
      if other.node ~= one.target or other.number then
        wrong("%s is connected to %s", bridge_ends.show(one),
          bridge_ends.show(other))
      end
      check_pair(one, other)
      check_pair(other, one)
    end
  end
end

return function()
  run = {
    starts = 0, calls = 0, values = 0, served = {}, open = {}, advertised = {},
    by_address = {}, ends = bridge_ends.new(wrong),
  }
  run.cluster = lockstep.cluster { nodes = CLUSTERS }
  run.floods = choose(10) == 10
  local this = run
  lockstep.invariant(function() return not this.problem, this.problem end,
    "bridges")
  for _, node in ipairs(run.cluster.nodes) do
    run.by_address[node:match "@(.*)"] = node
  end
  each_life(run.cluster, open)
  banyan.sleep(1000)
  for _ = 1, OPERATIONS do
    banyan.sleep(choose(GAP_MS) - 1)
    operate()
  end
  run.cluster:heal()
  banyan.sleep(CALM_MS)
  check_all()
  for id, it in pairs(run.open) do
    if not run.ends:is_gone(it.one) then
      wrong("call %d of %s is not answered", id, it.procedure)
    end
  end
end
