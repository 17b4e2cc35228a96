--- Histories: what clients did to an object and what it answered, and whether
-- that was consistent.
--
-- Processes that use an object at the same time each record what they do: the
-- moment an operation begins, the moment its answer is there, and the answer.
-- A checker then looks for an order of the operations that explains all
-- answers. A lost update, a stale read or a value that appears from nowhere
-- has none.
--
--    local history = require "banyan.lockstep.history"
--    local h = history.new()
--
--    local writing = h:invoke("alice", "write", 3)
--    local reading = h:invoke("bob", "read")      -- both are under way
--    h:ok(writing)
--    h:ok(reading, 3)
--
--    assert(h:check(history.model.register(0)))
--
-- More often `call` does the three steps around a call to a server:
--
--    h:call(banyan.self(), "write", { 3 }, function(n)
--      return server.call(pid, { "write", n })
--    end)
--
-- An operation ends in one of three ways. ok: it happened, this is what it
-- answered. fail: it certainly did not happen. unknown: it may have happened,
-- may yet happen, or never: that is what a time-out or a lost connection
-- means, and what is true of an operation that has not ended. A checker
-- allows for all of these.
--
-- Before and after are the order in which `invoke` and `ok` were called; no
-- clock is read. A history belongs to one Lua state.

local Explanation = require "banyan.lockstep.explanation"
local linearizable = require "banyan.lockstep.linearizable"
local model = require "banyan.lockstep.model"
local options = require "banyan.options"
local sequential = require "banyan.lockstep.sequential"
local value = require "banyan.lockstep.value"

local unpack = table.unpack or unpack

local MAX_STEPS = 1000000
local LEAST_STEPS = 10000 -- that a part of a history may take to check

local history = {}

--- The models that there are, see banyan.lockstep.model.
history.model = model

--- A history.
---@class banyan.History
local History = {}
History.__index = History

--- A recorded operation. To be read, not to be changed. As text it is
-- `#3 bob: read() -> 3`.
---@class banyan.Operation
---@field index integer  it is the index-th of its history
---@field client any
---@field name string
---@field args table  a list with its length in `n`, copied
---@field outcome? "ok"|"fail"|"unknown"  nil while it is under way
---@field result? table  once it is ok, a list with its length in `n`, copied
---@field invoked integer  when, counted in events of the history
---@field returned? integer  when, counted in events of the history
local Operation = {}
Operation.__index = Operation

-- --- operations ------------------------------------------------------------

local endings = { fail = " failed", unknown = " -> ?" }

function Operation:__tostring()
  local ending = endings[self.outcome] or " -> ?"
  if self.outcome == "ok" then
    ending = self.result.n == 0 and "" or " -> " .. value.list(self.result)
  end
  return ("#%d %s: %s(%s)%s"):format(self.index, tostring(self.client),
    tostring(self.name), value.list(self.args), ending)
end

local function tick(self)
  self.ticks = self.ticks + 1
  return self.ticks
end

local function finish(self, what, op, outcome)
  if getmetatable(op) ~= Operation or self.ops[op.index] ~= op then
    error(("history:%s: op must be an operation of this history, got %s")
      :format(what, getmetatable(op) == Operation and "one of another"
        or value.show(op)), 3)
  end
  if op.outcome then
    error(("history:%s: this operation has its outcome (%s): %s")
      :format(what, op.outcome, tostring(op)), 3)
  end
  op.outcome, op.returned = outcome, tick(self)
  self.open[op.client] = nil
end

-- --- recording -------------------------------------------------------------

local function first_of(err) return type(err) == "table" and err[1] or err end

local function certainly(certain)
  if type(certain) == "function" then return certain end
  local codes = {}
  for _, code in ipairs(certain) do codes[code] = true end
  return function(err) return codes[first_of(err)] == true end
end

local schema = {
  certain = {
    "a list of strings or a function",
    function(v)
      if type(v) == "function" then return true end
      if type(v) ~= "table" then return false end
      for _, code in pairs(v) do
        if type(code) ~= "string" then return false end
      end
      return true
    end,
  },
}

--- The options of history.new.
---@class banyan.HistoryOptions
--- The errors after which an operation that `call` made did certainly not
--- happen: a list of codes, or a function that answers true for such an error.
--- Default {"noproc", "calling_self"}: a call that found no server. All other
--- errors leave it open whether it happened.
---@field certain? string[]|fun(err: any): boolean

