-- What one node knows of the children of one distributed supervisor.
--
-- Every member holds all of it. A row is {pid=, spec=, token=, past=, reason=},
-- by id; the token names the request that started it, past those that had
-- started the ones that have ended before it. Which row is the newest,
-- and what follows from it, is for the placement to say
-- (csrc/core/placement.h). An entry is a row on its way to another node:
-- {id, epoch, seq, state, host, flags, pid=, spec=, token=, past=, reason=}.
--
-- `strangers` are the hosts of which others have told something and that this
-- node has not met: host -> since when.
--
-- The view is what lookups read, from any process of this node, without
-- asking the coordinator: `pids` id -> pid, `ids` pid -> id, `here` id -> pid
-- of the children that run here. It has only what is thought to run: the
-- children of a lost node are out of it until they run again.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local placement = core.placement

local registry = {}
registry.__index = registry

local RUNNING, ENDED = 2, 1
local TEMPORARY, PINNED = 1, 2
registry.RUNNING, registry.ENDED = RUNNING, ENDED

-- What has ended is remembered for so long, and so many at most, lest a node
-- that was away brings it back.
local KEEP_ENDED_MS, KEEP_ENDED = 60000, 10000
local KEEP_PAST = 8 -- tokens

-- Of an entry, besides its place.
local FIELDS = { "pid", "spec", "token", "past", "reason" }

local unpack = table.unpack or unpack

-- Coordinator's pid -> view, for the lookups. A coordinator that is gone is
-- registered no more, so nobody asks for its view; but the hosts that it knew
-- are pids, so its view keeps theirs, and so on: the next one on the node
-- drops it.
registry.views = setmetatable({}, { __mode = "k" })

-- Of coordinators that were killed, or are of earlier lives of this node.
local function drop_old_views(node)
  for pid, view in pairs(registry.views) do
    if view.node == node and pid:node() ~= nil then
      local of_this_life, alive = pcall(core.is_alive, pid)
      if not of_this_life or not alive then registry.views[pid] = nil end
    end
  end
end

--- An empty registry of the coordinator that runs.
-- @param name the supervisor's
-- @param node the name of this node
-- @param run_of function(id): {spec=, token=} of what runs or starts here
-- @param on_change function(kind, id, pid, reason): "start" or "stop"
-- @param on_raise function(host, entry): another host's child was put at a
--   place of which that host does not know
function registry.new(name, node, cached, run_of, on_change, on_raise)
  local me = core.self()
  local places = placement.new(me, node, KEEP_ENDED_MS, KEEP_ENDED)
  local view = {
    name = name, node = node, cached = cached, placement = places,
    pids = {}, ids = {}, here = {},
  }
  drop_old_views(node)
  registry.views[me] = view
  return setmetatable({
    me = me, rows = {}, placement = places, view = view,
    strangers = {}, run_of = run_of, on_change = on_change,
    on_raise = on_raise,
  }, registry)
end

--- Bits for what a start asks for.
function registry.flags(spec, pinned)
  return (childspec.is_temporary(spec) and TEMPORARY or 0)
    + (pinned and PINNED or 0)
end

function registry.is_pinned(flags) return flags >= PINNED end

-- Brings the view of one child in line with its row.
local function show(self, id)
  local view = self.view
  local _, _, state, host = self.placement:get(id)
  local row = self.rows[id]
  local pid
  if state == RUNNING and self.placement:host_state(host) == "up" then
    pid = row and row.pid
  end
  local old = view.pids[id]
  if old ~= pid then
    if old ~= nil then view.ids[old] = nil end
    view.pids[id] = pid
    if pid ~= nil then view.ids[pid] = id end
  end
  view.here[id] = host == self.me and pid or nil
  return state
end

-- The same after news: the listeners hear of it.
local function changed(self, id)
  local row = self.rows[id]
  local state = show(self, id)
  if state == RUNNING then
    if row.told ~= row.pid then
      row.told = row.pid
      self.on_change("start", id, row.pid)
    end
  elseif row.told then
    local pid = row.told
    row.told = nil
    self.on_change("stop", id, pid, row.reason)
  end
end

-- Is the token of the child that this row or entry is of, or of one before?
local function covers(ended, token)
  if ended.token == token then return true end
  for _, past in ipairs(ended.past or {}) do
    if past == token then return true end
  end
  return false
end

