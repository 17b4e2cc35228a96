-- The cluster of README.md, as a reader has it: its files in a folder, and each
-- of its commands in a shell of its own, one of which is killed.
--
-- The ports are others, which are free, the interpreter is the one that runs
-- this, and HOME, where the secret is made, is that folder. All else is what
-- README says.

local address = require "spec.support.address"
local blocks_of = require "spec.support.blocks"
local program = require "spec.support.program"
local ring = require "banyan.ring"
local uv = require "luv"

local CHILDREN = 6

-- The files of README by name, and the commands of the block that has them run.
local function read_recipe()
  local files, commands = {}, {}
  for _, block in ipairs(blocks_of "README.md") do
    local file = block.kind == "lua" and block.text:match "^%-%- (%w+%.lua)"
    if file then files[file] = block.text end
    if block.kind == "sh" and block.text:find "node%.lua" then
      for line in block.text:gmatch "[^\n]+" do
        commands[#commands + 1] = line
      end
    end
  end
  return files, commands
end

-- On other ports. A text that names none, or one that another has, is returned
-- as it is.
local function on_free_ports(text)
  local ports = {}
  return (text:gsub("%f[%d]91%d%d%f[%D]", function(port)
    ports[port] = ports[port] or tostring(address.free_port())
    return ports[port]
  end))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- What a node has shown since byte `from`, as far as it is whole: a list of
-- {[id] = {node=, count=}} of all children, one for each round.
local function rounds_of(text)
  local rounds, round, count = {}, {}, 0
  for id, node, value in text:gmatch
    "(%d+)\tpid<([^%s>]+) [%d.]+>\t(%d+)\n" do
    if id == "1" then round, count = {}, 0 end
    round[tonumber(id)] = { node = node, count = tonumber(value) }
    count = count + 1
    if count == CHILDREN then rounds[#rounds + 1] = round end
  end
  return rounds
end

local LIMIT_MS = 30000

-- Runs the loop until `test` answers something that is true, and answers that.
local function await(what, nodes, test)
  local late, timer = false, uv.new_timer()
  timer:start(LIMIT_MS, 0, function() late = true end)
  local result
  repeat
    result = test()
    if not result then uv.run "once" end
  until result or late
  timer:close()
  if result then return result end
  local said = {}
  for i, node in ipairs(nodes) do said[i] = node.out .. node.err end
  error(what .. " did not come:\n" .. table.concat(said, "\n--\n"))
end

-- A round of each of them that was not there before, of all children, when they
-- agree on where each one runs.
local function agreement(what, nodes)
  local before = {}
  for i, node in ipairs(nodes) do before[i] = #rounds_of(node.out) end
  return await(what, nodes, function()
    local first
    for i, node in ipairs(nodes) do
      local rounds = rounds_of(node.out)
      local last = rounds[#rounds]
      if #rounds <= before[i] then return nil end
      first = first or last
      for id = 1, CHILDREN do
        if last[id].node ~= first[id].node then return nil end
      end
    end
    return first
  end)
end

-- The name of each node, short name -> whole name.
local function names_of(file)
  local names = {}
  for short, port in file:gmatch "(%l) = (%d+)" do
    names[short] = ("%s@127.0.0.1:%s"):format(short, port)
  end
  return names
end

describe("the cluster of README", function()
  local dir, nodes

  setup(function() dir = assert(uv.fs_mkdtemp "/tmp/banyan-readme-XXXXXX") end)
  teardown(function()
    for _, node in ipairs(nodes or {}) do
      node:kill "sigkill"
      node:finish()
    end
    program.command("LD_PRELOAD= rm -rf " .. dir):finish()
  end)

  it("shows where children run, and they survive kill -9", function()
    local files, commands = read_recipe()
    assert.equal(3, #commands)
    local names
    for name, text in pairs(files) do
      if name == "node.lua" then
        text = on_free_ports(text)
        names = names_of(text)
      end
      write(dir .. "/" .. name, text)
    end
    uv.run "nowait"

    local function start(command)
      local words = command:gsub("^lua5%.4 ", arg[-1] .. " ")
      return program.command("exec " .. words, {
        cwd = dir, env = {
          HOME = dir, XDG_CONFIG_HOME = false, BANYAN_SECRET = false,
          LUA_INIT = "io.stdout:setvbuf 'line'",
        },
      })
    end
    -- The first is alone for a while: it runs all.
    nodes = { start(commands[1]) }
    local alone = agreement("what the first shows", nodes)
    for id = 1, CHILDREN do
      assert.equal(names.a, alone[id].node)
      assert.is_true(alone[id].count > id * 100)
    end
    nodes[2], nodes[3] = start(commands[2]), start(commands[3])
    local together = agreement("what all three show", nodes)
    local later = agreement("what they show next", nodes)
    for id = 1, CHILDREN do
      assert.equal(names.a, together[id].node)
      assert.is_true(later[id].count > together[id].count)
    end

    program.command("kill -9 " .. nodes[1].pid):finish()
    local _, signal = nodes[1]:finish()
    assert.equal(9, signal)
    local survivors = { nodes[2], nodes[3] }
    local after = await("what the survivors show", survivors, function()
      local round = agreement("what the survivors show", survivors)
      for id = 1, CHILDREN do
        if round[id].node == names.a then return nil end
      end
      return round
    end)
    local of_ring = ring.new { nodes = { names.b, names.c } }
    for id = 1, CHILDREN do
      assert.equal(of_ring:node_for(id), after[id].node)
    end
  end)
end)
