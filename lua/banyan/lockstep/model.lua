--- Models: what an object does when one operation follows the other.
--
-- A checker asks a model whether operations can have had their results in
-- some order. There are models of a register, a set, a queue and a counter;
-- `model.keyed` makes one of many such objects; and any table of the
-- class banyan.Model is one, with at least these fields:
--
--    init()      -> state          before any operation
--    step(state, name, args, result) -> false             cannot be
--                                    -> true, new state   can be
--
-- `args` and `result` are lists with their length in `n`. `result` is nil
-- where it is not known what the operation answered: step then says what it
-- does if it happens. step must not change `state` or what is in it, but
-- answer another one. A state is nil, a boolean, number or string, or a table
-- of those, compared by what is in it. An operation that the model does not
-- know is best an error().
--
--    local model = require "banyan.lockstep.model"
--    local light = {
--      init = function() return "red" end,
--      step = function(state, name, _, result)
--        if name == "look" then
--          return result == nil or result[1] == state, state
--        end
--        assert(name == "switch", name)
--        return true, state == "red" and "green" or "red"
--      end,
--    }

local options = require "banyan.options"
local value = require "banyan.lockstep.value"

local model = {}

---@class banyan.Model
---@field init fun(): any  the state before any operation
--- Answers false: it cannot be; or true and the new state.
---@field step fun(state, name: string, args: table, result?): boolean, any
---@field name? string  what explanations call it
--- Which part of the object an operation is about (op.name, op.args), any value
--- but nil. Operations on different keys must have nothing to do with each
--- other: where each key is linearizable the whole is, and it is checked key by
--- key, which is very much faster. Where one operation has no key (nil), all
--- are checked together.
---@field key? fun(op: table): any
--- true for an operation that changes nothing, whatever the state is. That too
--- makes checks faster.
---@field reads? fun(name: string, args: table, result?: table): boolean
--- What equal states share and others do not, where looking into tables is too
--- slow.
---@field canonical? fun(state: any): string|number
---@field show? fun(state: any): string  text for people
--- Answers nil or a function(state, entry, former) that answers true where no
--- order can go on from that state, to which `entry` has just led from the
--- former one; nil or a `canonical` for these entries alone; and true if it is
--- known beforehand that they have no order. It may set entry.eager on an
--- operation that is next wherever it can be. The entries are the operations to
--- be checked, {op=, result= (nil: not known), taken= (in the order so far)};
--- before(a, b) is true where entry a has to come before b. What it says is
--- believed: the model of the queue has one.
---@field plan? fun(entries: table[], before: fun(a, b): boolean)

local schema = {
  name = "string",
  init = "function",
  step = "function",
  key = "function",
  reads = "function",
  canonical = "function",
  show = "function",
  plan = "function",
}

--- Raises what is wrong with a model, if anything is. Does not yield.
---@param what string  the function it is for, for the message
---@param m any
---@param level? integer  whom the error points at, as for error() in the
---  function that calls this one; 2 by default
---@return table m
function model.check(what, m, level)
  level = (level or 2) + 1
  if type(m) ~= "table" then
    error(("%s: model must be a table, got %s"):format(what, value.show(m)),
      level)
  end
  options.check(what .. ": model", m, schema, level)
  for _, name in ipairs { "init", "step" } do
    if m[name] == nil then
      error(("%s: model has no function %q"):format(what, name), level)
    end
  end
  return m
end

local function unknown_operation(m, name, known)
  error(("model %s: no operation %s (it knows: %s)"):format(m,
    value.show(name), known), 0)
end

-- What was answered is as it should be, or is not known.
local function answered(result, expected)
  return result == nil or value.equal(result[1], expected)
end

-- The same for operations that may answer nothing.
local function answered_or_silent(result, expected)
  return result == nil or result[1] == nil or result[1] == expected
end

-- --- register --------------------------------------------------------------

local register = {}

function register.read(state, _, result)
  return answered(result, state), state
end

function register.write(_, args) return true, args[1] end

