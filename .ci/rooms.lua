-- The rules of the house that a program can check; `make lint` runs it.
--
--     lua5.4 .ci/rooms.lua
--
-- * A room includes nothing of a room above it.
-- * csrc/core knows no Lua, clock, socket or file: of the system it includes
--   what PURE names. The binding sees Lua through csrc/lua/value/compat.h.
-- * What a C file defines for others, the header of its name declares, and
--   nothing else does.
-- * Every C file opens with a line that says what it is.
-- * No file has more than 800 lines, no C function more than 60, no line of
--   code more than 80 columns.
--
-- It reads lines, and counts on clang-format: what a C file declares or
-- defines begins in column 0, and all that belongs to it is indented.

-- From the ground up. A file in the folder of one room may include files of
-- its own room and of those before it.
local ROOMS = {
  "csrc/core", "csrc/core/wire", "csrc/core/lockstep", "csrc/core/dist",
  "csrc/lua/value", "csrc/lua/process", "csrc/lua/otp", "csrc/lua/cluster",
  "csrc/lua/lockstep", "csrc/lua",
}

-- Where the ground floor may look up: a link is what seals and frames its
-- bytes.
local UPWARDS = { ["csrc/core"] = "csrc/core/wire" }

-- Headers of the system for csrc/core, as patterns. All of them compute; none
-- of them does anything.
local PURE = {
  "^stdbool%.h$", "^stddef%.h$", "^stdint%.h$", "^stdarg%.h$", "^limits%.h$",
  "^inttypes%.h$", "^math%.h$", "^string%.h$",
  "^sodium%.h$", "^sodium/", "^xxhash%.h$", "^sanitizer/",
}
-- What test builds alone have of these may print, and end the program.
local IMPURE = {
  ["csrc/core/assert.c"] = true, ["csrc/core/coverage.c"] = true,
}

local COMPAT = "csrc/lua/value/compat.h"
local MAX_FILE, MAX_FUNCTION, MAX_COLUMNS = 800, 60, 80

local floor_of = {}
for i, room in ipairs(ROOMS) do floor_of[room] = i end

local faults = {}
local function fault(file, line, text, ...)
  faults[#faults + 1] = ("%s:%d: %s"):format(file, line, text:format(...))
end

-- --- files -------------------------------------------------------------------

-- Calls fn(file, lines) for those that git knows of, or would.
local function each(patterns, fn)
  local pipe = assert(io.popen("git ls-files -co --exclude-standard "
    .. patterns))
  for file in pipe:lines() do
    local handle = io.open(file)
    if handle then -- git lists one that was deleted, too
      local lines = {}
      for line in handle:lines() do lines[#lines + 1] = line end
      handle:close()
      fn(file, lines)
    end
  end
  pipe:close()
end

-- "csrc/lua/otp", "../value/id.h" -> "csrc/lua/value/id.h"
local function join(folder, path)
  while path:match "^%.%./" do
    folder, path = folder:match "^(.*)/[^/]+$", path:sub(4)
  end
  return folder .. "/" .. path
end

-- --- includes ----------------------------------------------------------------

local function check_own_include(file, i, room, path)
  local other = join(room, path):match "^(.*)/"
  if not floor_of[other] then
    fault(file, i, "includes a file of no room: %s", path)
  elseif floor_of[other] > floor_of[room] and UPWARDS[room] ~= other then
    fault(file, i, "%s is above %s: %s", other, room, path)
  end
end

local function is_pure(path)
  for _, pattern in ipairs(PURE) do
    if path:match(pattern) then return true end
  end
  return false
end

local function check_system_include(file, i, path)
  if file:match "^csrc/core/" and not IMPURE[file] and not is_pure(path) then
    fault(file, i, "the core is pure, and <%s> is not", path)
  elseif (path == "lua.h" or path == "lauxlib.h") and file ~= COMPAT then
    fault(file, i, "Lua is seen through %s", COMPAT)
  end
end

local function check_includes(file, lines)
  local room = file:match "^(.*)/"
  if not floor_of[room] then
    return fault(file, 1, "stands in no room")
  end
  for i, line in ipairs(lines) do
    local kind, path = line:match '^#%s*include ([<"])([^>"]+)[>"]'
    if kind == '"' then
      check_own_include(file, i, room, path)
    elseif kind then
      check_system_include(file, i, path)
    end
  end
end

-- --- sizes -------------------------------------------------------------------

local function check_file_length(file, lines)
  if #lines > MAX_FILE then
    fault(file, MAX_FILE + 1, "the file has %d lines", #lines)
  end
end

-- Does a function's body begin at the end of this line? Its head may have
-- gone on in further lines, up to one with the last of its parameters.
local function begins_function(line, before)
  return line:match "^[%a_].*%)%s*{$"
    or line == "{"
    or line:match "^ .*%)%s*{$" and before:match "^[%a_ ].*[,(]$"
end

local function check_function_lengths(file, lines)
  local start
  for i, line in ipairs(lines) do
    if not start and begins_function(line, lines[i - 1] or "") then
      start = i
    elseif start and line:match "^}" then
      if i - start > MAX_FUNCTION then
        fault(file, start, "the function has %d lines", i - start)
      end
      start = nil
    end
  end
end

-- A character of UTF-8 is one column: the bytes that continue one are none.
local function check_columns(file, lines)
  for i, line in ipairs(lines) do
    local columns = #line:gsub("[\128-\191]", "")
    if columns > MAX_COLUMNS then
      fault(file, i, "the line has %d columns", columns)
    end
  end
end

-- --- what is where -----------------------------------------------------------

local function check_first_line(file, lines)
  if not (lines[1] or ""):match "^/%* %S" then
    fault(file, 1, "does not open with a line that says what it is")
  end
end

-- name of a function -> the files, without their ending, that declare it in
-- their header, or define it in their source.
local declared, defined = {}, {}

local function note_functions(file, lines)
  local stem, ending = file:match "^(.*)%.([ch])$"
  local owners = ending == "h" and declared or defined
  local last = ending == "h" and ";" or "{"
  local text = "\n" .. table.concat(lines, "\n")
  text = text:gsub("/%*.-%*/", ""):gsub("\n#[^\n]*", "\n")
  local head_and_name = "\n([%a_][^\n;{}()]-)(byn_[%w_]+)%b()%s*" .. last
  for head, name in text:gmatch(head_and_name) do
    if not head:match "static" and not head:match "typedef" then
      owners[name] = owners[name] or {}
      table.insert(owners[name], stem)
    end
  end
end

local function check_declarations()
  for name, stems in pairs(declared) do
    local owner = defined[name] and defined[name][1]
    for _, stem in ipairs(stems) do
      if owner and stem ~= owner then
        fault(stem .. ".h", 1, "declares %s, which %s.c defines", name, owner)
      end
    end
  end
  for name, stems in pairs(defined) do
    if not declared[name] and name ~= "luaopen_banyan_core" then
      fault(stems[1] .. ".c", 1, "%s is declared in no header", name)
    end
  end
end

each("'csrc/*.[ch]'", function(file, lines)
  check_includes(file, lines)
  check_first_line(file, lines)
  check_function_lengths(file, lines)
  note_functions(file, lines)
end)
check_declarations()

each("'*.lua' 'csrc/*.[ch]' 'spec/*.[ch]' 'bench/*.[ch]'",
  function(file, lines)
    check_file_length(file, lines)
    check_columns(file, lines)
  end)

table.sort(faults)
for _, text in ipairs(faults) do print(text) end
os.exit(#faults == 0)
