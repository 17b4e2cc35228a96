-- The state that a server is started with (the callback resume).
--
-- Who starts a child of a distributed supervisor calls its start function in a
-- process of its own, the starter. Which server that starts, the start function
-- says; so the state is laid down for the starter, and the first server with a
-- callback resume that the starter starts takes it. If that server does not
-- start, the next one may.

local core = require "banyan.core"
core.skip_in_errors()
local wait = require "banyan.wait"

local start = wait(core.server.start)

local resume = {}

-- starter -> {bytes=, how=, taken=}
local given = {}

--- What the caller starts is to resume with: bytes as core.dist.encode makes
-- them, and how it came to that. Until it calls resume.clear, or resume.forget
-- is called for it.
function resume.give(bytes, how)
  given[core.self()] = { bytes = bytes, how = how, taken = false }
end

--- Nothing is given to that process any more.
function resume.forget(pid) given[pid] = nil end

--- core.server.start, with what the caller was given.
function resume.start(module, arg, linked, name, timeout, label, max, full)
  local one = next(given) ~= nil and given[core.self()]
  if not one or one.taken or type(module.resume) ~= "function" then
    return start(module, arg, linked, name, timeout, label, max, full)
  end
  one.taken = true
  local pid, err = start(module, arg, linked, name, timeout, label, max, full,
    one.bytes, one.how)
  if not pid then one.taken = false end
  return pid, err
end

return resume
