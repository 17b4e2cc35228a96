-- The events of a distributed supervisor, with the fields that a program sees.

local core = require "banyan.core"

local events = {}

local RECENT_ENDS, LAST_REASONS = 64, 5

--- The coordinator begins: it has noted no end yet.
function events.open(coordinator)
  coordinator.recent_ends, coordinator.ends_noted = {}, 0
end

--- Keeps why a child's process ended by itself; of all children together the
-- last ones.
function events.note_end(self, id, reason)
  self.ends_noted = self.ends_noted % RECENT_ENDS + 1
  self.recent_ends[self.ends_noted] = { id = id, reason = reason }
end

-- Why processes of a child ended lately, the last one last.
local function last_reasons(self, id, last)
  local list = {}
  for i = 0, RECENT_ENDS - 1 do
    local one = self.recent_ends[(self.ends_noted + i) % RECENT_ENDS + 1]
    if one and one.id == id then list[#list + 1] = one.reason end
  end
  if last ~= nil and tostring(list[#list]) ~= tostring(last) then
    list[#list + 1] = last
  end
  while #list > LAST_REASONS do table.remove(list, 1) end
  return list
end

local fields = {}

-- The id, or what stands for one that this node's Lua cannot have.
local function shown_id(a)
  if not a.key then return a.id end
  return core.reason { "cannot_represent", a.digits }
end

function fields.child_failing(a, self)
  return {
    id = shown_id(a), peer = a.node, reason = a.reason, why = a.why,
    count = a.count, wait_ms = a.wait_ms,
    reasons = last_reasons(self, a.id, a.reason),
  }
end

function fields.placement_conflict(a)
  return {
    id = shown_id(a), pid = a.pid, winner = a.other_pid, peer = a.node,
  }
end

function fields.placement_moved(a)
  return { id = shown_id(a), pid = a.pid, from = a.from }
end

function fields.placement_member(a)
  return { peer = a.node, member = a.joined }
end

function fields.spec_withheld(a)
  return { id = shown_id(a), peer = a.node }
end

function fields.nodes_differ(a, self)
  return { peer = a.node, mine = self.opts.nodes, theirs = a.names }
end

-- How many nodes each needs; nil: it is in the other mode.
function fields.quorum_differs(a, self)
  local _, _, _, mine = self.dist:quorum()
  return { peer = a.node, mine = mine, theirs = a.count > 0 and a.count or nil }
end

--- The fields of an event of the machine, the action `a`.
function events.fields(self, a) return fields[a.event](a, self) end

return events
