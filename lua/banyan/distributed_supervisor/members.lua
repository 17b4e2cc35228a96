-- How the coordinators of one name find each other, and how they part.
--
--   hello    asks another coordinator for all it knows. What it knows comes
--            as entries ahead of its answer, and from then on it tells what
--            changes: after the answer the two are in step ("synced").
--   ready    "I have heard all nodes that I could": from now on I own my part
--            of the ring. The answer names the ids whose start is under way
--            and that are mine now; until the word "settled" comes for one of
--            them, I let it be.
--   down     "that host is gone, and here is the digest of what I know of
--            it". Nobody starts the children of a lost host before all others
--            have said so, and before what they knew was made equal: a child
--            that one survivor alone knows of is not lost then, and one whose
--            end one alone has heard of does not come back.
--   leaving  a node goes in good order.
--   digest   from time to time, to one after the other: a difference that
--            stays has both send what they know.
--
-- A coordinator is a member of the ring once it is ready and in step. Where
-- two meet that are both ready already (one was started before its node was
-- connected, or a network was split), the one that has been so for less time
-- says "unready" and joins anew, or both do if it is about the same: so no two
-- own one part of the ring in the belief that the other does not exist.

local core = require "banyan.core"
local listeners = require "banyan.distributed_supervisor.listeners"
local placement = core.placement

local members = {}

local BATCH = 100          -- entries in one message
local SETTLE_MS = 5000     -- for the others to notice that a host is gone
local JOIN_MS = 8000       -- for the others to answer a hello
local CONNECT_MS = 3000    -- for a connection to a node that others have
local FORGET_HOST_MS = 600000
local DIGESTS = 5          -- different digests in a row that are no chance
local SENIORITY_MS = 2000  -- ages that differ by less are the same

local function now() return core.now() end

