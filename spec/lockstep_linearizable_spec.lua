local histories = require "spec.support.histories"
local history = require "banyan.lockstep.history"
local linearizable = require "banyan.lockstep.linearizable"

local model = history.model

local function is_linearizable(text, m)
  local h = histories.of(text)
  local ok, why = h:check(m)
  assert(ok or not why.undecided, tostring(why))
  return ok == true
end

-- Known-good and known-bad histories, as {model, right, name, text}.
local register, queue = model.register(0), model.queue()
local cases = {
  { register, true, "nothing at all", "" },
  { register, true, "a read while a write is under way sees the old value",
    "a write 1; b read; b ok 0; a ok" },
  { register, true, "a read while a write is under way sees the new value",
    "a write 1; b read; b ok 1; a ok" },
  { register, false, "a stale read",
    "a write 1; a ok; b read; b ok 0" },
  { register, false, "new, then old, during one write",
    "a write 1; b read; b ok 1; c read; c ok 0; a ok" },
  { register, true, "new and old of reads that overlap, during one write",
    "a write 1; b read; c read; b ok 1; c ok 0; a ok" },
  { register, false, "a value that nobody wrote", "a read; a ok 7" },
  { register, false, "a value whose write failed",
    "a write 1; a fail; b read; b ok 1" },
  { register, true, "the value from before a write that failed",
    "a write 1; a fail; b read; b ok 0" },
  { register, false, "a lost update: two clients swap the same value",
    "a cas 0 1; b cas 0 2; a ok true; b ok true" },
  { register, true, "one of two that swap the same value loses",
    "a cas 0 1; b cas 0 2; a ok true; b ok false" },
  { register, false, "a swap that lost, of a value that was there",
    "a cas 0 1; a ok false" },
  { register, false, "a swap of a value that was not there",
    "a cas 1 2; a ok true" },
  { register, true, "a write of unknown outcome, seen at once",
    "a write 1; a unknown; b read; b ok 1" },
  { register, true, "a write of unknown outcome, seen late",
    "a write 1; a unknown; b read; b ok 0; b read; b ok 1" },
  { register, true, "a write of unknown outcome, never seen",
    "a write 1; a unknown; b read; b ok 0; b read; b ok 0" },
  { register, false, "a write of unknown outcome, taken back",
    "a write 1; a unknown; b read; b ok 1; b read; b ok 0" },
  { register, false, "a write of unknown outcome, seen before it began",
    "b read; b ok 1; a write 1; a unknown" },
  { register, false, "a write of unknown outcome that happens twice",
    "a write 1; a unknown; b read; b ok 1; b write 2; b ok; b read; b ok 1" },
  { register, true, "two equal writes of unknown outcome, both seen",
    "a write 1; a unknown; a write 1; a unknown; b read; b ok 1; "
    .. "b write 2; b ok; b read; b ok 1" },
  { register, true, "a write that has not ended, seen",
    "a write 1; b read; b ok 1" },
  { register, true, "the writes of one client, the first one late",
    "a write 1; a unknown; a write 2; a ok; b read; b ok 2; b read; b ok 1" },
  -- Herlihy and Wing, figure 1, with their names: E and D are enqueue and
  -- dequeue.
  { queue, true, "H1, of a queue: overlapping enqueues come out as they like",
    "A enqueue x; B enqueue y; B ok; A ok; B dequeue; B ok x; A dequeue; "
    .. "A ok y; A enqueue z" },
  { queue, false, "H2: x goes in before y, and y comes out first",
    "A enqueue x; A ok; B enqueue y; A dequeue; B ok; A ok y" },
  { queue, true, "H3: an enqueue under way is taken out",
    "A enqueue x; B dequeue; B ok x" },
  { queue, false, "H4: x comes out twice",
    "A enqueue x; B enqueue y; A ok; B ok; A dequeue; C dequeue; A ok y; "
    .. "C ok y" },
  { queue, true, "empty, before the enqueue has returned",
    "a enqueue 1; b dequeue; b ok; a ok" },
  { queue, false, "empty, with an element in it",
    "a enqueue 1; a ok; b dequeue; b ok" },
  { queue, false, "an element that went in twice comes out three times",
    "a enqueue 1; a ok; a enqueue 1; a ok; b dequeue; b ok 1; b dequeue; "
    .. "b ok 1; b dequeue; b ok 1" },
  { queue, true, "an element is gone: a dequeue of unknown outcome took it",
    "a enqueue 1; a ok; a enqueue 2; a ok; c dequeue; c unknown; "
    .. "b dequeue; b ok 2" },
  { queue, false, "an element is gone, before the dequeue that took it began",
    "a enqueue 1; a ok; a enqueue 2; a ok; b dequeue; b ok 2; "
    .. "c dequeue; c unknown" },
  { model.queue { 1, 2 }, true, "what was in a queue at first comes out",
    "a dequeue; b dequeue; a ok 2; b ok 1" },
  { model.queue { 1, 2 }, true, "an element that was there comes in again",
    "a enqueue 1; a ok; b dequeue; b ok 1; b dequeue; b ok 2; b dequeue; "
    .. "b ok 1" },
  { model.queue { 1 }, true, "the slower of two takes out the later of equals",
    "a dequeue; b dequeue; b ok 1; c enqueue 1; c ok; a ok 1" },
  { model.queue { 1, 2 }, false, "what was in a queue at first, in disorder",
    "a dequeue; a ok 2; b dequeue; b ok 1" },
  { model.counter(), false, "a lost increment",
    "a increment; b increment; a ok 1; b ok 1" },
  { model.counter(), true, "increments that say nothing",
    "a increment; b increment; a ok; b ok; a get; a ok 2" },
  { model.set(), false, "an element that was added and is not there",
    "a add 1; a ok true; b contains 1; b ok false" },
  { model.register(), true, "nil, and nil again",
    "a read; a ok; b write nil; b ok; a read; a ok nil; b write 1; b ok" },
  { model.register(), false, "nil, which was there no more",
    "b write 1; b ok; a read; a ok nil" },
  { model.keyed(model.register(0)), true, "nil under a key",
    "a write x nil; a ok; a read x; a ok nil" },
  { model.keyed(model.register(0)), false, "0 under a key that is nil",
    "a write x nil; a ok; a read x; a ok 0" },
  { model.set(), false, "two that both added the same element",
    "a add 1; b add 1; a ok true; b ok true" },
}

