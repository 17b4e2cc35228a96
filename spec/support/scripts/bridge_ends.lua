--- For the script bridges: the ends of its peer connections, what was done at
-- each, and what must hold in the end.
--
-- An end is one side of a connection, on one life of a node:
--
--   node, life    where it is
--   number        of an end that has dialled: which start; else nil
--   target        whom it dialled
--   index         its place among all
--   pid           of the peer, once it is known
--   ups, downs    how often on_up and on_down were called; reason: of the
--                 latter
--   dead          DOWN messages of a monitor; dead_of: the reason
--   published     list of { topic=, ok= }, one for each message of this end
--   subs          list of subscriptions at this end: topic, got = list of the
--                 numbers of messages, confirmed = number of the last message
--                 that the other end had published when it surely knew of it
--   lossy         a child that had messages for subscribers may have crashed
--   workers       processes that serve the other end

local banyan = require "banyan"
local peers = require "banyan.peers"
local sets = require "banyan.sets"

local Ends = {}
Ends.__index = Ends

local ends = {}

--- Makes the ends of a run.
---@param wrong fun(text: string, ...)  what must not happen
function ends.new(wrong)
  return setmetatable({
    wrong = wrong, all = {}, by_pid = {}, lives = {},
  }, Ends)
end

-- --- their lives -------------------------------------------------------------

local function show(one)
  return ("the end %s of %s (%s)"):format(tostring(one.pid), one.node,
    one.number and "start " .. one.number or "accepted")
end

--- Is its node's life over?
function Ends:is_gone(one)
  return one.life ~= self.lives[one.node]
end

function Ends:add(node, number, target)
  local one = {
    node = node, life = self.lives[node], number = number, target = target,
    ups = 0, downs = 0, dead = 0, published = {}, subs = {}, workers = {},
  }
  one.index = #self.all + 1
  self.all[one.index] = one
  return one
end

--- Its pid is known.
function Ends:name(one, pid)
  local other = self.by_pid[pid]
  if other and other ~= one then
    self.wrong("%s is also %s", show(other), show(one))
  end
  one.pid, self.by_pid[pid] = pid, one
end

--- The end that has a pid; one that was not known has been accepted.
function Ends:of(node, pid)
  local one = self.by_pid[pid]
  if not one then
    one = self:add(node)
    self:name(one, pid)
  end
  return one
end

--- on_up was called.
function Ends:up(one)
  one.ups = one.ups + 1
  if one.ups > 1 then self.wrong("%s is up twice", show(one)) end
end

local REASONS = {
  shutdown = true, closed = true, econnreset = true, econnrefused = true,
  epipe = true, timeout = true, bye = true, refused = true, killed = true,
}

--- on_down was called.
function Ends:down(one, reason)
  one.downs, one.reason = one.downs + 1, reason
  if one.downs > 1 then self.wrong("%s is down twice", show(one)) end
  local code = type(reason) == "table" and reason[1] or reason
  if not REASONS[code] then
    self.wrong("%s has ended of %s", show(one), tostring(reason))
  end
end

-- --- topics ------------------------------------------------------------------

local function matches(topic, published)
  if topic:sub(-1) ~= "*" then return topic == published end
  return published:sub(1, #topic - 1) == topic:sub(1, -2)
end

--- A subscriber got a message.
function Ends:got(one, sub, message)
  local of, n = message.msg.of, message.msg.n
  local last = sub.got[#sub.got]
  if message.peer ~= one.pid then
    self.wrong("%s: a message of another peer", show(one))
  elseif not matches(sub.topic, message.topic) then
    self.wrong("%s: %s was never subscribed to", show(one), message.topic)
  elseif sub.of and sub.of ~= of then
    self.wrong("%s: a message of another end", show(one))
  elseif last and n <= last then
    self.wrong("%s: message %d comes after %d", show(one), n, last)
  end
  sub.of, sub.got[#sub.got + 1] = of, n
end

-- Has each message that must have come? `from` is the number after which.
function Ends:check_complete(one, sub, other, from)
  local came = {}
  for _, n in ipairs(sub.got) do came[n] = true end
  for n = from + 1, #other.published do
    local it = other.published[n]
    if it.ok and matches(sub.topic, it.topic) and not came[n] then
      self.wrong("%s: message %d to %s has not come", show(one), n,
        sub.topic)
    end
  end
end

-- --- what must hold in the end -----------------------------------------------

local function check_told(self, one, there)
  local ended = not there[one.pid]
  local times = ended and 1 or 0
  if one.downs ~= times then
    self.wrong("%s: on_down was called %d times, not %d", show(one),
      one.downs, times)
  elseif one.dead ~= times then
    self.wrong("%s: its monitor has heard %d ends, not %d", show(one),
      one.dead, times)
  elseif ended and one.dead_of ~= "noproc"
    and tostring(one.dead_of) ~= tostring(one.reason) then
    self.wrong("%s: %s in one place, %s in another", show(one),
      tostring(one.reason), tostring(one.dead_of))
  elseif not ended and one.ups ~= 1 then
    self.wrong("%s: on_up was called %d times", show(one), one.ups)
  end
end

-- Processes that serve an end end with that.
local function check_workers(self, node, there)
  for _, one in ipairs(self.all) do
    if one.node == node and not self:is_gone(one)
      and not there[one.pid] then
      for _, pid in ipairs(one.workers) do
        if banyan.is_alive(pid) then
          self.wrong("%s: who serves it lives on", show(one))
        end
      end
    end
  end
end

--- Checks who is connected to whom; to be called as a process of a node.
---@return banyan.Pid[] list
function Ends:list(node)
  local list = peers.list_peers()
  if peers.count_peers() ~= #list then
    self.wrong("%s counts %d peers, and lists %d", node, peers.count_peers(),
      #list)
  end
  for _, pid in ipairs(list) do
    local one, info = self.by_pid[pid], peers.info(pid)
    if not one then
      self.wrong("%s lists %s, which nobody started", node, tostring(pid))
    elseif not info or info.state ~= "connected" then
      self.wrong("%s is %s", show(one), info and info.state or "gone")
    end
  end
  check_workers(self, node, sets.of(list))
  return list
end

--- Checks all ends against the lists of all nodes.
---@param lists table<string, banyan.Pid[]>
---@return table[] living
function Ends:check(lists)
  local there, living, dialled, accepted = {}, {}, {}, {}
  for _, list in pairs(lists) do
    for _, pid in ipairs(list) do there[pid] = true end
  end
  for _, one in ipairs(self.all) do
    if one.pid and not self:is_gone(one) then
      check_told(self, one, there)
      if there[one.pid] then
        living[#living + 1] = one
        local at = one.number and dialled or accepted
        local node = one.number and one.target or one.node
        at[node] = (at[node] or 0) + 1
      end
    end
  end
  for node in pairs(lists) do
    if (dialled[node] or 0) ~= (accepted[node] or 0) then
      self.wrong("%s: %d connections of %d", node, accepted[node] or 0,
        dialled[node] or 0)
    end
  end
  return living
end

ends.show = show

return ends
