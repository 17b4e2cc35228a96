--- Looks for an order in which operations can have taken effect.
--
-- An order of precedence (linearizable.lua, sequential.lua) knows what may come
-- next, a model (model.lua) what each operation may answer.
-- This is the search of Wing and Gong (Testing and verifying concurrent
-- objects, 1993) with the memory of Lowe (Testing for linearizability, 2017):
-- a configuration, which operations took effect and the state they left, is
-- looked at once. Four rules make it smaller, and lose nothing:
--
--  * An operation that never changes the state and may be next is next: what
--    can follow it can follow without it, and needs it done sooner or later.
--  * An operation of unknown outcome need not happen. So a configuration is
--    of no use where the same one with fewer of these has been looked at.
--  * Of two equal ones of unknown outcome the earlier happens first.
--  * A model may know of an operation that it is next wherever it may be, and
--    of a state that nothing good can follow.
--
-- An order of precedence has three methods:
--
--    order:candidates() -> list   the entries that may be next, in the order
--                                 in which to try them
--    order:take(entry)            it took effect
--    order:give_back(entry)       undoes the latest take
--    order.before(a, b) -> true   where entry a has to come before b
--
-- and `order.entries`, the list of all. An entry is one operation:
--
--    { op=, result= (list, nil: unknown), known= (it has to happen), taken=,
--      read= (it changes nothing), eager= (if it may be next it is) }

local value = require "banyan.lockstep.value"

local search = {}

-- --- states ----------------------------------------------------------------

local NIL, NAN = {}, {}

-- A key of Lua tables that exactly the equal states share. The encoding of a
-- table begins with a brace.
local function default_canonical(state)
  local kind = type(state)
  if kind == "table" then return value.encode(state) end
  if kind == "string" then return "s" .. state end
  return state
end

--- A function that numbers states: equal ones get the same number.
local function numbering(canonical)
  local numbers, count = {}, 0
  return function(state)
    local key = canonical(state)
    if key == nil then key = NIL elseif key ~= key then key = NAN end
    local number = numbers[key]
    if not number then
      count = count + 1
      number = count
      numbers[key] = number
    end
    return number
  end
end

-- --- what has been seen ----------------------------------------------------

-- The known entries that were taken are a string of characters with eight
-- bits each; the number of the state comes after them. Below that key stand
-- the sets of unknown entries that were taken, none a subset of another that
-- was there before it.

-- So many looks at a set take about the time of one step of a model.
local LOOKS = 16

local CHARS = {}
for byte = 0, 255 do CHARS[byte] = string.char(byte) end

local function place_bits(self)
  local known = 0
  for _, entry in ipairs(self.order.entries) do
    if entry.known then
      entry.byte = math.floor(known / 8) + 1
      entry.bit = 2 ^ (known % 8)
      known = known + 1
    end
  end
  self.left, self.bytes, self.chars = known, {}, {}
  for i = 1, math.ceil(known / 8) do
    self.bytes[i], self.chars[i] = 0, CHARS[0]
  end
  self.state_at = #self.chars + 1
end

local function flip(self, entry, sign)
  entry.taken = sign > 0
  if not entry.known then return end
  local i = entry.byte
  self.bytes[i] = self.bytes[i] + sign * entry.bit
  self.chars[i] = CHARS[self.bytes[i]]
  self.left = self.left - sign
end

local function all_taken(entries)
  for i = 1, #entries do
    if not entries[i].taken then return false end
  end
  return true
end

local NONE = {}

