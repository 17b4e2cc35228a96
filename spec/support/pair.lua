--- Runs a function on one of two connected nodes. The connection has no faults.
--
--    pair(function(b) ... end)    `b` is the other node; core.connect has
--                                 been done
--
-- The clock jumps as in spec.support.run.

local core = require "banyan.core"
local outcome = require "spec.support.outcome"

local NAMES = { "a@127.0.0.1:1", "b@127.0.0.1:2" }

local function make_node(i, clock)
  local draws = 0
  return core.node {
    name = NAMES[i], incarnation = i, secret = "a secret of the spec",
    seed = i, clock = function() return clock.now end,
    entropy = function(n)
      draws = draws + 1
      return (("%08d"):format(draws * 10 + i):rep(n)):sub(1, n)
    end,
  }
end

-- Carries out the actions of node `i`; true if there were any.
local function carry(nodes, far, i, now)
  local me, peer, busy = nodes[i], nodes[3 - i], false
  while true do
    local what, link, bytes = me:action()
    if not what then return busy end
    busy = true
    if what == "dial" then
      far[i][link] = peer:accepted(now)
      far[3 - i][far[i][link]] = link
      me:connected(link, now)
    elseif what == "write" then
      me:written(link, #bytes, now)
      if far[i][link] then peer:received(far[i][link], bytes, now) end
    elseif far[i][link] then
      peer:closed(far[i][link], "closed", now)
      far[3 - i][far[i][link]] = nil
      far[i][link] = nil
    end
  end
end

local function drive(nodes, clock, result)
  local far = { {}, {} }
  for _ = 1, 1e5 do
    local next_wake = math.huge
    for i, node in ipairs(nodes) do
      next_wake = math.min(next_wake, node:step(clock.now) or math.huge)
      if carry(nodes, far, i, clock.now) then next_wake = clock.now end
    end
    if result.over then return end
    clock.now = math.max(clock.now, next_wake)
  end
  error("no end after many steps", 0)
end

return function(body)
  local clock, result = { now = 0 }, {}
  local nodes = { make_node(1, clock), make_node(2, clock) }
  nodes[1]:spawn(function()
    result.ok, result.error = outcome.try(function()
      assert(core.connect(NAMES[2]))
      body(nodes[2])
    end)
    result.over = true
  end)
  local ok, err = pcall(drive, nodes, clock, result)
  for _, node in ipairs(nodes) do node:close() end
  if not ok then error(err, 0) end
  if not result.ok then error(result.error, 0) end
end
