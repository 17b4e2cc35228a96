--- Children for the specs of distributed supervisors. Each is a server that
-- replies with the argument of its start and the node that it runs on.

local core = require "banyan.core"
local server = require "banyan.server"

local FAR = math.tointeger and math.tointeger(2 ^ 53) + 1

local worker = { name = "spec.support.worker" }

--- All that were ever started in this Lua state: {id=, pid=, node=}.
worker.started = {}

function worker:init(arg) self.arg = arg end

function worker:handle_call(msg)
  if msg == "crash" then error("told to crash") end
  if msg == "stop" then return server.stop_with("normal", "stopping") end
  return self.arg, core.node_name(), msg
end

function worker:handle_cast(msg)
  if msg == "leave" then return server.stop_with("normal") end
  self.arg = msg
end

function worker:handle_info(msg)
  if type(msg) == "table" and msg.to then core.send(msg.to, self.arg) end
end

--- "fail" as the argument fails, "fail far" with an integer that no double
-- equals, where there is one, "ignore" ignores, { sleep = ms } takes time.
function worker.start_link(arg)
  if arg == "fail" then return nil, "told to fail" end
  if arg == "fail far" then return nil, { "oops", FAR } end
  if arg == "ignore" then return nil, "ignore" end
  if type(arg) == "table" and arg.sleep then core.sleep(arg.sleep) end
  local pid, err = server.start_link(worker, arg)
  if pid then
    table.insert(worker.started,
      { id = arg, pid = pid, node = core.node_name() })
  end
  return pid, err
end

--- A start function that is not called start_link.
function worker.launch(arg) return worker.start_link(arg) end

--- The spec of a child that is started with its own id.
function worker.spec(id, more)
  local spec = {
    id = id, start = { "spec.support.worker", "start_link", { id } },
  }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

return worker
