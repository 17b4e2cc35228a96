--- The child of the script newcomer: a server that counts points, and hands its
-- score over.

local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

local Scorer = { name = "spec.support.scripts.scorer" }

function Scorer:init() self.score, self.how = 0, "new" end

function Scorer:resume(state, how) self.score, self.how = state, how end

function Scorer:handoff() return self.score end

function Scorer:handle_call(message)
  if message == "point" then self.score = self.score + 1 end
  if message == "save" then return ds.checkpoint(self.score) end
  return self.score, self.how
end

function Scorer.start_link() return server.start_link(Scorer) end

return Scorer
