-- Two nodes, or more, with wires in memory between them; where memory breaks
-- the wires, they are laid anew.

local core = require "banyan.core"

local pair = {
  names = { "a@h:1", "b@h:1" },
  nodes = {},
  dials = 0,
}

local nodes = pair.nodes
local now, draws = 0, 0
local far = {} -- of each node: its link -> { number of the other, its link }

--- Makes the nodes.
---@param opts? table  of core.node, for all
function pair.make(opts)
  for i, name in ipairs(pair.names) do
    far[i] = {}
    local all = {
      name = name, incarnation = i, secret = "a secret of the spec", seed = i,
      events = true, clock = function() return now end,
      address = ("unix:/run/%d.sock"):format(i),
      entropy = function(n)
        draws = draws + 1
        return (("%08d"):format(draws):rep(n)):sub(1, n)
      end,
    }
    for key, value in pairs(opts or {}) do all[key] = value end
    nodes[i] = core.node(all)
  end
end

-- Of two nodes of one name the first is dialled.
local function number_of(name)
  for i, each in ipairs(pair.names) do
    if each == name then return i end
  end
end

local function carry_out(i, what, link, more, address)
  local me, there = nodes[i], far[i][link]
  if what == "dial" then
    pair.dials = pair.dials + 1
    local peer = number_of(more)
    local other = assert(nodes[peer]:accepted(now))
    far[i][link], far[peer][other] = { peer, other }, { i, link }
    me:connected(link, now, address)
  elseif what == "write" then
    if there then nodes[there[1]]:received(there[2], more, now) end
    me:written(link, #more, now)
  elseif there then
    far[there[1]][there[2]] = nil
    nodes[there[1]]:closed(there[2], "closed", now)
    far[i][link] = nil
  end
end

-- Memory failed a wire: the ends of all hear that they broke.
local function cut()
  local links = far
  far = {}
  for i in ipairs(nodes) do far[i] = {} end
  for i, node in ipairs(nodes) do
    for link in pairs(links[i]) do node:closed(link, "broken", now) end
  end
end

local function exchange(i)
  while true do
    local what, link, bytes, address = nodes[i]:action()
    if not what then return end
    carry_out(i, what, link, bytes, address)
  end
end

local broken = false

--- Steps all nodes.
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
