--- What the specs of banyan.peers have in common: two nodes of two clusters in
-- one program, and a client that speaks frames by itself.

local address = require "spec.support.address"
local banyan = require "banyan"
local core = require "banyan.core"
local peers = require "banyan.peers"
local sockets = require "spec.support.sockets"
local streams = require "banyan.driver.stream"
local transport = require "banyan.driver.transport"
local uv = require "luv"
local wires = require "banyan.peer.wire"

local M = {}

M.eventually = sockets.eventually
M.fails = sockets.fails
M.SECRET = "the secret of the realm"
M.REALM = { realm = "test", secret = M.SECRET }
M.IDS = { "connection", "pubsub", "rpc", "advertisements" }

-- The loop is in a step of one node, and may have asked the other one already
-- when it wants to be called.
local function turn()
  local timer = uv.new_timer()
  timer:start(0, 0, function() timer:close() end)
end

local Node = {}
Node.__index = Node

--- Runs a function there, in a process that ends with it, and answers what it
-- returns.
function Node:on(fn, ...)
  local args = { n = select("#", ...), ... }
  local function finish(ok, ...)
    if not ok then error((...), 0) end
    return ...
  end
  return finish(banyan.await(function(done)
    self.node:spawn(function()
      done(pcall(fn, (table.unpack or unpack)(args, 1, args.n)))
      turn()
    end)
    turn()
  end, 60000))
end

--- Runs it in a process that stays.
function Node:stay(fn)
  return self:on(function()
    return banyan.await(function(done)
      banyan.spawn(function()
        banyan.trap_exit(true)
        done(fn())
        while true do banyan.receive() end
      end)
    end)
  end)
end

--- How many events of that name there were.
function Node:count(name)
  return sockets.count(self.events, name)
end

--- Where it listens.
function Node:url()
  return "banyan://" .. self.name:match "@(.*)$"
end

--- Its peers, as it lists them.
function Node:peers()
  return self:on(peers.list_peers)
end

local function options(short, events, more)
  local opts = {
    name = address.fresh_name(short), secret = "the secret of " .. short,
    on_event = function(event) events[#events + 1] = event end,
  }
  for key, value in pairs(more or {}) do opts[key] = value end
  return opts
end

--- Calls body(b) on a node of its own, beside the node b that accepts M.REALM.
-- Answers the events of the first.
---@param body fun(b: table)
---@param opts? table  of peers.start_link, on both
---@param more? table  options of both nodes
function M.pair(body, opts, more)
  local b, events = setmetatable({ events = {} }, Node), {}
  local started = options("b", b.events, more)
  b.node, b.name = assert(banyan.start(started)), started.name
  local ok, err = pcall(banyan.run, options("a", events, more), function()
    assert(peers.start_link(opts))
    b:stay(function()
      b.sup = assert(peers.start_link(opts))
      assert(peers.accept(M.REALM))
    end)
    body(b)
  end)
  b.node:stop()
  if not ok then error(err, 0) end
  return events
end

--- A peer of the caller that is connected with b, and b's own end of it.
function M.connect(b, more)
  local opts = { realm = M.REALM.realm, secret = M.SECRET }
  for key, value in pairs(more or {}) do opts[key] = value end
  local before = {}
  for _, pid in ipairs(b:peers()) do before[pid] = true end
  local p = assert(peers.start_peer(b:url(), opts))
  local other
  M.eventually(function()
    local info = assert(peers.info(p))
    for _, pid in ipairs(b:peers()) do
      if not before[pid] then other = pid end
    end
    return info.state == "connected" and other
      and b:on(function() return peers.info(other).state == "connected" end)
  end)
  return p, other
end

--- Watches a peer; the function that this answers waits for its end, and
-- answers why.
function M.watch(pid)
  local ref = banyan.monitor(pid)
  return function()
    local down = assert(banyan.receive(ref, 60000))
    return down.reason
  end
end

--- A connection that speaks frames: frames.got has {kind, ...}, in order.
function M.client(name, realm, secret)
  local tcp = uv.new_tcp()
  local host, port = name:match "@(.*):(%d+)$"
  assert(banyan.await(function(done)
    tcp:connect(host, tonumber(port), function(err) done(not err) end)
  end))
  local client = { got = {}, tcp = tcp }
  local function ended(reason) client.over = reason end
  local stream = streams.of_tcp(tcp)
  client.wire = wires.new(core.self(), true,
    core.realm_token(realm or M.REALM.realm, secret or M.SECRET),
    transport.entropy(32), stream, {
      open = function() client.open = true end,
      data = function(...) table.insert(client.got, { ... }) end,
      noise = function() end, output = function() end, ended = ended,
    })
  client.wire:read(stream)
  function client.begin()
    client.wire:flush()
    M.eventually(function() return client.open or client.over end)
    return client
  end
  --- How many frames of that kind, with that first value, have come.
  function client.count(kind, first)
    local n = 0
    for _, frame in ipairs(client.got) do
      if frame[1] == kind and (first == nil or frame[2] == first) then
        n = n + 1
      end
    end
    return n
  end
  return client
end

return M
