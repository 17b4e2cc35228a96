--- Two clusters that share a topic and call each other. In two shells:
--
--     lua5.4 examples/bridge.lua paris@127.0.0.1:9101
--     lua5.4 examples/bridge.lua rome@127.0.0.1:9201 127.0.0.1:9101
--
-- The arguments: the node's name, and the address of a node of another cluster
-- to connect to. Each node is a cluster of its own here, with a secret of its
-- own; what both know is the secret of the realm. Each publishes "news.time"
-- every second, shows the other's, and asks it what it is called. Stop one with
-- Ctrl-C, or kill -9 it, and start it again: the bridge is built again.
--
-- The supervisor "banyan.peers" never dials again by itself. Here a child keeps
-- the connection: it ends with the peer, and its supervisor starts it again
-- after a back-off.

local banyan = require "banyan"
local peers = require "banyan.peers"
local supervisor = require "banyan.supervisor"

local REALM = "cities"
local SECRET = "what paris and rome know"
local EVERY_MS = 1000

-- --- the work of one connection ----------------------------------------------

local function say(...)
  print(...)
  io.stdout:flush()
end

-- Shows what the other end publishes, and publishes, until the peer ends.
local function converse(p)
  local ref = banyan.monitor(p)
  peers.subscribe(p, "news.*")
  say("connected with", (peers.call(p, "name")))
  banyan.send_interval(EVERY_MS, banyan.self(), "tick")
  while true do
    local message = banyan.receive()
    if message == "tick" then
      peers.publish(p, "news.time", os.date "%X")
    elseif message.tag == "publish" then
      say(message.topic, message.msg)
    elseif message.ref == ref then
      say("lost", message.reason)
      return message.reason
    end
  end
end

-- --- the two ends ------------------------------------------------------------

-- The end that dials: a child of the supervisor.
local function start_keeper(address)
  return banyan.spawn_link(function()
    local p = assert(peers.start_peer("banyan://" .. address,
      { realm = REALM, secret = SECRET }))
    banyan.exit(converse(p))
  end)
end

-- The end that is dialled: each peer that has come gets a process.
local function accept()
  assert(peers.accept { realm = REALM, secret = SECRET, on_up = converse })
end

local function main(name, address)
  local children = { "banyan.peers" }
  if address then
    children[2] = {
      id = "keeper", start = function() return start_keeper(address) end,
      backoff = { min = 200, max = 10000, jitter = 0.2 },
    }
  end
  peers.serve("name", function() return name end)
  accept()
  assert(supervisor.start_link(children, { max_restarts = math.huge }))
  banyan.receive(function() return false end)
end

local name, address = arg[1], arg[2]
if not name then
  io.stderr:write "usage: bridge.lua NAME@HOST:PORT [HOST:PORT]\n"
  os.exit(2)
end
banyan.run({ name = name, secret = "the secret of " .. name }, main, name,
  address)
