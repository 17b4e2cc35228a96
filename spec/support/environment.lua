--- The environment of this process with changes, as uv.spawn takes it.

local uv = require "luv"

---@param changes? table  name -> its value, or false for none
---@return table list  of "NAME=value"
return function(changes)
  local env, list = uv.os_environ(), {}
  for name, value in pairs(changes or {}) do env[name] = value or nil end
  for name, value in pairs(env) do list[#list + 1] = name .. "=" .. value end
  return list
end
