--- What is public: the modules of the table in README.md, and the objects that
-- they hand out.

local public = {}

--- The source of a module.
---@param module string
---@return string path
function public.path_of(module)
  local path = module:gsub("%.", "/")
  for _, form in ipairs { "lua/%s.lua", "lua/%s/init.lua" } do
    local file = io.open(form:format(path))
    if file then
      file:close()
      return form:format(path)
    end
  end
  error("no source of " .. module)
end

--- All files below a directory, in order of name.
---@param directory string
---@return string[] paths
function public.files(directory)
  local pipe = assert(io.popen("find " .. directory .. " -type f"))
  local paths = {}
  for path in pipe:lines() do paths[#paths + 1] = path end
  pipe:close()
  table.sort(paths)
  return paths
end

--- The modules that README.md offers.
---@return string[] names
function public.modules()
  local list = {}
  for line in io.lines "README.md" do
    list[#list + 1] = line:match "^| `(banyan[%w_.]*)` |"
  end
  return list
end

--- The objects that modules hand out.
---@return table[] objects  { class, one of them, its source } of each
function public.objects()
  local banyan = require "banyan"
  local node = assert(banyan.start { driver = "manual", on_event = false })
  local pid = node:spawn(function() end)
  node:step(0)
  node:stop()
  local cluster
  require("banyan.lockstep").check(function()
    cluster = require("banyan.lockstep").cluster { nodes = 1 }
  end, { iterations = 1 })
  local listener, socket
  banyan.run(function()
    listener = assert(require("banyan.io").listen "127.0.0.1:0")
    socket = assert(require("banyan.io").connect(listener:address()))
  end)
  return {
    { "Cluster", cluster, "lua/banyan/lockstep/cluster.lua" },
    { "History", require("banyan.lockstep.history").new(),
      "lua/banyan/lockstep/history.lua" },
    { "Listener", listener, "lua/banyan/io/listener.lua" },
    { "Node", node, "lua/banyan/node.lua" },
    { "Pid", pid, "lua/banyan/init.lua" },
    { "Ring", require("banyan.ring").new(), "lua/banyan/ring.lua" },
    { "Socket", socket, "lua/banyan/io/socket.lua" },
  }
end

return public
