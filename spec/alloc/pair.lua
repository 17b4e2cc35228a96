-- Two nodes with a wire in memory between them; where memory breaks the wire,
-- it is laid anew.

local core = require "banyan.core"

local pair = {
  names = { "a@h:1", "b@h:1" },
  nodes = {},
  dials = 0,
}

local nodes = pair.nodes
local now, draws = 0, 0
local far = { {}, {} } -- of each node: its link -> the other's

--- Makes the nodes.
---@param opts? table  of core.node, for both
function pair.make(opts)
  for i, name in ipairs(pair.names) do
    local all = {
      name = name, incarnation = i, secret = "a secret of the spec", seed = i,
      events = true, clock = function() return now end,
      entropy = function(n)
        draws = draws + 1
        return (("%08d"):format(draws):rep(n)):sub(1, n)
      end,
    }
    for key, value in pairs(opts or {}) do all[key] = value end
    nodes[i] = core.node(all)
  end
end

local function carry_out(i, what, link, bytes)
  local me, peer = nodes[i], nodes[3 - i]
  if what == "dial" then
    pair.dials = pair.dials + 1
    far[i][link] = assert(peer:accepted(now))
    far[3 - i][far[i][link]] = link
    me:connected(link, now)
  elseif what == "write" then
    if far[i][link] then peer:received(far[i][link], bytes, now) end
    me:written(link, #bytes, now)
  elseif far[i][link] then
    far[3 - i][far[i][link]] = nil
    peer:closed(far[i][link], "closed", now)
    far[i][link] = nil
  end
end

-- Memory failed the wire: both ends hear that it broke.
local function cut()
  local links = far
  far = { {}, {} }
  for i, node in ipairs(nodes) do
    for link in pairs(links[i]) do node:closed(link, "broken", now) end
  end
end

local function exchange(i)
  while true do
    local what, link, bytes = nodes[i]:action()
    if not what then return end
    carry_out(i, what, link, bytes)
  end
end

local broken = false

--- Steps both nodes.
---@param times integer
---@param ms? integer  that pass in each (10)
function pair.step(times, ms)
  for _ = 1, times do
    for i, node in ipairs(nodes) do
      pcall(node.step, node, now)
      pcall(node.events, node)
      if not pcall(exchange, i) then broken = true end
    end
    if broken and pcall(cut) then broken = false end
    now = now + (ms or 10)
  end
end

return pair
