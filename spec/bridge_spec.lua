-- The example of two clusters that share a topic, as a newcomer runs it, and a
-- kill -9 of the one that is dialled.

local address = require "spec.support.address"
local program = require "spec.support.program"

local function start(name, other)
  local at = other and other:match "@(.*)$" or ""
  return program(([[
    arg = { [0] = "examples/bridge.lua", %q, %s }
    dofile(arg[0])
  ]]):format(name, other and ("%q"):format(at) or "nil"))
end

describe("the bridge example", function()
  it("connects two clusters, again after a kill -9", function()
    local paris, rome = address.fresh_name "paris", address.fresh_name "rome"
    local a = start(paris)
    local b = start(rome, paris)
    b:wait_for("connected with\t" .. paris)
    a:wait_for("connected with\t" .. rome)
    a:wait_for "news.time\t"
    b:wait_for "news.time\t"
    a:kill "sigkill"
    a:finish()
    b:wait_for "lost\t"
    b.out = ""
    a = start(paris)
    b:wait_for("connected with\t" .. paris)
    b:wait_for "news.time\t"
    a:wait_for "news.time\t"
    b:kill "sigterm"
    assert.equal(0, (b:finish()))
    a:wait_for "lost\tbye: shutdown"
    a:kill "sigterm"
    assert.equal(0, (a:finish()))
  end)
end)
