--- Calls that may time out before their reply comes: each caller gets its own
-- reply or none, and no mail besides.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local choose = lockstep.choose

local CLIENTS, CALLS, REST = 2, 3, 50

local Slow = {}

function Slow.handle_call(_, msg, from)
  local ms = choose(4) - 1
  if choose(2) == 2 then
    if ms > 0 then banyan.sleep(ms) end
    return msg
  end
  banyan.spawn(function()
    if ms > 0 then banyan.sleep(ms) end
    server.reply(from, msg)
  end)
  return server.noreply
end

local function client(dest, number)
  for i = 1, CALLS do
    local id = number * 100 + i
    local answer, err = server.call(dest, id, choose(5) - 1)
    assert(answer == id or answer == nil and err == "timeout",
      "a call got the reply of another")
  end
  local mail = banyan.receive(REST)
  assert(mail == nil, "a late reply came as a message")
end

return function()
  local dest = assert(server.start(Slow))
  local refs = {}
  for i = 1, CLIENTS do
    local pid, ref = banyan.spawn_monitor(function() client(dest, i) end)
    lockstep.watch(pid, "client " .. i)
    refs[ref] = true
  end
  while next(refs) do refs[banyan.receive().ref] = nil end
end
