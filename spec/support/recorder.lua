--- A child that keeps what it is told, in order, and says it when called. All
-- of one Lua state together keep it in `seen`.

local core = require "banyan.core"
local server = require "banyan.server"

local recorder = { name = "spec.support.recorder" }

--- What was told, by all processes: list of {pid=, what=, msg=}.
recorder.seen = {}
--- How long the next start functions take.
recorder.start_ms = 0

local function note(what, msg)
  table.insert(recorder.seen, { pid = core.self(), what = what, msg = msg })
end

function recorder.init() end

function recorder:handle_call(msg)
  note("call", msg)
  if msg == "slow nil, noproc" then core.sleep(500) end
  if msg == "nil, noproc" or msg == "slow nil, noproc" then
    return nil, "noproc"
  end
  if msg == "exit noproc" then core.exit("noproc") end
  if msg == "sleep" then core.sleep(1000) end
  return msg, self ~= nil
end

function recorder:handle_cast(msg)
  note("cast", msg)
  if msg == "crash" then error("told to crash") end
  self.last = msg
end

function recorder:handle_info(msg)
  note("send", msg)
  self.last = msg
end

function recorder.start_link()
  if recorder.start_ms > 0 then core.sleep(recorder.start_ms) end
  return server.start_link(recorder)
end

--- The spec of a child.
function recorder.spec(id, more)
  local spec = { id = id, start = { "spec.support.recorder", "start_link" } }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

--- The messages that were told since the list was made anew, as text.
function recorder.told()
  local list = {}
  for _, one in ipairs(recorder.seen) do
    list[#list + 1] = one.what .. " " .. tostring(one.msg)
  end
  return table.concat(list, ", ")
end

return recorder
