--- Sequential consistency: is there one order of all operations that explains
-- what they returned, in which the operations of each client stand in the
-- order in which that client made them? (Lamport, How to make a multiprocessor
-- computer that correctly executes multiprocess programs, 1979.)
--
-- Real time between clients does not count. An operation of unknown outcome
-- comes after what its client did before, and before nothing: it may still
-- take effect while the client goes on.
--
-- That it holds for each part does not make it hold for the whole, unlike
-- linearizability: operations on different keys are checked together.

local linearizable = require "banyan.lockstep.linearizable"
local search = require "banyan.lockstep.search"

local sequential = {}

local Order = {}
Order.__index = Order

function Order.before(a, b)
  return a.known and a.chain == b.chain and a.invoked < b.invoked
end

-- A chain is what one client is known to have done; `at` is what it does next.
-- The place of an unknown entry is that of the known one before it.
local function new_order(entries)
  local _, unknown = search.part(entries,
    function(entry) return entry.op.client end)
  local chains, of_client = {}, {}
  for _, entry in ipairs(entries) do
    local chain = of_client[entry.op.client]
    if not chain then
      chain = { at = 1 }
      chains[#chains + 1], of_client[entry.op.client] = chain, chain
    end
    if entry.known then chain[#chain + 1] = entry end
    entry.chain, entry.place = chain, #chain
  end
  return setmetatable({ entries = entries, unknown = unknown,
    chains = chains }, Order)
end

function Order:candidates()
  local list = {}
  for _, chain in ipairs(self.chains) do list[#list + 1] = chain[chain.at] end
  for _, open in ipairs(self.unknown) do
    if not open.taken and open.place < open.chain.at
      and (not open.twin or open.twin.taken) then
      list[#list + 1] = open
    end
  end
  return list
end

function Order:take(entry) -- luacheck: no self
  if entry.known then entry.chain.at = entry.chain.at + 1 end
end

function Order:give_back(entry) -- luacheck: no self
  if entry.known then entry.chain.at = entry.chain.at - 1 end
end

--- Checks operations. Does not yield.
--
-- What is linearizable is sequentially consistent, and found out sooner where
-- it is so; that may take half of the steps.
---@param ops table[]  as banyan.lockstep.history records them
---@param model table  see banyan.lockstep.model
---@param limit integer  how many steps are enough
---@return table verdict  see banyan.lockstep.search
function sequential.check(ops, model, limit)
  local quick = linearizable.check(ops, model, math.floor(limit / 2))
  if quick.ok then return quick end
  local order = new_order(search.entries(ops, model))
  local verdict = search.run(order, model, limit - quick.steps)
  verdict.steps = verdict.steps + quick.steps
  return verdict
end

return sequential
