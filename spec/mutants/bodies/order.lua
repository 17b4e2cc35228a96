--- Supervisors of every strategy whose children crash, one after the other:
-- who is stopped and who is started, in what order, and how long it takes.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local CHILDREN, CRASHES = 3, 3
local SHUTDOWN = 3
local SLOW = { 0, 1, 2, 10 } -- ms that a child takes to stop
local STRATEGIES = { "one_for_one", "one_for_all", "rest_for_one" }

local Child = {}

function Child:init(child)
  banyan.trap_exit(true)
  self.child = child
  child.log("+" .. child.id)
end

function Child.handle_call(_, msg)
  if msg == "signal" then banyan.process_info(banyan.self()).parent:exit "x" end
  return true
end

function Child.handle_cast(_, msg)
  if msg == "crash" then error("crash", 0) end
end

function Child:terminate()
  if self.child.slow > 0 then banyan.sleep(self.child.slow) end
  self.child.log("-" .. self.child.id)
end

local function child_spec(child)
  return { id = child.id, shutdown = SHUTDOWN, start = function()
    local pid, err = server.start_link({ __index = Child,
      init = function(self) return Child.init(self, child) end,
      handle_call = Child.handle_call, handle_cast = Child.handle_cast,
      terminate = Child.terminate })
    if child.pid and banyan.is_alive(child.pid) then
      child.log(child.id .. " twice")
    end
    child.pid = pid
    return pid, err
  end }
end

local function stops_in_time(child) return child.slow < SHUTDOWN end

-- What the end of children from..to, in reverse order but for one, looks like;
-- and how long it takes.
local function stops(children, from, to, but)
  local texts, ms = {}, 0
  for i = to, from, -1 do
    local child = children[i]
    if i ~= but then
      ms = ms + math.min(child.slow, SHUTDOWN)
      if stops_in_time(child) then texts[#texts + 1] = "-" .. child.id end
    end
  end
  return texts, ms
end

local function expected(strategy, children, crashed, texts)
  local from = strategy == "one_for_all" and 1 or crashed
  local to = strategy == "one_for_one" and crashed or #children
  local stopped = stops(children, from, to, crashed)
  for _, text in ipairs(stopped) do texts[#texts + 1] = text end
  for i = from, to do texts[#texts + 1] = "+" .. children[i].id end
  return table.concat(texts, " ")
end

local function same(log, wanted, what)
  local text = table.concat(log, " ")
  if text ~= wanted then
    error(("%s: %s, not %s"):format(what, text, wanted), 0)
  end
  for i = #log, 1, -1 do log[i] = nil end
end

-- Ends a child; answers what its own end looks like.
local function crash(child)
  local ref = banyan.monitor(child.pid)
  local texts = {}
  if choose(2) == 2 then
    child.pid:exit "kill"
  else
    server.cast(child.pid, "crash")
    texts[1] = "-" .. child.id
  end
  repeat until banyan.receive().ref == ref
  return texts
end

-- Keeps sending to the children, so that mail waits for them when they end.
local function chatter(children)
  banyan.spawn(function()
    for _ = 1, 10 do
      for _, child in ipairs(children) do
        if child.pid then server.cast(child.pid, "hello") end
      end
      banyan.sleep(1)
    end
  end)
end

return function()
  banyan.trap_exit(true)
  local log, children, specs = {}, {}, {}
  for i = 1, CHILDREN do
    children[i] = { id = tostring(i), slow = SLOW[choose(#SLOW)],
      log = function(text) log[#log + 1] = text end }
    specs[i] = child_spec(children[i])
  end
  local strategy = STRATEGIES[choose(#STRATEGIES)]
  local sup = assert(supervisor.start_link(specs,
    { strategy = strategy, max_restarts = 100 }))
  same(log, "+1 +2 +3", "start")
  if choose(2) == 2 then chatter(children) end
  for _ = 1, choose(CRASHES + 1) - 1 do
    local i = choose(#children)
    if choose(3) == 1 then server.call(children[i].pid, "signal") end
    local texts = crash(children[i])
    assert(supervisor.which_children(sup))
    same(log, expected(strategy, children, i, texts), "restart")
  end
  local since, texts, ms = banyan.now(), stops(children, 1, #children)
  assert(supervisor.stop(sup))
  same(log, table.concat(texts, " "), "stop")
  assert(banyan.now() - since == ms, "a stop takes too long, or not enough")
end
