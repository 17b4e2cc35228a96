--- All cores of this machine, for one program:
--
--     lua5.4 examples/workers.lua [UP_TO] [WORKERS]
--
-- It counts the primes up to a number: cut into parts, each of which is counted
-- by whichever worker is free. A worker is an OS process, and a node. Kill one
-- with `kill -9` while it counts: its part is counted by another, it is started
-- again, and the sum is right.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local banyan = require "banyan"
local server = require "banyan.server"

local UP_TO = tonumber(arg[1]) or 3000000
local WORKERS = tonumber(arg[2]) or "cores"
local PARTS = 100

-- The parts, as a function that answers the next one that is to be counted, and
-- that takes back one that was not.
local function parts_up_to(last)
  local size, list = math.ceil(last / PARTS), {}
  for from = 1, last, size do
    table.insert(list, 1, { from = from, to = math.min(from + size - 1, last) })
  end
  return function() return table.remove(list) end,
    function(part) table.insert(list, part) end
end

-- Has the worker of a node count parts while there are any.
local function drive(node, next_part, take_back, boss)
  local primes = { name = "primes", node = node }
  local part = next_part()
  while part do
    local count = server.call(primes, part, math.huge)
    if count then
      boss:send { node = node, count = count }
    else -- it was killed, or begins just now
      take_back(part)
      banyan.sleep(50)
    end
    part = next_part()
  end
end

local function main()
  local nodes, me, began = banyan.nodes(), banyan.self(), banyan.now()
  print(("%d workers:"):format(#nodes))
  local next_part, take_back = parts_up_to(UP_TO)
  for _, node in ipairs(nodes) do
    banyan.spawn(drive, node, next_part, take_back, me)
  end
  local sum, by, left = 0, {}, math.ceil(UP_TO / math.ceil(UP_TO / PARTS))
  while left > 0 do
    local m = banyan.receive()
    sum, left = sum + m.count, left - 1
    by[m.node] = (by[m.node] or 0) + 1
  end
  for _, node in ipairs(nodes) do
    print(("  %-32s %3d parts"):format(node, by[node] or 0))
  end
  print(("%d primes up to %d, in %d ms"):format(sum, UP_TO,
    banyan.now() - began))
end

banyan.run({ workers = WORKERS, worker = { "workers.primes", "main" } }, main)
