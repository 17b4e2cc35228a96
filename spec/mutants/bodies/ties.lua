--- Two processes of two nodes link to, unlink from and monitor each other, at
-- the same time and through a network that breaks: in the end both agree on
-- whether they are linked, and each monitor tells of the end once.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local FAULTS = { "cut", "isolate", "latency", "half_open" }
local OPERATIONS = 12
local PAUSES = { 0, 0, 1, 40 }

local function take(member, timeout)
  local msg = banyan.receive(timeout)
  if type(msg) == "table" and msg.tag == "DOWN" then
    if not member.refs[msg.ref] then member.extra = true end
    member.refs[msg.ref] = nil
  elseif type(msg) == "table" and msg.tag == "EXIT" then
    member.exits = member.exits + 1
  end
  return msg
end

local operations = {
  function(_, other) banyan.link(other) end,
  function(_, other) banyan.unlink(other) end,
  function(_, other) banyan.link(other) end,
  function(_, other) banyan.unlink(other) end,
  function(member, other) member.refs[banyan.monitor(other)] = true end,
  function(member)
    local ref = next(member.refs)
    if not ref then return end
    banyan.demonitor(ref, { flush = true })
    member.refs[ref] = nil
  end,
  function(member) take(member, 1) end,
}

local function is_linked(pid)
  for _, each in ipairs(banyan.process_info(banyan.self()).links) do
    if each == pid then return true end
  end
  return false
end

-- Plays, rests when it is told, and goes on to see the other's end.
local function live(member)
  banyan.trap_exit(true)
  local other = banyan.receive(function(msg) return type(msg) == "userdata" end)
  for _ = 1, OPERATIONS do
    operations[choose(#operations)](member, other)
    local pause = PAUSES[choose(#PAUSES)]
    if pause > 0 then banyan.sleep(pause) end
  end
  member.played = true
  while true do
    local msg = take(member)
    if msg == "look" then
      member.linked = is_linked(other)
      member.exits, member.looked = 0, true
    elseif msg == "end" then
      return
    end
  end
end

local function new_member() return { refs = {}, exits = 0 } end

local function wait(what, fn)
  for _ = 1, 600 do
    if fn() then return end
    banyan.sleep(100)
  end
  error(what, 0)
end

local function none(refs) return next(refs) == nil end

return function()
  local cluster = lockstep.cluster { nodes = 2, seed = 1 }
  local a, b = new_member(), new_member()
  a.pid = cluster:spawn(cluster.nodes[1], function() live(a) end)
  b.pid = cluster:spawn(cluster.nodes[2], function() live(b) end)
  banyan.send(a.pid, b.pid)
  banyan.send(b.pid, a.pid)
  if choose(4) == 4 then
    cluster:chaos { duration = 8000, faults = FAULTS }
  end
  wait("no end", function() return a.played and b.played end)
  assert(cluster:settle())
  for _, member in ipairs { a, b } do banyan.send(member.pid, "look") end
  wait("no look", function() return a.looked and b.looked end)
  assert(a.linked == b.linked, "one takes itself for linked")
  banyan.send(b.pid, "end")
  wait("a monitor does not tell of the end", function() return none(a.refs) end)
  wait("a link does not tell of the end", function()
    return a.exits == (a.linked and 1 or 0)
  end)
  banyan.sleep(1000)
  assert(a.exits == (a.linked and 1 or 0), "an EXIT too many")
  assert(not a.extra and not b.extra, "a DOWN too many")
end
