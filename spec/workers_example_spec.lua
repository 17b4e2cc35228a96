-- The example of workers, as a newcomer runs it.

local program = require "spec.support.program"
local uv = require "luv"

local function example(up_to)
  return program(([[
    arg = { [0] = "examples/workers.lua", "%d", "2" }
    io.stdout:setvbuf "line"
    dofile(arg[0])
  ]]):format(up_to), {
    env = { BANYAN_SECRET = "the secret of the workers spec" },
  })
end

-- The OS processes that one has started.
local function children_of(pid)
  local list = {}
  local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  if not file then return list end
  for found in file:read("*a"):gmatch "%d+" do
    list[#list + 1] = tonumber(found)
  end
  file:close()
  return list
end

describe("the example of workers", function()
  it("counts with all of them", function()
    local child = example(100000)
    assert.equal(0, (child:finish()), child.out .. child.err)
    assert.matches("^2 workers:\n", child.out)
    assert.matches("9592 primes up to 100000, in %d+ ms\n$", child.out)
    assert.equal("", child.err)
  end)

  it("counts right when one is killed", function()
    local child = example(1000000)
    child:wait_for "2 workers:"
    local pids = children_of(child.pid)
    if uv.os_uname().sysname == "Linux" then assert.equal(2, #pids) end
    if pids[1] then uv.kill(pids[1], "sigkill") end
    assert.equal(0, (child:finish()), child.out .. child.err)
    assert.matches("78498 primes up to 1000000, in %d+ ms\n$", child.out)
  end)
end)
