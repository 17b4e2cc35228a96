--- Selective receives: the first message that matches, or carries a ref.
--
-- Private to this library; the public function is banyan.receive.

local core = require "banyan.core"
core.skip_in_errors()
local wait = require "banyan.wait"

local mail_wait = wait(core.mail_wait)

local receive = {}

-- Calls the program's match. If that raises, the position in the mailbox is
-- reset first: the next receive must begin with the oldest message.
local function matches(match, message)
  local ok, result = pcall(match, message)
  if ok then return result end
  core.mail_rewind()
  error(result, 0)
end

-- Looks for a match among the messages that this receive has not seen yet.
local function find(match)
  local found, message = core.mail_peek()
  while found do
    if matches(match, message) then
      core.mail_pick()
      return true, message
    end
    core.mail_skip()
    found, message = core.mail_peek()
  end
  return false
end

--- Takes out the first message that matches; waits until there is one.
---@param match fun(message: any): boolean
---@param timeout? integer  milliseconds
---@return any message
---@return string|nil err  "timeout"
function receive.matching(match, timeout)
  local deadline = timeout and core.now() + timeout
  core.mail_begin()
  while true do
    local found, message = find(match)
    if found then return message end
    local left = deadline and math.max(deadline - core.now(), 0)
    if not mail_wait(left) then
      core.mail_rewind()
      return nil, "timeout"
    end
  end
end

--- Takes out the first message that carries a ref; waits until there is one.
---@param ref banyan.Ref
---@param timeout? integer  milliseconds
---@return any message
---@return string|nil err  "timeout"
function receive.by_ref(ref, timeout)
  local deadline = timeout and core.now() + timeout
  core.mail_pass(ref)
  while true do
    local found, message = core.mail_find(ref)
    if found then
      core.mail_pick()
      return message
    end
    local left = deadline and math.max(deadline - core.now(), 0)
    if not mail_wait(left) then
      core.mail_rewind()
      return nil, "timeout"
    end
  end
end

return receive
