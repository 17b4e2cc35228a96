--- Topics with something under each: found by the topic that is published.
-- Private to banyan.peers.
--
-- A topic that ends in "*" stands for all that begin with the rest.

local Topics = {}
Topics.__index = Topics

local NONE = {}

local function place(self, topic)
  if topic:sub(-1) == "*" then return self.prefixes, topic:sub(1, -2) end
  return self.whole, topic
end

--- Puts value under a topic and a key.
---@return boolean is_first  of that topic
function Topics:add(topic, key, value)
  local at, name = place(self, topic)
  local is_first = not at[name]
  if is_first then
    at[name] = {}
    self.count = self.count + 1
    if at == self.prefixes then
      self.lengths[#name] = (self.lengths[#name] or 0) + 1
    end
  end
  at[name][key] = value
  return is_first
end

--- Takes it out.
---@return boolean is_last  there is nothing more under that topic
function Topics:remove(topic, key)
  local at, name = place(self, topic)
  local there = at[name]
  if not there or there[key] == nil then return false end
  there[key] = nil
  if next(there) ~= nil then return false end
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

--- All values that it is wanted for, in no order.
function Topics:find(topic)
  local list = {}
  for _, value in pairs(self.whole[topic] or NONE) do
    list[#list + 1] = value
  end
  for length in pairs(self.lengths) do
    local there = length <= #topic and self.prefixes[topic:sub(1, length)]
    for _, value in pairs(there or NONE) do list[#list + 1] = value end
  end
  return list
end

--- The topics, in no order.
function Topics:list()
  local list = {}
  for name in pairs(self.whole) do list[#list + 1] = name end
  for name in pairs(self.prefixes) do list[#list + 1] = name .. "*" end
  return list
end

return {
  new = function()
    return setmetatable({
      whole = {}, prefixes = {}, count = 0,
      lengths = {}, -- of prefixes -> how many have it
    }, Topics)
  end,
}