--- Makes an empty history. Does not yield.
---@param opts? banyan.HistoryOptions
---@return banyan.History h
function history.new(opts)
  opts = options.check("history.new", opts, schema)
  return setmetatable({
    ops = {}, open = {}, ticks = 0,
    certain = certainly(opts.certain or { "noproc", "calling_self" }),
  }, History)
end

local function invoke(self, client, name, args)
  local before = self.open[client]
  if before then before.outcome = "unknown" end
  local op = setmetatable({
    index = #self.ops + 1, client = client, name = name, args = args,
    invoked = tick(self),
  }, Operation)
  self.ops[op.index], self.open[client] = op, op
  return op
end

local function check_names(what, client, name)
  if client == nil or client ~= client then
    error(("history:%s: client must not be %s"):format(what, tostring(client)),
      3)
  end
  if type(name) ~= "string" then
    error(("history:%s: name must be a string, got %s"):format(what,
      value.show(name)), 3)
  end
end

--- Records that a client begins an operation. Does not yield.
--
-- A client does one thing after the other. Where it begins another operation
-- before the one under way has ended, it has given that one up: its outcome
-- is unknown from then on. What does things at the same time is two clients.
---@param client any  who does it: a pid, a name; not nil
---@param name string  what the model calls the operation
---@param ... any  its arguments, copied
---@return banyan.Operation op
function History:invoke(client, name, ...)
  check_names("invoke", client, name)
  return invoke(self, client, name, value.pack(...))
end

--- Records that an operation happened, and what it answered. Does not yield.
---@param op banyan.Operation
---@param ... any  what it answered, copied
---@return true
function History:ok(op, ...)
  local result = value.pack(...)
  finish(self, "ok", op, "ok")
  op.result = result
  return true
end

--- Records that an operation certainly did not happen and will not. Does
-- not yield.
---@param op banyan.Operation
---@return true
function History:fail(op)
  finish(self, "fail", op, "fail")
  return true
end

--- Records that nobody knows whether an operation happened, or will. Its
-- client may go on. Does not yield.
---@param op banyan.Operation
---@return true
function History:unknown(op)
  finish(self, "unknown", op, "unknown")
  return true
end

local function conclude(self, op, ...)
  local first, err = ...
  if first ~= nil or err == nil then
    self:ok(op, ...)
  elseif self.certain(err) then
    self:fail(op)
  else
    self:unknown(op)
  end
  return ...
end

--- Records an operation around a function that does it.
--
-- What the function returns is the answer, but for `nil, err` with an err
-- that is not nil: then the operation failed, or its outcome is unknown, as
-- the option of history.new says. The outcome is also unknown where the
-- function raises an error or its process is killed. Yields where the function
-- does.
---@param client any  who does it, not nil
---@param name string  what the model calls the operation
---@param args table  the list of its arguments (with nil among them: its
---  length in `n`)
---@param fn function  is called with these arguments
---@return any ...  what fn returned
function History:call(client, name, args, fn)
  check_names("call", client, name)
  if type(args) ~= "table" then
    error("history:call: args must be a list, got " .. value.show(args), 2)
  end
  if type(fn) ~= "function" then
    error("history:call: fn must be a function, got " .. value.show(fn), 2)
  end
  local n = args.n or #args
  local op = invoke(self, client, name, value.pack(unpack(args, 1, n)))
  return conclude(self, op, fn(unpack(args, 1, n)))
end

--- Lists what was recorded, in the order in which it began. Does not yield.
---@return banyan.Operation[] ops  a new list
function History:operations()
  local list = {}
  for i, op in ipairs(self.ops) do list[i] = op end
  return list
end

function History:__tostring()
  local lines = {}
  for i, op in ipairs(self.ops) do lines[i] = tostring(op) end
  return table.concat(lines, "\n")
end

-- --- checking --------------------------------------------------------------

local checkers = { linearizable = linearizable, sequential = sequential }

