-- A node whose OS process is stopped by a signal: its connections stay open,
-- and it sends nothing.

local address = require "spec.support.address"
local banyan = require "banyan"
local program = require "spec.support.program"

local SECRET = "secret of the spec"

local SILENT = [[
  local banyan = require "banyan"
  banyan.run({ name = %q, connect = { %q }, secret = %q,
    heartbeat_ms = 50, on_event = false }, banyan.receive)
]]

--- Waits for the message {tag=, node=} and returns its info.
local function heard(tag, node)
  local message = banyan.receive(function(m)
    return m.tag == tag and m.node == node
  end, 30000)
  assert(message, tag .. " did not come")
  return message.info
end

describe("a node that falls silent", function()
  it("is down after down_after_ms, and up again when it goes on", function()
    local here, there = address.fresh_name "a", address.fresh_name "b"
    local child = program(SILENT:format(there, here, SECRET))
    local ok, err = pcall(banyan.run, {
      name = here, secret = SECRET, on_event = false,
      heartbeat_ms = 50, down_after_ms = 400,
    }, function()
      banyan.monitor_nodes(true)
      heard("nodeup", there)
      banyan.trap_exit(true)
      child:kill("sigstop")
      assert.equal("timeout", heard("nodedown", there).reason)
      child:kill("sigcont")
      heard("nodeup", there)
    end)
    child:kill("sigkill")
    child:finish()
    if not ok then error(err, 0) end
  end)
end)
