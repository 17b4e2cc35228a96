--- Entities for OS processes: each writes down when it begins and when it ends,
-- into a file of its node, so that a spec can tell whether two ever ran at the
-- same time. What a node that was killed did not write, it is killed at that
-- time. Times are of one clock.

local core = require "banyan.core"
local server = require "banyan.server"
local uv = require "luv"

local diary = { name = "spec.support.diary" }

local function write(what, id)
  local path = ("%s/%s"):format(os.getenv "DIARY", core.node_name())
  local file = assert(io.open(path, "a"))
  file:write(("%s %s %.0f\n"):format(what, id, uv.hrtime()))
  file:close()
end

function diary:init(id)
  core.trap_exit(true)
  self.id, self.n = id, 0
  write("begin", id)
end

function diary:resume(state) self.n = state end

function diary:handoff() return self.n end

function diary:handle_call()
  self.n = self.n + 1
  return self.n
end

function diary:handle_cast() self.n = self.n + 1 end

function diary:terminate() write("end", self.id) end

function diary.start_link(id) return server.start_link(diary, id) end

--- Reads what all nodes wrote: list of {id=, node=, from=, to=}, each in the
-- order of its node; `to` is nil for one that has not ended.
---@param dir string
---@param names string[]  of the nodes
function diary.read(dir, names)
  local runs = {}
  for _, node in ipairs(names) do
    local file, open = io.open(dir .. "/" .. node), {}
    for line in file and file:lines() or function() end do
      local what, id, at = line:match "^(%S+) (%S+) (%d+)$"
      if what == "begin" then
        open[id] = { id = id, node = node, from = tonumber(at) }
        runs[#runs + 1] = open[id]
      elseif what == "end" then
        open[id].to, open[id] = tonumber(at), nil
      end
    end
    if file then file:close() end
  end
  return runs
end

return diary
