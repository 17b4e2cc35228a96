--- What a node keeps of its peer connections: the state `S` below, and for each
-- peer a record. Both outlive the processes that work with them. Private to
-- banyan.peers.
--
-- S:  peers       pid of a peer's supervisor -> record
--     count, last how many; the number of the last one, or of a stranger
--     served      procedure -> fn
--     advertised  service -> {value=, ttl_ms=}
--     realms      realm -> {name=, token=, mark=, on_up=, on_down=}
--     strangers   number -> a connection that has not proved itself; and
--                 stranger_count
--     sup         the supervisor of all; options: those of start_link
--     transport   how connections get there (driver/transport.lua); false where
--                 the driver has none
--
-- A record is made in `new`. Processes read and change it, and so do callbacks
-- of the driver, which come between any two instructions of a process: what
-- takes more than one step is done in core.unbroken.

local core = require "banyan.core"
local owned = require "banyan.owned"
local sets = require "banyan.sets"
local Topics = require "banyan.peers.topics"

local registry = {}

-- Loaded late: it needs luv.
local function transport_of(kept)
  if core.driver() ~= "luv" then return kept.transport or false end
  return require "banyan.driver.transport"
end

-- The state of a node. Its own key in what the node keeps.
local function of(kept)
  local S = kept.peer_connections
  if not S then
    S = {
      peers = {}, count = 0, last = 0, served = {}, advertised = {},
      realms = {}, strangers = {}, stranger_count = 0, options = {},
      transport = false,
    }
    kept.peer_connections = S
  end
  -- Under lockstep there is one once there is a cluster.
  S.transport = S.transport or transport_of(kept)
  return S
end

--- That of the caller's node.
function registry.here()
  return of(core.kept())
end

--- A record of a peer that is not started yet.
---@param S table
---@param fields table  realm, token, direction, address ...
function registry.new(S, fields)
  local record = {
    S = S,
    status = "connecting", -- then "connected", "down"
    reason = nil,          -- why it ends, as soon as that is decided
    children = {},         -- id -> pid, while it runs
    held = {},             -- id -> messages for one that does not
    unread = {},           -- id -> bytes that it has not worked off
    openers = {},          -- who waits for "connected"
    -- This end: what its processes subscribe to, calls that wait.
    subscriptions = {},    -- ref -> {topic=, to=}
    local_topics = Topics.new(),
    pending = {}, number = 0,
    -- The other end: what it subscribes to, advertises, calls.
    remote_topics = Topics.new(),
    services = {}, service_count = 0, service_bytes = 0,
    serving = {}, serving_count = 0, serving_bytes = 0,
  }
  for key, value in pairs(fields) do record[key] = value end
  S.last = S.last + 1
  record.id = S.last
  return record
end

local function wake(record)
  local openers = record.openers
  record.openers = {}
  for _, done in ipairs(openers) do done(true) end
end

--- Both ends are ready.
function registry.connected(record)
  record.status = "connected"
  wake(record)
end

-- The peer is over, for whatever reason. Right a second time.
local function release(record)
  local S = record.S
  if S.peers[record.pid] == record then
    S.peers[record.pid] = nil
    S.count = S.count - 1
  end
  record.status = "down"
  if record.hang_up then record.hang_up() end
  wake(record)
  local pending = record.pending
  record.pending = {}
  for _, number in ipairs(sets.sorted(pending)) do
    pending[number](true, nil, "noconnection")
  end
end

local function add(record, pid)
  local S = record.S
  record.pid = pid
  S.peers[pid] = record
  S.count = S.count + 1
  if owned.add(pid, { release = function() release(record) end }) then
    return true
  end
  release(record)
  return false
end

--- A peer begins, with that process as its supervisor. From now on until that
-- has ended, before anybody hears of it, the peer is in lists and counts.
function registry.add(record, pid)
  return core.unbroken(add, record, pid)
end

--- The records of the peers of a node, the oldest first.
function registry.list(S)
  local list = {}
  for _, record in pairs(S.peers) do list[#list + 1] = record end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

return registry
