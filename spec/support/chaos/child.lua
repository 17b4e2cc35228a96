--- A child of `make chaos`: it counts, says which process it is, and writes its
-- start and its end into the file that CHAOS_STARTS names.

local banyan = require "banyan"
local server = require "banyan.server"
local uv = require "luv"

local child = { name = "spec.support.chaos.child" }

local function wall_ms()
  local seconds, us = uv.gettimeofday()
  return seconds * 1000 + math.floor(us / 1000)
end

-- One write to a file that is open for appending is not torn.
local function note(self, what, more)
  local file = assert(io.open(os.getenv "CHAOS_STARTS", "a"))
  file:write(("%s %d %s %d %s\n"):format(what, self.id, self.who, wall_ms(),
    more))
  file:close()
end

--- `who`: the node, its OS process and the pid, so that no two processes of
-- one run are the same.
function child:init(id)
  banyan.trap_exit(true)
  self.id, self.count = id, 0
  self.who = ("%s/%d/%s"):format(banyan.node():match "^[^@]+",
    uv.os_getpid(), tostring(banyan.self()):match "[%d.]+>$" or "?")
  note(self, "start", "")
end

function child:handle_call(by)
  self.count = self.count + by
  return self.count, self.who
end

function child:terminate(reason) note(self, "end", tostring(reason)) end

function child.start_link(id) return server.start_link(child, id) end

function child.spec(id)
  return { id = id, start = { child.name, "start_link", { id } } }
end

return child
