-- Processes that compute without end, for the measurements loops_*. Erlang's
-- are in bench/erlang/loops.erl.

local banyan = require "banyan"
local meter = require "meter"

local loops = {}

local steps = {} -- of each loop: what it has counted

-- A step is a function call and arithmetic; every 64 of them are counted.
local function add(a, b) return (a * 31 + b) % 1000003 end

local function loop(i)
  local n, value = 0, 1
  steps[i] = 0
  while true do
    for k = 1, 64 do value = add(value, k) end
    n = n + 64
    steps[i] = n
  end
end

-- What LuaJIT has compiled cannot be preempted.
if jit then
  jit.off(add)
  jit.off(loop)
end

--- Starts so many, which go on as long as this node lives.
function loops.begin(count)
  for _ = 1, count do
    local i = #steps + 1
    steps[i] = 0
    banyan.spawn(loop, i)
  end
  banyan.sleep(50)
end

--- For `ms`: the steps that all have done for each second of CPU.
function loops.rate(ms)
  local function read()
    local sum = 0
    for _, n in ipairs(steps) do sum = sum + n end
    return sum, meter.cpu()
  end
  local steps_before, before = read()
  banyan.sleep(ms)
  local steps_after, after = read()
  return (steps_after - steps_before) / (after - before) * 1e6
end

return loops