describe("linearizability", function()
  for _, case in ipairs(cases) do
    it((case[2] and "allows " or "forbids ") .. case[3], function()
      assert.equal(case[2], is_linearizable(case[4], case[1]))
    end)
  end

  local shapes = {
    { ops = 6, clients = 3, values = 2 },
    { ops = 6, clients = 4, values = 9 },
    { ops = 6, clients = 3, values = 2, unknown = 30, fail = 10 },
    { ops = 6, clients = 5, values = 9, unknown = 50 },
  }
  for _, kind in ipairs(histories.kinds) do
    it("finds what trying all orders finds, of a " .. kind, function()
      local found = { [true] = 0, [false] = 0 }
      for seed = 1, 600 do
        local shape = shapes[seed % #shapes + 1]
        local h = histories.random(kind, seed, shape)
        histories.spoil(h, seed, seed % 3, shape.values)
        local expected = histories.explained(h, kind, "linearizable")
        found[expected] = found[expected] + 1
        local ok, why = h:check(histories.model(kind))
        if (ok == true) ~= expected then
          error(("seed %d, expected %s:\n%s\n%s"):format(seed,
            tostring(expected), tostring(h), tostring(why)))
        end
      end
      assert.is_true(found[true] > 150 and found[false] > 50,
        ("%d good, %d bad"):format(found[true], found[false]))
    end)

    it("allows whatever clients see of a real " .. kind, function()
      for seed = 1, 300 do
        local h = histories.random(kind, seed, { ops = 20, clients = 4,
          values = 4, unknown = 10, fail = 5 })
        local ok, why = h:check(histories.model(kind))
        if not ok then error(("seed %d: %s"):format(seed, tostring(why))) end
      end
    end)
  end

  -- The order that was found is one: in real time, and for the object.
  it("answers an order that is right", function()
    for seed = 1, 100 do
      local h = histories.random("register", seed, { ops = 30, clients = 5,
        unknown = 15 })
      local ops = h:operations()
      local verdict = linearizable.check(ops, model.register(0), 1e6)
      assert.is_true(verdict.ok)
      assert.is_true(histories.is_order(verdict.order, ops, "register",
        "linearizable"))
    end
  end)

  it("checks 200 overlapping operations in few steps", function()
    for _, kind in ipairs { "register", "counter", "set", "store" } do
      for clients = 5, 10, 5 do
        for seed = 1, 5 do
          local h = histories.random(kind, seed, { ops = 200, values = 5,
            clients = clients, unknown = 5, fail = 3 })
          assert(h:check(histories.model(kind), { max_steps = 50000 }))
          h = histories.spoil(h, seed, 40, 5)
          local ok, why = h:check(histories.model(kind), { max_steps = 50000 })
          assert.is_nil(ok)
          assert.is_false(why.undecided, tostring(why))
        end
      end
    end
  end)

  it("checks a queue through which 200 different elements pass", function()
    for seed = 1, 5 do
      local h = histories.random("queue", seed, { ops = 200, values = 1e6,
        clients = 5 })
      assert(h:check(model.queue(), { max_steps = 200000 }))
    end
  end)

  -- The steps are the same on every machine: 155014 without what the model of
  -- the queue knows beforehand.
  it("uses what is known of how the elements of a queue come out", function()
    local steps = 0
    for seed = 1, 8 do
      for spoilt = 0, 1 do
        local h = histories.random("queue", seed, { ops = 60, values = 1e6,
          clients = 5, unknown = 6, fail = 3 })
        histories.spoil(h, seed, 2 * spoilt, 5)
        local verdict = linearizable.check(h:operations(), model.queue(), 5e4)
        steps = steps + verdict.steps
      end
    end
    assert.is_true(steps < 3500, steps .. " steps")
  end)

  it("sees at once that one element came out twice, or never was in",
    function()
      for _, wrong in ipairs { 1, 99 } do
        local h, taking = history.new(), {}
        for i = 1, 24, 2 do
          local a, b = h:invoke("a", "enqueue", i),
            h:invoke("b", "enqueue", i + 1)
          h:ok(a)
          h:ok(b)
        end
        for i = 1, 24 do taking[i] = h:invoke("c" .. i, "dequeue") end
        taking[25] = h:invoke("d", "dequeue")
        for i = 1, 24 do h:ok(taking[i], i) end
        h:ok(taking[25], wrong)
        local ok, why = h:check(model.queue(), { max_steps = 2000 })
        assert.is_nil(ok)
        assert.is_false(why.undecided)
        assert.equal(wrong, why.prefix[#why.prefix].result[1])
      end
    end)

  it("is not slowed by the order of elements that nobody took out", function()
    local h = history.new()
    h:unknown(h:invoke("z", "dequeue"))
    for i = 2, 40, 2 do
      local a, b = h:invoke("a", "enqueue", i), h:invoke("b", "enqueue", i + 1)
      h:ok(a)
      h:ok(b)
    end
    assert(h:check(model.queue(), { max_steps = 2000 }))
    -- Of the four ahead of it the open dequeue can have taken one.
    h:ok(h:invoke("c", "dequeue"), 6)
    local ok, why = h:check(model.queue(), { max_steps = 2000 })
    assert.is_nil(ok)
    assert.is_false(why.undecided)
  end)

  it("gives a model the order of precedence of the entries", function()
    local m, seen = model.register(0), {}
    function m.plan(entries, before)
      for _, a in ipairs(entries) do
        for _, b in ipairs(entries) do
          if before(a, b) then
            seen[#seen + 1] = a.op.index .. "<" .. b.op.index
          end
        end
      end
    end
    local h = histories.of [[
      a write 1; a ok; b write 2; b unknown; c write 3; a write 4; a ok; c ok
      d write 5; d fail; d write 6
    ]]
    assert(h:check(m))
    assert.equal("1<2 1<3 1<4 1<6 3<6 4<6", table.concat(seen, " "))
  end)

  it("leaves out states that a model calls hopeless", function()
    local m = model.register(0)
    function m.plan() return function(state) return state == 2 end end
    assert(histories.of("a write 1; a ok"):check(m))
    assert.is_nil((histories.of("a write 2; a ok"):check(m)))
  end)

  it("is not slowed by operations of unknown outcome that are equal",
    function()
      local h = history.new()
      for i = 1, 40 do h:unknown(h:invoke(i, "increment", 1)) end
      for _ = 1, 10 do h:ok(h:invoke(0, "get"), 40) end
      assert(h:check(model.counter(), { max_steps = 2000 }))
      h:ok(h:invoke(0, "get"), 41)
      local ok, why = h:check(model.counter(), { max_steps = 2000 })
      assert.is_nil(ok)
      assert.is_false(why.undecided)
    end)

  it("leaves out a read of unknown outcome", function()
    local h = history.new()
    for i = 1, 60 do h:unknown(h:invoke(i, "read")) end
    h:ok(h:invoke(0, "read"), 1)
    local _, why = h:check(register, { max_steps = 10 })
    assert.is_false(why.undecided)
  end)
end)
