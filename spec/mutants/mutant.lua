--- Deliberate bugs: each is a unified diff in this directory, whose head says
-- what is broken and what a user would see.
--
--    mutant.names()           all of them, sorted
--    mutant.read(name)        { name=, head=, files= }
--    mutant.applies(name)     does it fit the sources?
--    mutant.build(name)       the directory of a library with that bug
--
-- A library with a bug is built from a copy of the sources, and from a copy of
-- the objects of the build that runs this, so that only what the diff touches
-- is compiled.

local mutant = {}

local HOME = "spec/mutants"
local PLACE = "build/mutants"

-- Where the module of the build that runs this is: build/lua5.4, say.
local function this_build()
  local path = assert(package.searchpath("banyan.core", package.cpath))
  return assert(path:match "(build/[^/]+)/banyan/core%.so$",
    path .. " is not in build/")
end

local function lines_of(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo status $?"))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  local status = table.remove(lines)
  return status == "status 0", lines
end

-- Runs a command; true, or false and what it said.
local function run(command, ...)
  local ok, lines = lines_of(command:format(...))
  return ok, table.concat(lines, "\n")
end

-- Other people's programs are not for AddressSanitizer to judge.
local BARE = "env -u LD_PRELOAD "

local function path_of(name) return ("%s/%s.patch"):format(HOME, name) end

--- The names of all, or of those that have `part` in it.
---@param part? string
---@return string[] names
function mutant.names(part)
  local names = {}
  local _, paths = lines_of(("ls %s"):format(HOME))
  for _, path in ipairs(paths) do
    local name = path:match "^(.+)%.patch$"
    if name and (not part or name:find(part, 1, true)) then
      names[#names + 1] = name
    end
  end
  return names
end

--- What a patch says of itself.
---@param name string
---@return table  name, head (string), files (list of paths)
function mutant.read(name)
  local head, files, in_head = {}, {}, true
  for line in io.lines(path_of(name)) do
    if line:match "^%-%-%- " then in_head = false end
    if in_head then head[#head + 1] = line end
    files[#files + 1] = line:match "^%+%+%+ b/(%S+)"
  end
  return { name = name, head = table.concat(head, " "), files = files }
end

--- Does it fit the sources, to the line?
---@param name string
---@return boolean
---@return string said
function mutant.applies(name)
  return run(BARE .. "patch -p1 --dry-run --fuzz=0 -i %s", path_of(name))
end

-- The sources, and what was made of them, with the times that they have.
local function copy(dir, build)
  local to = ("%s/%s"):format(dir, build)
  return run("rm -rf %s && mkdir -p %s/obj && cp -a Makefile csrc lua %s && "
    .. "cp -a %s/obj/csrc %s/obj && cd %s && "
    .. "cp -a flags core-sources module-sources banyan %s/%s",
    dir, to, dir, build, to, build, ("../.."), to)
end

--- Builds the library with that bug; without a name, as it is.
---@param name string|nil
---@return table|nil library  dir, build: what mutant.environment needs
---@return string|nil err
function mutant.build(name)
  local build = this_build()
  if not name then return { dir = ".", build = build } end
  local dir = PLACE .. "/" .. name
  local ok, said = copy(dir, build)
  if ok then
    ok, said = run(BARE .. "patch -d %s -p1 --fuzz=0 -i ../../../%s", dir,
      path_of(name))
  end
  if ok then
    ok, said = run(BARE .. "make -C %s build LUA=%s BUILD=%s", dir,
      build:match "/([^-]+)", build)
  end
  if ok and not said:find("%.[ch]:%d+:[%d:]* warning") then
    return { dir = dir, build = build }
  end
  return nil, ("%s does not build:\n%s"):format(name, said)
end

--- The shell's words that have a program find that library.
---@param library table
---@return string
function mutant.environment(library)
  return ("env LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/%s/?.so;;'"):format(library.dir, library.dir,
    library.dir, library.build)
end

return mutant
