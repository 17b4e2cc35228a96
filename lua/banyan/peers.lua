--- Connections to nodes of other clusters.
--
-- The nodes of a cluster trust each other: they see each other's processes. To
-- a node of another cluster a program may rather want a door that it holds the
-- key of. A peer is such a connection. The other end may publish what this one
-- has subscribed to, call what it serves, and see what it advertises; nothing
-- else. It is no node of `banyan.nodes()`.
--
--     -- on both sides
--     local peers = require "banyan.peers"
--     assert(peers.start_link())
--     -- on one
--     peers.accept { realm = "billing", secret = "a long secret" }
--     peers.serve("double", function(n) return 2 * n end)
--     -- on the other
--     local p = assert(peers.start_peer("banyan://10.0.0.7:9101",
--       { realm = "billing", secret = "a long secret" }))
--     print(peers.call(p, "double", 21)) --> 42
--
-- A peer is a pid, that of a supervisor with the children "connection",
-- "pubsub", "rpc" and "advertisements". If the connection breaks, the peer
-- ends, and its monitors hear why; nobody dials again but the program. See
-- docs/bridges.md.
--
-- Needs nodes with the driver "luv", or those of a lockstep cluster.

local core = require "banyan.core"
core.skip_in_errors()
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local options = require "banyan.options"
local secrets = require "banyan.secret"
local wait = require "banyan.wait"

---@class banyan.peers
local peers = {}

local NAME = "banyan.peers"
local CALL_MS, SEND_MS, DIAL_MS, TTL_MS = 5000, 5000, 10000, 300000
local HEARTBEAT_MS, DOWN_AFTER_MS = 5000, 15000
local REALM = "default"
local TEXT_MOST = 1024 -- as in peers/limits.lua

-- Loaded late: a program that has no peers need not have them.
local function registry() return require "banyan.peers.registry" end
local function tree() return require "banyan.peers.tree" end
local function door() return require "banyan.peers.door" end
local function limits() return require "banyan.peers.limits" end

-- The state of the caller's node. An error outside of a process.
local function here(what)
  core.self(what)
  return registry().here()
end

local function check_driver(what)
  local S = here(what)
  if S.transport then return S end
  local driver = core.driver()
  if driver == "lockstep" then
    error(what .. ": under lockstep there are connections in a cluster only "
      .. "(lockstep.cluster)", 3)
  end
  error(('%s: needs a node with the driver "luv"; this one has %s'):format(what,
    driver and ("%q"):format(driver) or "none"), 3)
end

local function check_peer(what, pid)
  local S = here(what)
  if core.is_pid(pid) then return S.peers[pid] end
  error(("%s: a peer is a pid, got %s"):format(what, type(pid)), 3)
end

