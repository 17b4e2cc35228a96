-- Processes in plain Lua: coroutines, a run queue, and a mailbox each. What a
-- Lua program has without a library, and what Banyan's core is held against.
--
-- There are monitors. There are no links, exit signals, names, nodes or
-- supervisors, nothing is copied, receive takes the first message only, and a
-- call neither monitors the server nor ends after a time.

local create, resume = coroutine.create, coroutine.resume
local status, yield = coroutine.status, coroutine.yield

local scheduler = {}

-- The queue's places are used again from the first when it has run empty.
local ready, first, last = {}, 1, 0
local current

local function wake(process)
  last = last + 1
  ready[last] = process
end

--- Starts a process, which ends as its function returns.
function scheduler.spawn(fn)
  local process = { mail = {}, first = 1, last = 0 }
  process.coroutine = create(fn)
  wake(process)
  return process
end

function scheduler.self()
  return current
end

function scheduler.send(process, message)
  process.last = process.last + 1
  process.mail[process.last] = message
  if process.waits then
    process.waits = false
    wake(process)
  end
end

--- The first message, once there is one.
function scheduler.receive()
  local process = current
  if process.first > process.last then
    process.waits = true
    yield()
  end
  local at = process.first
  local message = process.mail[at]
  process.mail[at] = nil
  if at == process.last then
    process.first, process.last = 1, 0
  else
    process.first = at + 1
  end
  return message
end

--- Tells the caller of the end of a process that runs.
function scheduler.monitor(process)
  process.monitors = process.monitors or {}
  table.insert(process.monitors, current)
end

local function tell(process)
  for _, watcher in ipairs(process.monitors or {}) do
    scheduler.send(watcher, { tag = "DOWN", process = process })
  end
end

--- Asks a server and waits for the answer.
function scheduler.call(process, message)
  scheduler.send(process, { from = current, message = message })
  return scheduler.receive()
end

--- Starts a process that answers each call with what `handle` returns.
function scheduler.serve(handle)
  return scheduler.spawn(function()
    while true do
      local request = scheduler.receive()
      scheduler.send(request.from, handle(request.message))
    end
  end)
end

--- Runs `main` as a process, and all others until it has ended.
function scheduler.run(main)
  local process = scheduler.spawn(main)
  while status(process.coroutine) ~= "dead" do
    current = ready[first]
    ready[first] = nil
    if first == last then first, last = 1, 0 else first = first + 1 end
    assert(resume(current.coroutine))
    if status(current.coroutine) == "dead" then tell(current) end
  end
end

return scheduler
