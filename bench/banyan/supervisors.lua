-- Children that start, stop and crash, in small numbers and great.
-- bench/erlang/supervisors.erl does the same.

local banyan = require "banyan"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local tools = require "tools"

local supervisors = {}

local CHILD = { start = { "echo", "start_link" }, restart = "temporary" }

--- A dynamic supervisor with that many children.
function supervisors.crowd(n)
  local sup = assert(dynamic_supervisor.start_link())
  for _ = 1, n do assert(dynamic_supervisor.start_child(sup, CHILD)) end
  return sup
end

function supervisors.start_dynamic()
  local n = 100000
  return n / tools.time(supervisors.crowd, n), "/s"
end

function supervisors.stop_dynamic()
  local sup = supervisors.crowd(10000)
  return tools.time(function() assert(supervisor.stop(sup)) end) * 1000, "ms"
end

function supervisors.stop_static()
  local specs = {}
  for i = 1, 100000 do
    specs[i] = { id = i, start = { "echo", "start_link" } }
  end
  local sup = assert(supervisor.start_link(specs))
  return tools.time(function() assert(supervisor.stop(sup)) end) * 1000, "ms"
end

-- A server that sends its number and its pid whenever it starts.
local Herald = {}
function Herald.init(_, arg)
  banyan.send(arg.to, { n = arg.n, pid = banyan.self() })
end
package.preload.herald = function()
  return {
    start_link = function(arg) return server.start_link(Herald, arg) end,
  }
end

local function heralds(n, strategy)
  local specs, me = {}, banyan.self()
  for i = 1, n do
    specs[i] = {
      id = i, start = { "herald", "start_link", { { to = me, n = i } } },
    }
  end
  assert(supervisor.start_link(specs, {
    strategy = strategy, max_restarts = 1000000000, max_seconds = 5,
  }))
end

-- The pid of child number n, once it has started.
local function await(n)
  while true do
    local message = banyan.receive()
    if message.n == n then return message.pid end
  end
end

--- For three seconds, a child crashes whenever it has started.
function supervisors.restart()
  local n, start = 0, tools.clock()
  heralds(1)
  while true do
    await(1):exit "crashed"
    n = n + 1
    local seconds = tools.clock() - start
    if seconds > 3 then return n / seconds, "/s" end
  end
end

--- The first of a thousand children crashes: the time until all are restarted.
function supervisors.one_for_all()
  local rounds = 20
  heralds(1000, "one_for_all")
  local first = await(1)
  await(1000)
  local seconds = tools.time(function()
    for _ = 1, rounds do
      first:exit "crashed"
      first = await(1)
      await(1000)
    end
  end)
  return seconds / rounds * 1000, "ms"
end

return supervisors
