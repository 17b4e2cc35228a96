-- The examples that are specs, each run as a newcomer runs it.

local program = require "spec.support.program"

local busted = arg[0]

local function run(path)
  local child = program(([[
    arg = { [0] = %q, "--output=TAP", %q }
    require "busted.runner" { standalone = false }
  ]]):format(busted, path))
  local code = child:finish()
  return code, child.out, child.err
end

-- How often a text has a pattern, also at its very start.
local function count(text, pattern)
  local n = 0
  for _ in ("\n" .. text):gmatch(pattern) do n = n + 1 end
  return n
end

describe("the example", function()
  it("of a lost update passes, and shows the report", function()
    local code, out, err = run "examples/lockstep/lost_update_spec.lua"
    assert.equal(0, code, out .. err)
    assert.equal(3, count(out, "\nok "))
    assert.matches("lockstep: error in step %d+", out)
    assert.matches("(number) 110", out, 1, true)
    assert.matches("account +handles the call {set = 110}", out)
    assert.matches('lockstep.replay(body, "1", { clock = "idle" })', out, 1,
      true)
  end)

  it("of restarts that come too fast passes, and shows it", function()
    local code, out, err = run "examples/lockstep/restarts_spec.lua"
    assert.equal(0, code, out .. err)
    assert.equal(4, count(out, "\nok "))
    assert.matches("the body ended: shutdown", out, 1, true)
    assert.matches("it ends of no_store", out, 1, true)
    assert.matches("workers +handles the cast true; it, body end of shutdown",
      out)
  end)

  it("of a cluster that loses its leader passes, and shows it", function()
    local code, out, err = run "examples/lockstep/lost_leader_spec.lua"
    assert.equal(0, code, out .. err)
    assert.equal(3, count(out, "\nok "))
    assert.matches("* crash n1@lockstep:1", out, 1, true)
    assert.matches("Expected objects to not be equal", out, 1, true)
  end)
end)
