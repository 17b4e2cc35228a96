--- Linearizability: is there a moment for each operation, between its
-- invocation and its return, at which it can have taken effect all at once?
-- (Herlihy and Wing, Linearizability: a correctness condition for concurrent
-- objects, 1990.)
--
-- As an order of precedence: what returned before another was invoked comes
-- before it. An operation of unknown outcome comes before nothing.

local search = require "banyan.lockstep.search"

local linearizable = {}

local Order = {}
Order.__index = Order

function Order.before(a, b) return a.returned < b.invoked end

-- The known entries that were not taken are a ring of links in the order of
-- their invocation; what is taken leaves it and comes back to its place.
local function new_order(entries)
  local known, unknown = search.part(entries, function() return 1 end)
  local head = {}
  head.next, head.prev = head, head
  for _, entry in ipairs(known) do
    entry.prev, entry.next = head.prev, head
    head.prev.next, head.prev = entry, entry
  end
  return setmetatable({ entries = entries, unknown = unknown, head = head },
    Order)
end

function Order:candidates()
  local list, head = {}, self.head
  local entry, first_return = head.next, math.huge
  while entry ~= head and entry.invoked < first_return do
    list[#list + 1] = entry
    if entry.returned < first_return then first_return = entry.returned end
    entry = entry.next
  end
  for _, open in ipairs(self.unknown) do
    if open.invoked > first_return then break end
    if not open.taken and (not open.twin or open.twin.taken) then
      list[#list + 1] = open
    end
  end
  return list
end

function Order:take(entry) -- luacheck: no self
  if not entry.known then return end
  entry.prev.next, entry.next.prev = entry.next, entry.prev
end

function Order:give_back(entry) -- luacheck: no self
  if not entry.known then return end
  entry.prev.next, entry.next.prev = entry, entry
end

--- Checks operations. Does not yield.
---@param ops table[]  as banyan.lockstep.history records them
---@param model table  see banyan.lockstep.model
---@param limit integer  how many steps are enough
---@param cut? integer  look only at what happened up to then
---@return table verdict  see banyan.lockstep.search
function linearizable.check(ops, model, limit, cut)
  local entries = search.entries(ops, model, cut)
  -- These cannot be next before all others are done.
  while cut and #entries > 0 and entries[#entries].invoked > cut do
    entries[#entries] = nil
  end
  return search.run(new_order(entries), model, limit)
end

return linearizable
