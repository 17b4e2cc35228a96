--- Finds a smaller tape that fails in the same way: deletes chunks and lowers
-- integers until nothing more can go (Zeller and Hildebrandt's delta debugging,
-- on choices as MacIver and Donaldson do it in Hypothesis).
--
-- Private to banyan.lockstep.

local function without(tape, first, count)
  local smaller = {}
  for i, value in ipairs(tape) do
    if i < first or i >= first + count then smaller[#smaller + 1] = value end
  end
  return smaller
end

local function with(tape, at, value)
  local changed = {}
  for i, each in ipairs(tape) do changed[i] = each end
  changed[at] = value
  return changed
end

local function trimmed(tape)
  local last = #tape
  while last > 0 and tape[last] == 0 do last = last - 1 end
  return without(tape, last + 1, #tape)
end

-- The shorter is the smaller, then the one with the smaller integers.
local function is_smaller(a, b)
  if #a ~= #b then return #a < #b end
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return false
end

-- Tries a tape; it is the best one if it fails as well and is smaller.
local function try_tape(state, tape)
  if state.left <= 0 or not is_smaller(tape, state.best) then return false end
  state.left = state.left - 1
  local answered = state.fails(tape)
  if not answered then return false end
  answered = trimmed(answered)
  state.best = is_smaller(answered, tape) and answered or tape
  return true
end

local function delete_chunks(state)
  local size = math.max(1, math.floor(#state.best / 2))
  local any = false
  while size >= 1 do
    local first = #state.best - size + 1
    while first >= 1 do
      if try_tape(state, trimmed(without(state.best, first, size))) then
        any = true
      end
      first = math.min(first, #state.best + 1) - size
    end
    size = size == 1 and 0 or math.floor(size / 2)
  end
  return any
end

-- Lowers one integer as far as it goes: to 0, or by halving the gap to what is
-- known not to fail.
local function lower_at(state, at)
  local high = state.best[at]
  if not high or high == 0 then return false end
  if try_tape(state, trimmed(with(state.best, at, 0))) then return true end
  local low, any = 0, false
  while high - low > 1 and #state.best >= at do
    local middle = math.floor((low + high) / 2)
    if try_tape(state, with(state.best, at, middle)) then
      high, any = middle, true
    else
      low = middle
    end
  end
  return any
end

local function lower_all(state)
  local any = false
  for at = #state.best, 1, -1 do any = lower_at(state, at) or any end
  return any
end

--- Shrinks a tape.
---@param tape integer[]  one that fails
---@param fails fun(tape: integer[]): integer[]|nil  the choices that were
---  answered, if that tape fails in the same way
---@param tries integer  at most so many
---@return integer[] smaller
return function(tape, fails, tries)
  local state = { best = trimmed(tape), fails = fails, left = tries }
  repeat
    local deleted = delete_chunks(state)
    local lowered = lower_all(state)
  until not deleted and not lowered or state.left <= 0
  return state.best
end
