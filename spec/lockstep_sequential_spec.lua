local histories = require "spec.support.histories"
local history = require "banyan.lockstep.history"
local sequential = require "banyan.lockstep.sequential"

local model = history.model
local SEQUENTIAL = { consistency = "sequential" }

local function is_sequential(text, m)
  local ok, why = histories.of(text):check(m, SEQUENTIAL)
  assert(ok or not why.undecided, tostring(why))
  return ok == true
end

local register, store = model.register(0), model.keyed(model.register(0))
local queues = model.keyed(model.queue())
local cases = {
  { register, true, "a stale read of another client",
    "a write 1; a ok; b read; b ok 0" },
  { register, false, "a stale read of one's own write",
    "a write 1; a ok; a read; a ok 0" },
  { register, true, "a read before the write, in real time",
    "b read; b ok 1; a write 1; a ok" },
  { register, false, "new, then old, for one reader",
    "a write 1; a ok; b read; b ok 1; b read; b ok 0" },
  { register, false, "two readers that disagree on the order of two writes",
    "a write 1; a ok; b write 2; b ok; c read; c ok 1; c read; c ok 2; "
    .. "d read; d ok 2; d read; d ok 1" },
  { register, false, "a value whose write failed",
    "a write 1; a fail; b read; b ok 1" },
  { register, true, "a write of unknown outcome that comes after the next one",
    "a write 1; a unknown; a write 2; a ok; b read; b ok 2; b read; b ok 1" },
  { register, false, "a write of unknown outcome before an earlier one",
    "a write 1; a ok; a write 2; a unknown; b read; b ok 2; b read; b ok 1" },
  { register, false, "a client that forgets its past after an unknown outcome",
    "a write 1; a ok; a write 2; a unknown; a read; a ok 0" },
  { register, true, "of two equal writes of unknown outcome the later first",
    "a write 2; a ok; a write 1; a unknown; b write 1; b unknown; c read; "
    .. "c ok 1; c read; c ok 2" },
  { store, false, "both of two that write, then read what the other writes",
    "a write x 1; a ok; a read y; a ok 0; b write y 1; b ok; b read x; "
    .. "b ok 0" },
  -- Herlihy and Wing's example: each queue is sequentially consistent for
  -- itself, both together are not.
  { queues, false, "two queues that are right each for itself only",
    "A enqueue p x; A ok; B enqueue q y; B ok; A enqueue q x; A ok; "
    .. "B enqueue p y; B ok; A dequeue p; A ok y; B dequeue q; B ok x" },
  { queues, true, "the first of these two queues",
    "A enqueue p x; A ok; B enqueue p y; B ok; A dequeue p; A ok y" },
  { queues, true, "the second of these two queues",
    "B enqueue q y; B ok; A enqueue q x; A ok; B dequeue q; B ok x" },
}

describe("sequential consistency", function()
  for _, case in ipairs(cases) do
    it((case[2] and "allows " or "forbids ") .. case[3], function()
      assert.equal(case[2], is_sequential(case[4], case[1]))
    end)
  end

  local shapes = {
    { ops = 6, clients = 2, values = 2 },
    { ops = 6, clients = 3, values = 9 },
    { ops = 6, clients = 2, values = 2, unknown = 30, fail = 10 },
    { ops = 6, clients = 3, values = 9, unknown = 40 },
  }
  for _, kind in ipairs(histories.kinds) do
    it("finds what trying all orders finds, of a " .. kind, function()
      local found = { [true] = 0, [false] = 0 }
      local real_time_only = 0
      for seed = 1, 600 do
        local shape = shapes[seed % #shapes + 1]
        local h = histories.random(kind, seed, shape)
        histories.spoil(h, seed, seed % 3, shape.values)
        local expected = histories.explained(h, kind, "sequential")
        found[expected] = found[expected] + 1
        local ok, why = h:check(histories.model(kind), SEQUENTIAL)
        if (ok == true) ~= expected then
          error(("seed %d, expected %s:\n%s\n%s"):format(seed,
            tostring(expected), tostring(h), tostring(why)))
        end
        if ok and not h:check(histories.model(kind)) then
          real_time_only = real_time_only + 1
        end
      end
      assert.is_true(found[true] > 150 and found[false] > 50
        and real_time_only > 5, ("%d good, %d of them not linearizable, %d bad")
        :format(found[true], real_time_only, found[false]))
    end)
  end

  it("gives a model the order of precedence of the entries", function()
    local m, seen = model.register(0), {}
    function m.plan(entries, before)
      seen = {}
      for _, a in ipairs(entries) do
        for _, b in ipairs(entries) do
          if before(a, b) then
            seen[#seen + 1] = a.op.index .. "<" .. b.op.index
          end
        end
      end
    end
    local h = histories.of [[
      a write 1; a ok; b write 2; b ok; a write 3; a unknown; a read; a ok 2
      b read; b ok 3; c read; c ok 0
    ]]
    assert(h:check(m, SEQUENTIAL))
    assert.equal("1<3 1<4 2<5", table.concat(seen, " "))
  end)

  it("is not slowed by operations of unknown outcome that are equal",
    function()
      local h = history.new()
      for i = 1, 40 do h:unknown(h:invoke(i % 2, "increment", 1)) end
      h:ok(h:invoke("x", "get"), 41)
      local ok, why = h:check(model.counter(),
        { consistency = "sequential", max_steps = 20000 })
      assert.is_nil(ok)
      assert.is_false(why.undecided)
    end)

  it("answers an order that is right", function()
    local slow = 0
    for seed = 1, 200 do
      local h = histories.random("register", seed, { ops = 8, clients = 3,
        unknown = 20, values = 2 })
      histories.spoil(h, seed, 1, 2)
      local ops = h:operations()
      local verdict = sequential.check(ops, model.register(0), 1e6)
      if verdict.ok then
        assert.is_true(histories.is_order(verdict.order, ops, "register",
          "sequential"))
        if not h:check(model.register(0)) then slow = slow + 1 end
      end
    end
    assert.is_true(slow > 5)
  end)

  it("checks 200 operations of a real object in few steps", function()
    for _, kind in ipairs { "register", "counter", "set", "store" } do
      for seed = 1, 5 do
        local h = histories.random(kind, seed, { ops = 200, values = 5,
          clients = 8, unknown = 5, fail = 3 })
        assert(h:check(histories.model(kind),
          { consistency = "sequential", max_steps = 50000 }))
      end
    end
  end)
end)
