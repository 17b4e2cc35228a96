-- A process waits in connect while memory is short, for connect_test.c. A dial
-- that has failed is tried again long after the test: its callers are answered
-- by the attempt itself, or never.

local core = ...

local pair = require "spec.alloc.pair"

local A, B = 1, 2
local HOUR = 3600000

pair.make { redial_min_ms = HOUR, redial_max_ms = HOUR }

local answered = false

local function begin()
  pair.nodes[A]:spawn(function()
    core.connect(pair.names[B], "infinity")
    answered = true
  end)
  pair.nodes[A]:step(0)
end

local function connect() pair.step(20) end

local function is_answered()
  pair.step(200, 100)
  return answered or pair.dials == 0
end

return begin, connect, is_answered
