local options = require "banyan.options"

local schema = {
  name = "string",
  size = "integer",
  count = "positive",
  wait = "timeout",
  nodes = "names",
  on = "boolean",
  colour = {
    '"red" or "blue"',
    function(value) return value == "red" or value == "blue" end,
  },
}

local function complaint(opts)
  local ok, err = pcall(options.check, "paint", opts, schema)
  return not ok and err
end

describe("options", function()
  it("are an empty table where there are none", function()
    assert.same({}, options.check("paint", nil, schema))
  end)

  it("come back as they are when nothing is wrong", function()
    local opts = {
      name = "x", size = -1, count = 1, wait = math.huge, nodes = { "a" },
      on = false, colour = "red",
    }
    assert.equal(opts, options.check("paint", opts, schema))
  end)

  it("may be hidden: accepted, but not listed in an error", function()
    local hidden = { "a pid", function(v) return v == 1 end, hidden = true }
    local known = { name = "string", inner = hidden }
    assert.same({ inner = 1 }, options.check("paint", { inner = 1 }, known))
    local ok, err = pcall(options.check, "paint", { nmae = "x" }, known)
    assert.is_false(ok)
    assert.matches("%(it knows: name%)$", err)
  end)

  it("that are unknown are named, with a list of the known ones", function()
    assert.matches('paint: unknown option "nmae".*name.*size',
      complaint { nmae = "x" })
    assert.matches("paint: unknown option 1 ", complaint { "x" })
  end)

  it("of a wrong type are named, with the type expected and the value",
    function()
      assert.matches('paint: option "name" must be a string, got 5',
        complaint { name = 5 })
      assert.matches('"size" must be an integer, got 1.5',
        complaint { size = 1.5 })
      assert.matches('"size" must be an integer, got inf',
        complaint { size = math.huge })
      assert.matches('"size" must be an integer, got 1e%+300',
        complaint { size = 1e300 })
      assert.matches('"wait" must be an integer',
        complaint { wait = 2 ^ 63 })
      assert.matches('"count" must be a positive integer, got 0',
        complaint { count = 0 })
      assert.matches('"wait" must be .*"infinity", got "soon"',
        complaint { wait = "soon" })
      assert.matches('"nodes" must be a list of strings, got a table',
        complaint { nodes = { "a", 2 } })
      assert.matches('"on" must be a boolean, got "yes"',
        complaint { on = "yes" })
      assert.matches('"colour" must be "red" or "blue", got "green"',
        complaint { colour = "green" })
    end)

  it("must be a table", function()
    assert.matches("paint: options must be a table, got 7", complaint(7))
  end)

  it("that are wrong raise an error that points at the caller", function()
    local function paint(opts) options.check("paint", opts, schema) end
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = pcall(function() paint { size = "x" } end)
    assert.matches("options_spec.lua:" .. line .. ":", err, 1, true)
  end)
end)

describe("a time limit", function()
  it("is a number of milliseconds or none", function()
    assert.equal(0, options.timeout(0, "wait"))
    assert.equal(250, options.timeout(250, "wait"))
    assert.is_nil(options.timeout(nil, "wait"))
    assert.is_nil(options.timeout(math.huge, "wait"))
    assert.is_nil(options.timeout("infinity", "wait"))
  end)

  it("of any other kind is refused", function()
    for _, wrong in ipairs { -1, 1.5, "soon", 0 / 0 } do
      local ok, err = pcall(options.timeout, wrong, "wait")
      assert.is_false(ok)
      assert.matches("wait: timeout must be", err)
    end
  end)
end)
