-- Nodes of one Lua state have nothing in common but that state: neither two
-- without a name, nor two of one name that follow each other.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local core = require "banyan.core"
local worker = require "spec.support.worker"

local STEPS = 10000 -- of a node, in which what is waited for must come about
local COLLECTIONS = 3

local now = 0

-- Runs fn as a process of the node; answers what it returned.
local function on(node, fn, ...)
  local done, ok, a, b
  node:spawn(function(...)
    ok, a, b = pcall(fn, ...)
    done = true
  end, ...)
  for _ = 1, STEPS do
    if done then break end
    now = now + 1
    node:step(now)
  end
  assert(done, "it has not ended")
  if not ok then error(a, 0) end
  return a, b
end

local function start_node(opts)
  local settings = {
    driver = "manual", on_event = false, secret = "a cluster secret",
  }
  for key, value in pairs(opts or {}) do settings[key] = value end
  return assert(banyan.start(settings))
end

local function stop(node)
  node:stop()
  for _ = 1, STEPS do
    if node:state() == "stopped" then return end
    now = now + 1
    node:step(now)
  end
  error("it has not stopped")
end

-- The supervisor is linked to a process that stays.
local function open(node)
  on(node, function()
    local me = core.self()
    core.spawn(function()
      core.trap_exit(true)
      assert(ds.start_link { name = "rooms" })
      core.send(me, "opened")
      repeat local msg = core.receive() until msg == "end"
    end)
    core.receive()
  end)
end

local function start(node, id)
  return on(node, ds.start_child, "rooms", worker.spec(id))
end

describe("nodes of one Lua state", function()
  it("have supervisors of their own without a name", function()
    local one, two = start_node(), start_node()
    open(one)
    local first = assert(start(one, "x"))
    assert.is_nil(on(two, ds.whereis, "rooms", "x"))
    assert.same({ n = 2, nil, "not_started" },
      { n = 2, on(two, ds.children, "rooms") })
    open(two)
    assert.same({}, on(two, ds.children, "rooms"))
    local second = assert(start(two, "x"))
    assert.is_true(first ~= second)
    assert.same({ x = first }, on(one, ds.children, "rooms"))
    assert.same({ x = second }, on(two, ds.children, "rooms"))
    stop(two)
    assert.same({ x = first }, on(one, ds.children, "rooms"))
    assert.equal("x", (on(one, ds.call, "rooms", "x", "hi")))
    stop(one)
  end)

  it("run children each as its own option hosts says", function()
    local off, on_by_default = start_node { hosts = false }, start_node()
    open(off)
    open(on_by_default)
    local _, err = start(off, "x")
    assert.equal("no_nodes", err)
    assert(start(on_by_default, "x"))
    on(on_by_default, banyan.set_hosts, false)
    on(off, banyan.set_hosts, true)
    assert(start(off, "y"))
    _, err = start(on_by_default, "y")
    assert.equal("no_nodes", err)
    stop(off)
    stop(on_by_default)
  end)

  for _, name in ipairs { false, "a@127.0.0.1:1" } do
    local which = name and "of one name" or "without a name"
    it("leave nothing to the next one " .. which, function()
      local kept = setmetatable({}, { __mode = "k" })
      local first = start_node { name = name or nil, hosts = false }
      open(first)
      on(first, banyan.set_hosts, true)
      assert(start(first, "x"))
      on(first, banyan.set_hosts, false)
      kept[on(first, function()
        return require "banyan.distributed_supervisor.views".of("rooms")
      end)] = true
      stop(first)
      for _ = 1, COLLECTIONS do collectgarbage() end
      assert.is_nil(next(kept))
      local second = start_node { name = name or nil }
      assert.is_nil(on(second, ds.whereis, "rooms", "x"))
      open(second)
      assert.same({}, on(second, ds.children, "rooms"))
      assert(start(second, "x"))
      stop(second)
    end)
  end
end)
