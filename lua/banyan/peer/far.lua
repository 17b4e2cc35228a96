--- What stands in for a control channel where a peer is controlled by
-- distribution: frames are messages from one control process to the other. Each
-- has the key that the origin gave the peer, so that nobody else can send one.
-- Private to banyan.peer.

local core = require "banyan.core"
core.skip_in_errors()

local Far = {}
Far.__index = Far

local M = {}

--- Sends a frame. Does not yield; raises what cannot be sent.
---@return true|nil ok
---@return string|nil err  "closed"
function Far:put(kind, ...)
  if self.over then return nil, "closed" end
  core.send_now(self.to, {
    tag = "$peer_frame", key = self.key, kind = kind, n = select("#", ...), ...,
  })
  return true
end

function Far.await_room() end

function Far:close()
  self.over = "closed"
end

--- What a message is, if it is one with that key: its kind and its values.
---@param message any
---@param key string
function M.open(message, key)
  if type(message) ~= "table" or message.tag ~= "$peer_frame"
    or message.key ~= key then
    return nil
  end
  return message.kind, (table.unpack or unpack)(message, 1, message.n)
end

---@param to banyan.Pid
---@param key string
function M.new(to, key)
  return setmetatable({ to = to, key = key, over = false }, Far)
end

return M
