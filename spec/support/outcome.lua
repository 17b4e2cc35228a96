--- Records how a function that runs as a process has ended.
--
--    node:spawn(function() outcome.watch(result, body) end)
--    ... until result.reason is not nil ...
--    outcome.check(result)      raises the function's error unchanged, or the
--                               exit reason of its process

local core = require "banyan.core"

local outcome = {}

--- Calls fn like pcall, and adds a traceback to the text of an error.
function outcome.try(fn)
  return xpcall(fn, function(err)
    if type(err) ~= "string" then return err end
    return debug.traceback(err, 2)
  end)
end

--- Runs `body` as a process and waits until it has ended. A process must call
-- this.
---@param result table  gets `reason`; `raised` and `error` if it raised
---@param body function
function outcome.watch(result, body)
  local _, ref = core.spawn_monitor(function()
    local ok, err = outcome.try(body)
    if not ok then result.raised, result.error = true, err end
  end)
  while true do
    local msg = core.receive()
    if type(msg) == "table" and msg.ref == ref then
      result.reason = msg.reason
      return
    end
  end
end

function outcome.check(result)
  if result.raised then error(result.error, 0) end
  if result.reason ~= "normal" then error(result.reason, 0) end
end

return outcome
