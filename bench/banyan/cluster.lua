-- Runs one measurement of a cluster and prints its figures for
-- bench/cluster.lua.
--
--     make build && eval "$(make env)" && lua5.4 bench/banyan/cluster.lua kills
--
-- A measurement is the function `measure` of the file of that name beside
-- this one. It gets a function to report a figure with, any number of them
-- under each key.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "?.lua;" .. package.path

io.stdout:setvbuf "line"
require(arg[1]).measure(function(key, figure, unit)
  print(("%s %.9g %s"):format(key, figure, unit))
end)
require("nodes").stop_all()
