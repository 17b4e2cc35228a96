-- banyan.node_monitor: its options, its set, its source, what its callbacks
-- are told, and what of it outlives a crash.

local banyan = require "banyan"
local core = require "banyan.core"
local network = require "spec.support.network"
local node_monitor = require "banyan.node_monitor"
local run = require "spec.support.run"
local supervisor = require "banyan.supervisor"

local A, B, C, D = "a@h:1", "b@h:1", "c@h:1", "d@h:1"

local function misuse(text, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal(text, (tostring(err):gsub("^[^:]+:%d+: ", "")))
end

-- Callbacks that write down what they hear, "+b" and "-b removed".
local function heard()
  local list = {}
  return list, {
    on_node_up = function(node, info)
      assert(type(info) == "table")
      list[#list + 1] = "+" .. node:sub(1, 1)
    end,
    on_node_down = function(node, info)
      list[#list + 1] = ("-%s %s"):format(node:sub(1, 1), info.reason)
    end,
  }
end

local function with(opts, more)
  local merged = {}
  for key, value in pairs(opts) do merged[key] = value end
  for key, value in pairs(more) do merged[key] = value end
  return merged
end

describe("the options of a node monitor", function()
  local start = node_monitor.start_link

  it("are one table of known ones", function()
    misuse('node_monitor.start_link: options must be a table, got 5', start, 5)
    local ok, err = pcall(function()
      local pid = start { node = {} }
      return pid
    end)
    assert.is_false(ok)
    assert.truthy(err:find('unknown option "node"', 1, true), err)
    assert.truthy(err:find("node_monitor_spec", 1, true), err)
  end)

  it("have a list of names", function()
    for _, bad in ipairs { "x", { "str" }, { 1 }, { B, false }, { [2] = B } } do
      local ok, err = pcall(start, { nodes = bad })
      assert.is_false(ok)
      assert.truthy(err:find('option "nodes" must be a list of node names', 1,
        true), err)
    end
  end)

  it("have a source that can be called", function()
    for _, bad in ipairs {
      5, "x", {}, { "m" }, { "m", 1 }, { "m", "f", 5 }, { "m", "f", {}, 1 },
    } do
      local ok, err = pcall(start, { source = bad })
      assert.is_false(ok)
      assert.truthy(err:find('option "source" must be a function or', 1, true),
        err)
    end
  end)

  it("have not both", function()
    misuse('node_monitor.start_link: options "nodes" and "source" exclude '
      .. "each other", start, { nodes = {}, source = print })
  end)

  it("that exclude each other are an error at the program's line", function()
    run(function()
      local monitor = assert(start {})
      local both = { nodes = {}, source = print }
      for _, fn in ipairs {
        function()
          local pid = start(both)
          return pid
        end,
        function()
          local ok = node_monitor.reconfigure(monitor, both)
          return ok
        end,
      } do
        local ok, err = pcall(fn)
        assert.is_false(ok)
        local line = debug.getinfo(fn, "S").linedefined + 1
        local at = ("node_monitor_spec.lua:%d: node_monitor."):format(line)
        assert.truthy(err:find(at, 1, true), err)
      end
    end)
  end)

  it("have times, words and functions", function()
    for key, bad in pairs {
      refresh_ms = 0, timeout_ms = -1, on_error = "drop", announce = "all",
      on_node_up = "f", on_node_down = {}, name = "",
    } do
      local ok, err = pcall(start, { [key] = bad })
      assert.is_false(ok)
      assert.truthy(err:find(('option "%s" must be'):format(key), 1, true), err)
    end
    assert.is_false((pcall(start, { refresh_ms = 1.5 })))
  end)

  it("are looked at in the caller, and change nothing where they are wrong",
    function()
      run(function()
        local monitor = assert(start { nodes = { B }, name = "m" })
        misuse('node_monitor.reconfigure: option "refresh_ms" must be a '
          .. "positive integer (milliseconds), got 0",
          node_monitor.reconfigure, "m", { refresh_ms = 0 })
        local ok, err = pcall(node_monitor.reconfigure, "m", { name = "n" })
        assert.is_false(ok)
        assert.truthy(err:find('unknown option "name"', 1, true), err)
        assert.same({ B }, node_monitor.status(monitor).managed)
        assert.is_true(core.is_alive(monitor))
      end)
    end)

  it("are asked of a monitor", function()
    run(function()
      misuse("node_monitor.status: monitor must be a pid or a name, got a nil",
        node_monitor.status)
      assert.same({ nil, "noproc" }, { node_monitor.nodes "nobody" })
      assert.same({ nil, "noproc" }, { node_monitor.reconfigure("nobody", {}) })
    end)
  end)

  it("may be none", function()
    run(function()
      local monitor = assert(start())
      assert.is_true(node_monitor.reconfigure(monitor))
      assert.same({ source = "all", managed = {}, up = {}, failures = 0 },
        node_monitor.status(monitor))
      local named = assert(start { name = "m" })
      assert.same({ nil, "already_started: " .. tostring(named) },
        { start { name = "m" }, tostring(select(2, start { name = "m" })) })
    end)
  end)
end)

describe("a source", function()
  -- A monitor whose source is `source`; answers what `body` sees of it.
  local function source_of(source, opts, body)
    local events = {}
    run(function()
      body(assert(node_monitor.start_link(with({ source = source }, opts))),
        events)
    end, { events = events })
    return events
  end

  local function failures(events)
    local list = {}
    for _, event in ipairs(events) do
      if event.event == "node_source_failed" then list[#list + 1] = event end
    end
    return list
  end

  it("is asked at the start, and again refresh_ms after it has answered",
    function()
      local times, jitter = {}, {}
      source_of(function()
        times[#times + 1] = core.now()
        core.sleep(300)
        return { B, C, B }
      end, { refresh_ms = 1000 }, function(monitor)
        assert.equal(300, core.now()) -- start_link has waited
        assert.same({ B, C }, node_monitor.status(monitor).managed)
        core.sleep(30000)
      end)
      assert.is_true(#times > 15)
      for i = 2, #times do
        local wait = times[i] - times[i - 1] - 300
        assert.is_true(wait >= 900 and wait <= 1100, wait)
        jitter[wait] = true
      end
      assert.truthy(next(jitter, (next(jitter))))
    end)

  it("may be a function of a module, with arguments", function()
    package.loaded["spec.source"] = {
      list = function(...) return { select(2, ...), ... } end,
    }
    source_of({ "spec.source", "list", { B, C } }, {}, function(monitor)
      assert.same({ B, C }, node_monitor.status(monitor).managed)
    end)
    package.loaded["spec.source"] = nil
  end)

  local bad = {
    { "raises", function() error "no list" end, "error" },
    { "raises a table", function() error({}) end, "error" },
    { "exits", function() core.exit "gone" end, "gone" },
    { "exits normally", function() core.exit() end, "normal" },
    { "is killed", function() core.self():exit "kill" end, "killed" },
    { "answers nothing", function() end, "bad_answer" },
    { "answers a text", function() return B end, "bad_answer" },
    { "answers no names", function() return { "b" } end, "bad_answer" },
    { "answers numbers", function() return { 1 } end, "bad_answer" },
    { "answers a list with a hole", function() return { B, nil, C } end,
      "bad_answer" },
    { "answers what raises when it is read", function()
      return setmetatable({}, { __index = error, __pairs = error,
        __len = error })
    end, nil },
    { "takes too long", function() core.sleep "infinity" end, "timeout" },
    { "cannot be loaded", { "no.such.module", "f" }, "error" },
    { "is no function", { "string", "nothing" }, "error" },
  }
  for _, one in ipairs(bad) do
    local what, source, code = one[1], one[2], one[3]
    it(("that %s has failed, and is asked again"):format(what), function()
      local good, fails = true, 0
      local function sometimes()
        if good then return { B, C } end
        fails = fails + 1
        if type(source) == "function" then return source() end
        return require(source[1])[source[2]]()
      end
      local events = source_of(sometimes, { refresh_ms = 100, timeout_ms = 50 },
        function(monitor)
          good = false
          core.sleep(1000)
          local status = node_monitor.status(monitor)
          if code then
            assert.same({ B, C }, status.managed)
            assert.is_true(status.failures > 5)
            assert.equal(code, status.error[1] or status.error)
            assert.is_true(status.refreshed_ms >= 900)
          else
            assert.same({}, status.managed)
          end
          good = true
          core.sleep(300)
          status = node_monitor.status(monitor)
          assert.same({ B, C }, status.managed)
          assert.equal(0, status.failures)
          assert.is_nil(status.error)
          assert.is_true(status.refreshed_ms <= 110)
        end)
      assert.is_true(fails > 5)
      if not code then return end
      local told = failures(events)
      assert.equal(fails, #told)
      assert.equal(fails, told[#told].failures)
      assert.truthy(core.is_pid(told[1].monitor))
    end)
  end

  it("that fails empties the set where that is asked for", function()
    local good = true
    source_of(function() return good and { B } or nil end,
      { refresh_ms = 100, on_error = "empty" }, function(monitor)
        assert.same({ B }, node_monitor.status(monitor).managed)
        good = false
        core.sleep(200)
        assert.same({}, node_monitor.status(monitor).managed)
      end)
  end)

  it("may answer that there is nobody", function()
    local list = { B }
    source_of(function() return list end, { refresh_ms = 100 },
      function(monitor)
        list = {}
        core.sleep(200)
        assert.same({}, node_monitor.status(monitor).managed)
        assert.equal(0, node_monitor.status(monitor).failures)
      end)
  end)

  it("that hangs holds up neither start_link nor reconfigure for longer than "
    .. "timeout_ms", function()
    local function hang() core.sleep "infinity" end
    source_of(hang, { timeout_ms = 700 }, function(monitor)
      assert.equal(700, core.now())
      assert.is_true(node_monitor.reconfigure(monitor,
        { source = hang, timeout_ms = 400 }))
      assert.equal(1100, core.now())
    end)
  end)

  it("is killed when its time is over, and when its monitor ends", function()
    local asked = {}
    run(function()
      core.trap_exit(true)
      local monitor = assert(node_monitor.start_link {
        source = function()
          asked[#asked + 1] = core.self()
          core.sleep "infinity"
        end, timeout_ms = 100, refresh_ms = 100,
      })
      core.sleep(150)
      assert.equal(2, #asked)
      assert.is_false(core.is_alive(asked[1]))
      assert.is_true(core.is_alive(asked[2]))
      monitor:exit "kill"
      core.sleep(1)
      assert.is_false(core.is_alive(asked[2]))
    end)
  end)

  it("is not asked once the set is another", function()
    local asked = 0
    source_of(function()
      asked = asked + 1
      return { B }
    end, { refresh_ms = 100 }, function(monitor)
      assert(node_monitor.reconfigure(monitor, { nodes = { C } }))
      core.sleep(5000)
      assert.same({ C }, node_monitor.status(monitor).managed)
      assert.equal("static", node_monitor.status(monitor).source)
    end)
    assert.equal(1, asked)
  end)

  it("of before counts for nothing, though its answer is on the way", function()
    local function slow()
      core.sleep(100)
      return { B }
    end
    source_of(function() return {} end, {}, function(monitor)
      core.spawn(node_monitor.reconfigure, monitor, { source = slow })
      core.sleep(50)
      assert(node_monitor.reconfigure(monitor, { nodes = { C } }))
      core.sleep(500)
      assert.same({ C }, node_monitor.status(monitor).managed)
    end)
  end)

  it("leaves the set as it is until it has answered", function()
    source_of(function() return { B } end, {}, function(monitor)
      core.spawn(node_monitor.reconfigure, monitor, {
        source = function()
          core.sleep(1000)
          return { C }
        end,
      })
      core.sleep(500)
      assert.same({ B }, node_monitor.status(monitor).managed)
      assert.equal("callback", node_monitor.status(monitor).source)
      core.sleep(600)
      assert.same({ C }, node_monitor.status(monitor).managed)
    end)
  end)
end)

describe("a node monitor", function()
  local net

  before_each(function()
    net = network.new()
    for _, name in ipairs { A, B, C } do net:node(name) end
  end)
  after_each(function() net:close() end)

  -- Starts it on a, in a process that keeps it; answers what a function of it
  -- says.
  local function open(opts)
    net:find(A).core:spawn(function()
      core.trap_exit(true)
      assert(node_monitor.start_link(with({ name = "m" }, opts)))
      core.register("keeper")
      core.receive()
      core.exit("shutdown")
    end)
    net:pass(1000)
  end
  local function change(opts)
    net:on(A, function() assert(node_monitor.reconfigure("m", opts)) end)
    net:settle()
  end
  local function status(key)
    local answer
    net:on(A, function() answer = node_monitor.status("m")[key] end)
    return answer
  end

  it("dials the nodes of its set, and hears of each once", function()
    local list, callbacks = heard()
    open(with({ nodes = { A, B, D, C } }, callbacks))
    table.sort(list)
    assert.same({ "+b", "+c" }, list)
    assert.same({ B, C, D }, status "managed")
    assert.same({ B, C }, status "up")
    net:on(A, function() assert.same({ B, C }, node_monitor.nodes "m") end)
    net:node(D) -- it dials nobody
    net:pass(40000)
    assert.same({ "+b", "+c", "+d" }, list)
  end)

  it("dials again what is lost, as often as that may be", function()
    local list, callbacks = heard()
    open(with({ nodes = { B } }, callbacks))
    for i = 1, 3 do
      net:kill(B)
      net:pass(60000)
      assert.equal("-b econnrefused", list[2 * i])
      net:node(B)
      net:pass(40000)
      assert.equal("+b", list[2 * i + 1])
    end
    assert.equal(7, #list)
    net:on(A, function() assert(core.disconnect(B)) end)
    net:pass(40000)
    assert.same({ "-b disconnected", "+b" }, { list[8], list[9] })
  end)

  it("dials no more what has left the set, but does not disconnect it",
    function()
      open { nodes = { B, D } }
      change { nodes = { C } }
      net:pass(1000)
      assert.same({ C }, status "up")
      assert.same({ B, C }, net:find(A).core:nodes())
      net:kill(B)
      net:pass(3600000)
      local before = #net:events_named("link_failed", A)
      net:pass(3600000)
      assert.equal(before, #net:events_named("link_failed", A))
      net:node(B)
      net:pass(60000)
      assert.same({ C }, net:find(A).core:nodes())
    end)

  it("leaves alone what the program dials", function()
    net:on(A, function() core.connect(D) end)
    open { nodes = { D } }
    change { nodes = {} }
    net:pass(3600000)
    net:node(D)
    net:pass(60000)
    assert.same({ D }, net:find(A).core:nodes())
  end)

  it("dials nobody when it has ended in good order", function()
    open { nodes = { D } }
    net:on(A, function() core.send("keeper", "end") end)
    net:pass(3600000)
    net:node(D)
    net:pass(60000)
    assert.same({}, net:find(A).core:nodes())
  end)

  it("of all nodes hears of each that is connected", function()
    local list, callbacks = heard()
    net:on(A, function() assert(core.connect(B)) end)
    open(callbacks)
    assert.same({ "+b" }, list)
    net:on(C, function() assert(core.connect(A)) end)
    net:pass(1000)
    assert.same({ "+b", "+c" }, list)
    assert.same({ B, C }, status "managed")
    net:kill(B)
    net:pass(3000)
    assert.same({ "+b", "+c", "-b econnrefused" }, list)
  end)

  it("does not hear of nodes outside of its set", function()
    local list, callbacks = heard()
    open(with({ nodes = { B } }, callbacks))
    net:on(A, function() assert(core.connect(C)) end)
    net:pass(1000)
    net:kill(C)
    net:pass(10000)
    assert.same({ "+b" }, list)
    assert.same({ B }, status "up")
  end)

  it("announces what is in the set, where that is asked for", function()
    local list, callbacks = heard()
    open(with({ nodes = { B, D }, announce = "managed" }, callbacks))
    assert.same({ "+b", "+d" }, list)
    assert.same({ B }, status "up")
    net:kill(B)
    net:pass(10000)
    net:node(B)
    net:node(D)
    net:pass(40000)
    assert.same({ "+b", "+d", "-b econnrefused", "+b" }, list)
    change { nodes = { D } }
    assert.equal("-b removed", list[5])
  end)

  -- a: all, s: a list, c: a source; each from b to c.
  local sets = {
    all = function() return {}, { "b", "c", "e" } end,
    list = function(which)
      return { nodes = { which == 1 and B or C, "e@h:1" } },
        { which == 1 and "b" or "c", "e" }
    end,
    source = function(which)
      local nodes = { which == 1 and B or C, "e@h:1" }
      return { source = function() return nodes end },
        { which == 1 and "b" or "c", "e" }
    end,
  }
  for _, from in ipairs { "all", "list", "source" } do
    for _, to in ipairs { "all", "list", "source" } do
      it(("goes from %s to %s and tells of the difference alone"):format(from,
        to), function()
        net:node("e@h:1")
        net:connect()
        local list, callbacks = heard()
        local first, before = sets[from](1)
        open(with(first, callbacks))
        local expected, was, is = {}, {}, {}
        for i, node in ipairs(before) do
          expected[i], was[node] = "+" .. node, true
        end
        assert.same(expected, list)
        local second, after = sets[to](2)
        for _, node in ipairs(after) do
          is[node] = true
          if not was[node] then expected[#expected + 1] = "+" .. node end
        end
        for _, node in ipairs(before) do
          if not is[node] then
            expected[#expected + 1] = ("-%s removed"):format(node)
          end
        end
        change(second)
        net:pass(20000)
        assert.same(expected, list)
      end)
    end
  end

  it("is held up neither by its source nor by a node that does not answer",
    function()
      local list, callbacks = heard()
      local slow = false
      open(with({ refresh_ms = 100, source = function()
        if slow then core.sleep(9000) end
        return { B, C, D }
      end }, callbacks))
      slow = true
      net:pass(1000)
      table.sort(list) -- whichever answered first
      assert.same({ "+b", "+c" }, list)
      net:kill(B)
      net:pass(100)
      assert.same({ "+b", "+c", "-b econnrefused" }, list)
    end)

  it("keeps nodes up while its source fails", function()
    local list, callbacks = heard()
    local fails = false
    net:connect()
    open(with({ refresh_ms = 100, source = function()
      if fails then error "no answer" end
      return { B, C }
    end }, callbacks))
    fails = true
    net:pass(5000)
    assert.same({ "+b", "+c" }, list)
    assert.same({ B, C }, status "up")
  end)

  it("lives on when a callback raises or exits, and goes on calling", function()
    local list, callbacks = heard()
    local up = callbacks.on_node_up
    callbacks.on_node_up = function(node, info)
      up(node, info)
      if node == B then error "cannot" end
      core.exit "gone"
    end
    net:connect()
    open(with({ nodes = { B, C } }, callbacks))
    net:kill(B)
    net:pass(3000)
    assert.same({ "+b", "+c", "-b econnrefused" }, list)
    local events = net:events_named("listener_failed", A)
    assert.same({ "on_node_up", "process" },
      { events[1].callback, events[2].callback })
    assert.equal("m", events[1].monitor)
  end)

  it("is not held up by a callback, which hears all in order", function()
    local list, callbacks = heard()
    local up = callbacks.on_node_up
    callbacks.on_node_up = function(node, info)
      if #list == 0 then core.sleep(20000) end
      up(node, info)
    end
    open(with({ nodes = { B } }, callbacks))
    for _ = 1, 2 do
      net:kill(B)
      net:pass(3000)
      assert.same({}, status "up")
      net:node(B)
      net:pass(3000)
      assert.same({ B }, status "up")
    end
    assert.same({}, list)
    net:pass(20000)
    assert.same({ "+b", "-b econnrefused", "+b", "-b econnrefused", "+b" },
      list)
  end)

  it("keeps its options when others are given", function()
    local list, callbacks = heard()
    open(with({ nodes = { B }, refresh_ms = 100 }, callbacks))
    local asked, late = 0, {}
    change { source = function()
      asked = asked + 1
      return { C }
    end, on_node_down = function(node) late[#late + 1] = node end }
    net:pass(1000)
    assert.is_true(asked > 5)
    assert.same({ "+b", "+c" }, list)
    assert.same({ B }, late)
  end)

  it("does not believe what others say of nodes", function()
    local list, callbacks = heard()
    open(with({ nodes = { B, D } }, callbacks))
    net:on(B, function()
      local m = { name = "m", node = A }
      core.send(m, { tag = "nodeup", node = D, info = {} })
      core.send(m, { tag = "nodeup" })
      core.send(m, { tag = "nodedown", node = 5 })
      core.send(m, { tag = "tick" })
      core.send(m, { tag = "answer", nodes = {} })
      core.send(m, { tag = "answer", turn = core.make_ref(), nodes = {} })
      core.send(m, "hello")
      core.cast(m, "hello")
      assert.same({ nil, "unknown_call" }, { core.call(m, { tag = "await" }) })
      assert.same({ nil, "unknown_call" },
        { core.call(m, { tag = "reconfigure", opts = {} }) })
      assert.same({ B }, node_monitor.nodes(m))
      local _, err = node_monitor.reconfigure(m, {})
      assert.equal("not_allowed", err[1])
    end)
    net:pass(100)
    assert.same({ "+b" }, list)
    assert.same({ B, D }, status "managed")
  end)

  describe("that crashes", function()
    local list, callbacks, asked

    -- Under a supervisor, which starts it again.
    local function supervised(opts)
      net:find(A).core:spawn(function()
        assert(supervisor.start_link {
          { id = "m", start = { "banyan.node_monitor", "start_link",
            { with({ name = "m" }, opts) } } },
        })
        core.receive()
      end)
      net:pass(1000)
    end
    local function crash()
      net:on(A, function() banyan.whereis("m"):exit "kill" end)
    end
    before_each(function()
      list, callbacks = heard()
      asked = 0
    end)

    it("goes on with what it was told last", function()
      supervised(with({ nodes = { B } }, callbacks))
      change { source = function()
        asked = asked + 1
        return { B, C }
      end, refresh_ms = 100 }
      net:pass(500)
      assert.same({ "+b", "+c" }, list)
      crash()
      net:pass(1000)
      assert.same("callback", status "source")
      assert.is_true(asked > 10)
      assert.same({ "+b", "+c" }, list)
      change { nodes = { C } }
      assert.same({ "+b", "+c", "-b removed" }, list)
      crash()
      net:pass(1000)
      assert.same({ C }, status "managed")
      assert.same({ "+b", "+c", "-b removed" }, list)
    end)

    it("tells what has changed meanwhile", function()
      net:connect()
      open(with({ nodes = { B, C } }, callbacks))
      crash()
      net:kill(B)
      net:pass(1000)
      assert.same({ "+b", "+c" }, list)
      open(with({ nodes = { B, C }, announce = "managed" }, callbacks))
      assert.same({ "+b", "+c", "-b noconnection" }, list)
      net:node(B)
      net:pass(40000)
      assert.same({ "+b", "+c", "-b noconnection", "+b" }, list)
    end)

    it("knows its last good set while the source fails", function()
      local fails = false
      net:connect()
      supervised(with({ source = function()
        if fails then error "no" end
        return { B, C }
      end }, callbacks))
      fails = true
      crash()
      net:pass(1000)
      assert.same({ B, C }, status "up")
      assert.equal(1, status "failures")
      assert.same({ "+b", "+c" }, list)
    end)

    it("tells what its callbacks had not heard, once", function()
      local up = callbacks.on_node_up
      callbacks.on_node_up = function(node, info)
        if #list == 0 then core.sleep(5000) end
        up(node, info)
      end
      net:connect()
      supervised(with({ nodes = { B, C } }, callbacks))
      assert.same({}, list)
      crash()
      net:pass(10000)
      assert.same({ "+b", "+c" }, list)
    end)

    it("is another where it had ended in good order, or the node has",
      function()
        net:connect()
        open(with({ nodes = { B } }, callbacks))
        change { nodes = { C } }
        net:on(A, function() core.send("keeper", "end") end)
        net:pass(1000)
        open(with({ nodes = { B } }, callbacks))
        assert.same({ B }, status "managed")
        assert.same({ "+b", "+c", "-b removed", "+b" }, list)
        net:kill(A)
        net:node(A)
        open(with({ nodes = { C } }, callbacks))
        assert.same({ C }, status "managed")
        assert.equal("+c", list[5])
      end)
  end)
end)
