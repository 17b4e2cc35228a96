--- Several processes start and end servers of one name: there is one at a
-- time, and the name is free once the end of its owner is known.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local choose = lockstep.choose

local KEEPERS, STARTS = 2, 2

local function module(state)
  local Named = {}
  function Named.init() table.insert(state.pids, banyan.self()) end
  function Named.handle_cast() end
  function Named.terminate()
    local ms = choose(3) - 1
    if ms > 0 then banyan.sleep(ms) end
  end
  return Named
end

local function finish(pid)
  local ref = banyan.monitor(pid)
  if choose(2) == 2 then
    pid:exit "kill"
  else
    banyan.spawn(function() server.stop(pid) end)
  end
  repeat until banyan.receive().ref == ref
end

local function keeper(state, Named)
  for _ = 1, STARTS do
    local pid, err = server.start(Named, nil, { name = "one" })
    if pid then
      local named = banyan.whereis "one" == pid or not banyan.is_alive(pid)
      assert(named, "a server lacks its name")
      server.cast("one", "hello")
      finish(pid)
      state.ended[pid] = true
      assert(banyan.whereis "one" ~= pid, "a name has a dead owner")
    else
      assert(not state.ended[err[2]], "a dead owner keeps its name")
    end
  end
end

return function()
  local state, refs = { pids = {}, ended = {} }, {}
  lockstep.invariant(function()
    local count = 0
    for _, pid in ipairs(state.pids) do
      if banyan.is_alive(pid) then count = count + 1 end
    end
    return count <= 1, "two processes of one name"
  end)
  local Named = module(state)
  for i = 1, KEEPERS do
    local pid, ref = banyan.spawn_monitor(function() keeper(state, Named) end)
    lockstep.watch(pid, "keeper " .. i)
    refs[ref] = true
  end
  while next(refs) do refs[banyan.receive().ref] = nil end
end
