--- The child "advertisements" of a peer: it says again what this node
-- advertises, each service in half of its time, and drops what the other end
-- has not said again in time. Private to banyan.peers.
--
-- What this node advertises is in the state of the node, for all peers; what
-- the other end does, in the record.

local child = require "banyan.peers.child"
local core = require "banyan.core"
local frames = require "banyan.peers.frames"
local kinds = require "banyan.peers.kinds"
local registry = require "banyan.peers.registry"
local server = require "banyan.server"
local sets = require "banyan.sets"

local PRUNE_MS = 10000

local Advertisements = { name = "peer_advertisements" }

local function say(record, service)
  local it = record.S.advertised[service]
  local packed = record.wire.channel:has_doubles() and it.doubles or it.packed
  if not packed then return end -- integers that the other end has not
  record.wire:put(kinds.ADVERTISE, service, packed, it.ttl_ms)
end

--- Says all that this node advertises. Must not wait.
function Advertisements.say_all(record)
  for _, service in ipairs(sets.sorted(record.S.advertised)) do
    say(record, service)
  end
end

-- --- for callers -------------------------------------------------------------

--- A service has changed, or is not advertised any more. While it connects the
-- other end is not told yet, but the process has to say it again in time.
function Advertisements.changed(S, service)
  for _, record in ipairs(registry.list(S)) do
    if record.is_said and S.advertised[service] then
      say(record, service)
    elseif record.is_said then
      record.wire:put(kinds.WITHDRAW, service)
    end
    child.tell(record, "advertisements", "changed", service)
  end
end

--- What the other end advertises under that name; nil: nothing, or not in time.
function Advertisements.find(record, service)
  local it = record.services[service]
  return it and record.S.transport.clock() < it.expires and it.packed or nil
end

-- --- the server --------------------------------------------------------------

-- Of this process: record.due, service -> when it is said again.
local function note(record, service, now)
  local it = record.S.advertised[service]
  record.due[service] = it and now + math.max(math.floor(it.ttl_ms / 2), 1)
end

local on = {}

-- Has this process wake up when the next one is due.
local function arm(record)
  local first
  for _, time in pairs(record.due) do
    first = math.min(first or time, time)
  end
  if record.renewal then core.cancel_timer(record.renewal) end
  record.renewal = first
    and child.remind(math.max(first - record.S.transport.clock(), 1), "renew")
end

function on.changed(record, service)
  note(record, service, record.S.transport.clock())
  arm(record)
end

local function renew(record)
  local now = record.S.transport.clock()
  for _, service in ipairs(sets.sorted(record.due)) do
    if record.due[service] <= now then
      if record.S.advertised[service] and record.is_said then
        say(record, service)
      end
      note(record, service, now)
    end
  end
end

function on.renew(record)
  core.unbroken(renew, record)
  arm(record)
end

local function prune(record)
  local now, over = record.S.transport.clock(), {}
  for service, it in pairs(record.services) do
    if it.expires <= now then over[#over + 1] = service end
  end
  for _, service in ipairs(over) do
    frames.forget(record, service)
  end
end

function on.prune(record)
  core.unbroken(prune, record)
  child.remind(PRUNE_MS, "prune")
end

local function begin(record)
  local now = record.S.transport.clock()
  if record.is_said then Advertisements.say_all(record) end
  for service in pairs(record.S.advertised) do note(record, service, now) end
end

function Advertisements.init(_, get_record)
  local record = get_record()
  record.due, record.renewal = {}, nil
  child.enter(record, "advertisements")
  core.unbroken(begin, record)
  arm(record)
  child.remind(PRUNE_MS, "prune")
end

function Advertisements.handle_info(_, message)
  child.handle("advertisements", on, message)
end

function Advertisements.start_link(get_record)
  return server.start_link(Advertisements, get_record)
end

return Advertisements