-- What happened on each key, as a list of {key=, ops=}; one without a key
-- where not every operation has one. Only linearizability may be looked at
-- key by key.
local function parts_of(ops, m, consistency)
  local whole = { { ops = ops } }
  if not m.key or consistency ~= "linearizable" then return whole end
  local parts, of_key = {}, {}
  for _, op in ipairs(ops) do
    local key = m.key(op)
    if key == nil then return whole end
    local name = value.encode(key)
    if not of_key[name] then
      of_key[name] = { key = key, ops = {} }
      parts[#parts + 1] = of_key[name]
    end
    table.insert(of_key[name].ops, op)
  end
  return parts
end

local function returns_of(ops)
  local list = {}
  for _, op in ipairs(ops) do
    if op.outcome == "ok" then list[#list + 1] = op.returned end
  end
  table.sort(list)
  return list
end

-- The first return after which there is no order any more, and what was found
-- up to it. (Where real time does not count, what comes later may explain what
-- came before, and no beginning fails for itself.)
--
-- A beginning that is much harder to check than the whole counts as one that
-- does not fail: the explanation must not take longer than the check.
local function shortest(ops, m, verdict, limit)
  limit = math.min(limit, 2 * verdict.steps + LEAST_STEPS)
  local returns = returns_of(ops)
  local low, high, found = 1, #returns, verdict
  while low < high do
    local middle = math.floor((low + high) / 2)
    local shorter = linearizable.check(ops, m, limit, returns[middle])
    if shorter.ok == false then
      high, found = middle, shorter
    else
      low = middle + 1
    end
  end
  return returns[high], found
end

local function begun_until(ops, cut)
  local list = {}
  for _, op in ipairs(ops) do
    if op.invoked <= cut and op.outcome ~= "fail" then list[#list + 1] = op end
  end
  return list
end

local function explain(part, m, consistency, verdict, limit)
  local cut, found, steps = math.huge, verdict, verdict.steps
  if verdict.ok == false and consistency == "linearizable" then
    cut, found = shortest(part.ops, m, verdict, limit)
  end
  return setmetatable({
    consistency = consistency, model = m.name or "without a name",
    key = part.key, undecided = verdict.ok == nil, steps = steps,
    prefix = begun_until(part.ops, cut), until_tick = cut,
    total = #begun_until(part.ops, math.huge),
    longest = found.order, stuck = found.stuck, state = found.state,
    state_text = (m.show or value.show)(found.state),
  }, Explanation)
end

local check_schema = {
  consistency = {
    '"linearizable" or "sequential"',
    function(v) return checkers[v] ~= nil end,
  },
  max_steps = "positive",
}

--- The options of History:check.
---@class banyan.HistoryCheckOptions
---@field consistency? "linearizable"|"sequential"  "linearizable" by default
--- How many steps a search may take (for each key), default 1000000: some
--- seconds and some 100 MB at worst.
---@field max_steps? integer

--- Is there an order of the operations that explains what they answered?
--
-- Linearizable: one in which each takes effect at one moment between its
-- beginning and its answer. Sequential: one in which each client's own
-- operations keep their order; an operation of unknown outcome comes after
-- what its client did before, and may take effect while the client goes on.
--
-- An explanation prints what a person wants to see: the shortest beginning of
-- the history that is not linearizable (or all of a history that is not
-- sequential), drawn over time; the longest order that was found; what could
-- not come next. Its fields: `consistency`; `key`, on which it failed, where
-- the model has keys; `prefix`, that beginning, `longest` and `stuck`, lists
-- of operations; `state`, the model's after `longest`; `steps`; `undecided`,
-- true where `max_steps` was reached: then nothing is known.
--
-- Does not yield.
---@param m banyan.Model  one of history.model, or your own, see
---  banyan.lockstep.model
---@param opts? banyan.HistoryCheckOptions
---@return true|nil ok
---@return any explanation
function History:check(m, opts)
  model.check("history:check", m)
  opts = options.check("history:check", opts, check_schema)
  local consistency = opts.consistency or "linearizable"
  local limit = opts.max_steps or MAX_STEPS
  local doubt, doubtful
  for _, part in ipairs(parts_of(self.ops, m, consistency)) do
    local verdict = checkers[consistency].check(part.ops, m, limit)
    if verdict.ok == false then
      return nil, explain(part, m, consistency, verdict, limit)
    elseif verdict.ok == nil and not doubt then
      doubt, doubtful = verdict, part
    end
  end
  if not doubt then return true end
  return nil, explain(doubtful, m, consistency, doubt, limit)
end

return history
