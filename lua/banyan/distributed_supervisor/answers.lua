-- What the caller of start_child, terminate_child or move_child is answered, by
-- the code of the machine's answer (csrc/core/dist/dist.h). The first value of
-- a reply says that the coordinator answered: what a start function gave must
-- not look like a failure of the call.

local core = require "banyan.core"

local answers = {}

function answers.ok(a, id) return true, a.pid, id end

function answers.already_started(a)
  return false, core.reason { "already_started", a.pid }
end

function answers.error(a) return false, a.reason end

function answers.refused(a) return false, a.reason end

function answers.no_room(a)
  return false, core.reason { "no_room", "max_children", a.node }
end

function answers.handoff_failed(a)
  return false, core.reason { "handoff_failed", a.reason }
end

return answers
