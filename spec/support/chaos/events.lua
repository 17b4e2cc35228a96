--- Writes events into a log: a line for each, with the wall time.

local uv = require "luv"

local events = {}

local function text_of(event)
  local keys, list = {}, {}
  for key in pairs(event) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do
    list[i] = ("%s=%s"):format(key, tostring(event[key]))
  end
  return table.concat(list, " ")
end

--- Writes one into a file that is open.
function events.write(file, event)
  local seconds, us = uv.gettimeofday()
  file:write(("%d.%06d %s\n"):format(seconds, us, text_of(event)))
end

return events
