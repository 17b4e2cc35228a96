local histories = require "spec.support.histories"
local history = require "banyan.lockstep.history"

local model = history.model
local REGISTER = model.register(0)

local function texts(ops)
  local list = {}
  for i, op in ipairs(ops) do list[i] = tostring(op) end
  return list
end

-- luassert takes the position off a message.
local function complains(text, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  assert.matches("^spec/lockstep_history_spec.lua:%d+: " .. text, err)
end

describe("a history", function()
  it("records what was done, by whom, and what it answered", function()
    local h = history.new()
    local a = h:invoke("a", "cas", nil, 2)
    local b = h:invoke("b", "read")
    assert.is_true(h:ok(b, 1, nil))
    assert.is_true(h:fail(a))
    local c = h:invoke("a", "write", { "x" })
    assert.is_true(h:unknown(c))
    assert.same({ "#1 a: cas(nil, 2) failed", "#2 b: read() -> 1, nil",
      '#3 a: write({"x"}) -> ?' }, texts(h:operations()))
    assert.equal(table.concat(texts(h:operations()), "\n"), tostring(h))
    assert.same({ n = 2, [2] = 2 }, a.args)
    assert.same({ n = 2, 1 }, b.result)
    assert.same({ "fail", "ok", "unknown" },
      { a.outcome, b.outcome, c.outcome })
    assert.is_true(a.invoked < b.invoked and b.invoked < b.returned
      and b.returned < a.returned and a.returned < c.invoked)
  end)

  it("keeps what was recorded when the tables change later", function()
    local h, written, read = history.new(), { 1 }, { 1 }
    h:ok(h:invoke("a", "write", written))
    h:ok(h:invoke("a", "read"), read)
    written[1], read[1] = 2, 3
    assert(h:check(REGISTER))
    h:operations()[1] = nil
    assert.equal(2, #h:operations())
  end)

  it("leaves the outcome open where a client began something else", function()
    local h = history.new()
    local first = h:invoke("a", "write", 1)
    local second = h:invoke("a", "read")
    assert.equal("unknown", first.outcome)
    assert.is_nil(second.outcome)
    assert.error_matches(function() h:ok(first) end,
      "this operation has its outcome %(unknown%): #1 a: write%(1%)")
  end)

  it("takes one outcome for each of its own operations", function()
    local h, other = history.new(), history.new()
    local op = h:invoke("a", "read")
    h:ok(op, 0)
    for _, what in ipairs { "ok", "fail", "unknown" } do
      local function refuses(of, thing, text)
        complains("history:" .. what .. ": " .. text,
          function() of[what](of, thing) end)
      end
      refuses(h, op, "this operation has its outcome %(ok%)")
      refuses(other, h:invoke("a", "read"), "op must be .* got one of another")
      refuses(h, 5, "op must be .* got 5")
    end
  end)

  it("says what is wrong with an argument", function()
    local h = history.new()
    complains("history:invoke: client must not be nil", function()
      h:invoke(nil, "read")
    end)
    complains("history:invoke: name must be a string, got 1", function()
      h:invoke("a", 1)
    end)
    complains("history:call: args must be a list, got nil", function()
      h:call("a", "read", nil, print)
    end)
    complains("history:call: fn must be a function, got nil", function()
      h:call("a", "read", {})
    end)
    complains('history:check: model has no function "step"', function()
      h:check { init = print }
    end)
    complains('history:check: unknown option "max" ', function()
      h:check(REGISTER, { max = 1 })
    end)
    complains('history:check: option "consistency" must be "linear.*got "li"',
      function() h:check(REGISTER, { consistency = "li" }) end)
    complains('history.new: option "certain" must be a list of strings',
      function() history.new { certain = { 1 } } end)
  end)
end)

describe("history:call", function()
  local function outcome(certain, ...)
    local h = history.new { certain = certain }
    local result = { n = select("#", ...), ... }
    local back = { h:call("a", "read", {}, function()
      return (table.unpack or unpack)(result, 1, result.n)
    end) }
    for i = 1, result.n do assert.equal(result[i], back[i]) end
    return h:operations()[1].outcome
  end

  it("hands on the arguments, and answers what the function did", function()
    local h = history.new()
    local got
    assert.same({ 1, nil, 3 }, { h:call("a", "write", { n = 3, 5, nil, 7 },
      function(...)
        got = { n = select("#", ...), ... }
        return 1, nil, 3
      end) })
    assert.same({ n = 3, 5, nil, 7 }, got)
    assert.equal("#1 a: write(5, nil, 7) -> 1, nil, 3", tostring(h))
  end)

  it("takes a value for an answer, and nil, and false", function()
    assert.equal("ok", outcome(nil, 5))
    assert.equal("ok", outcome(nil, false, "timeout"))
    assert.equal("ok", outcome(nil, nil))
    assert.equal("ok", outcome(nil))
  end)

  it("leaves open whether something happened after an error", function()
    for _, err in ipairs { "timeout", "noconnection", "killed",
      { "error", "message" } } do
      assert.equal("unknown", outcome(nil, nil, err))
    end
  end)

  it("knows the errors after which nothing happened", function()
    assert.equal("fail", outcome(nil, nil, "noproc"))
    assert.equal("fail", outcome(nil, nil, { "noproc", "x" }))
    assert.equal("fail", outcome({ "full" }, nil, { "full", 9 }))
    assert.equal("unknown", outcome({ "full" }, nil, "noproc"))
    local function odd(err) return err % 2 == 1 end
    assert.equal("fail", outcome(odd, nil, 3))
    assert.equal("unknown", outcome(odd, nil, 4))
  end)

  it("leaves an operation open that raised an error", function()
    local h = history.new()
    assert.is_false(pcall(h.call, h, "a", "write", { 1 }, error))
    h:ok(h:invoke("a", "read"), 0)
    h:ok(h:invoke("a", "read"), 1)
    assert(h:check(REGISTER))
  end)

  it("lets the function yield", function()
    local h = history.new()
    local thread = coroutine.wrap(function()
      return h:call("a", "read", {}, coroutine.yield)
    end)
    thread()
    assert.is_nil(h:operations()[1].outcome)
    assert.equal(0, thread(0))
    assert.equal("ok", h:operations()[1].outcome)
  end)
end)

describe("history:check", function()
  it("explains what is wrong", function()
    local h = histories.of [[
      alice write 3
      bob read;       bob ok 0
      alice ok
      carol write 4;  carol fail
      bob read
      dave write 5
      bob ok 0;       dave ok
      bob read;       bob ok 5
    ]]
    local ok, why = h:check(REGISTER)
    assert.is_nil(ok)
    assert.equal([[
not linearizable: no order of the operations explains what they returned
  model: register; the first 4 of 5 operations, whatever the others did:

  #1 alice: write(3)   |--|
  #2 bob: read() -> 0   ||
  #4 bob: read() -> 0      |-|  <- fits nowhere
  #5 dave: write(5)         |.

  the longest order that works, after which the state is 3:
    #2 bob: read() -> 0
    #1 alice: write(3)
  and none of these can be next:
    #4 bob: read() -> 0]], tostring(why))
    assert.equal("linearizable", why.consistency)
    assert.is_false(why.undecided)
    assert.equal(3, why.state)
    assert.equal(4, #why.prefix)
    assert.same({ "#4 bob: read() -> 0" }, texts(why.stuck))
    assert.equal(2, #why.longest)
  end)

  -- By cutting the history after each return in turn.
  it("shows the shortest beginning that fails", function()
    local seen = 0
    for seed = 1, 60 do
      local h = histories.random("register", seed, { ops = 12, unknown = 10 })
      histories.spoil(h, seed, 2)
      local ok, why = h:check(REGISTER)
      if not ok then
        seen = seen + 1
        local function fails_until(tick)
          return not histories.beginning(h, tick):check(REGISTER)
        end
        assert.is_true(fails_until(why.until_tick))
        assert.is_false(fails_until(why.until_tick - 1))
        for _, op in ipairs(why.prefix) do
          assert.is_true(op.invoked <= why.until_tick)
        end
      end
    end
    assert.is_true(seen > 20)
  end)

  it("shows all of a history that is not sequential", function()
    local h = histories.of "a write 1; a ok; a read; a ok 0; b write 2"
    local ok, why = h:check(REGISTER, { consistency = "sequential" })
    assert.is_nil(ok)
    assert.matches("^not sequential: .*model: register; all 3 operations:",
      tostring(why))
  end)

  it("names the key", function()
    local h = histories.of [[
      a write x 1; a ok; b write y 1; b ok; a read x; a ok 1; b read y; b ok 0
    ]]
    local _, why = h:check(model.keyed(REGISTER))
    assert.equal("y", why.key)
    assert.matches('not linearizable: no order of the operations on key "y" ',
      tostring(why))
    assert.matches("model: register for each key; all 2 operations:",
      tostring(why))
  end)

  it("checks all together where one operation has no key", function()
    local h = histories.of [[
      a add 1; a ok true; b add 2; b ok true; a list; a unknown
    ]]
    h:ok(h:invoke("c", "list"), { 1 })
    local ok, why = h:check(model.set())
    assert.is_nil(ok)
    assert.is_nil(why.key)
  end)

  it("leaves out what is long ago", function()
    local h = history.new()
    for i = 1, 100 do h:ok(h:invoke("a", "write", i)) end
    h:ok(h:invoke("a", "read"), 7)
    local _, why = h:check(REGISTER)
    assert.matches("%(77 earlier operations are not shown%)", tostring(why))
  end)

  it("says where it could not decide", function()
    local h = histories.random("register", 1, { ops = 100, clients = 5 })
    local ok, why = h:check(REGISTER, { max_steps = 20 })
    assert.is_nil(ok)
    assert.is_true(why.undecided)
    assert.matches("^undecided: after 20 steps no linearizable order",
      tostring(why))
  end)

  it("reports a key that is wrong before one that is undecided", function()
    local h = history.new()
    local ops = {}
    for i = 1, 12 do ops[i] = h:invoke(i, "write", "x", i) end
    for i = 1, 12 do h:ok(ops[i]) end
    h:ok(h:invoke(1, "read", "x"), 0)
    h:ok(h:invoke(1, "read", "y"), 1)
    local _, why = h:check(model.keyed(REGISTER), { max_steps = 30 })
    assert.is_false(why.undecided)
    assert.equal("y", why.key)
  end)

  it("takes a model of your own", function()
    local light = {
      init = function() return { colour = "red" } end,
      step = function(state, name, _, result)
        if name == "look" then
          return result == nil or result[1] == state.colour, state
        end
        return true, { colour = state.colour == "red" and "green" or "red" }
      end,
    }
    local text = "a switch; b look; b ok red; b look; b ok green; a ok; "
    assert(histories.of(text):check(light))
    local ok, why = histories.of(text .. "c look; c ok red"):check(light)
    assert.is_nil(ok)
    assert.matches('the state is {%["colour"%] = "green"}', tostring(why))
  end)

  it("does not take states of different kinds for one", function()
    -- Two writes that overlap leave "{}" or {}.
    for _, m in ipairs { REGISTER, { init = REGISTER.init,
      step = REGISTER.step } } do
      for _, pair in ipairs { { "{}", {} }, { 1, "1" }, { "nil", {} },
        { "t{}", {} }, { "s", "" }, { true, "true" }, { 0 / 0, "nan" } } do
        for last = 1, 2 do
          local h = history.new()
          local a, b = h:invoke("a", "write", pair[1]),
            h:invoke("b", "write", pair[2])
          h:ok(a)
          h:ok(b)
          h:ok(h:invoke("c", "cas", pair[last], 0), pair[last] == pair[last])
          assert(h:check(m))
        end
      end
    end
  end)

  it("refuses a model whose reads change the state", function()
    local h = histories.of "a increment; a ok"
    local m = model.counter()
    m.reads = function() return true end
    assert.error_matches(function() h:check(m) end,
      "reads%(%) says that #1 a: increment%(%) changes nothing")
  end)
end)
