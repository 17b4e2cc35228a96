---@meta _
-- Made by `make library` out of lua/banyan/ring.lua. Do not edit.

---@class banyan.Ring
local Ring = {}

--- Adds a node, or changes the weight of a node of the ring. Takes time in
-- proportion to the points of the whole ring. Does not yield.
---@param name string  not empty; any bytes
---@param weight? integer  its share of the keys, relative to the weights of the
---  other nodes; from 1 to 1000, default 1
---@return true
function Ring:add(name, weight) end

--- Removes a node. Each of its keys then belongs to the next node of that key.
-- Does not yield.
---@param name string
---@return true|nil ok
---@return string|nil err  "not_found"
function Ring:remove(name) end

--- The names of the nodes. Does not yield.
---@return string[] names  in byte order; a new list
function Ring:nodes() end

--- The owner of a key. Does not yield.
---@param key string|integer|banyan.Pid|banyan.Ref
---@return string|nil name
---@return string|nil err  "no_nodes" on an empty ring
function Ring:node_for(key) end

--- The owner of a key and the nodes that follow it. Does not yield.
---@param key string|integer|banyan.Pid|banyan.Ref
---@param n integer  how many, not below 0
---@return string[] names  distinct, the owner first; fewer than n where the
---  ring has fewer nodes
function Ring:nodes_for(key, n) end
