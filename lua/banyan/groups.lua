--- Process groups: any number of processes under one name, on all nodes.
--
-- A process of any node joins a group, and what is sent to the group reaches
-- all that are in it. There is nothing to set up but one process on each node
-- that takes part, the scope:
--
--     local groups = require "banyan.groups"
--     assert(groups.start_link { name = "chat" })
--     groups.join("chat", "lobby")
--     groups.broadcast("chat", "lobby", "hello")
--
-- Each node knows the members of all groups, so the functions that ask do so
-- without another process, and no node is asked. A node hears of a change of
-- another a moment later. A process that ends has left all its groups; so have
-- those of a node that is lost or cut off, at once. When it is back they are
-- there again.
--
-- The rules are those of OTP's pg: a process may join a group more than once,
-- and has to leave it as often. A group is there as long as somebody is in it.
--
-- A group is a string, an integer or a ref. All functions take the name of a
-- scope that runs on the caller's node; where none does, they answer
-- `nil, "not_started"`.

local core = require "banyan.core"
core.skip_in_errors()
local ids = require "banyan.ids"
local options = require "banyan.options"
local Scope = require "banyan.groups.scope"
local receive = require "banyan.receive"
local server = require "banyan.server"
local sets = require "banyan.sets"

---@class banyan.groups
local groups = {}

local ASK_AGAIN_MS = 10

local schema = { name = "string" }

local function check_name(what, name)
  if type(name) == "string" then return end
  error(("groups.%s: name must be a string, got %s"):format(what, type(name)),
    3)
end

local function check_group(what, group)
  group = ids.check("groups." .. what, "group", group, 3)
  return group -- no tail call: the level counts frames
end

-- The pid, of this node, that joins or leaves.
local function own_pid(what, pid)
  if pid == nil then return core.self() end
  if not core.is_pid(pid) then
    error(("groups.%s: pid must be a pid, got %s"):format(what, type(pid)), 3)
  end
  if pid:node() ~= core.node_name() then
    error(("groups.%s: pid must be of this node, got %s"):format(what,
      tostring(pid)), 3)
  end
  return pid
end

-- Asks the process of the scope. One that crashes meanwhile is asked again once
-- it has begun again, if it does at once.
local function ask(name, msg)
  for _ = 1, 2 do
    local view = Scope.view_of(name)
    if not view then return nil, "not_started" end
    msg.key = view.key
    local value, err = server.call(view.pid, msg, math.huge)
    if value ~= nil or err == "not_joined" or err == "not_monitored"
      or err == "joined_too_often" or err == "calling_self" then
      return value, err
    end
    core.sleep(ASK_AGAIN_MS)
  end
  return nil, "not_started"
end

--- The options of groups.start_link.
---@class banyan.GroupsOptions
--- The scope: the same on all nodes that take part, and the registered name of
--- its process on each.
---@field name string

