-- How long a list of very many children holds the node: another process that is
-- always ready measures the CPU time between two of its turns.
--
--     make bench SPEC=lists       or      lua5.4 bench/lists.lua [CHILDREN]
--
-- ROUNDS=9 for more tries, BENCH=status for the rows with that text. "alone" is
-- the longest hold of the best try, Lua's collector stopped; "best" and "worst"
-- are those of tries with the collector, whose steps and whose freeing of what
-- was listed before count then. "takes": of the fastest try.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "banyan/?.lua;" .. package.path

local nodes = require "nodes"

local CHILDREN = tonumber(arg[1]) or 100000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 5
local ONLY = os.getenv "BENCH" or ""

local function is_wanted(key) return key:find(ONLY, 1, true) ~= nil end

local function print_row(key, count, ...)
  local cells = {}
  for i, ms in ipairs { ... } do cells[i] = ("%9.1f ms"):format(ms) end
  print(("%-28s %8d %s"):format(key, count, table.concat(cells, " ")))
  io.stdout:flush()
end

local function row(node, group, what)
  local key = group .. " " .. what
  if not is_wanted(key) then return end
  local answer = node:ask("lists", "measure", what, ROUNDS)
  print_row(key, (table.unpack or unpack)(answer))
end

-- A node with what is listed.
local function with(group, whats)
  local wanted = false
  for _, what in ipairs(whats) do
    wanted = wanted or is_wanted(group .. " " .. what)
  end
  if not wanted then return end
  local node = nodes.start(nodes.names(1)[1])
  node:ask("lists", group, CHILDREN)
  for _, what in ipairs(whats) do row(node, group, what) end
  node:stop()
end

-- Of a supervisor on another node; and how long that node was held.
local function remote()
  if not is_wanted "remote which_children" then return end
  local there, caller = (table.unpack or unpack)(nodes.start_all(2))
  nodes.connect { there, caller }
  there:ask("lists", "dynamic", CHILDREN)
  local held = {}
  there:ask("lists", "hold", "stopped")
  caller:ask("lists", "measure", "remote", 1, there.name)
  held[1] = there:ask("lists", "held")[1]
  there:ask("lists", "hold")
  local answer = caller:ask("lists", "measure", "remote", ROUNDS, there.name)
  held[2] = there:ask("lists", "held")[1]
  local takes = caller:ask("lists", "time", "remote", there.name)[1]
  print_row("remote which_children", answer[1], answer[2], answer[3],
    answer[4], takes)
  print_row("  on the supervisor's node", answer[1], held[1], held[2], held[2])
  there:stop()
  caller:stop()
end

print(("%-28s %8s %12s %12s %12s %12s"):format("longest hold", "listed",
  "alone", "best", "worst", "takes"))
with("dynamic", {
  "nothing", "which_children", "count_children", "process_info", "processes",
})
with("static", { "which_children" })
with("names", { "registered" })
with("distributed", {
  "nothing", "children", "local_children", "count", "status", "explain",
  "nodes",
})
remote()
nodes.stop_all()
