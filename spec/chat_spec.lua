-- The chat example, as a newcomer runs it: three nodes, clients of plain luv,
-- and a kill -9 of the node that the room is on.

local address = require "spec.support.address"
local program = require "spec.support.program"
local uv = require "luv"

local LIMIT_MS = 60000

local function start(letter, peers)
  local node = { name = address.fresh_name(letter) }
  local args = { node.name, "0" }
  for _, peer in ipairs(peers) do args[#args + 1] = peer.name end
  local words = {}
  for i, arg in ipairs(args) do words[i] = ("%q"):format(arg) end
  node.program = program(([[
    arg = { [0] = "examples/chat.lua", %s }
    dofile(arg[0])
  ]]):format(table.concat(words, ", ")), {
    env = { BANYAN_SECRET = "the secret of the chat spec" },
  })
  node.program:wait_for "clients: "
  node.program:wait_for "\n"
  node.port = tonumber(node.program.out:match "clients: 127.0.0.1:(%d+)\n")
  return node
end

local Client = {}
Client.__index = Client

local function connect(node)
  local client = setmetatable({ text = "", tcp = uv.new_tcp() }, Client)
  client.tcp:connect("127.0.0.1", node.port, function(err)
    assert(not err, err)
    client.tcp:read_start(function(_, data)
      client.text = client.text .. (data or "")
      client.over = data == nil
    end)
  end)
  client:sees "* hello"
  return client
end

--- Waits for a line that has that text, from where the last was found.
function Client:sees(text)
  local late, timer = false, uv.new_timer()
  timer:start(LIMIT_MS, 0, function() late = true end)
  local from = self.seen or 1
  repeat
    uv.run "once"
    local _, stop = self.text:find(text, from, true)
    local ending = stop and self.text:find("\n", stop, true)
    if ending then self.seen = ending + 1 end
  until ending or late
  timer:close()
  if late then
    error(("a client does not see %q, but:\n%s"):format(text,
      self.text:sub(from)), 2)
  end
end

function Client:says(text) self.tcp:write(text .. "\n") end

--- Asks until the answer is that.
function Client:asks(question, answer)
  local timer = uv.new_timer()
  timer:start(0, 100, function() self:says(question) end)
  self:sees(answer)
  timer:close()
end

describe("the chat example", function()
  local nodes, clients
  before_each(function() nodes, clients = {}, {} end)
  after_each(function()
    for _, client in ipairs(clients) do client.tcp:close() end
    for _, node in pairs(nodes) do
      node.program:kill "sigkill"
      node.program:finish()
    end
  end)

  it("goes on when the node of a room is killed", function()
    for i, letter in ipairs { "a", "b", "c" } do
      nodes[i] = start(letter, nodes)
      clients[i] = connect(nodes[i])
    end
    for i, client in ipairs(clients) do
      client:asks("/nodes", "* nodes: 3")
      client:says("/nick n" .. i)
      client:says "hello?"
      client:sees "* first /join a room"
      client:says "/join lobby"
      client:sees "* in lobby, on "
    end
    clients[1]:says "hello, all"
    for _, client in ipairs(clients) do client:sees "n1: hello, all" end

    local home = clients[1].text:match "%* in lobby, on (%S+)"
    local killed
    for i, node in ipairs(nodes) do
      if node.name == home then killed = i end
    end
    nodes[killed].program:kill "sigkill"
    nodes[killed].program:finish()
    local left = {}
    for i, client in ipairs(clients) do
      if i ~= killed then left[#left + 1] = client end
    end
    for _, client in ipairs(left) do client:sees "* in lobby, on " end
    left[1]:says "still here"
    for _, client in ipairs(left) do client:sees ": still here" end
    left[2]:says "/quit"
    left[1]:sees "is gone"
    for i, node in ipairs(nodes) do
      if i ~= killed then
        node.program:kill "sigterm"
        assert.equal(0, (node.program:finish()), node.program.err)
      end
    end
  end)
end)