local function with_past(token, past)
  local list = { token }
  for i = 1, math.min(#(past or {}), KEEP_PAST - 1) do list[i + 1] = past[i] end
  return list
end

-- A token stands for one child through all its restarts and moves, so its end
-- is final: also for a host that took it over without having heard of the end,
-- whatever epoch it has there. A temporary child is given up with its host,
-- and that is no end if the host was not lost.
local function is_final(self, entry)
  local row = self.rows[entry[1]]
  if not row or not row.token or not entry.token then return false end
  if entry[6] % 2 == TEMPORARY then return false end
  if entry[4] == ENDED then return covers(entry, row.token) end
  return covers(row, entry.token)
end

-- What the greater of two, a run and the end of the same child, becomes: its
-- end.
local function with_end(self, entry)
  local epoch, seq, state, host = self.placement:get(entry[1])
  if state == nil or state == entry[4] or not is_final(self, entry) then
    return entry
  end
  local run = state == RUNNING and { epoch, seq, host }
    or { entry[2], entry[3], entry[5] }
  local last = state == ENDED and { epoch, seq } or { entry[2], entry[3] }
  if last[1] > run[1] or last[1] == run[1] and last[2] > run[2] then
    return entry
  end
  local from = state == ENDED and self.rows[entry[1]] or entry
  return {
    entry[1], run[1], run[2] + 1, ENDED, run[3], entry[6], pid = from.pid,
    reason = from.reason, token = from.token, past = from.past,
  }
end

-- Puts an entry above a place; it stays as it is if it stands there already.
local function raised(entry, epoch, seq)
  if entry[2] < epoch or entry[2] == epoch and entry[3] <= seq then
    entry[2], entry[3] = epoch, seq + 1
  end
  return entry
end

-- Two runs, one of them of a child that had ended before the other was started:
-- whatever epochs the former has got to where nobody had heard of that, the
-- latter is put above it. A temporary child is given up with its host, which
-- need not have been its end.
local function with_later(self, entry)
  local id = entry[1]
  local row = self.rows[id]
  local epoch, seq, state, host, flags = self.placement:get(id)
  if state ~= RUNNING or entry[4] ~= RUNNING or row.token == entry.token
    or flags % 2 == TEMPORARY or entry[6] % 2 == TEMPORARY then
    return entry
  end
  if not row.token or not entry.token then return entry end
  if covers(entry, row.token) then
    local above = { unpack(entry, 1, 6) }
    for _, key in ipairs(FIELDS) do above[key] = entry[key] end
    return raised(above, epoch, seq)
  elseif covers(row, entry.token) then
    local above = { id, epoch, seq, RUNNING, host, flags }
    for _, key in ipairs(FIELDS) do above[key] = row[key] end
    return raised(above, entry[2], entry[3])
  end
  return entry
end

-- The run here is of the child that has ended, or of one before.
local function is_end_of(entry, run)
  if run == nil or run.token == nil or childspec.is_temporary(run.spec) then
    return false
  end
  if entry[4] == RUNNING and entry.token == run.token then return false end
  return covers(entry, run.token)
end

-- Does another node have the child that runs here at a place where this host
-- never put it?
local function is_raised(self, entry, news)
  local row = self.rows[entry[1]]
  if entry[4] ~= RUNNING or entry[5] ~= self.me or not row
    or row.token ~= entry.token then
    return false
  end
  local epoch, seq = self.placement:get(entry[1])
  local same = epoch == entry[2] and seq == entry[3]
  return news or same and row.pid ~= entry.pid
end

-- Who is said to run a child, and was never seen here?
local function note_stranger(self, host, now)
  if self.placement:host_state(host) ~= "unknown" then return end
  self.strangers[host] = self.strangers[host] or now
end

--- An entry came from another node; true if it is news, "raised" if it puts a
-- child of this very node above what others took for newer: its host knows best
-- what it is, and has to tell.
function registry:merge(entry, now)
  local came = entry
  entry = with_later(self, with_end(self, entry))
  local id, state = entry[1], entry[4]
  local news = self.placement:merge(id, entry[2], entry[3], state, entry[5],
    entry[6], now)
  if is_raised(self, entry, news) then return "raised" end
  if not news then return false end
  if state == RUNNING then note_stranger(self, entry[5], now) end
  local row = self.rows[id] or {}
  self.rows[id] = row
  row.pid, row.reason = entry.pid, entry.reason
  row.spec = state == RUNNING and entry.spec or nil
  row.token, row.past = entry.token, entry.past
  if is_end_of(entry, self.run_of(id)) then
    self.placement:end_run(id)
  end
  changed(self, id)
  if state == RUNNING and entry ~= came then
    self.on_raise(entry[5], self:entry(id))
  end
  return true
end

--- The placement of a child of this node changed: the entry to tell.
-- @param fields pid, spec, token, reason: what is new of the row
function registry:update(id, fields)
  local row = self.rows[id] or {}
  self.rows[id] = row
  if row.token and fields.token and row.token ~= fields.token then
    row.past = with_past(row.token, row.past)
  end
  for key, value in pairs(fields) do row[key] = value end
  local _, _, state = self.placement:get(id)
  if state == ENDED then
    row.spec = nil
  else
    row.reason = nil
  end
  changed(self, id)
  return self:entry(id)
end

--- What is known of a child, for another node; nil if nothing is.
function registry:entry(id)
  local epoch, seq, state, host, flags = self.placement:get(id)
  if not epoch then return nil end
  local row = self.rows[id]
  return {
    id, epoch, seq, state, host, flags,
    pid = row.pid, spec = row.spec, token = row.token, past = row.past,
    reason = row.reason,
  }
end

--- Does it run, as far as is known? "running", "lost" (its node is gone),
-- "ended" or nil; and on which host.
function registry:state(id)
  local _, _, state, host = self.placement:get(id)
  if state == RUNNING then
    local up = self.placement:host_state(host) == "up"
    return up and "running" or "lost", host
  end
  return state and "ended", host
end

function registry:forget(id)
  self.rows[id] = nil
end

--- Another host is up, or down: its children are in the view or out of it.
function registry:set_host(host, state)
  self.placement:set_host(host, state)
  for _, id in ipairs(self.placement:list(host)) do show(self, id) end
end

--- Calls send(list of entries) until all that stand on a host (nil: on any)
-- were given to it.
function registry:each_batch(host, size, send)
  local batch = {}
  for _, id in ipairs(self.placement:list(host)) do
    batch[#batch + 1] = self:entry(id)
    if #batch == size then
      send(batch)
      batch = {}
    end
  end
  if #batch > 0 then send(batch) end
end

return registry
