-- Runs one measurement of Banyan and prints its figure for bench/compare.lua.
--
--     make build && eval "$(make env)" && lua5.4 bench/banyan/run.lua call
--
-- A measurement is a function in one of the files beside this one. It runs
-- as the first process of a node, on the driver that programs use, and
-- answers a figure and its unit.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "?.lua;" .. package.path

local banyan = require "banyan"

local name = arg[1]
for _, group in ipairs { "messages", "supervisors", "idle" } do
  local measure = require(group)[name]
  if measure then
    local value, unit = banyan.run({ on_event = false }, measure)
    print(("%s %.9g %s"):format(name, value, unit))
    return
  end
end
error("no measurement is called " .. tostring(name))
