--- Of the steps of a run, those that can have caused its last one.
--
-- Private to banyan.lockstep.
--
-- Backwards over happens-before: a step can have been caused by the earlier
-- steps of its actor, and by each step that touched its actor before (a
-- message, a signal, a wake). A step that looks at somebody - links, monitors,
-- looks a name up - can have been caused by what became of them, so by their
-- earlier steps too. An object that is no actor, such as a name, ties a step
-- that touches it to the step that touched it before. A step of a timer or of
-- the network can have been caused by the passing of time. A step with notes,
-- in which something was done to a cluster or a node came to see another, can
-- have caused whatever came after it. A deadlock, or processes left over, can
-- have been caused by the steps of all who live at the end.

local slice = {}

-- Steps that only add to what another has to do: it cannot be seen from them
-- what the other did before.
local one_way = {
  send = true, cast = true, call = true, reply = true, exit = true,
  send_after = true,
}

local function actors_of(trace)
  local actors = {}
  for _, step in ipairs(trace) do actors[step.actor] = true end
  return actors
end

local function objects_of(step)
  local objects = { step.object }
  for _, object in ipairs(step.touched or {}) do
    objects[#objects + 1] = object
  end
  return objects
end

-- Whether a later step that is wanted can come from this one.
local function is_wanted(step, wanted)
  if wanted[step.actor] or step.notes and #step.notes > 0 then return true end
  if step.kind == "clock" then return wanted.time end
  if step.op == "send_after" then return wanted.timer end
  for _, object in ipairs(objects_of(step)) do
    if wanted[object] then return true end
  end
  return false
end

-- What this step can come from.
local function want(step, wanted, actors)
  wanted[step.actor] = true
  if step.kind == "timer" then wanted.timer = true end
  if step.kind == "timer" or step.kind == "network" then wanted.time = true end
  local looks = step.op and not one_way[step.op]
  for _, object in ipairs(objects_of(step)) do
    local announced = looks and object == step.object
    if object ~= 0 and (announced or not actors[object]) then
      wanted[object] = true
    end
  end
end

--- The steps that can have caused the last one, which is among them, or the
-- state of those who live at the end, where that is the failure.
---@param trace table[]  `alive`: the actors that this is about, or nil; and the
---  steps of a run in order, each { actor=, touched=
---  (list of actors and other objects), object= (what it was about, or 0),
---  kind=, op=, notes= (list) } and whatever else: all but the actor may be
---  left out
---@return table[] steps  some of the very same tables, in the same order
function slice.of(trace)
  local actors, wanted, backwards = actors_of(trace), {}, {}
  for _, actor in ipairs(trace.alive or {}) do wanted[actor] = true end
  for i = #trace, 1, -1 do
    local step = trace[i]
    if i == #trace or is_wanted(step, wanted) then
      want(step, wanted, actors)
      backwards[#backwards + 1] = step
    end
  end
  local steps = {}
  for i = #backwards, 1, -1 do steps[#steps + 1] = backwards[i] end
  return steps
end

return slice
