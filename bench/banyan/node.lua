-- A node as an OS process, for measurements of clusters (nodes.lua starts it).
--
--     lua5.4 bench/banyan/node.lua NAME
--
-- It does what is written on its stdin, one order a line: a module of this
-- folder, one of its functions, arguments. The function runs as a process of
-- the node. What it returns is written on stdout as a line, with "ok" before
-- it, or else the error. The node ends with its stdin.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "?.lua;" .. package.path

require "meter" -- before the driver
local banyan = require "banyan"
local uv = require "luv"

local unpack = table.unpack or unpack

local function obey(order)
  local words = {}
  for word in order:gmatch "%S+" do
    words[#words + 1] = tonumber(word) or word
  end
  local results = { xpcall(function()
    return require(words[1])[words[2]](unpack(words, 3))
  end, debug.traceback) }
  for i, value in ipairs(results) do
    results[i] = type(value) == "number" and ("%.17g"):format(value)
      or tostring(value)
  end
  local ok = table.remove(results, 1) == "true"
  local text = table.concat(results, " "):gsub("\n", " | ")
  io.stdout:write(ok and "ok " or "error ", text, "\n")
  io.stdout:flush()
end

-- As banyan.run has it.
local node = assert(banyan.start {
  name = arg[1], on_event = false, preempt = true, collector = "incremental",
})
local stdin, rest = uv.new_pipe(false), ""
stdin:open(0)
stdin:read_start(function(_, data)
  if not data then os.exit(0) end
  rest = rest .. data
  rest = rest:gsub("([^\n]*)\n", function(order)
    node:spawn(obey, order)
    return ""
  end)
end)
uv.run()
