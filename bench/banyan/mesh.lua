-- What the nodes of all measurements do: they connect.

local banyan = require "banyan"

local mesh = {}

--- Connects this node with another one, or does nothing if it is this one.
function mesh.connect(name)
  assert(banyan.connect(name))
end

--- Waits until so many nodes are connected, this one among them.
function mesh.await(wanted)
  while #banyan.nodes() + 1 < wanted do banyan.sleep(1) end
end

return mesh
