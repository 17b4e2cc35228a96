--- The supervisors: one of all peers of a node, and one for each peer with its
-- four children. Private to banyan.peers.

local advertisements = require "banyan.peers.advertisements"
local connection = require "banyan.peers.connection"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local pubsub = require "banyan.peers.pubsub"
local rpc = require "banyan.peers.rpc"
local supervisor = require "banyan.supervisor"

local CHILD_MS = 1000 -- that a child may take to stop

local tree = {}

tree.connection, tree.pubsub, tree.rpc = connection, pubsub, rpc
tree.advertisements = advertisements

local function children(record)
  local function get_record() return record end
  local function child(id, module)
    return {
      id = id, shutdown = CHILD_MS,
      start = function() return module.start_link(get_record) end,
    }
  end
  local first = child("connection", connection)
  first.restart, first.significant = "temporary", true
  return {
    first, child("pubsub", pubsub), child("rpc", rpc),
    child("advertisements", advertisements),
  }
end

-- A process of its own that waits for the end of a peer.
local function watch(record, pid)
  core.set_label "on_down of a peer"
  core.monitor(pid)
  local message = core.receive()
  local reason = message.reason
  -- It had ended before it was watched.
  if reason == "noproc" then reason = record.reason or "shutdown" end
  record.on_down(pid, reason)
end

local function start(record)
  local pid, err = supervisor.start_link(children(record), {
    strategy = "rest_for_one", max_restarts = 10, max_seconds = 60,
    auto_shutdown = "any_significant",
  })
  if pid and record.on_down then
    core.spawn(function() watch(record, pid) end)
  end
  return pid, err
end

--- Starts a peer. Yields.
---@param record table  of registry.new
---@return banyan.Pid|nil pid
---@return any err  "not_started", "max_children"
function tree.start_peer(record)
  local sup = record.S.sup
  if not sup then return nil, "not_started" end
  local pid, err = dynamic_supervisor.start_child(sup, {
    id = "peer", restart = "temporary", type = "supervisor",
    start = function() return start(record) end,
  })
  if err == "noproc" then err = "not_started" end
  return pid, err
end

return tree