-- Whatever is done for each of several is done in one order, so that a run can
-- be repeated: peers by the names of their nodes, hosts by what they print.
local function order_peers(self)
  local list = {}
  for _, peer in pairs(self.peers) do list[#list + 1] = peer end
  table.sort(list, function(a, b) return a.node < b.node end)
  self.ordered = list
end

local function hosts_of(map)
  local list = {}
  for host in pairs(map) do list[#list + 1] = host end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end

-- --- telling ---------------------------------------------------------------

--- One message to all other coordinators.
function members:tell(msg)
  for _, peer in ipairs(self.ordered) do core.cast(peer.pid, msg) end
end

--- A child of this node has changed: all others hear of it.
function members:publish(id, fields)
  local entry = self.registry:update(id, fields or {})
  if next(self.peers) then self:tell { tag = "entries", list = { entry } } end
end

--- Runs fn once another node knows all that was published, or none is left
-- that could. Two are asked, lest one that hangs holds it up.
function members:when_shared(fn)
  local asked, failed, done = 0, 0, false
  local function heard(answer)
    if not answer then failed = failed + 1 end
    if done or not answer and failed < asked then return end
    done = true
    fn()
  end
  for _, peer in ipairs(self.ordered) do
    if peer.synced and asked < 2 then
      asked = asked + 1
      self:ask(peer.pid, { tag = "shared" }, heard)
    end
  end
  if asked == 0 then fn() end
end

function members:send_entries(pid, host)
  self.registry:each_batch(host, BATCH, function(list)
    core.cast(pid, { tag = "entries", list = list })
  end)
end

function members:take_entries(msg)
  local at = now()
  for _, entry in ipairs(msg.list) do
    local news = self.registry:merge(entry, at)
    if news == "raised" and self.placement:restarted(entry[1]) then
      self:publish(entry[1], {})
    end
  end
end

-- --- meeting ---------------------------------------------------------------

function members:allowed(node)
  return self.allow == nil or self.allow[node] == true
end

local function down_hosts(self)
  local list = hosts_of(self.noticed)
  for _, host in ipairs(hosts_of(self.dead)) do list[#list + 1] = host end
  return list
end

local function card(self)
  local nodes = {}
  for i, peer in ipairs(self.ordered) do nodes[i] = peer.node end
  return {
    tag = "hello", pid = self.me, sup = self.sup, node = self.node,
    ready = self.ready, age = now() - self.since,
    down = down_hosts(self), nodes = nodes,
  }
end

-- Makes the one who sent a card known.
local function meet(self, theirs)
  local peer = self.peers[theirs.pid]
  if not peer then
    local old = self.by_node[theirs.node]
    if old then self:lose(old, "restarted") end
    peer = { pid = theirs.pid, sup = theirs.sup, node = theirs.node }
    self.peers[peer.pid] = peer
    self.by_node[peer.node] = peer
    order_peers(self)
    self.noticed[peer.pid], self.dead[peer.pid] = nil, nil
    self.hearsay[peer.pid] = nil
    self.watches[core.monitor(peer.pid)] = { peer = peer, what = "pid" }
    self.watches[core.monitor(peer.sup)] = { peer = peer, what = "sup" }
    self.registry:set_host(peer.pid, "up")
  end
  return peer
end

-- The ids whose start is under way here, for others to leave alone until they
-- hear that it is over.
local function pending_ids(self, peer)
  local pending = {}
  for id, job in pairs(self.starting) do
    if not peer or self.placement:owner(id) == peer.node then
      pending[#pending + 1] = id
      job.tell = true
    end
  end
  return pending
end

local function leave_alone(self, pid, ids)
  for _, id in ipairs(ids) do self.elsewhere[id] = pid end
end

-- Leaves the ring in order to join it anew, with those just met.
local function join_anew(self)
  self.ready, self.since, self.acks = false, now(), {}
  self:tell {
    tag = "unready", pid = self.me, pending = pending_ids(self),
  }
  for _, peer in ipairs(self.ordered) do
    peer.ready = peer.ready or peer.claims
  end
end

-- Is the other one to be counted on as ready, or who has to join anew?
local function consider(self, peer, theirs)
  peer.claims = theirs.ready
  if not theirs.ready or peer.ready then return end
  if not self.ready then
    peer.ready = true
  elseif now() - self.since <= theirs.age + SENIORITY_MS then
    join_anew(self)
  end
end

--- Another coordinator joins anew.
function members:take_unready(msg)
  local peer = self.peers[msg.pid]
  if not peer then return end
  peer.ready, peer.claims = false, false
  leave_alone(self, peer.pid, msg.pending)
  self:refresh()
end

--- Others are connected with these nodes, or are to be: this one should be
-- too.
function members:reach(nodes)
  for _, node in ipairs(nodes) do
    if node ~= self.node and not self.by_node[node]
      and not self.asked[node] and not self.reaching[node] then
      self.reaching[node] = true
      local me = self.me
      core.spawn(function()
        local ok = core.connect(node, CONNECT_MS)
        core.send(me, { tag = "reached", node = node, ok = ok })
      end)
    end
  end
end

function members:reached(msg)
  self.reaching[msg.node] = nil
  if msg.ok then self:greet(msg.node) end
end

local function greeted(self, node, peer_card)
  self.asked[node] = nil
  if not peer_card then return end
  local peer = meet(self, peer_card)
  peer.synced = true
  consider(self, peer, peer_card)
  for _, host in ipairs(peer_card.down) do
    self:hear_down(peer.pid, host, nil)
  end
  self:reach(peer_card.nodes)
  self:refresh()
  if peer.asks_ready then self:answer_ready(peer) end
end

--- Asks the coordinator on a node, if there is one, for what it knows.
function members:greet(node, pid)
  local peer = self.by_node[node]
  if node == self.node or self.asked[node] or peer and peer.synced then
    return
  end
  self.asked[node] = true
  self:ask(pid or { name = self.name, node = node }, card(self),
    function(answer)
      -- The name may belong to something else.
      if type(answer) == "table" and answer.tag == "hello" then
        greeted(self, node, answer)
      else
        greeted(self, node, nil)
      end
    end)
end

--- A hello came: entries first, then the answer.
function members:take_hello(msg)
  local peer = meet(self, msg)
  consider(self, peer, msg)
  self:send_entries(peer.pid)
  if not peer.synced then self:greet(peer.node, peer.pid) end
  self:refresh()
  return card(self)
end

-- --- being ready -----------------------------------------------------------

--- Has this coordinator heard all it has to hear?
function members:try_ready()
  if self.ready then return end
  local waiting = next(self.asked) ~= nil or next(self.reaching) ~= nil
  if waiting and now() - self.since < JOIN_MS then return end
  local since = now()
  self.ready, self.since = true, since
  for _, peer in ipairs(self.ordered) do
    local pid = peer.pid
    if peer.synced then
      self.acks[pid] = now()
      self:ask(pid, { tag = "ready", pid = self.me }, function(answer)
        if self.since == since then self.acks[pid] = nil end
        leave_alone(self, pid, answer and answer.pending or {})
      end)
    else
      core.cast(pid, { tag = "ready", pid = self.me })
    end
  end
  self:refresh()
end

--- May this node start children that the ring gives it?
function members:is_open()
  return self.ready and next(self.acks) == nil and next(self.noticed) == nil
end

function members:answer_ready(peer)
  core.reply(peer.asks_ready, { pending = pending_ids(self, peer) })
  peer.asks_ready = nil
end

--- Another coordinator is ready; `from` where it wants an answer.
function members:take_ready(msg, from)
  local peer = self.peers[msg.pid]
  if not peer then
    if from then core.reply(from, { pending = {} }) end
    return
  end
  peer.ready, peer.claims = true, true
  peer.asks_ready = from
  self:refresh()
  if peer.synced and from then self:answer_ready(peer) end
end

--- A start that was under way when we became ready is over.
function members:take_settled(msg)
  if self.elsewhere[msg.id] == msg.pid then
    self.elsewhere[msg.id] = nil
    self.placement:review()
  end
end

-- Brings one node into the ring or out of it.
local function set_member(self, node, wanted)
  if (self.members[node] or false) == wanted then return end
  self.members[node] = wanted or nil
  if wanted then
    self.placement:join(node)
  else
    self.placement:leave(node)
  end
  placement.event("placement_member",
    { supervisor = self.name, peer = node, member = wanted })
end

local function tell_node(self, callback, peer, info)
  if self.opts.monitor_nodes ~= false then
    listeners.tell(self.listeners, callback, peer.node, info)
  end
end

--- Brings the ring in line with who is known to be ready.
function members:refresh()
  set_member(self, self.node, self.ready and self:allowed(self.node))
  for _, peer in ipairs(self.ordered) do
    local wanted = peer.ready and peer.synced and self:allowed(peer.node)
    set_member(self, peer.node, wanted or false)
    if wanted and not peer.told then
      peer.told = true
      tell_node(self, "on_node_up", peer, {})
    end
  end
end

-- --- parting ---------------------------------------------------------------

--- A coordinator is gone. Its children are gone when its supervisor is.
function members:lose(peer, reason)
  if self.peers[peer.pid] ~= peer then return end
  self.peers[peer.pid] = nil
  if self.by_node[peer.node] == peer then self.by_node[peer.node] = nil end
  order_peers(self)
  self.acks[peer.pid] = nil
  self.differences[peer.pid] = nil
  set_member(self, peer.node, false)
  if peer.told then
    tell_node(self, "on_node_down", peer, { reason = reason })
  end
  if self.placement:host_state(peer.pid) == "up" then
    self.registry:set_host(peer.pid, "down")
  end
  for id, pid in pairs(self.elsewhere) do
    if pid == peer.pid then self.elsewhere[id] = nil end
  end
  for _, host in ipairs(hosts_of(self.noticed)) do
    self.noticed[host].wait[peer.pid] = nil
    self:try_settle(host)
  end
end

--- A DOWN came; false if it is of no coordinator.
function members:take_down(msg)
  local watch = self.watches[msg.ref]
  if not watch then return false end
  self.watches[msg.ref] = nil
  local peer = watch.peer
  if watch.what == "sup" then
    peer.sup_down = true
  else
    peer.pid_down = true
    self:lose(peer, msg.reason)
  end
  -- Both ends of a connection that broke come at once, in any order. If the
  -- coordinator is back on another connection, nothing was lost.
  if peer.sup_down and peer.pid_down and not self.peers[peer.pid] then
    self:notice(peer.pid)
  end
  return true
end

local function hear(self, notice, host, pid, digest)
  if not notice.wait[pid] then return end
  if digest == nil or digest == self.placement:digest(host) then
    notice.wait[pid] = nil
    return
  end
  self:ask(pid, { tag = "bucket", pid = self.me, hosts = { host } },
    function()
      notice.wait[pid] = nil
      self:try_settle(host)
    end)
end

--- A host is gone for good: tells the others, and waits for their word.
function members:notice(host)
  if self.noticed[host] or self.dead[host] or self.peers[host] then return end
  local notice = { at = now(), wait = {} }
  self.noticed[host] = notice
  self.registry:set_host(host, "down")
  for _, peer in ipairs(self.ordered) do
    if peer.synced then notice.wait[peer.pid] = true end
  end
  self:tell {
    tag = "down", pid = self.me, host = host,
    digest = self.placement:digest(host),
  }
  local heard = self.hearsay[host] or {}
  self.hearsay[host] = nil
  for _, pid in ipairs(hosts_of(heard)) do
    hear(self, notice, host, pid, heard[pid] or nil)
  end
  self:try_settle(host)
end

--- Another coordinator says that a host is gone. A digest of nil: it has sent
-- all it knows already.
function members:hear_down(pid, host, digest)
  if host == self.me or self.dead[host] then return end
  local notice = self.noticed[host]
  if notice then
    hear(self, notice, host, pid, digest)
    self:try_settle(host)
    return
  end
  self.hearsay[host] = self.hearsay[host] or {}
  self.hearsay[host][pid] = digest or false
  if self.placement:host_state(host) == "unknown" then self:notice(host) end
end

--- Nothing more is to be heard of a host: its children may start elsewhere.
function members:try_settle(host)
  local notice = self.noticed[host]
  if not notice then return end
  if next(notice.wait) and now() - notice.at < SETTLE_MS then return end
  self.noticed[host] = nil
  self.dead[host] = now()
  self.registry:set_host(host, "dead")
end

--- A node leaves in good order, its children are stopped.
function members:take_leaving(msg)
  local peer = self.peers[msg.pid]
  if not peer then return end
  listeners.tell(self.listeners, "on_node_terminate", peer.node, msg.reason,
    msg.statuses)
end

-- --- from time to time -----------------------------------------------------

--- Sends what is known of some hosts to another coordinator.
function members:send_buckets(pid, hosts)
  for _, host in ipairs(hosts) do self:send_entries(pid, host) end
end

local function vector(self)
  local list = {}
  local function add(host, up)
    list[#list + 1] = { host, self.placement:digest(host), up }
  end
  add(self.me, true)
  for _, peer in ipairs(self.ordered) do add(peer.pid, true) end
  for _, host in ipairs(hosts_of(self.dead)) do add(host, false) end
  return list
end

-- The next peer in turn: nodes come in order, again and again.
local function pick(self)
  local first
  for _, peer in ipairs(self.ordered) do
    if peer.synced then
      if peer.node > self.gossiped then return peer end
      first = first or peer
    end
  end
  return first
end

function members:gossip()
  local peer = pick(self)
  if peer then
    self.gossiped = peer.node
    core.cast(peer.pid, { tag = "digest", pid = self.me, hosts = vector(self) })
  end
end

-- A difference may be news that is on its way. It is none if both sides
-- stood still, or if it stays for long.
local function differs(self, seen, host, theirs)
  local mine = self.placement:digest(host)
  local last = seen[host]
  if mine == theirs then
    seen[host] = nil
    return false
  end
  local count = last and last.count + 1 or 1
  seen[host] = { theirs = theirs, mine = mine, count = count }
  local still = last and last.theirs == theirs and last.mine == mine
  return still or count >= DIGESTS
end

function members:take_digest(msg)
  if not self.peers[msg.pid] then return end
  local seen = self.differences[msg.pid] or {}
  self.differences[msg.pid] = seen
  local hosts = {}
  for _, line in ipairs(msg.hosts) do
    local host, digest, up = line[1], line[2], line[3]
    if differs(self, seen, host, digest) then hosts[#hosts + 1] = host end
    if not up and not self.peers[host] then
      self:hear_down(msg.pid, host, nil)
    elseif up and self.placement:host_state(host) == "unknown" then
      local strangers = self.registry.strangers
      strangers[host] = strangers[host] and now()
      self:reach { host:node() }
    end
  end
  if #hosts == 0 then return end
  self:send_buckets(msg.pid, hosts)
  core.cast(msg.pid, { tag = "want", pid = self.me, hosts = hosts })
end

-- Whom others spoke of, and nobody sees any more, before this node met it: it
-- is gone, or it would have been met.
local function give_up_strangers(self, at)
  local strangers = self.registry.strangers
  for _, host in ipairs(hosts_of(strangers)) do
    local node = host:node()
    if self.placement:host_state(host) ~= "unknown" then
      strangers[host] = nil
    elseif self.asked[node] or self.reaching[node] then
      strangers[host] = at
    elseif at - strangers[host] >= SETTLE_MS then
      strangers[host] = nil
      self:notice(host)
    end
  end
end

--- A second has passed.
function members:tick_members()
  for _, host in ipairs(hosts_of(self.noticed)) do self:try_settle(host) end
  local at = now()
  give_up_strangers(self, at)
  for _, peer in ipairs(self.ordered) do
    -- Each took the other for the younger one.
    if self.ready and peer.synced and peer.claims and not peer.ready
      and at - self.since > 2 * SENIORITY_MS then
      join_anew(self)
    end
  end
  for pid, since in pairs(self.acks) do
    if at - since >= SETTLE_MS then self.acks[pid] = nil end
  end
  for host, since in pairs(self.dead) do
    if at - since > FORGET_HOST_MS and self.placement:drop_host(host) then
      self.dead[host] = nil
    end
  end
  self:try_ready()
  self:gossip()
end

return members
