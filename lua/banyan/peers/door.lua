--- Who may connect to this node as a peer: the realms that it accepts. Private
-- to banyan.peers.
--
-- The driver hands over connections that begin with the mark of a realm
-- (driver/luv.lua, lockstep/ends.lua). Such a one is a stranger until it has
-- proved that it knows the secret: the mark could have been overheard. Then it
-- becomes a peer.

local connection = require "banyan.peers.connection"
local core = require "banyan.core"
local frames = require "banyan.peers.frames"
local limits = require "banyan.peers.limits"
local owned = require "banyan.owned"
local registry = require "banyan.peers.registry"
local sets = require "banyan.sets"
local tree = require "banyan.peers.tree"
local wires = require "banyan.peer.wire"

local STRANGER_MS = 10000 -- that one has to prove itself

local door = {}

-- --- strangers ---------------------------------------------------------------

local function let_go(stranger)
  local S = stranger.S
  if S.strangers[stranger.number] ~= stranger then return false end
  S.strangers[stranger.number] = nil
  S.stranger_count = S.stranger_count - 1
  stranger.cancel()
  return true
end

local function drop(stranger)
  if let_go(stranger) then stranger.wire:close() end
end

-- It has proved itself.
local function become_peer(stranger)
  local S, wire, realm = stranger.S, stranger.wire, stranger.realm
  if not let_go(stranger) then return end
  local record = registry.new(S, {
    realm = realm.name, token = realm.token, direction = "in",
    address = stranger.stream:address(), timeout_ms = STRANGER_MS,
    opened = true,
    on_up = realm.on_up, on_down = realm.on_down,
  })
  wire.on = frames.callbacks(record)
  connection.attach(record, wire, stranger.stream)
  stranger.node:spawn(function()
    local pid, err = tree.start_peer(record)
    if pid then return end
    core.event("peer_connection_refused", {
      realm = realm.name, address = record.address, reason = err,
    })
    wire:close()
  end)
end

-- Takes a connection over whose first bytes are the mark of that realm.
local function take(S, realm, stream, bytes, node)
  if not S.sup or S.stranger_count >= limits.strangers then return false end
  S.last = S.last + 1
  local stranger = {
    S = S, number = S.last, realm = realm, stream = stream, node = node,
    noise = 0,
  }
  local function leave() drop(stranger) end
  stranger.wire = wires.new(S.sup, false, realm.token, S.transport.entropy(32),
    stream, {
      open = function() become_peer(stranger) end,
      noise = function(text)
        stranger.noise = stranger.noise + #text
        if stranger.noise > limits.stranger_bytes then leave() end
      end,
      data = leave, output = leave, bad = leave, ended = leave,
    })
  stranger.cancel = S.transport.later(S.sup, STRANGER_MS, leave)
  S.strangers[stranger.number] = stranger
  S.stranger_count = S.stranger_count + 1
  stranger.wire:read(stream)
  stranger.wire:feed(bytes)
  return true
end

-- --- realms ------------------------------------------------------------------

local function claims_here()
  local kept = core.kept()
  kept.claims = kept.claims or {}
  return kept.claims
end

local function close(S, name)
  local old = S.realms[name]
  S.realms[name] = nil
  if old then claims_here()[old.mark] = nil end
  return old ~= nil
end

local function open(S, name, secret, opts)
  local realm = {
    name = name, token = core.realm_token(name, secret),
    on_up = opts.on_up, on_down = opts.on_down,
  }
  realm.mark = core.dialer_mark(realm.token)
  close(S, name)
  S.realms[name] = realm
  claims_here()[realm.mark] = function(...) return take(S, realm, ...) end
end

--- Accepts a realm of that secret; one that is accepted already has it from now
-- on.
function door.open(S, name, secret, opts)
  core.unbroken(open, S, name, secret, opts)
end

--- Accepts it no more; peers that are there stay.
---@return boolean was_open
function door.close(S, name)
  return core.unbroken(close, S, name)
end

--- That process is the supervisor of the node's peers until it ends.
function door.attend(S, sup, options)
  S.sup, S.options = sup, options
  owned.add(sup, {
    release = function()
      if S.sup == sup then S.sup = nil end
      for _, number in ipairs(sets.sorted(S.strangers)) do
        drop(S.strangers[number])
      end
    end,
  })
end

return door