function register.cas(state, args, result)
  local swaps = value.equal(state, args[1])
  if result ~= nil and (not result[1]) == swaps then return false end
  if swaps then return true, args[2] end
  return true, state
end

--- One value that is read and written. Does not yield.
--
-- Its operations: `read() -> value`; `write(value)`, whatever it answers;
-- `cas(old, new)`, which puts new in place of old and answers true, or
-- changes nothing and answers false or nil where the value is another.
---@param initial any  the value before any write, default nil
---@return table model
function model.register(initial)
  initial = value.copy(initial)
  return {
    name = "register",
    init = function() return initial end,
    step = function(state, name, args, result)
      local operation = register[name]
        or unknown_operation("register", name, "read, write, cas")
      return operation(state, args, result)
    end,
    reads = function(name, _, result)
      return name == "read"
        or name == "cas" and result ~= nil and not result[1]
    end,
    show = value.show,
  }
end

-- --- set -------------------------------------------------------------------

-- A state maps the encodings of the elements to the elements.
local function with(state, key, element)
  local new = {}
  for k, v in pairs(state) do new[k] = v end
  new[key] = element
  return new
end

local set = {}

function set.add(state, args, result)
  local key = value.encode(args[1])
  local absent = state[key] == nil
  if not answered_or_silent(result, absent) then return false end
  return true, absent and with(state, key, args[1]) or state
end

function set.remove(state, args, result)
  local key = value.encode(args[1])
  local present = state[key] ~= nil
  if not answered_or_silent(result, present) then return false end
  return true, present and with(state, key, nil) or state
end

function set.contains(state, args, result)
  return answered(result, state[value.encode(args[1])] ~= nil), state
end

function set.list(state, _, result)
  if result == nil then return true, state end
  local seen, missing = {}, 0
  for _ in pairs(state) do missing = missing + 1 end
  if type(result[1]) ~= "table" then return false end
  for _, element in pairs(result[1]) do
    local key = value.encode(element)
    if state[key] == nil or seen[key] then return false end
    seen[key], missing = true, missing - 1
  end
  return missing == 0, state
end

local function set_reads(name, _, result)
  if name == "contains" or name == "list" then return true end
  return (name == "add" or name == "remove") and result ~= nil
    and result[1] == false
end

