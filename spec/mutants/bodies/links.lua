--- Two processes of two nodes link to and unlink from each other at the same
-- time: in the end both agree on whether they are linked, and if they are, one
-- hears of the other's end once.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local OPERATIONS = 8
local PAUSES = { 0, 0, 1 }

local function is_linked(pid)
  for _, each in ipairs(banyan.process_info(banyan.self()).links) do
    if each == pid then return true end
  end
  return false
end

-- Plays, rests when it is told, and goes on to hear of the other's end.
local function live(member)
  banyan.trap_exit(true)
  local other = banyan.receive()
  for _ = 1, OPERATIONS do
    if choose(2) == 1 then banyan.link(other) else banyan.unlink(other) end
    local pause = PAUSES[choose(#PAUSES)]
    if pause > 0 then banyan.sleep(pause) end
  end
  member.played = true
  while true do
    local msg = banyan.receive()
    if msg == "look" then
      member.linked, member.looked = is_linked(other), true
    elseif msg == "end" then
      return
    else
      member.exits = member.exits + 1
    end
  end
end

local function both(a, b, field)
  while not (a[field] and b[field]) do banyan.sleep(10) end
end

local function join(cluster, number)
  local member = { exits = 0 }
  member.pid = cluster:spawn(cluster.nodes[number],
    function() live(member) end)
  return member
end

return function()
  local cluster = lockstep.cluster { nodes = 2, seed = 1 }
  local a, b = join(cluster, 1), join(cluster, 2)
  banyan.send(a.pid, b.pid)
  banyan.send(b.pid, a.pid)
  both(a, b, "played")
  assert(cluster:settle())
  banyan.send(a.pid, "look")
  banyan.send(b.pid, "look")
  both(a, b, "looked")
  assert(a.linked == b.linked, "one takes itself for linked")
  banyan.send(b.pid, "end")
  banyan.sleep(1000)
  assert(a.exits == (a.linked and 1 or 0), "no EXIT, or one too many")
end
