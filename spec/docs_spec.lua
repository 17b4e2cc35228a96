-- Every code block in README.md, CONTRIBUTING.md and docs/ is run here.
--
-- A ```lua block whose first line is "-- name.lua: ..." is a file; any other
-- is a program, run with the files above it in a folder of its own. An
-- ```output block right after a program is what it prints; if the program's
-- first line is "-- on Lua 5.4", then only there. In an ```sh block
-- each `make` line names targets that there are, and every other command
-- names a file of the checkout or a program that `make deps` installs.
--
-- Links between pages lead somewhere, and `csrc/lua/{a,b}` and its like name
-- files that exist.

local address = require "spec.support.address"
local blocks_of = require "spec.support.blocks"
local lua = require "spec.support.lua"
local uv = require "luv"

local ROOT = assert(io.popen "pwd"):read "l"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Runs a program in `dir`; answers what it printed, and raises if it failed.
-- The port that a page names may be taken here: another stands in for it.
local function execute(dir, program)
  program = program:gsub("([@\"]127%.0%.0%.1:)91%d%d", function(host)
    return host .. address.free_port()
  end)
  uv.run "nowait"
  write(dir .. "/program.lua", program)
  local command = ("cd %s && exec 2>&1 && %s %s program.lua && echo over")
    :format(quote(dir), "LUA_PATH=" .. quote("./?.lua;" .. package.path)
      .. " LUA_CPATH=" .. quote(package.cpath), arg[-1])
  local pipe = assert(io.popen(command))
  local output = pipe:read "*a"
  pipe:close() -- Lua 5.1 does not say how the program ended
  local said = output:match "^(.*)over\n$"
  assert.is_truthy(said, "the program failed:\n" .. output)
  return said
end

local function absolute(path)
  return (path:gsub("[^;]+", function(entry)
    if entry:match "^/" then return entry end
    return ROOT .. "/" .. entry:gsub("^%./", "")
  end))
end

-- The tools of the system are not what a sanitizer is to look at.
local PLAIN = "LD_PRELOAD= "

local function temp_dir()
  local pipe = assert(io.popen(PLAIN .. "mktemp -d"))
  local dir = pipe:read "l"
  pipe:close()
  return dir
end

-- The words of a `make` line that are neither options nor settings.
local function targets_of(line)
  local settings = line:gsub("%u+=(['\"]).-%1", ""):gsub("%u+=%S+", "")
  local targets = {}
  for word in settings:gmatch "%S+" do
    if not word:match "^%-" then targets[#targets + 1] = word end
  end
  table.remove(targets, 1)
  return targets
end

local function check_command(line)
  if line == "make" or line:match "^make " then
    local makefile = "\n" .. read "Makefile"
    for _, target in ipairs(targets_of(line)) do
      assert.matches("\n" .. target:gsub("%p", "%%%0") .. "[%s%w]*:", makefile)
    end
    return
  end
  local word = line:match "^(%S+)"
  assert.is_true(lua.finds(word), "no such command: " .. word)
  for path in line:gmatch "%S+/%S+%.%w+" do
    assert.is_truthy(io.open(path), "no such file: " .. path)
  end
end

-- --- links and paths ---------------------------------------------------------

local function exists(path)
  for _, ending in ipairs { "", ".lua", ".c", ".h" } do
    local file = io.open(path .. ending)
    if file then
      file:close()
      return true
    end
  end
  return false
end

-- The anchors of a page: "## A name" is #a-name.
local function anchors_of(path)
  local anchors = {}
  for line in io.lines(path) do
    local heading = line:match "^#+ (.*)$"
    if heading then
      anchors[heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true
    end
  end
  return anchors
end

local function check_links(page, text)
  local folder = page:match "^(.*/)" or ""
  for target in text:gmatch "%]%(([^)]+)%)" do
    local path, anchor = target:match "^([^#]*)#?(.*)$"
    path = path == "" and page or folder .. path
    assert.is_true(exists(path), page .. " links to " .. target)
    assert.is_true(anchor == "" or anchors_of(path)[anchor] == true,
      page .. " links to " .. target)
  end
end

-- The paths that "a/{b,c}" stands for.
local function spread(path)
  local before, list, after = path:match "^(.-){(.-)}(.*)$"
  if not before then return { path } end
  local paths = {}
  for part in list:gmatch "[^,]+" do
    paths[#paths + 1] = before .. part .. after
  end
  return paths
end

local rooms = { [".ci"] = true, csrc = true, lua = true, spec = true,
  bench = true, examples = true, docs = true }

local function check_paths(page, text)
  for name in text:gmatch "`([%w_/.{},-]+)`" do
    for _, path in ipairs(rooms[name:match "^([%w.]+)/"] and spread(name)
      or {}) do
      assert.is_true(exists(path), page .. " names " .. path)
    end
  end
end

local pages = { "README.md", "CONTRIBUTING.md", "CHANGELOG.md" }
for path in io.popen(PLAIN .. "ls docs/*.md"):lines() do
  pages[#pages + 1] = path
end

package.path = absolute(package.path)
package.cpath = absolute(package.cpath)

-- The legend of the table of faults: word -> file.
local function files_of_words(text)
  local files = {}
  for words, paths in text:gmatch "\n| (%*[%l*, ]+%*) | ([^\n]+) |" do
    local next_path = paths:gmatch "`([^`]+)`"
    for word in words:gmatch "%*(%l+)%*" do
      files[word] = assert(next_path(), word .. " has no file")
    end
  end
  return files
end

-- Each "(*word* `text`, ...)" names tests that are in the file of that word.
local function check_tests_named(text)
  local files, count, word = files_of_words(text), 0, nil
  for reference in text:gmatch "%(%*%l+%* `[^)]*%)" do
    for star, name in reference:gmatch "%*?(%l*)%*? ?`([^`]+)`" do
      if star ~= "" then word = star end
      local file = assert(files[word], word .. " is no word of the table")
      count = count + 1
      assert.is_truthy(read(file):find(name, 1, true),
        ("%s has no test %q"):format(file, name))
    end
  end
  assert.is_true(count > 0)
end

describe("the table of faults", function()
  it("names tests that there are", function()
    check_tests_named(read "docs/clusters.md")
  end)
end)

for _, page in ipairs(pages) do
  describe(page, function()
    local dir
    setup(function() dir = temp_dir() end)
    teardown(function() os.execute(PLAIN .. "rm -rf " .. quote(dir)) end)

    it("names only files and pages that exist", function()
      local text = read(page)
      check_links(page, text)
      check_paths(page, text)
    end)

    local blocks = blocks_of(page)
    for i, block in ipairs(blocks) do
      local name = ("line %d: %s"):format(block.line, block.kind)
      local file = block.kind == "lua" and block.text:match "^%-%- (%w+%.lua)"
      if file then
        it(name .. " is the file " .. file, function()
          assert(load(block.text, "@" .. file))
          write(dir .. "/" .. file, block.text)
        end)
      elseif block.kind == "lua" then
        it(name .. " runs", function()
          local output = execute(dir, block.text)
          local after = blocks[i + 1]
          local other = jit and block.text:find "^%-%- on Lua 5%.4"
          if after and after.kind == "output" and not other then
            assert.equal(after.text, output)
          end
        end)
      elseif block.kind == "sh" then
        it(name .. " names only commands that exist", function()
          for line in block.text:gmatch "[^\n]+" do check_command(line) end
        end)
      else
        it(name .. " is of a known kind", function()
          assert.is_truthy(block.kind == "output" or block.kind == "text")
        end)
      end
    end
  end)
end
