-- The demo, as a newcomer runs it.

local program = require "spec.support.program"
local uv = require "luv"

local function demo(count)
  return program([[
    arg = { [0] = "examples/failover.lua", "]] .. count .. [[" }
    io.stdout:setvbuf("line")
    dofile(arg[0])
  ]])
end

describe("the failover demo", function()
  it("restarts every child on the node that the ring names", function()
    local child = demo(60)
    assert.equal(0, (child:finish()), child.out .. child.err)
    assert.equal("", child.err)
    assert.matches("all +60 +60\n", child.out)
    assert.matches("c@127.0.0.1:%d+ +%d+ +killed\n", child.out)
    assert.matches("Every counter answered again, exactly one of each",
      child.out, 1, true)
  end)

  -- The OS processes whose parent is the demo, while that runs.
  local function children_of(pid)
    local list = {}
    local file = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
    for found in file:read("*a"):gmatch("%d+") do
      list[#list + 1] = tonumber(found)
    end
    file:close()
    return list
  end

  -- Zombies count: they are gone as soon as somebody looks.
  local function is_there(pid)
    local file = io.open("/proc/" .. pid .. "/stat")
    if not file then return false end
    local state = file:read("*a"):match("^%d+ %b() (%a)")
    file:close()
    return state ~= "Z"
  end

  for _, signal in ipairs { "sigint", "sigkill" } do
    it("leaves no program behind when " .. signal .. " ends it", function()
      local child = demo(20000)
      child:wait_for("connected")
      local others = children_of(child.pid)
      assert.equal(2, #others)
      child:kill(signal)
      local code = child:finish()
      assert.is_false(code == 0 and child.signal == 0)
      local patience = 3000
      for _, pid in ipairs(others) do
        while is_there(pid) and patience > 0 do
          patience = patience - 1
          uv.sleep(10)
        end
        assert.is_false(is_there(pid))
      end
    end)
  end
end)
