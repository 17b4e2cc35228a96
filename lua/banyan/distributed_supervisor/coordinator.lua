-- The coordinator: one process a node for each distributed supervisor. It is
-- registered under the supervisor's name, so the coordinators find each other.
--
-- It never waits for anything but memory: what takes time is asked for, and
-- goes on when the answer comes. After each message it compares what should
-- run here with what runs (children.reconcile), so it does not matter which
-- message it was that changed something.
--
-- Its children run under a dynamic supervisor that is linked to it. If that
-- gives up, the coordinator ends too, and the children start on other nodes.

local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local listeners = require "banyan.distributed_supervisor.listeners"
local registry = require "banyan.distributed_supervisor.registry"
local server = require "banyan.server"

local Coordinator = { name = "banyan.distributed_supervisor" }

for _, part in ipairs { "members", "children", "requests" } do
  for name, fn in pairs(require("banyan.distributed_supervisor." .. part)) do
    Coordinator[name] = fn
  end
end

local TICK_MS = 1000
local NAMELESS = "nonode" -- the node, where it has no name

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

local function new_registry(self)
  local tell = self.listeners
  return registry.new(self.name, self.node, self.opts.cache_children ~= false,
    function(id) return self.runs[id] or self.starting[id] end,
    function(kind, id, pid, reason)
      if kind == "start" then
        listeners.tell(tell, "on_process_start", id, pid)
      else
        listeners.tell(tell, "on_process_stop", id, { pid }, reason)
      end
    end,
    -- Its own next step could lead to that very place.
    function(host, entry)
      core.cast(host, { tag = "entries", list = { entry } })
    end)
end

local function set_up(self, opts)
  self.opts, self.name, self.me = opts, opts.name, core.self()
  self.node = core.node_name() or NAMELESS
  self.allow, self.modules = set_of(opts.nodes), set_of(opts.modules) or {}
  self.listeners = listeners.new(opts.name, opts.listeners or {})
  self.registry = new_registry(self)
  self.placement = self.registry.placement
  self.ready, self.since = false, core.now()
  self.peers, self.by_node = {}, {}         -- coordinators, by pid, by node
  self.ordered, self.gossiped = {}, ""      -- the same, in the nodes' order
  self.members = {}                         -- nodes in the ring
  self.watches = {}                         -- monitor -> {peer=, what=}
  self.asked, self.reaching = {}, {}        -- nodes: hello sent, dialled
  self.acks = {}                            -- who has not yet let us in
  self.noticed, self.dead, self.hearsay = {}, {}, {} -- hosts that are gone
  self.differences = {}                     -- of digests, by peer
  self.runs, self.run_count = {}, 0         -- id -> child that runs here
  self.starting, self.local_starts = {}, 0  -- id -> start under way
  self.stopping = {}                        -- id -> who waits for its end
  self.elsewhere = {}                       -- id -> who is starting it
  self.complained = {}                      -- ids whose start failed
  self.answers = {}                         -- ref -> what goes on with it
  self.retries, self.until_ready, self.until_open = {}, {}, {}
end

function Coordinator:init(opts)
  core.trap_exit(true)
  set_up(self, opts)
  local sup, err = dynamic_supervisor.start_link {
    max_restarts = opts.max_restarts, max_seconds = opts.max_seconds,
    observer = self.me,
  }
  if not sup then return nil, err end
  self.sup = sup
  if core.node_name() then
    core.monitor_nodes(true)
    for _, node in ipairs(core.nodes()) do self:greet(node) end
    -- Those that the node was started to connect with may know children.
    local nodes = core.connecting()
    table.sort(nodes)
    self:reach(nodes)
  end
  self:try_ready()
  core.send_after(TICK_MS, self.me, { tag = "tick" })
end

--- Asks another process; fn(...) goes on with the answer, or with nil and the
-- reason.
function Coordinator:ask(dest, msg, fn)
  self.answers[core.request(dest, msg)] = fn
end

local function after(self)
  self:try_ready()
  self:carry_on()
end

-- --- calls -----------------------------------------------------------------

local calls = {}

function calls.start(self, msg, from) self:take_request(msg, from) end
function calls.terminate(self, msg, from) self:take_request(msg, from) end
function calls.serve(self, msg, from) self:take_serve(msg, from) end
function calls.place(self, msg, from) self:take_place(msg, from) end
function calls.ready(self, msg, from) self:take_ready(msg, from) end

-- What was published before it was asked has been taken in by now.
function calls.shared(_, _, from) core.reply(from, true) end

function calls.hello(self, msg, from) core.reply(from, self:take_hello(msg)) end

function calls.bucket(self, msg, from)
  self:send_buckets(msg.pid, msg.hosts)
  core.reply(from, true)
end

function calls.lookup(self, msg, from)
  core.reply(from, self:take_lookup(msg))
end

function calls.await(self, _, from)
  self:when_ready(function() core.reply(from, true) end)
end

function Coordinator:handle_call(msg, from)
  local handler = type(msg) == "table" and calls[msg.tag]
  if not handler then
    core.reply(from, nil, "unknown_call")
    return server.noreply
  end
  handler(self, msg, from)
  after(self)
  return server.noreply
end

-- --- casts -----------------------------------------------------------------

local casts = {
  entries = Coordinator.take_entries,
  ready = Coordinator.take_ready,
  unready = Coordinator.take_unready,
  settled = Coordinator.take_settled,
  leaving = Coordinator.take_leaving,
  digest = Coordinator.take_digest,
}

function casts.down(self, msg) self:hear_down(msg.pid, msg.host, msg.digest) end
function casts.want(self, msg) self:send_buckets(msg.pid, msg.hosts) end

function Coordinator:handle_cast(msg)
  local handler = type(msg) == "table" and casts[msg.tag]
  if not handler then return end
  handler(self, msg)
  after(self)
end

-- --- other messages --------------------------------------------------------

local infos = {
  child = Coordinator.take_child,
  stop_again = Coordinator.take_stop_again,
  reached = Coordinator.reached,
  retry = Coordinator.take_retries,
  DOWN = Coordinator.take_down,
}

function infos.reply(self, msg)
  local fn = self.answers[msg.ref]
  self.answers[msg.ref] = nil
  if fn then fn(msg[1], msg[2]) end
end

function infos.nodeup(self, msg) self:greet(msg.node) end

function infos.tick(self)
  core.send_after(TICK_MS, self.me, { tag = "tick" })
  self:tick_members()
  self.placement:review()
end

function infos.EXIT(self, msg)
  if msg.from == self.sup then return server.stop_with(msg.reason) end
  listeners.ended(self.listeners, msg.from, msg.reason)
end

function Coordinator:handle_info(msg)
  local handler = type(msg) == "table" and infos[msg.tag]
  if not handler then return end
  local directive = handler(self, msg)
  if directive and msg.tag == "EXIT" then return directive end
  after(self)
end

-- --- the end ---------------------------------------------------------------

local function in_good_order(reason)
  local code = type(reason) == "table" and reason[1] or reason
  return code == "normal" or code == "shutdown"
end

--- Stops the children in order, then tells the others, who take them over.
function Coordinator:terminate(reason)
  local statuses = {}
  for _, id in ipairs(self.placement:list(self.me)) do
    local run = self.runs[id]
    if run then
      statuses[#statuses + 1] = { id = id, pid = run.pid, state = "stopped" }
    end
  end
  dynamic_supervisor.stop(self.sup, "shutdown", "infinity")
  if in_good_order(reason) then
    self:tell {
      tag = "leaving", pid = self.me, reason = reason, statuses = statuses,
    }
  end
  listeners.close(self.listeners)
end

return Coordinator
