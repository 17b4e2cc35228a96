local lua = require "spec.support.lua"
local model = require "banyan.lockstep.model"
local value = require "banyan.lockstep.value"

local function list(...) return { n = select("#", ...), ... } end

-- Plays operations, {name, args, result} each; a result is a list, nil where
-- it is not known. Answers the last state, or nil and which one cannot be.
local function play(m, operations)
  local state = m.init()
  for i, op in ipairs(operations) do
    local ok, new = m.step(state, op[1], op[2], op[3])
    if not ok then return nil, i end
    state = new
  end
  return m.show(state)
end

local none = list()

describe("a register", function()
  it("answers what was written last", function()
    assert.equal("2", play(model.register(0), {
      { "read", none, list(0) }, { "write", list(1), none },
      { "read", none, list(1) }, { "write", list(2), list(true) },
      { "read", none, list(2) } }))
    assert.same({ nil, 2 }, { play(model.register(0), {
      { "write", list(1), none }, { "read", none, list(0) } }) })
  end)

  it("holds nil at first, and any value", function()
    assert.equal('{1, {"x"}, ["a"] = false}', play(model.register(), {
      { "read", none, list(nil) },
      { "write", list { 1, { "x" }, a = false }, none },
      { "read", none, list { 1, { "x" }, a = false } } }))
    assert.same({ nil, 2 }, { play(model.register(), {
      { "write", list { 1 }, none }, { "read", none, list { 1, 2 } } }) })
  end)

  it("swaps what is there only", function()
    local swap = { "cas", list(0, 1), list(true) }
    local lost = { "cas", list(0, 1), list(false) }
    assert.equal("1", play(model.register(0), { swap }))
    assert.equal("0", play(model.register(0), {
      { "cas", list(7, 1), list(nil, "changed") } }))
    assert.same({ nil, 1 }, { play(model.register(0), { lost }) })
    assert.same({ nil, 2 }, { play(model.register(0), { swap, swap }) })
    assert.equal("1", play(model.register(0), { swap, lost }))
  end)

  it("swaps nil too, and nil in", function()
    assert.equal("nil", play(model.register(), {
      { "cas", list(nil, 5), list(true) },
      { "cas", list(5, nil), list(true) } }))
    assert.equal("false", play(model.register(true), {
      { "cas", list(true, false), list(true) } }))
  end)
end)

describe("a set", function()
  it("says of each element whether it is in", function()
    assert.equal("{1}", play(model.set { 2 }, {
      { "add", list(1), list(true) }, { "add", list(1), list(false) },
      { "contains", list(1), list(true) }, { "list", none, list { 2, 1 } },
      { "remove", list(2), list(true) }, { "remove", list(2), list(false) },
      { "contains", list(2), list(false) }, { "list", none, list { 1 } } }))
  end)

  it("knows a wrong answer", function()
    for _, op in ipairs {
      { "add", list(1), list(false) }, { "add", list(2), list(true) },
      { "remove", list(1), list(true) }, { "remove", list(2), list(false) },
      { "contains", list(1), list(true) }, { "contains", list(2), list(false) },
      { "contains", list(2), list(nil) },
      { "list", none, list {} }, { "list", none, list { 1 } },
      { "list", none, list { 2, 1 } }, { "list", none, list { 2, 2 } },
      { "list", none, list(nil) } } do
      assert.same({ nil, 1 }, { play(model.set { 2 }, { op }) },
        value.show(op))
    end
  end)

  it("does not take one element, listed twice, for two", function()
    assert.same({ nil, 1 }, { play(model.set { 1, 2 },
      { { "list", none, list { 1, 1 } } }) })
  end)

  it("lets operations that change it answer nothing", function()
    assert.equal("{1}", play(model.set { 2 }, { { "add", list(1), none },
      { "add", list(1), none }, { "remove", list(2), none },
      { "remove", list(2), none } }))
  end)

  it("takes elements by what is in them", function()
    assert.equal("{{1}}", play(model.set(), {
      { "add", list { 1 }, list(true) }, { "add", list { 1 }, list(false) } }))
  end)

  it("is looked at element by element, unless it is listed", function()
    local key = model.set().key
    assert.equal(7, key { name = "contains", args = list(7) })
    assert.is_nil(key { name = "list", args = none })
  end)
end)

describe("a queue", function()
  it("gives out what came in first, then nothing", function()
    assert.equal("[]", play(model.queue { "0:a" }, {
      { "enqueue", list { 1 }, none }, { "enqueue", list "2:b", none },
      { "dequeue", none, list "0:a" }, { "dequeue", none, list { 1 } },
      { "dequeue", none, list "2:b" }, { "dequeue", none, list(nil) },
      { "dequeue", none, none } }))
    assert.equal("[1, 2]", play(model.queue { 1, 2 }, {}))
  end)

  it("knows a wrong answer", function()
    for _, wrong in ipairs { list(2), list "1", list(nil) } do
      assert.same({ nil, 1 },
        { play(model.queue { 1, 2 }, { { "dequeue", none, wrong } }) })
    end
    assert.same({ nil, 1 },
      { play(model.queue(), { { "dequeue", none, list(1) } }) })
  end)

  it("holds no nil", function()
    assert.error_matches(function()
      play(model.queue(), { { "enqueue", list(nil), none } })
    end, "nil cannot be enqueued")
  end)
end)

