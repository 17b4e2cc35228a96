--- Topics with something under each: found by the topic that is published.
-- Private to banyan.peers.
--
-- A topic that ends in "*" stands for all that begin with the rest. What lists
-- answer is in an order that depends only on what was added and removed.

local sets = require "banyan.sets"

local Topics = {}
Topics.__index = Topics

local function place(self, topic)
  if topic:sub(-1) == "*" then return self.prefixes, topic:sub(1, -2) end
  return self.whole, topic
end

-- --- what is under one topic -------------------------------------------------
--
-- keys: a list; values: of those, in the same order; at: key -> its place there

local function put(there, key, value)
  local i = there.at[key] or #there.keys + 1
  there.keys[i], there.values[i], there.at[key] = key, value, i
end

-- The last one takes the place that is free.
local function take_out(there, key)
  local i, last = there.at[key], #there.keys
  local moved = there.keys[last]
  there.keys[i], there.values[i], there.at[moved] = moved, there.values[last], i
  there.keys[last], there.values[last], there.at[key] = nil, nil, nil
end

local function add_all(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
end

-- --- all topics --------------------------------------------------------------

--- Puts value under a topic and a key.
---@return boolean is_first  of that topic
function Topics:add(topic, key, value)
  local at, name = place(self, topic)
  local is_first = not at[name]
  if is_first then
    at[name] = { keys = {}, values = {}, at = {} }
    self.count = self.count + 1
    if at == self.prefixes then
      self.lengths[#name] = (self.lengths[#name] or 0) + 1
    end
  end
  put(at[name], key, value)
  return is_first
end

--- Takes it out.
---@return boolean is_last  there is nothing more under that topic
function Topics:remove(topic, key)
  local at, name = place(self, topic)
  local there = at[name]
  if not there or not there.at[key] then return false end
  take_out(there, key)
  if there.keys[1] ~= nil then return false end
  at[name] = nil
  self.count = self.count - 1
  if at == self.prefixes then
    local left = self.lengths[#name] - 1
    self.lengths[#name] = left > 0 and left or nil
  end
  return true
end

--- Is there something under that topic?
function Topics:has(topic)
  local at, name = place(self, topic)
  return at[name] ~= nil
end

--- Is what is published under that topic wanted?
function Topics:is_wanted(topic)
  if self.whole[topic] then return true end
  for length in pairs(self.lengths) do
    if self.prefixes[topic:sub(1, length)] then return true end
  end
  return false
end

--- All values that it is wanted for.
function Topics:find(topic)
  local list = {}
  local there = self.whole[topic]
  if there then add_all(list, there.values) end
  for _, length in ipairs(sets.sorted(self.lengths)) do
    there = length <= #topic and self.prefixes[topic:sub(1, length)]
    if there then add_all(list, there.values) end
  end
  return list
end

--- The topics.
function Topics:list()
  local list = sets.sorted(self.whole)
  for _, name in ipairs(sets.sorted(self.prefixes)) do
    list[#list + 1] = name .. "*"
  end
  return list
end

--- All keys.
function Topics:keys()
  local keys = {}
  for _, at in ipairs { self.whole, self.prefixes } do
    for _, name in ipairs(sets.sorted(at)) do add_all(keys, at[name].keys) end
  end
  return keys
end

return {
  new = function()
    return setmetatable({
      whole = {}, prefixes = {}, count = 0,
      lengths = {}, -- of prefixes -> how many have it
    }, Topics)
  end,
}
