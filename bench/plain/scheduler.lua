-- Processes in plain Lua: coroutines, a run queue, and a mailbox for each. A
-- Lua program can have these without a library; Banyan's core is compared with
-- them.
--
-- There are monitors, but no links, exit signals, names, nodes or supervisors.
-- Messages are not copied, receive only takes the oldest message, and a call
-- neither monitors the server nor times out.

local create, resume = coroutine.create, coroutine.resume
local status, yield = coroutine.status, coroutine.yield

local scheduler = {}

-- When the queue is empty, its first place is used again.
local ready, first, last = {}, 1, 0
local current

local function wake(process)
  last = last + 1
  ready[last] = process
end

--- Starts a process, which ends when its function returns.
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

--- Takes the oldest message, and waits until there is one.
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

--- Monitors a process: the caller gets a message when it ends.
function scheduler.monitor(process)
  process.monitors = process.monitors or {}
  table.insert(process.monitors, current)
end

local function tell(process)
  for _, watcher in ipairs(process.monitors or {}) do
    scheduler.send(watcher, { tag = "DOWN", process = process })
  end
end

--- Calls a server and waits for the reply.
function scheduler.call(process, message)
  scheduler.send(process, { from = current, message = message })
  return scheduler.receive()
end

--- Starts a process that replies to each call with the result of `handle`.
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
