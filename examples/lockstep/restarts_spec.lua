-- A supervisor that restarts too fast: it gives up before the server that its
-- child needs has been restarted.
--
--     lua5.4 "$(command -v busted)" examples/lockstep/restarts_spec.lua
--
-- A worker cannot start without its store, and ends with it. When the store
-- crashes, its supervisor restarts it, and the worker's supervisor restarts the
-- worker. Either may come first. If the store is not there yet, the worker's
-- supervisor uses up its three restarts at once and gives up, which ends the
-- program.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

-- --- the program ------------------------------------------------------------

local Store = {}
function Store.handle_call() return "stored" end
function Store.start_link()
  return server.start_link(Store, nil, { name = "store" })
end

local Worker = {}
function Worker.init()
  local store = banyan.whereis "store"
  if not store then return nil, "no_store" end
  banyan.link(store)
end
function Worker.handle_call() return server.call("store", "something") end
function Worker.start_link()
  return server.start_link(Worker, nil, { name = "worker" })
end

local function spec_of(id, module, backoff)
  return { id = id, start = module.start_link, backoff = backoff }
end

-- Two supervisors that are independent of each other.
local function start_apart(backoff)
  assert(supervisor.start_link({ spec_of("store", Store) },
    { name = "stores" }))
  assert(supervisor.start_link({ spec_of("worker", Worker, backoff) },
    { name = "workers" }))
end

-- One supervisor, which starts the store before the worker.
local function start_together()
  assert(supervisor.start_link(
    { spec_of("store", Store), spec_of("worker", Worker) },
    { name = "both", strategy = "rest_for_one" }))
end

-- --- its test ----------------------------------------------------------------

-- The body is linked to the supervisors: if one gives up, the body ends with
-- it, and the run has failed.
local function a_crash(start, backoff)
  return function()
    start(backoff)
    banyan.whereis("store"):exit "kill"
    repeat
      banyan.sleep(10)
    until server.call("worker", "?") == "stored"
  end
end

describe("a worker that needs a store", function()
  it("comes back, in a run as it comes", function()
    banyan.run({ on_event = false }, a_crash(start_apart))
  end)

  it("is given up if it is restarted at once", function()
    local report = lockstep.run(a_crash(start_apart), { clock = "idle" })
    assert.is_false(report.ok)
    assert.equal("shutdown", report.reason)
    print(lockstep.shrink(a_crash(start_apart), report))
  end)

  it("comes back if its restarts wait a little", function()
    lockstep.check(a_crash(start_apart, { min = 100, max = 2000 }),
      { clock = "idle", iterations = 1000 })
  end)

  it("comes back if one supervisor starts them in order", function()
    lockstep.check(a_crash(start_together),
      { clock = "idle", iterations = 1000 })
  end)
end)
