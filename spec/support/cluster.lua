--- Real nodes in OS processes, driven from a node in this one.
--
--    cluster.run(function(c)
--      local a = c:start("a")              a node, connected with all others
--      a:call(function(x) return x end, 7)   runs there, answers 7
--      a:open(function() ... end)          the same, in a process that stays
--      a:kill()                            SIGKILL
--      c:wait("what for", function() return true end)
--    end, { options = { down_after_ms = 1000 }, proxy = true })
--
-- The options of banyan.run are for all nodes, this one too. With a proxy, all
-- connections to the nodes pass c.proxy (spec.support.proxy).
--
-- Functions travel as bytecode: they have no upvalues but the globals. A
-- string is the source of one, for a node under another Lua.
--
-- The OS processes are started as banyan.peer does (its program.lua). They
-- belong to the process that runs the body: none is left when that ends, nor
-- when this program is killed. They are no peers otherwise. What a peer sends
-- goes around by its origin where a link is missing, so there would be a way
-- through a partition; and a call of one needs no link, so it would say nothing
-- of them.

local address = require "spec.support.address"
local agent = require "spec.support.agent"
local banyan = require "banyan"
local core = require "banyan.core"
local environment = require "spec.support.environment"
local programs = require "banyan.peer.program"
local proxy = require "spec.support.proxy"
local uv = require "luv"

local cluster = {}

local DEADLINE_MS = 60000 -- of each wait: the machine may be slow
local SECRET = "the secret of the specs"

local Cluster = {}
Cluster.__index = Cluster
local Node = {}
Node.__index = Node

local unpack = table.unpack or unpack

--- Waits until fn() is true. After DEADLINE_MS it fails with `what`.
function Cluster.wait(_, what, fn)
  local limit = banyan.now() + DEADLINE_MS
  while true do
    local value = fn()
    if value then return value end
    if banyan.now() > limit then
      error("it did not come about that " .. what, 2)
    end
    banyan.sleep(5)
  end
end

--- Makes a name for a node that is started later.
function Cluster:name(short)
  if not self.proxy then return address.fresh_name(short) end
  return self.proxy:add(function(port)
    return ("%s@127.0.0.1:%d"):format(short, port)
  end)
end

-- Options of a node as a table constructor; it listens behind the proxy.
local function constructor(self, name)
  local list = {}
  for key, value in pairs(self.options) do
    list[#list + 1] = ("%s = %d"):format(key, value)
  end
  if self.proxy then
    local port = address.free_port()
    self.proxy:serve(name, port)
    list[#list + 1] = ("listen = %q"):format("127.0.0.1:" .. port)
  end
  return "{" .. table.concat(list, ", ") .. "}"
end

-- What it says on stderr is said here.
local function pass_on(stream, text)
  if stream == "stderr" and text then io.stderr:write(text) end
end

--- Starts a node without waiting for it. It ends with the process that calls.
---@param name string
---@param opts? table  secret; connect: list of names of nodes to dial; lua:
---  the program to run; env: changes to its environment
---@return table node  with `pid`, of its OS process, and `ended`, once it has
function Cluster:launch(name, opts)
  opts = opts or {}
  assert(banyan.self() == self.process, "the body alone starts nodes")
  local node = setmetatable({ name = name }, Node)
  local args = { "spec/support/node.lua", node.name, banyan.node() }
  for _, peer in ipairs(opts.connect or {}) do args[#args + 1] = peer end
  local env = {
    BANYAN_SECRET = opts.secret or SECRET,
    BANYAN_OPTIONS = constructor(self, name),
  }
  for key, value in pairs(opts.env or {}) do env[key] = value end
  node.program = assert(core.unbroken(programs.start, {
    path = opts.lua or arg[-1], args = args, env = environment(env),
  }, pass_on, function(ending)
    node.ended = ("%s %d"):format(ending[1], ending[2])
  end))
  node.pid = node.program.pid
  table.insert(self.nodes, node)
  return node
end

--- Waits until this node is connected with it and its agent answers.
function Cluster:await(node)
  self:wait(node.name .. " answers", function()
    if node.ended then error(node.name .. " has ended", 0) end
    return banyan.connect(node.name, 1000)
      and agent.call(node.name, 5000, "return 1")
  end)
  return node
end

--- Starts nodes that are connected with each other.
---@param ... string  short names
---@return table ... nodes
function Cluster:start(...)
  local fresh, names = {}, {}
  for _, node in ipairs(self.nodes) do
    if not node.ended then names[#names + 1] = node.name end
  end
  for i, short in ipairs { ... } do
    fresh[i] = self:launch(self:name(short), { connect = names })
    names[#names + 1] = fresh[i].name
  end
  for _, node in ipairs(fresh) do self:await(node) end
  for _, node in ipairs(fresh) do
    self:wait(node.name .. " is connected with all", function()
      return node:call(function(count)
        return #require("banyan").nodes() >= count
      end, #names)
    end)
  end
  return unpack(fresh)
end

--- Calls a function there. Its error is raised here.
function Node:call(fn, ...)
  local ok, a, b, c, d = agent.call(self.name, DEADLINE_MS, fn, ...)
  if ok == nil then error(self.name .. ": " .. tostring(a), 2) end
  if not ok then error(self.name .. ": " .. a, 2) end
  return a, b, c, d
end

--- The same, but an error is returned as nil, err.
function Node:try(fn, ...)
  local ok, a, b, c, d = agent.call(self.name, DEADLINE_MS, fn, ...)
  if not ok then return nil, a end
  return a, b, c, d
end

--- Runs a function there, in a process that stays and keeps its links.
function Node:open(fn, ...)
  agent.open(self.name, fn, ...)
end

--- SIGKILL.
function Node:kill() self.program:signal "sigkill" end

-- The link events of the test's own node, for the message of a failure.
local function own_options(self, seen)
  local opts = { name = address.fresh_name "test", secret = SECRET }
  for key, value in pairs(self.options) do opts[key] = value end
  function opts.on_event(event)
    if event.peer then
      seen[#seen + 1] = ("%s %s %s"):format(event.event, event.peer,
        tostring(event.reason or ""))
    end
  end
  if self.proxy then
    self.proxy:introduce(opts.name)
    opts.preempt = false -- what changes the proxy is not to be held up within
  end
  return opts
end

--- Runs body(cluster) as the first process of a node.
---@param body fun(cluster: table)
---@param opts? table  options: of banyan.run, integers; proxy: true
function cluster.run(body, opts)
  opts = opts or {}
  local self = setmetatable({
    nodes = {}, options = opts.options or {},
    proxy = opts.proxy and proxy.new() or nil,
  }, Cluster)
  local ok, err
  local seen = {}
  banyan.run(own_options(self, seen), function()
    self.process = banyan.self()
    ok, err = xpcall(body, function(why)
      if type(why) ~= "string" then return why end
      return debug.traceback(why, 2)
    end, self)
  end)
  if self.proxy then self.proxy:close() end
  uv.run "nowait" -- what was closed is freed before the program ends
  if not ok then
    for _, node in ipairs(self.nodes) do
      seen[#seen + 1] = ("%s: %s"):format(node.name, tostring(node.ended))
    end
    error(tostring(err) .. "\nlinks:\n\t" .. table.concat(seen, "\n\t"), 0)
  end
end

return cluster
