--- The consistent hash ring: which node owns a key.
--
-- A ring is a pure function of the set {(name, weight)}: every node computes
-- the same owner for a key, whatever the order in which nodes joined. When a
-- node leaves, only the keys that it owned get another owner.
--
--    local ring = require "banyan.ring"
--    local r = ring.new { nodes = { "a@10.0.0.1:9101", "b@10.0.0.2:9101" } }
--    print(r:node_for("player:42"))
--
-- A key is a string, an integer, a pid or a ref. A float with an integer
-- value is that integer; the string "42" is another key than the number 42.

local core = require "banyan.core".ring
local options = require "banyan.options"

local ring = {}

local schema = {
  nodes = "table",
  vnodes = {
    "an integer from 1 to 10000",
    function(value)
      return type(value) == "number" and value % 1 == 0
        and value >= 1 and value <= 10000
    end,
  },
}

--- The options of ring.new.
---@class banyan.RingOptions
--- Names, or a map from name to weight (from 1 to 1000); none by default.
---@field nodes? string[]|table<string, integer>
--- Points per unit of weight, from 1 to 10000, default 160. Rings agree on
--- owners only if they have the same vnodes.
---@field vnodes? integer

--- Makes a ring. Does not yield.
---@param opts? banyan.RingOptions
---@return banyan.Ring r
function ring.new(opts)
  opts = options.check("ring.new", opts, schema)
  local r, wrong = core.new(opts.nodes, opts.vnodes)
  if not r then error(('ring.new: option "nodes" %s'):format(wrong), 2) end
  return r
end

--- A ring. It prints as "ring<2 nodes: a, b x3>".
---@class banyan.Ring

--- Adds a node, or changes the weight of a node of the ring. Takes time in
-- proportion to the points of the whole ring. Does not yield.
---@function Ring:add
---@param name string  not empty; any bytes
---@param weight? integer  its share of the keys, relative to the weights of the
---  other nodes; from 1 to 1000, default 1
---@return true

--- Removes a node. Each of its keys then belongs to the next node of that key.
-- Does not yield.
---@function Ring:remove
---@param name string
---@return true|nil ok
---@return string|nil err  "not_found"

--- The names of the nodes. Does not yield.
---@function Ring:nodes
---@return string[] names  in byte order; a new list

--- The owner of a key. Does not yield.
---@function Ring:node_for
---@param key string|integer|banyan.Pid|banyan.Ref
---@return string|nil name
---@return string|nil err  "no_nodes" on an empty ring

--- The owner of a key and the nodes that follow it. Does not yield.
---@function Ring:nodes_for
---@param key string|integer|banyan.Pid|banyan.Ref
---@param n integer  how many, not below 0
---@return string[] names  distinct, the owner first; fewer than n where the
---  ring has fewer nodes

return ring
