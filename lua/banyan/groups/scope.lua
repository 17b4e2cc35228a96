-- The process of a scope on one node: it says to the same process of other
-- nodes what joins and leaves here, watches the pids that have joined, and
-- tells monitors. What is known is in the machine (csrc/core/dist/groups),
-- which the node keeps, with the monitors, while a process that crashed begins
-- again.
--
-- Calls, of this node alone, which `key` proves:
--   join        {group=, pid=}        leave      {group=, pid=}
--   monitor     {group=|nil, pid=}    demonitor  {ref=}
-- Messages of other nodes:
--   groups      {from=, bytes=}       of the machine there
--   broadcast   {group=, msg=}        for the members of this node

local core = require "banyan.core"
core.skip_in_errors()
local ids = require "banyan.ids"
local server = require "banyan.server"
local sets = require "banyan.sets"
local slices = require "banyan.slices"

local Scope = {}

local NAMELESS = "nonode"
local AGAIN_MS = 1000

-- --- what the node keeps -----------------------------------------------------

local function views_here()
  local kept = core.kept()
  local list = kept.group_views
  if not list then
    list = {}
    kept.group_views = list
  end
  return list
end

-- `groups`, the machine; `pid`, of the process; `monitors`, the roster of those
-- that there are: {ref=, pid=, group=}. A function cannot come from another
-- node: who shows `key` is here.
local function open_view(name)
  local all = views_here()
  local view = all[name]
  if not view then
    view = {
      groups = core.groups.open(name, core.node_name() or NAMELESS),
      monitors = slices.roster(), key = function() end,
    }
    all[name] = view
  end
  view.pid = core.self()
  return view
end

--- What is known on the caller's node; nil: no process of that name runs here.
function Scope.view_of(name)
  local view = views_here()[name]
  return view and core.is_alive(view.pid) and view or nil
end

-- --- monitors ----------------------------------------------------------------

-- The roster of those that hear of a group, made if need be.
local function hearers(self, group)
  if group == nil then return self.of_all end
  local roster = self.of_group[group] or slices.roster()
  self.of_group[group] = roster
  return roster
end

local function is_empty(roster) return roster.last == 0 end

local function add_monitor(self, monitor)
  slices.add(hearers(self, monitor.group), monitor)
  monitor.watch = core.monitor(monitor.pid)
  self.watches[monitor.watch] = { monitor = monitor }
  self.by_ref[monitor.ref] = monitor
end

local function remove_monitor(self, monitor)
  local group, roster = monitor.group, hearers(self, monitor.group)
  slices.remove(self.view.monitors, monitor)
  slices.remove(roster, monitor)
  if group ~= nil and is_empty(roster) then self.of_group[group] = nil end
  self.by_ref[monitor.ref] = nil
  core.demonitor(monitor.watch)
  self.watches[monitor.watch] = nil
  self.view.groups:watch(not is_empty(self.view.monitors))
end

local function tell(roster, event, group, pids)
  for i = 1, roster and roster.last or 0 do
    local monitor = roster.rows[i]
    if monitor then
      core.send(monitor.pid, {
        tag = "group", ref = monitor.ref, event = event, group = group,
        pids = pids,
      })
    end
  end
end

-- --- the machine -------------------------------------------------------------

local function act(self)
  while true do
    local kind, what, value = self.view.groups:next()
    if not kind then return end
    if kind == "send" then
      core.cast({ name = self.name, node = what },
        { tag = "groups", from = self.node, bytes = value })
    else
      tell(self.of_group[what], kind, what, value)
      tell(self.of_all, kind, what, value)
    end
  end
end

-- Carries out all that follows from an input.
local function carry_out(self)
  act(self)
  local wait = self.view.groups:tick()
  if self.tick then core.cancel_timer(self.tick) end
  self.tick = wait and core.send_after(wait, core.self(),
    { tag = "tick", key = self.view.key })
end

local function watch_member(self, pid)
  if self.members[pid] then return end
  local watch = core.monitor(pid)
  self.members[pid] = watch
  self.watches[watch] = { member = pid }
end

local function forget_member(self, pid)
  local watch = self.members[pid]
  if not watch then return end
  core.demonitor(watch)
  self.members[pid], self.watches[watch] = nil, nil
end

local function watch_peer(self, node)
  if self.peers[node] then return end
  local watch = core.monitor { name = self.name, node = node }
  self.peers[node] = watch
  self.watches[watch] = { peer = node }
end

-- Memory was short: it is met later.
local function meet_again(self, node)
  core.send_after(AGAIN_MS, core.self(),
    { tag = "meet", node = node, key = self.view.key })
end

local function meet(self, node)
  watch_peer(self, node)
  if not self.view.groups:node_up(node) then meet_again(self, node) end
end

-- --- the beginning -----------------------------------------------------------

