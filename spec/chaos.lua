--- Five nodes as OS processes under random faults, and a client that counts.
-- `make chaos` runs it.
--
--    CHAOS=600   seconds, 60 by default
--    SEED=1      of the faults, the time of day by default
--    V=1         prints the faults in any case
--
-- What must hold in the end is in spec/support/chaos/verdict.lua. If it does
-- not, the seed, the faults and what each node says of the child are printed,
-- the logs are kept, and the exit status is 1.

local banyan = require "banyan"
local client = require "spec.support.chaos.client"
local child = require "spec.support.chaos.child"
local ds = require "banyan.distributed_supervisor"
local events = require "spec.support.chaos.events"
local faults = require "spec.support.chaos.faults"
local members = require "spec.support.chaos.members"
local proxy = require "spec.support.proxy"
local settings = require "spec.support.chaos.settings"
local uv = require "luv"
local verdict = require "spec.support.chaos.verdict"

local address = require "spec.support.address"

local NODES, START_MS, SHOWN = { "n1", "n2", "n3", "n4", "n5" }, 60000, 5

local seconds = tonumber(os.getenv "CHAOS" or "") or 60
local seed = tonumber(os.getenv "SEED" or "") or os.time()
local dir = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
  .. "/banyan-chaos-XXXXXX"))
assert(io.open(dir .. "/starts", "w")):close()

local function say(...)
  print(select("#", ...) > 1 and string.format(...) or ...)
  io.stdout:flush()
end

local net = proxy.new()
local function site(short)
  return net:add(function(port) return short .. "@127.0.0.1:" .. port end)
end
local names = {}
for i, short in ipairs(NODES) do names[i] = site(short) end
local me, my_port = site "client", address.free_port()
net:serve(me, my_port)
local nodes = members.new(net, dir, names, { me })

-- --- the run -----------------------------------------------------------------

local function wait(what, fn)
  local till = banyan.now() + START_MS
  while not fn() do
    if banyan.now() > till then error("it did not come about: " .. what, 0) end
    banyan.sleep(20)
  end
end

local function start_all()
  for _, name in ipairs(names) do nodes:start(name) end
  assert(ds.start_link { name = settings.supervisor })
  wait("all nodes are members", function()
    return #(ds.nodes(settings.supervisor) or {}) == #names
  end)
  for id = 1, settings.children do
    assert(ds.start_child(settings.supervisor, child.spec(id)))
  end
end

local function show_faults(storm)
  say "\nthe faults:"
  for _, one in ipairs(storm.timeline) do say(one.text) end
end

local function show(problems)
  say("\n%d problems:", #problems)
  for i = 1, math.min(SHOWN, #problems) do
    local one = problems[i]
    say("\n" .. one.text)
    for _, line in ipairs(one.id and verdict.explain(names, one.id) or {}) do
      say("  " .. line)
    end
    for line in io.lines(one.id and dir .. "/starts" or "/dev/null") do
      if line:match "^%a+ (%d+)" == tostring(one.id) then say("  " .. line) end
    end
  end
end

-- What is wrong after a storm, as a list.
local function judge(storm, counting)
  if #storm.problems > 0 then return storm.problems end
  local took, why, id = verdict.settle(names)
  local crashed = nodes:find_crashed()
  if crashed then return { { text = crashed } } end
  if not took then return { { id = id, text = "no rest: " .. why } } end
  counting:stop()
  local problems, starts = verdict.check(dir .. "/starts", nodes.lives,
    counting)
  storm:note("in order %.1f s after the last fault", took / 1000)
  say("in order after %.1f s; in all %d processes of %d children, %d calls "
    .. "answered, %d not", took / 1000, starts, settings.children,
    counting.acknowledged, counting.unanswered)
  return problems
end

local function rage(storm, counting)
  local till = banyan.now() + seconds * 1000
  local problems
  repeat
    counting:start()
    storm:storm(till)
    local calm = banyan.now() < till and faults.calm_ms()
    if calm then
      banyan.sleep(calm)
    else
      problems = judge(storm, counting)
    end
  until banyan.now() > till and problems or problems and #problems > 0
  return problems
end

local function main()
  start_all()
  local storm = faults.new(seed, net, nodes)
  local problems = rage(storm, client.new())
  if #problems > 0 or os.getenv "V" then show_faults(storm) end
  if #problems > 0 then show(problems) end
  return #problems == 0
end

-- --- the end -----------------------------------------------------------------

local function remove_logs()
  local list = {}
  local scan = uv.fs_scandir(dir)
  for name in function() return uv.fs_scandir_next(scan) end do
    list[#list + 1] = name
  end
  for _, name in ipairs(list) do uv.fs_unlink(dir .. "/" .. name) end
  uv.fs_rmdir(dir)
end

say("chaos for %d s, SEED=%d", seconds, seed)
local own_events = assert(io.open(dir .. "/client.log", "w"))
local ok, fine, why = pcall(banyan.run, {
  name = me, listen = "127.0.0.1:" .. my_port, secret = settings.secret,
  hosts = false, connect = names, heartbeat_ms = settings.heartbeat_ms,
  down_after_ms = settings.down_after_ms,
  reconnect_ms = settings.reconnect_ms,
  preempt = false, -- what changes the proxy is not to be held up within
  on_event = function(event) events.write(own_events, event) end,
}, main)
nodes:close()
net:close()
own_events:close()
uv.run()
if ok and fine then
  remove_logs()
else
  say("SEED=%d; the logs are in %s", seed, dir)
  if not ok then say("%s", fine) end
  if fine == nil then say("ended: %s", why) end
end
os.exit(ok and fine == true and 0 or 1, true)
