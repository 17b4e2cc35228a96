--- A process whose mailbox has a limit, and is full or not, asks a server, sets
-- itself a time and is told of the end of another process: each of these comes,
-- however many messages are dropped meanwhile; and never are more kept.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local choose = lockstep.choose

local MOST_MESSAGES, SOON_MS = 6, 3

local Echo = {}
function Echo.handle_call(_, msg) return msg end

local function flood(pid)
  for i = 1, choose(MOST_MESSAGES) do banyan.send(pid, { job = i }) end
end

local function take_jobs(max)
  local jobs, last = 0, 0
  while true do
    local message = banyan.receive(0)
    if not message then break end
    assert(message.job > last, "messages came in another order")
    jobs, last = jobs + 1, message.job
  end
  assert(jobs <= max, "more messages were kept than the limit says")
end

return function()
  local me, max = banyan.self(), choose(3)
  local echo = assert(server.start(Echo))
  local other = banyan.spawn(banyan.receive)
  banyan.set_max_mailbox(max, "drop")
  local down = banyan.monitor(other)
  banyan.spawn(function()
    flood(me)
    other:exit("gone")
  end)
  local timeout = banyan.make_ref()
  banyan.send_after(choose(SOON_MS), me, { ref = timeout })
  local reply = banyan.receive(server.request(echo, "question"))
  assert(reply[1] == "question", "the reply is another one")
  banyan.receive(down)
  banyan.receive(timeout)
  take_jobs(max)
end
