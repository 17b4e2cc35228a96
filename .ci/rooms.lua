-- The rules of the house that a program can check; `make lint` runs it.
--
--     lua5.4 .ci/rooms.lua
--
-- * A room includes nothing of a room above it.
-- * What a C file defines for others, the header of its name declares, and
--   nothing else does.
-- * Every C file opens with a line that says what it is.
-- * No file has more than 800 lines, no C function more than 60, no line of
--   code more than 80 columns.

-- From the ground up. A file in the folder of one room may include files of
-- its own room and of those before it.
local ROOMS = {
  "csrc/core", "csrc/core/wire", "csrc/core/lockstep", "csrc/core/dist",
  "csrc/lua/value", "csrc/lua/process", "csrc/lua/otp", "csrc/lua/cluster",
  "csrc/lua/lockstep", "csrc/lua",
}
local MAX_FILE, MAX_FUNCTION, MAX_LINE = 800, 60, 80

-- Where the ground floor may look up: a link is what seals and frames its
-- bytes.
local STAIRS = { ["csrc/core"] = "csrc/core/wire" }

local floors = {}
for i, room in ipairs(ROOMS) do floors[room] = i end

local faults = 0
local function fault(file, line, text)
  faults = faults + 1
  print(("%s:%d: %s"):format(file, line, text))
end

local function files(pattern)
  local list = {}
  local pipe = assert(io.popen("git ls-files -co --exclude-standard " ..
    pattern .. " 2>/dev/null"))
  for file in pipe:lines() do list[#list + 1] = file end
  pipe:close()
  return list
end

-- nil where git lists a file that was deleted.
local function read(file)
  local handle = io.open(file)
  if not handle then return nil end
  local lines = {}
  for line in handle:lines() do lines[#lines + 1] = line end
  handle:close()
  return lines
end

-- "csrc/lua/otp", "../value/id.h" -> "csrc/lua/value/id.h"
local function join(folder, path)
  while path:match "^%.%./" do
    folder, path = folder:match "^(.*)/[^/]+$", path:sub(4)
  end
  return folder .. "/" .. path
end

local function check_include(file, i, room, path)
  local other = join(room, path):match "^(.*)/"
  if not floors[other] then
    return fault(file, i, "includes a file of no room: " .. path)
  end
  if floors[other] > floors[room] and STAIRS[room] ~= other then
    fault(file, i, ("%s is above %s: %s"):format(other, room, path))
  end
end

-- Declarations and definitions of a C file begin in column 0; those of other
-- files are indented, or are preprocessor lines.
local function check_lengths(file, lines)
  if #lines > MAX_FILE then
    fault(file, MAX_FILE + 1, "the file has " .. #lines .. " lines")
  end
  local start
  for i, line in ipairs(lines) do
    if line:match "^[%a_].*%)%s*{$" or (line == "{" and not start) then
      start = i
    elseif line:match "^ .*%)%s*{$" and not start and
      (lines[i - 1] or ""):match "^[%a_ ].*[,(]$" then
      start = i
    elseif line:match "^}" and start then
      if i - start > MAX_FUNCTION then
        fault(file, start, ("the function has %d lines"):format(i - start))
      end
      start = nil
    end
  end
end

-- Characters of UTF-8: all but the bytes that continue one.
local function columns(line)
  return #line:gsub("[\128-\191]", "")
end

local function check_width(file, lines)
  for i, line in ipairs(lines) do
    if columns(line) > MAX_LINE then
      fault(file, i, "the line has " .. columns(line) .. " columns")
    end
  end
end

-- name -> true for each function that is declared in column 0 with an end of
-- ";" (a header), or defined there with a body (a source) and not static.
local function functions(lines, body)
  local text = "\n" .. table.concat(lines, "\n")
  text = text:gsub("/%*.-%*/", ""):gsub("\n#[^\n]*", "\n")
  local found = {}
  local last = body and "{" or ";"
  for head, name in text:gmatch("\n([%a_][^\n;{}()]-)(byn_[%w_]+)%b()%s*" ..
    last) do
    if not head:match "static" and not head:match "typedef" then
      found[name] = true
    end
  end
  return found
end

local declared, defined = {}, {}

for _, file in ipairs(files "'csrc/*.[ch]'") do
  local lines = read(file)
  if lines then
    local room = file:match "^(.*)/"
    if not floors[room] then fault(file, 1, "stands in no room") end
    for i, line in ipairs(lines) do
      local path = line:match '^#include "([^"]+)"'
      if path and floors[room] then check_include(file, i, room, path) end
    end
    check_lengths(file, lines)
    if not (lines[1] or ""):match "^/%* %S" then
      fault(file, 1, "does not open with a line that says what it is")
    end
    local stem = file:gsub("%.[ch]$", "")
    local header = file:match "%.h$"
    for name in pairs(functions(lines, not header)) do
      local owners = header and declared or defined
      owners[name] = owners[name] or {}
      table.insert(owners[name], stem)
    end
  end
end

for name, stems in pairs(declared) do
  local owner = defined[name] and defined[name][1]
  for _, stem in ipairs(stems) do
    if owner and stem ~= owner then
      fault(stem .. ".h", 1, ("declares %s, which %s.c defines"):format(name,
        owner))
    end
  end
end
for name, stems in pairs(defined) do
  if not declared[name] and name ~= "luaopen_banyan_core" then
    fault(stems[1] .. ".c", 1, name .. " is declared in no header")
  end
end

for _, file in ipairs(files "'*.lua' 'spec/*.[ch]' 'bench/*.[ch]'") do
  local lines = read(file)
  if lines then
    check_width(file, lines)
    if #lines > MAX_FILE then
      fault(file, MAX_FILE + 1, "the file has " .. #lines .. " lines")
    end
  end
end

os.exit(faults == 0 and 0 or 1)
