--- Processes on several nodes, for specs of what one can do with another.
--
--    local net = remote.nodes { A, B }     the first is connected to the rest
--    local pid = remote.servant(B)         runs what it is sent, see `obey`
--    net:on(A, function() core.send(pid, ...) end)
--    after_each(remote.close)
--
-- There is one network at a time: all functions work on the latest.

local assert = require "luassert"
local core = require "banyan.core"
local network = require "spec.support.network"

local remote = {
  A = "a@h:1", B = "b@h:1", C = "c@h:1",
  SEEDS = 60, -- for tests whose result could depend on the order of steps
}

local net

--- Nodes of those names, none of them connected.
---@param names string[]
---@param opts? table  for core.node
---@param seed? integer|"tame"  1 by default; tame: what comes first, goes first
function remote.strangers(names, opts, seed)
  local is_tame = seed == "tame"
  net = network.new { seed = not is_tame and seed or 1, tame = is_tame }
  for _, name in ipairs(names) do net:node(name, opts) end
  return net
end

--- Nodes of those names; the first is connected to the others.
function remote.nodes(names, opts, seed)
  remote.strangers(names, opts, seed)
  net:on(names[1], function()
    for i = 2, #names do assert(core.connect(names[i])) end
  end)
  return net
end

--- Closes the latest network, if there is one.
function remote.close()
  if net then net:close() end
  net = nil
end

function remote.node(name) return (net:find(name).core) end

--- Starts `body` on a node, outside of any process of the spec.
function remote.spawn_on(name, body, ...)
  return remote.node(name):spawn(body, ...)
end

--- The body of a process that runs functions, replies and exits on request.
function remote.obey()
  while true do
    local msg = core.receive()
    if msg.tag == "$call" then
      local ask = msg.msg
      if ask == "die" then core.exit("died") end
      if ask ~= "silence" then core.reply(msg.from, ask, core.self()) end
    elseif msg.run then
      msg.run()
    elseif msg.exit then
      core.exit(msg.exit)
    elseif msg.echo ~= nil then
      core.send(msg.to, msg.echo)
    end
  end
end

--- Starts a process with that body, registered if there is a name.
function remote.servant(where, name)
  local pid = remote.spawn_on(where, function()
    if name then core.register(name) end
    remote.obey()
  end)
  if name then net:settle() end
  return pid
end

--- A reason, or the first word of one that is a table.
function remote.traceless(reason)
  return type(reason) == "table" and reason[1] or reason
end

--- Receives until no message comes for a second. Returns all messages.
function remote.drain()
  local all = {}
  while true do
    local msg, late = core.receive(1000)
    if msg == nil and late == "timeout" then return all end
    all[#all + 1] = msg
  end
end

--- Receives exactly one message and returns it.
function remote.only()
  local all = remote.drain()
  assert.equal(1, #all, "messages")
  return all[1]
end

--- What process_info says of a process on its own node.
function remote.info(where, pid)
  local found
  net:on(where, function() found = core.process_info(pid) end)
  return found
end

--- Asserts that the process has no link, no monitor and no message.
function remote.assert_unrelated(where, pid)
  local found = remote.info(where, pid)
  assert.same({}, found.links)
  assert.same({}, found.monitors)
  assert.same({}, found.monitored_by)
  assert.equal(0, found.message_queue_len)
end

return remote