local function taken_unknown(self)
  local list = NONE
  for _, entry in ipairs(self.unknown) do
    if entry.taken then
      if list == NONE then list = {} end
      list[#list + 1] = entry
    end
  end
  return list
end

--- Is this configuration, or a better one, known? Then there is nothing new
-- here. Remembers it otherwise.
local function known_before(self, state)
  self.chars[self.state_at] = self.number(state)
  local key = table.concat(self.chars)
  local seen = self.seen[key]
  self.steps = self.steps + (seen and math.floor(#seen / LOOKS) or 0)
  for i = 1, seen and #seen or 0 do
    if all_taken(seen[i]) then return true end
  end
  local unknown = taken_unknown(self)
  if not seen and unknown == NONE then
    self.seen[key] = self.just_none
  elseif not seen then
    self.seen[key] = { unknown }
  else
    seen[#seen + 1] = unknown
  end
  return false
end

-- --- the search ------------------------------------------------------------

-- The longest order so far is what is shown to people where there is none.
local function keep_best(self, candidates)
  if self.left >= self.best_left then return end
  self.best_left = self.left
  local ops, stuck = {}, {}
  for i = 1, self.depth do ops[i] = self.path[i].op end
  for _, entry in ipairs(candidates) do
    if entry.known then stuck[#stuck + 1] = entry.op end
  end
  self.best = { order = ops, state = self.state, stuck = stuck }
end

local function step(self, entry)
  self.steps = self.steps + 1
  local op = entry.op
  return self.model.step(self.state, op.name, op.args, entry.result)
end

local function enter(self)
  local candidates = self.order:candidates()
  keep_best(self, candidates)
  self.tried[self.depth] = 0
  self.choices[self.depth] = candidates
end

--- Goes on to the configuration after `entry`, unless it is known.
local function take(self, entry, state)
  flip(self, entry, 1)
  if known_before(self, state)
    or self.hopeless(state, entry, self.state) then
    flip(self, entry, -1)
    return
  end
  self.order:take(entry)
  self.depth = self.depth + 1
  self.path[self.depth] = entry
  self.before[self.depth] = self.state
  self.state = state
  enter(self)
end

local function back(self)
  local entry = self.path[self.depth]
  self.state = self.before[self.depth]
  self.depth = self.depth - 1
  self.order:give_back(entry)
  flip(self, entry, -1)
end

local function check_read(self, entry, state)
  if self.number(state) == self.number(self.state) then return end
  error(("model: reads() says that %s changes nothing, but step() changed %s")
    :format(tostring(entry.op), "the state"), 0)
end

-- An eager entry that is possible is next, whatever else there is. Those that
-- are not possible are not tried again.
local function take_eager(self, candidates)
  local others = {}
  for _, entry in ipairs(candidates) do
    if entry.eager then
      local ok, state = step(self, entry)
      if ok then
        if entry.read then check_read(self, entry, state) end
        self.choices[self.depth] = NONE
        take(self, entry, state)
        return true
      end
    else
      others[#others + 1] = entry
    end
  end
  self.choices[self.depth] = others
end

local function advance(self)
  local depth = self.depth
  if self.tried[depth] == 0 and take_eager(self, self.choices[depth]) then
    return
  end
  self.tried[depth] = self.tried[depth] + 1
  local entry = self.choices[depth][self.tried[depth]]
  if not entry then
    if depth == 0 then return true end
    back(self)
    return
  end
  local ok, state = step(self, entry)
  if ok then take(self, entry, state) end
end

-- Where there is no order, so many steps for each entry are spent on a long one
-- to show to people.
local WORTH = 10

local function never() return false end

local function prepare(order, model, limit)
  local hopeless, canonical, impossible
  if model.plan then
    hopeless, canonical, impossible =
      model.plan(order.entries, order.before)
  end
  local self = {
    order = order, model = model, limit = limit, steps = 0,
    number = numbering(canonical or model.canonical or default_canonical),
    state = model.init(),
    seen = {}, just_none = { NONE }, unknown = {},
    depth = 0, path = {}, before = {}, choices = {}, tried = {},
    best_left = math.huge, hopeless = hopeless or never,
    impossible = impossible,
  }
  place_bits(self)
  for _, entry in ipairs(order.entries) do
    if not entry.known then self.unknown[#self.unknown + 1] = entry end
  end
  known_before(self, self.state)
  enter(self)
  return self
end

--- Searches. Does not yield.
---@param order table  the order of precedence, nothing taken
---@param model table
---@param limit integer  how many steps are enough: calls of model.step, or
---  what takes as long
---@return table verdict  {ok=, order=, state=, stuck=, steps=}: ok is true,
---  false, or nil where the limit was reached; order is the list of
---  operations as they can have taken effect, the longest that was found
---  where ok is not true, state the model's after them, stuck those that can
---  not be next then, steps how many it took
function search.run(order, model, limit)
  local self = prepare(order, model, limit)
  local over = false
  if self.impossible then limit = math.min(limit, WORTH * #order.entries) end
  while self.left > 0 and not over and self.steps < limit do
    over = advance(self)
  end
  local verdict = self.best
  verdict.steps = self.steps
  if self.left == 0 then
    verdict.ok = true
  elseif over or self.impossible then
    verdict.ok = false
  end
  return verdict
end

-- --- entries ---------------------------------------------------------------

local function entry_of(op, model, cut)
  local known = op.outcome == "ok" and op.returned <= cut
  local result = known and op.result or nil
  local reads = model.reads ~= nil
    and model.reads(op.name, op.args, result) == true
  return {
    op = op, known = known, result = result, taken = false,
    invoked = op.invoked, returned = known and op.returned or math.huge,
    read = reads, eager = reads,
  }
end

--- The entries of operations, in the order of their invocation. Those that
-- certainly did not happen are left out, and those of unknown outcome that
-- would change nothing.
---@param ops table[]
---@param model table
---@param cut? integer  results that came later than this are not known
---@return table[] entries
function search.entries(ops, model, cut)
  local entries = {}
  for _, op in ipairs(ops) do
    if op.outcome ~= "fail" then
      local entry = entry_of(op, model, cut or math.huge)
      if entry.known or not entry.read then entries[#entries + 1] = entry end
    end
  end
  table.sort(entries, function(a, b) return a.invoked < b.invoked end)
  return entries
end

--- Puts the known entries on one list, the unknown ones on another. Each of
-- the latter knows as its `twin` the one before it that is the same.
---@param entries table[]
---@param group fun(entry: table): any  twins are of the same group
---@return table[] known
---@return table[] unknown
function search.part(entries, group)
  local known, unknown, last = {}, {}, {}
  for _, entry in ipairs(entries) do
    if entry.known then
      known[#known + 1] = entry
    else
      unknown[#unknown + 1] = entry
      local of_group = last[group(entry)] or {}
      last[group(entry)] = of_group
      local what = value.encode { entry.op.name, entry.op.args }
      entry.twin, of_group[what] = of_group[what], entry
    end
  end
  return known, unknown
end

return search
