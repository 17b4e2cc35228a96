--- A side of a split sees the quorum again by way of one node, which the other
-- side sees as well: that alone starts children.

local quorum = require "spec.support.scripts.quorum"

return function() quorum "bridge_after_split" end
