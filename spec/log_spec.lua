local log = require "banyan.log"
local cjson = require "cjson"
local core = require "banyan.core"
local remote = require "spec.support.remote"

-- Passes events to a log made with `opts`; returns all that it wrote.
local function written(make, opts, ...)
  local out = {}
  opts.write = function(text) out[#out + 1] = text end
  local sink = assert(make(opts))
  for _, event in ipairs { ... } do sink(event) end
  return table.concat(out)
end

local unpack = table.unpack or unpack

local function at_epoch() return 1250 end

local crash = {
  event = "process_crashed", time = 7, node = "a@127.0.0.1:9101",
  reason = core.reason { "error", "x.lua:1: boom\nmore",
    "stack traceback:\n\t[C]: in error\n\tx.lua:1: in main" },
  label = "Counter",
}

describe("the text log", function()
  it("escapes backslashes, so that its own escapes can be told", function()
    local text = written(log.text, {}, { event = "driver_error",
      reason = "C:\\new\nline", where = "\\n" })
    assert.matches('reason="?C:\\\\new\\nline"?', text)
    assert.matches("where=\\\\n", text)
  end)

  it("cuts what is very long", function()
    for _, make in ipairs { log.text, log.json } do
      local text = written(make, {}, {
        event = "process_crashed", traceback = ("t"):rep(1e6),
        reason = { "error", ("m"):rep(1e6), ("s"):rep(1e6) },
      }, { event = "driver_error", reason = ("r"):rep(1e6) })
      assert.is_true(#text < 60000, #text)
    end
  end)

  it("takes the time of a clock that is no whole number", function()
    for _, make in ipairs { log.text, log.json } do
      local text = written(make, { clock = function() return 1250.75 end },
        { event = "driver_error" })
      assert.matches("00:01%.250", text)
    end
  end)

  it("writes time, level, event and fields on one line", function()
    local text = written(log.text, { level = "debug", clock = at_epoch }, {
      event = "child_started", time = 7, supervisor = "counters", id = "a b",
      zeal = 1, apple = true, node = "n@h:1",
    })
    assert.matches("^1970%-01%-01 %d%d:00:01.250 debug   child_started "
      .. 'node=n@h:1 supervisor=counters id="a b" apple=true zeal=1\n$', text)
  end)

  it("keeps fields in the same order every time", function()
    local event = { event = "e", b = 1, a = 2, reason = "r", pid = 3 }
    local text = written(log.text, { level = "debug" }, event)
    assert.matches("e pid=3 reason=r a=2 b=1\n$", text)
  end)

  it("puts a traceback below the line, indented", function()
    local text = written(log.text, { clock = at_epoch }, crash)
    local lines = {}
    for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    assert.equal(4, #lines)
    assert.matches("warning process_crashed node=a@127.0.0.1:9101 "
      .. "label=Counter reason=error: x.lua:1: boom\\nmore", lines[1], 1, true)
    assert.equal("    stack traceback:", lines[2])
    assert.equal("      [C]: in error", lines[3])
  end)

  it("puts the traceback of a held process below the line", function()
    local text = written(log.text, { clock = at_epoch }, {
      event = "process_held_node", node = "a@h:1", ms = 120, at = "x.lua:1",
      traceback = "stack traceback:\n\tx.lua:1: in loop",
    })
    assert.matches("warning process_held_node node=a@h:1 ms=120 at=x.lua:1\n"
      .. "    stack traceback:\n      x.lua:1: in loop\n$", text)
  end)

  it("finds the traceback of an error inside another reason", function()
    local text = written(log.text, {}, {
      event = "supervisor_gave_up",
      reason = { "shutdown", { "failed_to_start_child", "c", crash.reason } },
    })
    assert.matches('reason={"shutdown", {"failed_to_start_child", "c", '
      .. '{"error", "x.lua:1: boom\\nmore"}}}\n    stack traceback:\n',
      text, 1, true)
  end)

  it("shows what an error object holds", function()
    local text = written(log.text, {}, {
      event = "process_crashed",
      reason = { "error", { code = 7 }, "stack traceback:" },
    })
    assert.matches("reason=error: {code=7}\n", text, 1, true)
  end)

  it("writes a bounded part of the state of a server", function()
    local state = { 1, text = ("x"):rep(5000) }
    state.state, state.again = state, state
    for i = 2, 1000 do state[i] = { state } end
    for _, make in ipairs { log.text, log.json } do
      local text = written(make, {}, {
        event = "process_crashed", reason = "r", message = { n = 1 },
        state = setmetatable(state, { __pairs = error, __len = error }),
      })
      assert.is_true(#text < 20000)
      assert.matches("...", text, 1, true)
    end
  end)

  it("escapes what would break the line", function()
    local text = written(log.text, { level = "debug" },
      { event = "e", id = "a\nb\0c\"d" })
    assert.matches('id="a\\nb\\x00c\\"d"\n', text, 1, true)
    assert.equal(1, select(2, text:gsub("\n", "")))
  end)

  it("writes events of the given level and above", function()
    local events = {
      { event = "child_started" }, { event = "node_up" },
      { event = "process_crashed" }, { event = "supervisor_gave_up" },
    }
    for level, expected in pairs { debug = 4, info = 3, warning = 2,
      error = 1 } do
      local text = written(log.text, { level = level },
        events[1], events[2], events[3], events[4])
      assert.equal(expected, select(2, text:gsub("\n", "")), level)
    end
  end)

  it("appends to the file that a path names", function()
    local path = os.tmpname()
    for _ = 1, 2 do
      assert(log.text { file = path }) { event = "node_up", peer = "b" }
    end
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    os.remove(path)
    assert.equal(2, select(2, text:gsub("node_up peer=b\n", "")))
  end)

  it("answers nil and an error if the file cannot be opened", function()
    local sink, err = log.text { file = "/nowhere/at/all" }
    assert.is_nil(sink)
    assert.matches("/nowhere/at/all", err, 1, true)
  end)

  it("refuses unknown options", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, err = pcall(function() return (log.text { levle = "info" }) end)
    assert.is_false(ok)
    assert.matches("log_spec.lua:" .. line, err, 1, true)
    assert.matches('unknown option "levle"', err, 1, true)
    assert.has_error(function() log.text { level = "loud" } end)
  end)
end)

describe("failures that come again and again", function()
  local A, B = "a@h:1", "b@h:1"

  local function failure(time, opts)
    local event = { event = "link_failed", node = A, peer = B, time = time,
      reason = "bad_secret" }
    for key, value in pairs(opts or {}) do event[key] = value end
    return event
  end

  local function count(text) return select(2, text:gsub("\n", "")) end

  it("are written after waits that double, up to five minutes", function()
    local events = {}
    for second = 0, 3600 do events[#events + 1] = failure(second * 1000) end
    local text = written(log.text, {}, unpack(events))
    -- 0, 3, 9, 21, 45, 93, 189, 381, 681, ... seconds
    assert.equal(18, count(text))
    assert.matches("reason=bad_secret\n.*reason=bad_secret repeated=2\n"
      .. ".*repeated=5\n.*repeated=11\n.*repeated=299\n$", text)
  end)

  it("are others of another peer, node, event or cause", function()
    local text = written(log.text, {}, failure(0), failure(1),
      failure(2, { peer = "c@h:1" }), failure(3, { node = "d@h:1" }),
      failure(4, { event = "link_refused" }), failure(5, { reason = "closed" }),
      failure(6, { reason = "econnrefused" }))
    assert.equal(5, count(text))
  end)

  it("are written anew once the peer has been up", function()
    local text = written(log.text, { level = "warning" }, failure(0),
      failure(1), { event = "node_up", node = A, peer = B, time = 2 },
      failure(3), failure(4))
    assert.equal(2, count(text))
  end)

  it("may be those of strangers", function()
    local stranger = { event = "link_refused", node = A, time = 1,
      reason = "bad_secret" }
    assert.equal(1, count(written(log.text, {}, stranger, stranger)))
  end)
end)

-- Nodes of the virtual network, on its clock.
describe("the log of a node that cannot reach another", function()
  local A, B, C = remote.A, remote.B, remote.C
  local HOUR_MS = 3600000

  after_each(remote.close)

  -- What the log of `at` wrote in an hour of dialling `to`, warnings alone: for
  -- each event the seconds since the first dial.
  local function hour(at, to, opts)
    local net, wrote = remote.strangers { A }, {}
    net:node(B, { secret = "another" })
    local start = net:time(A)
    for _, from in ipairs(opts and opts.both and { A, B } or { A }) do
      local other = from == A and to or A
      remote.spawn_on(from, function() core.connect(other, math.huge) end)
    end
    net:pass(HOUR_MS)
    local event
    local sink = log.text { level = "warning", write = function()
      local list = wrote[event.event] or {}
      wrote[event.event] = list
      list[#list + 1] = math.floor((event.time - start) / 1000 + 0.5)
    end }
    net:count "link_refused" -- has the last events taken from the nodes
    for _, one in ipairs(net.events) do
      event = one
      if one.at == at then sink(one) end
    end
    return wrote
  end

  -- They come after waits that double at least, until these are five minutes
  -- and what passes until the next dial.
  local function assert_backs_off(seconds, first_by)
    assert.is_true(seconds[1] <= first_by, "the first after " .. seconds[1])
    local least = 3
    for i = 2, #seconds do
      local wait = seconds[i] - seconds[i - 1]
      assert.is_true(wait >= math.min(least, 300) - 1 and wait <= 340,
        ("%d s between %d and %d"):format(wait, seconds[i - 1], seconds[i]))
      least = least * 2
    end
    assert.is_true(#seconds >= 14 and #seconds <= 18,
      #seconds .. " lines in an hour")
  end

  local function names(wrote)
    local list = {}
    for name in pairs(wrote) do list[#list + 1] = name end
    table.sort(list)
    return list
  end

  it("says after 3 s that nobody is there, then less and less", function()
    local wrote = hour(A, C)
    assert.same({ "peer_unreachable" }, names(wrote))
    assert.same({ 3, 9, 21, 45, 93, 189, 381 },
      { unpack(wrote.peer_unreachable, 1, 7) })
    assert_backs_off(wrote.peer_unreachable, 3)
  end)

  it("says at once, then less and less, that the secret differs", function()
    local wrote = hour(A, B)
    assert.same({ "link_refused", "peer_unreachable" }, names(wrote))
    assert_backs_off(wrote.link_refused, 2)
    assert_backs_off(wrote.peer_unreachable, 3)
  end)

  it("says so as seldom where it is the one that is dialled", function()
    local wrote = hour(B, B)
    assert.same({ "link_refused" }, names(wrote))
    assert_backs_off(wrote.link_refused, 2)
  end)

  it("says it once for each of the two ways where both dial", function()
    for _, at in ipairs { A, B } do
      local wrote = hour(at, B, { both = true })
      assert.same({ "link_refused", "peer_unreachable" }, names(wrote))
      assert.is_true(#wrote.link_refused <= 36)
      assert_backs_off(wrote.peer_unreachable, 3)
    end
  end)
end)

describe("the level of an event", function()
  it("is low for a link that another one replaces", function()
    for _, reason in ipairs { "simultaneous", "already_connected" } do
      assert.equal("info", log.level { event = "link_refused",
        reason = reason })
    end
    assert.equal("warning", log.level { event = "link_refused",
      reason = "name_taken" })
  end)

  it("is low for a dial that meets a node which stops", function()
    assert.equal("info", log.level { event = "link_refused",
      reason = "shutdown" })
  end)

  it("is low for a peer node that ends with the status 0", function()
    assert.equal("info", log.level { event = "peer_lost",
      reason = { "exit_status", 0 } })
    for _, reason in ipairs {
      { "exit_status", 1 }, { "signal", 9 }, "closed",
    } do
      assert.equal("warning", log.level { event = "peer_lost",
        reason = reason })
    end
  end)

  it("depends on the reason for which a node is down", function()
    assert.equal("info", log.level { event = "node_down",
      reason = "shutdown" })
    assert.equal("warning", log.level { event = "node_down",
      reason = "timeout" })
  end)

  it("is debug for an unknown event", function()
    assert.equal("debug", log.level("something_new"))
  end)
end)

describe("the JSON log", function()
  local function decoded(event, opts)
    opts = opts or {}
    opts.level = "debug"
    local text = written(log.json, opts, event)
    assert.matches("^[^\n]+\n$", text)
    return cjson.decode(text)
  end

  it("writes one object a line, with level and time", function()
    local object = decoded(crash, { clock = at_epoch })
    assert.equal("process_crashed", object.event)
    assert.equal("warning", object.level)
    assert.equal("1970-01-01T00:00:01.250Z", object.at)
    assert.equal(7, object.time)
  end)

  it("writes reasons as arrays", function()
    local object = decoded(crash)
    assert.same({ crash.reason[1], crash.reason[2], crash.reason[3] },
      object.reason)
  end)

  it("writes pids by their text", function()
    local ref = core.node { seed = 1 }
    local pid = ref:spawn(function() end)
    assert.equal(tostring(pid), decoded({ event = "e", pid = pid }).pid)
    ref:close()
  end)

  it("writes the nearest value where JSON has none", function()
    local object = decoded {
      event = "e", infinite = math.huge, nan = 0 / 0, big = 2 ^ 60,
      fraction = 0.5, bytes = "\255\0x", text = "gr\195\188n",
      mixed = { 1, 2, x = 3 }, nested = { { "a" } }, fn = print,
      time = 1795261361655,
    }
    assert.equal("inf", object.infinite)
    assert.matches("nan", object.nan)
    assert.equal("string", type(object.big))
    assert.equal(0.5, object.fraction)
    assert.equal("\195\191\0x", object.bytes)
    assert.equal("gr\195\188n", object.text)
    assert.same({ ["1"] = 1, ["2"] = 2, x = 3 }, object.mixed)
    assert.same({ { "a" } }, object.nested)
    assert.matches("^function: ", object.fn)
    assert.equal(1795261361655, object.time)
  end)

  it("keeps a field of the event that has the name of its own", function()
    local object = decoded({ event = "process_held_node", at = "x.lua:1",
      level = "mine" }, { clock = at_epoch })
    assert.equal("1970-01-01T00:00:01.250Z", object.at)
    assert.equal("x.lua:1", object.event_at)
    assert.equal("debug", decoded({ event = "e" }).level)
    assert.equal("mine", object.event_level)
    assert.is_nil(decoded(crash).event_at)
  end)

  it("takes no halves of two characters for one", function()
    local broken = "\195" .. "gr\195\188n"
    assert.equal("\195\131gr\195\131\194\188n", decoded({ event = "e",
      text = broken }).text)
    -- Without what is whole, these three would be a character.
    local halves = "\226" .. "\195\188" .. "\130\172"
    assert.is_nil(decoded({ event = "e", text = halves }).text
      :find("\226\130\172", 1, true))
  end)
end)
