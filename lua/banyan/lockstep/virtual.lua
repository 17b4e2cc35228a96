--- The clocks and random numbers of Lua's own library, as a body has them
-- under lockstep: virtual time, and choices from the tape.
--
-- What a program put into a local before (`local random = math.random`) is out
-- of reach: a body that uses such a thing is not deterministic, and a replay
-- says so.
--
-- Private to banyan.lockstep.

local virtual = {}

local EPOCH = 946684800 -- 2000-01-01 00:00:00 UTC, when each run begins
local STEPS = 2 ^ 30    -- random() is a multiple of 1 / STEPS
if math.tointeger then STEPS = math.tointeger(STEPS) end
local WIDE = STEPS * STEPS -- what two draws can tell apart

local real = {
  time = os.time, clock = os.clock, date = os.date, exit = os.exit,
  random = math.random, randomseed = math.randomseed,
}

-- 0..n-1, 1 <= n <= WIDE
local function below(world, n)
  if n <= STEPS then return world:choose(n) - 1 end
  local high = world:choose(math.ceil(n / STEPS)) - 1
  return (high * STEPS + world:choose(STEPS) - 1) % n
end

-- Any integer that there is, of those with 64 bits.
local function any_integer(world)
  local top, rest = world:choose(16) - 1, below(world, WIDE)
  return top * WIDE + rest
end

-- low..high, more than WIDE numbers. Integers wrap, and are drawn until one
-- fits; a tape of zeros has the first one fit.
local function in_wide(world, low, high)
  if not math.ult then
    return low + math.floor(below(world, WIDE) / WIDE * (high - low + 1))
  end
  low, high = math.tointeger(low), math.tointeger(high)
  local most, value = high - low
  repeat value = any_integer(world) until not math.ult(most, value)
  return low + value
end

local function whole(value, position)
  if type(value) ~= "number" or value % 1 ~= 0 then
    error(("bad argument #%d to 'random' (a whole number expected)")
      :format(position), 3)
  end
  return value
end

local function random(world, ...)
  local count = select("#", ...)
  if count == 0 then return (world:choose(STEPS) - 1) / STEPS end
  local low, high = 1, whole((...), 1)
  if count > 1 then low, high = high, whole(select(2, ...), 2) end
  if count == 1 and high == 0 and math.ult then return any_integer(world) end
  if low > high then
    error(("bad argument #%d to 'random' (interval is empty)")
      :format(count), 2)
  end
  local most = high - low -- below 0 where integers wrap
  local value = most >= 0 and most < WIDE and low + below(world, most + 1)
    or in_wide(world, low, high)
  return math.tointeger and math.tointeger(value) or value
end

-- Where they are replaced.
local system, numbers = os, math

--- Puts the virtual functions in place of the real ones.
---@param world table
function virtual.enter(world)
  local function time() return EPOCH + math.floor(world.now / 1000) end
  function system.time(at)
    if at ~= nil then return real.time(at) end
    return time()
  end
  function system.date(format, at) return real.date(format, at or time()) end
  function system.clock() return world.now / 1000 end
  function system.exit()
    error("os.exit under lockstep would end the test itself", 2)
  end
  function numbers.random(...) return random(world, ...) end
  function numbers.randomseed() end
end

--- Puts the real ones back.
function virtual.leave()
  system.time, system.clock, system.date = real.time, real.clock, real.date
  system.exit = real.exit
  numbers.random, numbers.randomseed = real.random, real.randomseed
end

return virtual
