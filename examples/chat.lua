--- A chat server on several nodes. In three shells:
--
--     lua5.4 examples/chat.lua a@127.0.0.1:9101 4001
--     lua5.4 examples/chat.lua b@127.0.0.1:9102 4002 a@127.0.0.1:9101
--     nc 127.0.0.1 4002
--
-- The arguments: the node's name, the port for clients, nodes to connect to. A
-- client sends lines: /join ROOM, /nick NAME, /nodes, /quit, or what it has to
-- say. Kill -9 the node that a room is on: it comes back on another node.
--
-- A connection is a process. A room is a server, a child of the distributed
-- supervisor "rooms": there is one of each name, wherever its members are.

local banyan = require "banyan"
local rooms = require "banyan.distributed_supervisor"
local server = require "banyan.server"
local sockets = require "banyan.io"
local supervisor = require "banyan.supervisor"

-- --- rooms -------------------------------------------------------------------

local Room = { name = "room" }

function Room:init() self.members = {} end

function Room:tell(text)
  for pid in pairs(self.members) do pid:send { tag = "text", text = text } end
end

function Room:handle_call(m)
  local nick = self.members[m.from]
  if m.tag == "enter" then
    if not nick then banyan.monitor(m.from) end
    self:tell("* " .. m.nick .. " is here")
    self.members[m.from] = m.nick
  elseif not nick then
    return nil, "not_a_member"
  elseif m.tag == "say" then
    self:tell(nick .. ": " .. m.text)
  elseif m.tag == "leave" then
    self.members[m.from] = nil
    self:tell("* " .. nick .. " has left")
  end
  return true
end

function Room:handle_info(m)
  local nick = m.tag == "DOWN" and self.members[m.pid]
  if not nick then return end
  self.members[m.pid] = nil
  self:tell("* " .. nick .. " is gone")
end

-- Each node finds it by this name, and starts a room that another node was on.
function Room.start_link() return server.start_link(Room) end
package.preload["chat.room"] = function() return Room end

-- --- sessions: one for each connection ---------------------------------------

local Session = {}
Session.__index = Session

function Session:say(text) self.socket:write(text .. "\n", 5000) end

function Session:ask(m)
  m.from, m.nick = banyan.self(), self.nick
  return server.call(self.pid, m, 2000)
end

function Session:enter(name)
  local spec = { id = name, start = { "chat.room", "start_link" } }
  for _ = 1, 100 do -- 20 s: it may be on its way to another node
    local pid, err = rooms.start_child("rooms", spec)
    self.pid = pid or type(err) == "table" and err[2] or nil
    if self.pid and self:ask { tag = "enter" } then
      self.room, self.ref = name, banyan.monitor(self.pid)
      return self:say(("* in %s, on %s"):format(name, self.pid:node()))
    end
    banyan.sleep(200)
  end
  self.room = nil
  self:say("* cannot enter " .. name)
end

local commands = {}
function commands:nick(name) self.nick = name end
function commands:quit() self.over = true end
function commands:nodes() self:say("* nodes: " .. #banyan.nodes() + 1) end

function commands:join(name)
  if self.room then
    banyan.demonitor(self.ref, { flush = true })
    self:ask { tag = "leave" }
  end
  self:enter(name)
end

function Session:line(line)
  local word, rest = line:match "^/(%w+)%s*(.*)$"
  if word then
    local command = commands[word]
    if not command then return self:say "* no such command" end
    command(self, rest)
  elseif not self.room then
    self:say "* first /join a room"
  elseif not self:ask { tag = "say", text = line } then
    self:say "* that was not said: the room is away"
  end
end

-- Messages come from rooms, and from the socket: one each time that it is made
-- active, so that a client which sends more than is handled has to wait.
local function serve(socket)
  local self = setmetatable({ socket = socket, nick = "guest" }, Session)
  local rest = ""
  self:say "* hello; /join ROOM, /nick NAME, /nodes, /quit"
  socket:active "once"
  while not self.over and #rest < 4096 do
    local m = banyan.receive()
    if m.tag == "data" then
      rest = rest .. m.data
      for line in rest:gmatch "(.-)\r?\n" do self:line(line) end
      rest = rest:match "[^\n]*$"
      socket:active "once"
    elseif m.tag == "text" then
      self:say(m.text)
    elseif m.tag == "closed" then
      return
    elseif m.tag == "DOWN" and m.ref == self.ref then
      self:enter(self.room)
    end
  end
end

local function listen()
  local listener, err = sockets.listen("127.0.0.1:" .. (arg[2] or 0))
  if not listener then return nil, err end
  print("clients: " .. listener:address())
  io.stdout:flush()
  return listener:serve(serve, { max_connections = 1000 })
end

local peers = { (table.unpack or unpack)(arg, 3) } -- luacheck: ignore
banyan.run({ name = arg[1], connect = peers }, function()
  assert(supervisor.start_link {
    { "banyan.distributed_supervisor", { name = "rooms" } },
    { id = "clients", start = listen },
  })
  banyan.sleep(math.huge)
end)
