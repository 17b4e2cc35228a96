-- Another life of a node claims its name while memory is short, for
-- connect_test.c: in the end it is refused, or it is connected.

local core = ...

local pair = require "spec.alloc.pair"

local A, B, TWIN = 1, 2, 3
pair.names[TWIN] = pair.names[B]

pair.make {}

local answered = false

local function begin()
  pair.nodes[B]:spawn(function() core.connect(pair.names[A], "infinity") end)
  pair.step(20)
  assert(#pair.nodes[A]:nodes() == 1)
  pair.nodes[TWIN]:spawn(function()
    answered = core.connect(pair.names[A], "infinity")
  end)
  pair.nodes[TWIN]:step(0)
end

local function claim() pair.step(20) end

local function is_decided()
  for _ = 1, 10 do
    pair.step(20, 100)
    if answered or pair.nodes[TWIN]:has_lost_name() then return true end
  end
  return false
end

return begin, claim, is_decided