--- Starts the process of a scope on this node, linked to the caller. A
--- supervisor's child spec is `{ id = "chat", start = { "banyan.groups",
--- "start_link", { { name = "chat" } } } }`. If it crashes and is started
--- again, this node's members are still there, and so are the monitors; if it
--- ends in good order ("normal", "shutdown") they are gone. Yields.
---@param opts banyan.GroupsOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid}
function groups.start_link(opts)
  core.self "groups.start_link"
  opts = options.check("groups.start_link", opts, schema, 2)
  if opts.name == nil or opts.name == "" then
    error("groups.start_link: option name must be a non-empty string", 2)
  end
  return server.start_link(Scope, opts.name, { name = opts.name })
end

--- Adds a process of this node to a group, once more if it is in it. It is in
--- the lists of this node when the call returns. Yields.
---@param name string
---@param group any  a string of at most 65,000 bytes, an integer or a ref
---@param pid? banyan.Pid  of this node (the caller)
---@return true|nil ok
---@return any err  "not_started"; "joined_too_often": 65,535 times
function groups.join(name, group, pid)
  core.self "groups.join"
  check_name("join", name)
  group = check_group("join", group)
  pid = own_pid("join", pid)
  return ask(name, { tag = "join", group = group, pid = pid })
end

--- Takes a process of this node out of a group, once. Yields.
---@param name string
---@param group any
---@param pid? banyan.Pid  of this node (the caller)
---@return true|nil ok
---@return any err  "not_joined", "not_started"
function groups.leave(name, group, pid)
  core.self "groups.leave"
  check_name("leave", name)
  group = check_group("leave", group)
  pid = own_pid("leave", pid)
  return ask(name, { tag = "leave", group = group, pid = pid })
end

--- The members of a group on all nodes, as far as this one knows: each as often
--- as it joined. Does not yield.
---@param name string
---@param group any
---@return banyan.Pid[]|nil pids
---@return any err  "not_started"
function groups.members(name, group)
  core.self "groups.members"
  check_name("members", name)
  group = check_group("members", group)
  local view = Scope.view_of(name)
  if not view then return nil, "not_started" end
  return view.groups:members(group, false)
end

--- The members of a group on this node: each as often as it joined. Does not
--- yield.
---@param name string
---@param group any
---@return banyan.Pid[]|nil pids
---@return any err  "not_started"
function groups.local_members(name, group)
  core.self "groups.local_members"
  check_name("local_members", name)
  group = check_group("local_members", group)
  local view = Scope.view_of(name)
  if not view then return nil, "not_started" end
  return view.groups:members(group, true)
end

--- The groups that somebody is in, in no order. Under LuaJIT those are left out
--- whose name is an integer that it has not (beyond 2^53). Does not yield.
---@param name string
---@return any[]|nil groups
---@return any err  "not_started"
function groups.groups(name)
  core.self "groups.groups"
  check_name("groups", name)
  local view = Scope.view_of(name)
  if not view then return nil, "not_started" end
  return view.groups:names()
end

--- Sends a message to each member of a group, once each. It is encoded once
--- for each node, and goes to the members there by way of the scope's process:
--- it may come before or after what the caller sends them itself. Does not
--- yield.
---@param name string
---@param group any
---@param msg any  what banyan.send takes
---@return integer|nil n  how many members it was sent to
---@return any err  "not_started"
function groups.broadcast(name, group, msg)
  core.self "groups.broadcast"
  check_name("broadcast", name)
  group = check_group("broadcast", group)
  local view = Scope.view_of(name)
  if not view then return nil, "not_started" end
  local here, nodes = view.groups:targets(group)
  for _, pid in ipairs(here) do core.send(pid, msg) end
  local n = #here
  for _, node in ipairs(sets.sorted(nodes)) do
    local dest = { name = name, node = node }
    if core.cast(dest, { tag = "broadcast", group = group, msg = msg }) then
      n = n + nodes[node]
    end
  end
  return n
end

--- Tells the caller of each change of a group, or of all. It is given the
--- members of now; what comes later are messages, in order:
--- `{tag="group", ref=, event="join"|"leave", group=, pids={...}}`, where a pid
--- stands as often as it has joined or left. Ends with the caller, or by
--- demonitor. Yields.
---@param name string
---@param group? any  nil: all groups
---@return any ref  or nil
---@return table|any members  {[group] = {pids}}; or err: "not_started"
function groups.monitor(name, group)
  local caller = core.self "groups.monitor"
  check_name("monitor", name)
  if group ~= nil then group = check_group("monitor", group) end
  local answer, err = ask(name,
    { tag = "monitor", group = group, pid = caller })
  if not answer then return nil, err end
  return answer.ref, answer.members
end

--- Ends what monitor began. Messages of it that are in the caller's mailbox are
--- taken out. Yields.
---@param name string
---@param ref any
---@return true|nil ok
---@return any err  "not_monitored", "not_started"
function groups.demonitor(name, ref)
  core.self "groups.demonitor"
  check_name("demonitor", name)
  if not core.is_ref(ref) then
    error(("groups.demonitor: ref must be a ref, got %s"):format(type(ref)), 2)
  end
  local ok, err = ask(name, { tag = "demonitor", ref = ref })
  local function is_of_it(msg)
    return type(msg) == "table" and msg.tag == "group" and msg.ref == ref
  end
  while receive.matching(is_of_it, 0) do end
  return ok, err
end

return groups