local function check_text(what, name, value)
  if type(value) ~= "string" then
    error(("%s: %s must be a string, got %s"):format(what, name, type(value)),
      3)
  end
  if #value > TEXT_MOST then
    error(("%s: %s has at most %d bytes, this one has %d"):format(what, name,
      TEXT_MOST, #value), 3)
  end
end

-- The bytes of a value; what cannot be sent is an error of the program.
local function pack(what, name, has_doubles, value)
  local fine, packed = pcall(core.pack, has_doubles, value)
  if fine then return packed end
  local why = tostring(packed):gsub("%(msg", "(" .. name)
  error(("%s: %s: %s"):format(what, name, why), 3)
end

-- --- the supervisor ----------------------------------------------------------

--- The options of peers.start_link.
---@class banyan.PeersOptions
---@field max_peers? integer|number  no limit by default
--- Milliseconds between two signs of life, 5000 by default.
---@field heartbeat_ms? integer
--- A peer that nothing is heard of for so long is given up: 15000.
---@field down_after_ms? integer

local start_options = {
  max_peers = {
    "an integer not below 0, or math.huge",
    function(value)
      return type(value) == "number" and value >= 0
        and (value == math.huge or value % 1 == 0)
    end,
  },
  heartbeat_ms = "ms", down_after_ms = "ms",
}

--- Starts the supervisor of this node's peers, linked to the caller and
--- registered as "banyan.peers". Peers end with it. Yields.
---@param opts? banyan.PeersOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid}
function peers.start_link(opts)
  local S = check_driver "peers.start_link"
  opts = options.check("peers.start_link", opts, start_options, 2)
  local settings = {
    heartbeat_ms = opts.heartbeat_ms or HEARTBEAT_MS,
    down_after_ms = opts.down_after_ms or DOWN_AFTER_MS,
  }
  if settings.down_after_ms <= settings.heartbeat_ms then
    error(('peers.start_link: option "down_after_ms" (%d) must be greater than '
      .. '"heartbeat_ms" (%d)'):format(settings.down_after_ms,
      settings.heartbeat_ms), 2)
  end
  local pid, err = dynamic_supervisor.start_link {
    name = NAME, max_children = opts.max_peers,
  }
  if not pid then return nil, err end
  core.unbroken(door().attend, S, pid, settings)
  return pid
end

--- The child spec of the supervisor. Does not yield.
---@param opts? banyan.PeersOptions
---@return table spec
function peers.child_spec(opts)
  return {
    id = NAME, type = "supervisor",
    start = { "banyan.peers", "start_link", { opts, n = 1 } },
  }
end

-- --- peers -------------------------------------------------------------------

--- The options of peers.start_peer.
---@class banyan.PeerConnectionOptions
--- The secret of the realm, at least 8 bytes.
---@field secret string
---@field realm? string  "default" by default
--- Milliseconds from the dial until both ends are ready, 10000 by default.
---@field timeout_ms? integer
--- Called in a process of its own once both ends are ready.
---@field on_up? fun(pid: banyan.Pid)
--- Called in a process of its own when the peer has ended, for whatever reason.
---@field on_down? fun(pid: banyan.Pid, reason: any)

--- The options of peers.accept.
---@class banyan.RealmOptions
---@field secret string  at least 8 bytes
---@field realm? string  "default" by default
---@field on_up? fun(pid: banyan.Pid)  as for start_peer, for each such peer
---@field on_down? fun(pid: banyan.Pid, reason: any)

local accept_options = {
  secret = "string", realm = "string", on_up = "function",
  on_down = "function",
}
local peer_options = { timeout_ms = "ms" }
for name, kind in pairs(accept_options) do peer_options[name] = kind end

local function check_realm(what, opts)
  if opts.realm and #opts.realm > TEXT_MOST then
    error(('%s: option "realm" has at most %d bytes, this one has %d'):format(
      what, TEXT_MOST, #opts.realm), 3)
  end
  if opts.secret == nil then
    error(('%s: option "secret" is missing: that of the realm'):format(what), 3)
  end
  local fine, why = secrets.check(opts.secret)
  if not fine then
    error(('%s: option "secret": %s'):format(what, why), 3)
  end
  return opts.realm or REALM
end

local function parse(url)
  local at = url:match "^banyan://([^/@?#%s]+)$"
  local address = at and not at:find "^unix:"
    and require "banyan.io.address".parse(at)
  if address and address.port > 0 then return address end
end

--- Connects to a node of another cluster, which accepts that realm. It answers
--- at once: info(pid).state is "connecting", then "connected". If nobody is
--- there, or it is not let in, the peer ends, and its monitors and on_down hear
--- why: "econnrefused" and other codes of the system; "refused": the other side
--- has closed the connection, as it does where realm or secret are not its own;
--- "timeout"; "closed"; {"bye", reason}: the other side has ended it;
--- "shutdown" after stop_peer. Each call is a peer of its own. Yields.
---@param url string  "banyan://host:port"
---@param opts banyan.PeerConnectionOptions
---@return banyan.Pid|nil pid
---@return any err  {"bad_url", url}, "not_started", "max_children"
function peers.start_peer(url, opts)
  local S = check_driver "peers.start_peer"
  if type(url) ~= "string" then
    error("peers.start_peer: the url must be a string, got " .. type(url), 2)
  end
  opts = options.check("peers.start_peer", opts, peer_options, 2)
  local realm = check_realm("peers.start_peer", opts)
  local address = parse(url)
  if not address then return nil, core.reason { "bad_url", url } end
  local record = registry().new(S, {
    direction = "out", url = url, host = address.host, port = address.port,
    address = url:match "^banyan://(.*)$", realm = realm,
    token = core.realm_token(realm, opts.secret),
    timeout_ms = opts.timeout_ms or DIAL_MS,
    on_up = opts.on_up, on_down = opts.on_down,
  })
  return tree().start_peer(record)
end

--- Ends a peer, from whichever process. Yields until it has ended.
---@param pid banyan.Pid
---@return true|nil ok
---@return any err  "not_found"
function peers.stop_peer(pid)
  local record = check_peer("peers.stop_peer", pid)
  local sup = record and record.S.sup
  if not sup then return nil, "not_found" end
  local ok, err = dynamic_supervisor.terminate_child(sup, pid)
  if err == "noproc" then err = "not_found" end
  return ok, err
end

--- The peers of this node, also those that were accepted, the oldest first.
--- Does not yield.
---@return banyan.Pid[] pids
function peers.list_peers()
  local S = here "peers.list_peers"
  local list = core.unbroken(registry().list, S)
  for i, record in ipairs(list) do list[i] = record.pid end
  return list
end

--- How many there are, at a cost that does not grow with them. Does not yield.
---@return integer n
function peers.count_peers()
  return here "peers.count_peers".count
end

--- What is known of a peer.
---@class banyan.PeerConnectionInfo
---@field state "connecting"|"connected"
---@field direction "out"|"in"  who has dialled: this node, or the other one
---@field realm string
---@field url? string  of start_peer
---@field address string  "host:port" of the other end
---@field since integer  when it began, as of banyan.now
---@field rtt_ms? integer  that the last heartbeat took there and back
---@field subscriptions integer  of processes of this node
---@field topics integer  that the other end subscribes to
---@field services integer  that the other end advertises
---@field calls integer  of this node that wait for an answer
---@field serving integer  calls of the other end that are not answered

--- What is known of a peer. Does not yield.
---@param pid banyan.Pid
---@return banyan.PeerConnectionInfo|nil info
---@return any err  "noproc"
function peers.info(pid)
  local record = check_peer("peers.info", pid)
  if not record then return nil, "noproc" end
  local function count(set)
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    return n
  end
  return core.unbroken(function()
    return {
      state = record.status, direction = record.direction,
      realm = record.realm, url = record.url, address = record.address,
      since = record.since, rtt_ms = record.rtt_ms,
      subscriptions = count(record.subscriptions),
      topics = record.remote_topics.count, services = record.service_count,
      calls = count(record.pending), serving = record.serving_count,
    }
  end)
end

-- --- who may connect ---------------------------------------------------------

--- From now on, nodes of other clusters that know the secret may connect to
--- this one, at its own port. A realm that is accepted already gets this secret
--- and these callbacks. Does not yield.
---@param opts banyan.RealmOptions
---@return true|nil ok
---@return any err  "not_listening": the node has no name
function peers.accept(opts)
  local S = check_driver "peers.accept"
  opts = options.check("peers.accept", opts, accept_options, 2)
  local realm = check_realm("peers.accept", opts)
  if not core.node_name() then return nil, "not_listening" end
  door().open(S, realm, opts.secret, opts)
  return true
end

--- Accepts nobody of that realm any more; peers that are there stay. Does not
--- yield.
---@param realm? string  "default" by default
---@return true|nil ok
---@return any err  "not_accepted"
function peers.unaccept(realm)
  local S = check_driver "peers.unaccept"
  if realm == nil then realm = REALM end
  check_text("peers.unaccept", "realm", realm)
  if door().close(S, realm) then return true end
  return nil, "not_accepted"
end

-- --- topics ------------------------------------------------------------------

--- Subscribes to what the other end publishes on this connection: messages
--- `{tag="publish", topic=, msg=, peer=}`. It ends with the process, with the
--- peer, or by unsubscribe. Pids in a message reach nobody. Does not yield.
---@param pid banyan.Pid  the peer
---@param topic string  with "*" at the end: all that begin so
---@param to? banyan.Pid  who gets the messages (the caller)
---@return banyan.Ref|nil ref
---@return any err  "noproc"; "too_many_topics": more than 10,000
function peers.subscribe(pid, topic, to)
  local record = check_peer("peers.subscribe", pid)
  check_text("peers.subscribe", "topic", topic)
  if to == nil then to = core.self() end
  if not core.is_pid(to) then
    error("peers.subscribe: to must be a pid, got " .. type(to), 2)
  end
  if not record then return nil, "noproc" end
  local topics = record.local_topics
  if topics.count >= limits().topics and not topics:has(topic) then
    return nil, "too_many_topics"
  end
  return core.unbroken(tree().pubsub.subscribe, record, topic, to)
end

--- Ends a subscription. Messages that are under way still come. Does not yield.
---@param pid banyan.Pid  the peer
---@param ref banyan.Ref
---@return true|nil ok
---@return any err  "not_subscribed", "noproc"
function peers.unsubscribe(pid, ref)
  local record = check_peer("peers.unsubscribe", pid)
  if not core.is_ref(ref) then
    error("peers.unsubscribe: a ref expected, got " .. type(ref), 2)
  end
  if not record then return nil, "noproc" end
  return core.unbroken(tree().pubsub.unsubscribe, record, ref)
end

local await_wait = wait(core.await_wait)

--- Sends a message to the other end, if that has subscribed to the topic.
--- Yields where very much is unsent, for 5 s at most.
---@param pid banyan.Pid  the peer
---@param topic string
---@param msg any  what may be sent to another node
---@return true|nil ok
---@return any err  "noproc"; "timeout": the other end reads too slowly;
---  "too_large": more than 16 MiB
function peers.publish(pid, topic, msg)
  local record = check_peer("peers.publish", pid)
  check_text("peers.publish", "topic", topic)
  if not record then
    pack("peers.publish", "msg", false, msg)
    return nil, "noproc"
  end
  local wire = record.wire
  local packed = pack("peers.publish", "msg",
    wire ~= nil and wire.channel:has_doubles(), msg)
  local topics = record.remote_topics
  if not core.unbroken(topics.is_wanted, topics, topic) then return true end
  if #packed > limits().message then return nil, "too_large" end
  if not wire:await_room(await_wait, SEND_MS) then return nil, "timeout" end
  local ok, err = wire:put(require "banyan.peers.kinds".PUBLISH, topic, packed)
  if err == "closed" then err = "noproc" end
  return ok, err
end

-- --- procedures --------------------------------------------------------------

--- Has the other ends of all peers call a function, in a process of its own
--- for each call: fn(args, info) with info.peer, info.realm, info.procedure.
--- What it returns is the answer; an error in it is `nil, {"error", message}`
--- there, and the event process_crashed here. One that is served already is
--- replaced. Does not yield.
---@param procedure string
---@param fn fun(args: any, info: table): ...
---@return true
function peers.serve(procedure, fn)
  local S = here "peers.serve"
  check_text("peers.serve", "procedure", procedure)
  options.argument(fn, "function", "peers.serve", "fn")
  S.served[procedure] = fn
  return true
end

--- Serves it no more. Calls under way are answered. Does not yield.
---@param procedure string
---@return true|nil ok
---@return any err  "not_served"
function peers.unserve(procedure)
  local served = here "peers.unserve".served
  check_text("peers.unserve", "procedure", procedure)
  if not served[procedure] then return nil, "not_served" end
  served[procedure] = nil
  return true
end

--- Calls what the other end serves. Waits for the connection, too. Yields.
---@param pid banyan.Pid  the peer
---@param procedure string
---@param args? any  one value
---@param timeout? integer|number|string  milliseconds, 5000 by default
---@return any ...  what the function returned
---@return any err  "timeout"; "noproc": there is no such peer; "noconnection":
---  it has ended meanwhile; {"undef", procedure}: not served; {"error",
---  message} of the function, or the exit reason of its process; "aborted":
---  the child "rpc" there was restarted; "overloaded": more than 1,000 calls
---  are under way; "too_large"
function peers.call(pid, procedure, args, timeout)
  local record = check_peer("peers.call", pid)
  check_text("peers.call", "procedure", procedure)
  if timeout == nil then timeout = CALL_MS end
  timeout = options.timeout(timeout, "peers.call")
  pack("peers.call", "args", false, args)
  if not record then return nil, "noproc" end
  return tree().rpc.call(record, procedure, args, timeout)
end

-- --- services ----------------------------------------------------------------

--- The options of peers.advertise.
---@class banyan.AdvertiseOptions
--- Milliseconds that it is good for if it is not said again, 300000 by default.
---@field ttl_ms? integer

local advertise_options = { ttl_ms = "ms" }

-- nil, or why it is too much.
local function excess(S, service, packed)
  local bytes, count = #packed, 1
  for name, it in pairs(S.advertised) do
    if name ~= service then bytes, count = bytes + #it.packed, count + 1 end
  end
  if bytes > limits().advertised then return "too_large" end
  if count > limits().services then return "too_many_services" end
end

local function advertise(S, service, it)
  local why = excess(S, service, it.packed)
  if why then return nil, why end
  S.advertised[service] = it
  tree().advertisements.changed(S, service)
  return true
end

--- Shows a value to the other ends of all peers, now and later, under the name
--- of a service; a second value takes the place of the first. It is said again
--- before its time is over; where that does not come through it is forgotten.
--- Does not yield.
---@param service string
---@param value any
---@param opts? banyan.AdvertiseOptions
---@return true|nil ok
---@return any err  "too_large": all together have more than 4 MiB;
---  "too_many_services": more than 1,000
function peers.advertise(service, value, opts)
  local S = here "peers.advertise"
  check_text("peers.advertise", "service", service)
  opts = options.check("peers.advertise", opts, advertise_options, 2)
  local packed = pack("peers.advertise", "value", false, value)
  local fine, doubles = pcall(core.pack, true, value)
  local it = {
    packed = packed, ttl_ms = opts.ttl_ms or TTL_MS,
    -- For an end under LuaJIT, which may not have all of its integers.
    doubles = fine and doubles or nil,
  }
  return core.unbroken(advertise, S, service, it)
end

local function withdraw(S, service)
  if not S.advertised[service] then return nil, "not_advertised" end
  S.advertised[service] = nil
  tree().advertisements.changed(S, service)
  return true
end

--- Advertises it no more. Does not yield.
---@param service string
---@return true|nil ok
---@return any err  "not_advertised"
function peers.withdraw(service)
  local S = here "peers.withdraw"
  check_text("peers.withdraw", "service", service)
  return core.unbroken(withdraw, S, service)
end

--- What the other end advertises under a name. Yields until the peer is
--- connected, for 5 s at most.
---@param pid banyan.Pid  the peer
---@param service string
---@return any[]|nil values  empty: nothing
---@return any err  "noproc", "noconnection", "timeout"
function peers.discover(pid, service)
  local record = check_peer("peers.discover", pid)
  check_text("peers.discover", "service", service)
  if not record then return nil, "noproc" end
  if not tree().rpc.await_connected(record, core.now() + CALL_MS) then
    return nil, record.status == "connecting" and "timeout" or "noconnection"
  end
  local packed = tree().advertisements.find(record, service)
  if not packed then return {} end
  local fine, value = core.unpack_foreign(packed)
  if not fine then return {} end
  return { value }
end

return peers
