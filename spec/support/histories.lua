--- Histories to test checkers with.
--
--    histories.random(kind, seed, opts)   of clients of a real object, which
--                                         does one operation at a time
--    histories.spoil(h, kind, seed)       changes some of the results
--    histories.explained(h, kind, consistency)   is there an order? It tries
--                                         all of them, on the real object
--    histories.of(lines)                  a small history from a text
--
-- The objects are programs of their own and not models of lockstep.

local history = require "banyan.lockstep.history"

local unpack = table.unpack or unpack

local histories = {}

-- --- objects ---------------------------------------------------------------

local function register()
  local v = 0
  return {
    read = function() return v end,
    write = function(new) v = new end,
    cas = function(old, new)
      if v ~= old then return false end
      v = new
      return true
    end,
  }
end

local function set()
  local has = {}
  return {
    add = function(x)
      local new = not has[x]
      has[x] = true
      return new
    end,
    remove = function(x)
      local there = has[x] == true
      has[x] = nil
      return there
    end,
    contains = function(x) return has[x] == true end,
    list = function()
      local list = {}
      for x in pairs(has) do list[#list + 1] = x end
      table.sort(list)
      return list
    end,
  }
end

local function queue()
  local items = {}
  return {
    enqueue = function(x) items[#items + 1] = x end,
    dequeue = function() return table.remove(items, 1) end,
  }
end

local function counter()
  local n = 0
  return {
    increment = function(by)
      n = n + (by or 1)
      return n
    end,
    get = function() return n end,
  }
end

-- Two registers, by name.
local function store()
  local registers = { x = register(), y = register() }
  local object = {}
  for _, name in ipairs { "read", "write", "cas" } do
    object[name] = function(key, ...) return registers[key][name](...) end
  end
  return object
end

local objects = { register = register, set = set, queue = queue,
  counter = counter, store = store }

-- --- dice ------------------------------------------------------------------

--- A generator of integers from 1 to n, the same on each Lua.
function histories.dice(seed)
  local x = seed * 7919 % 2147483646 + 1
  for _ = 1, 3 do x = x * 16807 % 2147483647 end
  return function(n)
    x = x * 16807 % 2147483647
    return math.floor(x / 2147483647 * n) + 1
  end
end

local function one_of(dice, list) return list[dice(#list)] end

local function some_register(dice, values)
  local name = one_of(dice, { "read", "read", "write", "write", "cas" })
  if name == "read" then return name, {} end
  if name == "write" then return name, { dice(values) } end
  return name, { dice(values), dice(values) }
end

local operations = {
  register = some_register,
  set = function(dice, values)
    local name = one_of(dice, { "add", "add", "remove", "contains", "list" })
    return name, name ~= "list" and { dice(values) } or {}
  end,
  queue = function(dice, values)
    if dice(2) == 1 then return "dequeue", {} end
    return "enqueue", { dice(values) }
  end,
  counter = function(dice)
    if dice(3) == 1 then return "get", {} end
    return "increment", { dice(2) }
  end,
  store = function(dice, values)
    local name, args = some_register(dice, values)
    table.insert(args, 1, one_of(dice, { "x", "y" }))
    return name, args
  end,
}

-- --- real ones -------------------------------------------------------------

local function apply(object, op)
  return object[op.name](unpack(op.args, 1, op.args.n))
end

-- One client's next step: its operation begins, takes effect, or ends.
local function move(run, client)
  local dice, h, job = run.dice, run.history, run.jobs[client]
  if not job then
    if run.left == 0 then return end
    run.left = run.left - 1
    local name, args = operations[run.kind](dice, run.values)
    local fate = dice(100)
    run.jobs[client] = {
      op = h:invoke(client, name, unpack(args)),
      fate = fate <= run.unknown and "unknown"
        or fate <= run.unknown + run.fail and "fail" or "ok",
    }
  elseif job.fate == "ok" and not job.done then
    job.done, job.answer = true, apply(run.object, job.op)
  else
    run.jobs[client] = nil
    if job.fate == "ok" then return h:ok(job.op, job.answer) end
    h[job.fate](h, job.op)
    if job.fate == "unknown" then run.late[#run.late + 1] = job.op end
  end
end

-- An operation of unknown outcome may still take effect.
local function be_late(run)
  local op = #run.late > 0 and run.dice(6) == 1
    and table.remove(run.late, run.dice(#run.late))
  if op and run.dice(2) == 1 then apply(run.object, op) end
end

local function all_idle(run)
  for client = 1, run.clients do
    if run.jobs[client] then return false end
  end
  return true
end

--- A history of clients of an object that does one operation at a time.
---@param kind string  "register", "set", "queue", "counter" or "store"
---@param opts table  `ops`, `clients`, `values` (how many different ones);
---  `unknown`, `fail`: percent of the operations
function histories.random(kind, seed, opts)
  local run = {
    kind = kind, dice = histories.dice(seed), history = history.new(),
    object = objects[kind](), jobs = {}, late = {}, left = opts.ops,
    clients = opts.clients or 3, values = opts.values or 3,
    unknown = opts.unknown or 0, fail = opts.fail or 0,
  }
  while run.left > 0 or not all_idle(run) do
    move(run, run.dice(run.clients))
    be_late(run)
  end
  return run.history
end

--- The events of a history up to a moment, as a history.
function histories.beginning(h, tick)
  local events, copies, new = {}, {}, history.new()
  for _, op in ipairs(h:operations()) do
    events[op.invoked] = op
    if op.returned then events[op.returned] = op end
  end
  for at = 1, tick do
    local op = events[at]
    if op and op.invoked == at then
      copies[op] = new:invoke(op.client, op.name,
        unpack(op.args, 1, op.args.n))
    elseif op and not copies[op].outcome then
      new[op.outcome](new, copies[op],
        unpack(op.result or {}, 1, (op.result or { n = 0 }).n))
    end
  end
  return new
end

-- --- spoilt ones -----------------------------------------------------------

local function other_answer(dice, op, values)
  local old = op.result[1]
  if type(old) == "boolean" then return not old end
  if type(old) == "table" then
    local list = {}
    for x = 1, values do
      if dice(2) == 1 then list[#list + 1] = x end
    end
    return list
  end
  if op.name == "dequeue" and dice(4) == 1 then return nil end
  return dice(values + 1) - (op.name == "dequeue" and 0 or 1)
end

--- Changes `count` results of a history, of operations that return a value.
function histories.spoil(h, seed, count, values)
  local dice = histories.dice(seed)
  local telling = {}
  for _, op in ipairs(h:operations()) do
    local silent = op.name == "write" or op.name == "enqueue"
    if op.outcome == "ok" and not silent then telling[#telling + 1] = op end
  end
  for _ = 1, #telling > 0 and count or 0 do
    local op = one_of(dice, telling)
    op.result = { n = 1, other_answer(dice, op, values or 3) }
  end
  return h
end

-- --- the slow and sure way -------------------------------------------------

local comes_before = {
  linearizable = function(a, b)
    return a.outcome == "ok" and a.returned < b.invoked
  end,
  sequential = function(a, b)
    return a.outcome == "ok" and a.client == b.client and a.index < b.index
  end,
}

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  return table.concat(a, ",") == table.concat(b, ",")
end

-- Does the object give the same results when it does all operations again?
local function replays(kind, order)
  local object = objects[kind]()
  for _, op in ipairs(order) do
    local answer = apply(object, op)
    if op.outcome == "ok" and not same(answer, op.result[1]) then
      return false
    end
  end
  return true
end

local function may_be_next(op, ops, used, before)
  if used[op] then return false end
  for _, other in ipairs(ops) do
    if not used[other] and before(other, op) then return false end
  end
  return true
end

local function extend(kind, ops, order, used, before)
  if not replays(kind, order) then return false end
  local over = true
  for _, op in ipairs(ops) do
    if op.outcome == "ok" and not used[op] then over = false end
  end
  if over then return true end
  for _, op in ipairs(ops) do
    if may_be_next(op, ops, used, before) then
      used[op], order[#order + 1] = true, op
      local found = extend(kind, ops, order, used, before)
      used[op], order[#order] = nil, nil
      if found then return true end
    end
  end
  return false
end

--- Is there an order that explains the history? It tries all orders.
function histories.explained(h, kind, consistency)
  local ops = {}
  for _, op in ipairs(h:operations()) do
    if op.outcome ~= "fail" then ops[#ops + 1] = op end
  end
  return extend(kind, ops, {}, {}, comes_before[consistency])
end

--- Is this an order of all operations that happened, perhaps with some that may
-- have happened?
function histories.is_order(order, ops, kind, consistency)
  local before, seen = comes_before[consistency], {}
  for i, op in ipairs(order) do
    if seen[op] or op.outcome == "fail" then return false end
    seen[op] = true
    for j = 1, i - 1 do
      if before(op, order[j]) then return false end
    end
  end
  for _, op in ipairs(ops) do
    if op.outcome == "ok" and not seen[op] then return false end
  end
  return replays(kind, order)
end

--- The model of a kind.
function histories.model(kind)
  if kind == "store" then
    return history.model.keyed(history.model.register(0))
  end
  return history.model[kind](kind == "register" and 0 or nil)
end

histories.kinds = { "register", "set", "queue", "counter", "store" }

-- --- small ones ------------------------------------------------------------

local function argument(text)
  if text == "nil" then return nil end
  if text == "true" or text == "false" then return text == "true" end
  return tonumber(text) or text
end

local function arguments(text)
  local list = { n = 0 }
  for word in text:gmatch "[^%s,]+" do
    list.n = list.n + 1
    list[list.n] = argument(word)
  end
  return list
end

--- A history as text, one event per line:
--
--    a write 3        client a begins write(3)
--    a ok             it is done; `a ok 3`: with the result 3
--    a fail           it did not happen; `a unknown`: it may have
function histories.of(text)
  local h, open = history.new(), {}
  for line in text:gmatch "[^\n;]+" do
    local client, what, rest = line:match "^%s*(%S+)%s+(%S+)%s*(.-)%s*$"
    if client then
      local list = arguments(rest)
      local values = { unpack(list, 1, list.n) }
      if what == "ok" or what == "fail" or what == "unknown" then
        h[what](h, open[client], unpack(values, 1, list.n))
      else
        open[client] = h:invoke(client, what,
          unpack(values, 1, list.n))
      end
    end
  end
  return h
end

return histories