describe("a counter", function()
  it("counts", function()
    assert.equal("9", play(model.counter(10), {
      { "increment", none, list(11) }, { "increment", list(-3), list(8) },
      { "increment", none, list(true) }, { "get", none, list(9) } }))
    assert.same({ nil, 1 },
      { play(model.counter(), { { "increment", none, list(2) } }) })
    assert.same({ nil, 1 },
      { play(model.counter(), { { "get", none, list(nil) } }) })
  end)
end)

describe("a model of many objects", function()
  it("keeps them apart", function()
    local many = model.keyed(model.register(0))
    assert.equal('{["a"] = 1, ["b"] = 2}', play(many, {
      { "write", list("a", 1), none }, { "read", list "b", list(0) },
      { "write", list("b", 2), none }, { "read", list "a", list(1) } }))
    assert.same({ nil, 1 },
      { play(many, { { "read", list "a", list(1) } }) })
    assert.equal("a", many.key { name = "read", args = list "a" })
    assert.is_true(many.reads("read", list "a", list(1)))
    assert.is_false(many.reads("write", list("a", 1), none))
  end)
end)

-- What is not known is nil: step says what the operation does if it happens.
describe("an operation of unknown outcome", function()
  local changes = {
    { model.register(0), "write", list(1), "1" },
    { model.register(0), "cas", list(0, 1), "1" },
    { model.register(0), "cas", list(5, 1), "0" },
    { model.register(0), "read", none, "0" },
    { model.set(), "add", list(1), "{1}" },
    { model.set { 1 }, "remove", list(1), "{}" },
    { model.set { 1 }, "contains", list(1), "{1}" },
    { model.set { 1 }, "list", none, "{1}" },
    { model.queue(), "enqueue", list(1), "[1]" },
    { model.queue { 1 }, "dequeue", none, "[]" },
    { model.queue(), "dequeue", none, "[]" },
    { model.counter(), "increment", list(2), "2" },
    { model.counter(), "get", none, "0" },
  }
  for _, change in ipairs(changes) do
    local m, name, args, expected = change[1], change[2], change[3], change[4]
    it(("takes effect: %s on a %s"):format(name, m.name), function()
      assert.equal(expected, play(m, { { name, args, nil } }))
    end)
  end
end)

describe("models", function()
  it("name what they know where asked for something else", function()
    for _, m in ipairs { model.register(), model.set(), model.queue(),
      model.counter(), model.keyed(model.counter()) } do
      assert.error_matches(function()
        m.step(m.init(), "raed", list(1), none)
      end, 'model %w+: no operation "raed" %(it knows: .*%)')
    end
  end)

  it("leave a state as it was", function()
    for _, m in ipairs { model.set { 1 }, model.keyed(model.set { 1 }) } do
      local state = m.init()
      local before = m.show(state)
      m.step(state, "add", list(5, 5), nil)
      m.step(state, "remove", list(1, 1), nil)
      assert.equal(before, m.show(state))
    end
  end)

  it("are checked", function()
    local function complaint(m)
      local ok, err = pcall(function() model.check("f", m, 1) end)
      return not ok and err
    end
    assert.matches("^spec/lockstep_model_spec.lua:%d+: f: model must be a "
      .. "table, got nil", complaint(nil))
    assert.matches(' f: model has no function "init"', complaint {})
    assert.matches(' f: model: unknown option "setp"', complaint {
      init = print, setp = print })
    assert.error_matches(function() model.keyed { init = print } end,
      '^model.keyed: model has no function "step"')
  end)
end)

describe("values", function()
  it("are equal when what is in them is", function()
    local function f() end
    local equal = {
      { 1, 1.0 }, { {}, {} }, { { 1, { x = 2 } }, { 1, { x = 2 } } },
      { { f }, { f } }, { { 0 }, { -0.0 } }, { { 0 / 0 }, { 0 / 0 } } }
    local forth, back = {}, {}
    for i = 1, 999 do back["k" .. i] = i end -- another order of its keys
    for i = 51, 999 do back["k" .. i] = nil end
    for i = 1, 50 do forth["k" .. i] = i end
    equal[#equal + 1] = { forth, back }
    for _, pair in ipairs(equal) do
      assert.is_true(value.equal(pair[1], pair[2]), value.show(pair))
    end
    local different = {
      { 1, "1" }, { {}, { false } }, { { 1 }, { [2] = 1 } }, { { "a" }, "a" },
      { { "1, 2" }, { 1, 2 } }, { { f }, { print } }, { true, "true" },
      { { 'a", "b' }, { "a", "b" } }, { { a = 1 }, { a = 2 } },
      { { 0.1 }, { 0.1 + 2 ^ -56 } }, { { "\\n" }, { "\n" } },
      { { "\0" }, { "\\0" } }, { { 2 ^ 53 }, { 2 ^ 53 - 1 } } }
    if lua.integers then
      local max = math.maxinteger
      different[#different + 1] = { { max }, { max - 1 } }
    end
    for _, pair in ipairs(different) do
      assert.is_false(value.equal(pair[1], pair[2]), value.show(pair))
    end
  end)

  it("that hold themselves are refused", function()
    local loop = {}
    loop[1] = loop
    assert.error_matches(function() value.copy(loop) end, "nested too deeply")
    assert.error_matches(function() value.show(loop) end, "nested too deeply")
  end)
end)