local function sorted_keys(state)
  local keys = {}
  for key in pairs(state) do keys[#keys + 1] = key end
  table.sort(keys)
  return table.concat(keys, ", ")
end

--- A set of values. Does not yield.
--
-- Its operations: `add(x)`, which answers true if x was not in it and false
-- if it was; `remove(x)`, true if it was in it, false if not; where these two
-- answer nothing (nil), that says nothing. `contains(x) -> boolean`.
-- `list() -> table`, the elements in any order. Without a list each element is
-- checked for itself.
---@param initial? table  a list of the elements that are in it at first
---@return table model
function model.set(initial)
  local first = {}
  for _, element in ipairs(value.copy(initial or {})) do
    first[value.encode(element)] = element
  end
  return {
    name = "set",
    init = function() return first end,
    step = function(state, name, args, result)
      local operation = set[name]
        or unknown_operation("set", name, "add, remove, contains, list")
      return operation(state, args, result)
    end,
    key = function(op)
      if op.name ~= "list" then return op.args[1] end
    end,
    reads = set_reads,
    canonical = sorted_keys,
    show = function(state) return "{" .. sorted_keys(state) .. "}" end,
  }
end

-- --- queue -----------------------------------------------------------------

-- A state is a string: each element's encoding after its length and a colon.

local function head_of(state)
  local length, from = state:match "^(%d+):()"
  local past = from + tonumber(length)
  return state:sub(from, past - 1), state:sub(past)
end

local queue = {}

function queue.enqueue(state, args)
  if args[1] == nil then error("model queue: nil cannot be enqueued", 0) end
  local text = value.encode(args[1])
  return true, ("%s%d:%s"):format(state, #text, text)
end

function queue.dequeue(state, _, result)
  if state == "" then return answered(result, nil), state end
  local head, rest = head_of(state)
  if result ~= nil and value.encode(result[1]) ~= head then return false end
  return true, rest
end

local function show_queue(state)
  local parts = {}
  while state ~= "" do parts[#parts + 1], state = head_of(state) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

-- What is known beforehand of the elements that are in the queue once, by
-- their encodings: {taker= the entry that took it out, useless= nothing is
-- known to have taken it out, and it may never have been in}.
local function elements_of(entries, first)
  local times, elements = {}, {}
  local function count(text, useless)
    times[text] = (times[text] or 0) + 1
    elements[text] = times[text] == 1 and { useless = useless } or nil
  end
  while first ~= "" do
    local text
    text, first = head_of(first)
    count(text, false)
  end
  for _, entry in ipairs(entries) do
    if entry.op.name == "enqueue" then
      count(value.encode(entry.op.args[1]), entry.result == nil)
    end
  end
  return elements, times
end

-- The dequeues whose place is known, as a list of {entry=, text= (what it
-- takes out; nil: it finds the queue empty)}, those that nothing is known of,
-- which may have taken anything, and whether one took what was never there, or
-- what another took.
local function dequeues_of(entries, elements, times)
  local list, open, impossible = {}, {}, false
  for _, entry in ipairs(entries) do
    local result = entry.result
    if entry.op.name == "dequeue" and result == nil then
      open[#open + 1] = entry
    elseif entry.op.name == "dequeue" then
      local text = result[1] ~= nil and value.encode(result[1]) or nil
      local element = elements[text or ""]
      impossible = impossible or text and not times[text]
        or element and element.taker ~= nil
      if element then
        element.taker, element.useless, entry.eager = entry, false, true
        list[#list + 1] = { entry = entry, text = text }
      elseif text == nil then
        list[#list + 1] = { entry = entry }
      end
    end
  end
  return list, open, impossible
end

-- The elements in the queue, as a set, the last of them, and how many there
-- are of which nobody is known to have taken them out.
local function contents(state, elements)
  local inside, last, left = {}, nil, 0
  while state ~= "" do
    last, state = head_of(state)
    inside[last] = true
    local element = elements[last]
    if element and not element.taker then left = left + 1 end
  end
  return inside, last, left
end

-- States are equal that differ only in the order of elements of which nobody
-- is known to have taken them out: they leave by dequeues that nothing is
-- known of, or not at all. Answers nil where there are no such elements.
local function canonical_of(elements)
  local any = false
  for _, element in pairs(elements) do any = any or not element.taker end
  return any and function(state)
    local parts = {}
    while state ~= "" do
      local text
      text, state = head_of(state)
      local element = elements[text]
      parts[#parts + 1] = element and not element.taker and "?"
        or ("%d:%s"):format(#text, text)
    end
    return table.concat(parts)
  end or nil
end

local function untaken(entries)
  local count = 0
  for _, entry in ipairs(entries) do
    if not entry.taken then count = count + 1 end
  end
  return count
end

-- The order of two enqueues shows only when the elements come out, which is
-- late to try another one. So what is known of how they come out is looked at
-- when one goes in. A dequeue that has to be over before the element comes out
-- must still be possible with it in: it takes out one ahead of it. Elements
-- that nobody is known to have taken out block all that come
-- behind, and only dequeues that nothing is known of can clear it; these take
-- no element that another is known to have taken. And an element of which
-- nothing says that it was in need not have been.
--
-- Where the first element is a single one nothing is lost by taking it out at
-- once: no other dequeue can come before that, and an enqueue does not mind.
local function queue_plan(first)
  return function(entries, before)
    local elements, times = elements_of(entries, first)
    local dequeues, open, impossible = dequeues_of(entries, elements, times)

    local function is_blocked(state, enqueued)
      local inside, last, left = contents(state, elements)
      local taker = enqueued and elements[last] and elements[last].taker
      local too_many = left > untaken(open)
      for _, dequeue in ipairs(dequeues) do
        local entry = dequeue.entry
        if not entry.taken and not inside[dequeue.text or ""]
          and (too_many or taker and before(entry, taker)) then
          return true
        end
      end
      return false
    end

    return function(state, entry, former)
      if entry.op.name == "enqueue" then
        local element = elements[value.encode(entry.op.args[1])]
        if element and element.useless then return true end
        return is_blocked(state, true)
      end
      if entry.result ~= nil or former == "" then return false end
      local element = elements[(head_of(former))]
      return element and element.taker ~= nil or is_blocked(state, false)
    end, canonical_of(elements), impossible
  end
end

--- A queue: first in, first out. Does not yield.
--
-- Its operations: `enqueue(x)`, x not nil, whatever it answers;
-- `dequeue() -> x`, nil where the queue is empty. Where many operations
-- overlap, let each element be another one: equal ones make the check slow.
---@param initial? table  a list of what is in it at first, the head first
---@return table model
function model.queue(initial)
  local first = ""
  for _, element in ipairs(initial or {}) do
    local _, longer = queue.enqueue(first, { element, n = 1 })
    first = longer
  end
  return {
    name = "queue",
    init = function() return first end,
    step = function(state, name, args, result)
      local operation = queue[name]
        or unknown_operation("queue", name, "enqueue, dequeue")
      return operation(state, args, result)
    end,
    reads = function(name, _, result)
      return name == "dequeue" and result ~= nil and result[1] == nil
    end,
    show = show_queue,
    plan = queue_plan(first),
  }
end

-- --- counter ---------------------------------------------------------------

--- A number that is counted up. Does not yield.
--
-- Its operations: `increment(by)`, by 1 where `by` is nil, down where it is
-- negative: answers the new number, or anything that is no number, which says
-- nothing. `get() -> number`.
---@param initial? number  default 0
---@return table model
function model.counter(initial)
  return {
    name = "counter",
    init = function() return initial or 0 end,
    step = function(state, name, args, result)
      if name == "get" then return answered(result, state), state end
      if name ~= "increment" then
        unknown_operation("counter", name, "increment, get")
      end
      local new = state + (args[1] or 1)
      local known = result ~= nil and type(result[1]) == "number"
      return not known or result[1] == new, new
    end,
    reads = function(name) return name == "get" end,
    show = value.show,
  }
end

-- --- many ------------------------------------------------------------------

local function without_key(args)
  local rest = { n = args.n - 1 }
  for i = 1, rest.n do rest[i] = args[i + 1] end
  return rest
end

-- A state maps the encodings of keys to {the state of that object}; what is
-- not there is as it was at first.
local function state_of(m, state, key)
  local box = state[key]
  if box then return box[1] end
  return m.init()
end

local function keyed_step(m)
  return function(state, name, args, result)
    local key = value.encode(args[1])
    local old = state_of(m, state, key)
    local ok, new = m.step(old, name, without_key(args), result)
    if not ok then return false end
    if rawequal(new, old) then return true, state end
    return true, with(state, key, { new })
  end
end

local function describe_all(state, describe)
  local parts = {}
  for key, box in pairs(state) do
    parts[#parts + 1] = ("[%s] = %s"):format(key, describe(box[1]))
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- A model of many objects of one kind, as a store of registers is. Does
-- not yield.
--
-- The first argument of each operation says which object it is about, the
-- others are the object's own: with model.keyed(model.register(0)) they are
-- read(key), write(key, value) and cas(key, old, new). Each key is checked
-- for itself.
---@param m table  the model of one of them
---@return table model
function model.keyed(m)
  model.check("model.keyed", m)
  return {
    name = (m.name or "object") .. " for each key",
    init = function() return {} end,
    step = keyed_step(m),
    key = function(op) return op.args[1] end,
    reads = m.reads and function(name, args, result)
      return m.reads(name, without_key(args), result)
    end,
    canonical = function(state)
      return describe_all(state, function(inner)
        return value.encode { m.canonical and m.canonical(inner) or inner }
      end)
    end,
    show = function(state) return describe_all(state, m.show or value.show) end,
  }
end

return model
