--- Values and errors as people read them, the same in each run.
--
-- Private to banyan.lockstep.

local plain = {}

local SHOWN = 8 -- entries of a table
local DEPTH = 2 -- of tables in tables
local SHORT = 60 -- bytes

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
      return a < b
    end
    return type(a) == "number" and type(b) ~= "number"
      or type(a) == "string" and type(b) ~= "number" and type(b) ~= "string"
  end)
  return keys
end

local show

local function entry(key, value, depth)
  if type(key) == "number" then return show(value, depth) end
  return ("%s = %s"):format(type(key) == "string" and key or "[?]",
    show(value, depth))
end

function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  -- The address of a function is another in each run.
  if type(value) == "function" then return "function" end
  local meta = type(value) == "table" and getmetatable(value)
  if type(value) ~= "table" or meta and meta.__tostring then
    return tostring(value)
  end
  if depth > DEPTH then return "{...}" end
  local parts = {}
  for i, key in ipairs(sorted_keys(value)) do
    parts[i] = i > SHOWN and "..." or entry(key, value[key], depth + 1)
    if i > SHOWN then break end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- A value on one line, not too long.
---@param value any
---@return string
function plain.short(value)
  local ok, text = pcall(show, value, 1)
  text = (ok and text or type(value)):gsub("%s+", " ")
  return #text > SHORT and text:sub(1, SHORT - 3) .. "..." or text
end

-- Lockstep's own frames are at the end of a body's traceback.
local function without_our_frames(text)
  local kept = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "banyan/lockstep/play%.lua:%d+: in " then
      if kept[#kept] and kept[#kept]:find "in function 'xpcall'" then
        kept[#kept] = nil
      end
    else
      kept[#kept + 1] = line
    end
  end
  return table.concat(kept, "\n")
end

--- The text of a reason or of what error() was given.
---@param reason any
---@return string
function plain.text(reason)
  if type(reason) == "table" and not getmetatable(reason) then
    if reason.message ~= nil then return tostring(reason.message) end
    return show(reason, 1)
  end
  return without_our_frames(tostring(reason))
end

--- Its first line.
---@param reason any
---@return string
function plain.line(reason)
  return plain.text(reason):match "^[^\n]*"
end

--- Its first line, for comparison between runs: an address that tostring
-- shows is another one in each.
---@param reason any
---@return string
function plain.key(reason)
  return (plain.line(reason):gsub("0x%x+", "0x"))
end

return plain
