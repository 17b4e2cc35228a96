--- The exit reasons of processes.

local assert = require "luassert"
local core = require "banyan.core"

local reasons = {}

--- Waits until a process has ended. Returns its exit reason.
function reasons.of(pid)
  local ref = core.monitor(pid)
  while true do
    local msg = assert(core.receive(1000))
    if msg.ref == ref then return msg.reason end
  end
end

--- Asserts that a reason is a Lua error whose message matches the pattern.
function reasons.assert_error(pattern, reason)
  assert.equal("table", type(reason))
  assert.equal("error", reason[1])
  assert.matches(pattern, reason[2])
  assert.equal("string", type(reason[3]))
end

return reasons