function Scope:init(name)
  core.trap_exit(true) -- so that terminate is called
  self.name, self.node = name, core.node_name() or NAMELESS
  self.view = open_view(name)
  self.watches = {}  -- ref -> {member=}, {peer=} or {monitor=}
  self.members = {}  -- pid -> the watch of it
  self.peers = {}    -- node -> the watch of the process there
  self.by_ref = {}   -- ref -> monitor
  self.of_group = {} -- group -> the roster of its monitors
  self.of_all = slices.roster()
  local groups = self.view.groups
  groups:attach()
  for _, pid in ipairs(groups:pids()) do watch_member(self, pid) end
  local monitors = self.view.monitors
  for i = 1, monitors.last do
    if monitors.rows[i] then add_monitor(self, monitors.rows[i]) end
  end
  groups:watch(not is_empty(monitors))
  if core.node_name() then
    core.monitor_nodes(true)
    for _, node in ipairs(core.nodes()) do meet(self, node) end
  end
  core.unbroken(carry_out, self)
end

-- --- calls -------------------------------------------------------------------

local calls = {}

function calls.join(self, msg)
  local groups = self.view.groups
  local times, most = groups:times(msg.group, msg.pid)
  if times >= most then return nil, "joined_too_often" end
  groups:join(msg.group, msg.pid)
  watch_member(self, msg.pid)
  return true
end

function calls.leave(self, msg)
  local groups = self.view.groups
  if not groups:leave(msg.group, msg.pid) then return nil, "not_joined" end
  if not groups:is_member(msg.pid) then forget_member(self, msg.pid) end
  return true
end

function calls.monitor(self, msg)
  local groups, found = self.view.groups, {}
  local names = msg.group == nil and groups:names() or { msg.group }
  for _, group in ipairs(names) do found[group] = groups:members(group) end
  local monitor = {
    ref = core.make_ref(), pid = msg.pid, group = msg.group,
  }
  slices.add(self.view.monitors, monitor)
  add_monitor(self, monitor)
  groups:watch(true)
  return { ref = monitor.ref, members = found }
end

function calls.demonitor(self, msg)
  local monitor = self.by_ref[msg.ref]
  if not monitor then return nil, "not_monitored" end
  remove_monitor(self, monitor)
  return true
end

local function answer(self, handler, msg, from)
  core.reply(from, handler(self, msg))
  carry_out(self)
end

function Scope:handle_call(msg, from)
  local ours = type(msg) == "table" and msg.key == self.view.key
  local handler = ours and calls[msg.tag]
  if not handler then return nil, "unknown_call" end
  core.unbroken(answer, self, handler, msg, from)
  return server.noreply
end

-- --- messages ----------------------------------------------------------------

local messages = {}

function messages.groups(self, msg)
  local from, bytes = msg.from, msg.bytes
  local fine = type(from) == "string" and type(bytes) == "string"
    and from ~= self.node
  if fine then watch_peer(self, from) end
  if not fine or not self.view.groups:receive(from, bytes) then
    core.event("peer_refused", {
      groups = self.name, reason = "bad_message",
      peer = type(from) == "string" and from or nil,
    })
  end
end

function messages.broadcast(self, msg)
  local group = ids.of(msg.group)
  if group == nil then return end
  for _, pid in ipairs((self.view.groups:targets(group))) do
    core.send(pid, msg.msg)
  end
end

function messages.DOWN(self, msg)
  local watch = msg.ref ~= nil and self.watches[msg.ref]
  if not watch then return end
  self.watches[msg.ref] = nil
  if watch.member then
    self.members[watch.member] = nil
    self.view.groups:exited(watch.member)
  elseif watch.peer then
    self.peers[watch.peer] = nil
    if msg.reason ~= "noconnection" then
      self.view.groups:peer_away(watch.peer)
    end
  else
    remove_monitor(self, watch.monitor)
  end
end

-- Looked at again, so that nobody else can say so in the node's place.
local function is_connected(node)
  return sets.of(core.nodes())[node] == true
end

function messages.nodeup(self, msg)
  if is_connected(msg.node) then meet(self, msg.node) end
end

messages.meet = messages.nodeup

function messages.nodedown(self, msg)
  if type(msg.node) ~= "string" or is_connected(msg.node) then return end
  self.view.groups:node_down(msg.node)
end

function messages.tick(self, msg)
  if msg.key == self.view.key then self.tick = nil end
end

local function take(self, msg)
  local handler = type(msg) == "table" and type(msg.tag) == "string"
    and messages[msg.tag]
  if handler then handler(self, msg) end
  carry_out(self)
end

function Scope:handle_info(msg) core.unbroken(take, self, msg) end

function Scope:handle_cast(msg) core.unbroken(take, self, msg) end

-- --- the end -----------------------------------------------------------------

local function in_good_order(reason)
  local code = type(reason) == "table" and reason[1] or reason
  return code == "normal" or code == "shutdown"
end

-- After a crash the next process of that name goes on with what is kept.
function Scope:terminate(reason)
  if not in_good_order(reason) then return end
  self.view.groups:close(self.name)
  local all = views_here()
  if all[self.name] == self.view then all[self.name] = nil end
end

return Scope
