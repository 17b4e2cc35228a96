-- A source is asked in a process of its own, which is killed when its time is
-- over: nobody waits for it. What it answers is looked at there, too.

local core = require "banyan.core"
local options = require "banyan.node_monitor.options"

local source = {}

local unpack = table.unpack or unpack

local function with_traceback(err)
  if type(err) ~= "string" then
    local shown, text = pcall(tostring, err)
    err = shown and text or "an error that cannot be shown"
  end
  return core.reason {
    "error", err, (debug.traceback("", 2):gsub("^\n", "")),
  }
end

local function call(of)
  if type(of) == "function" then return of() end
  local fn = require(of[1])[of[2]]
  if type(fn) ~= "function" then
    error(("%s.%s is no function"):format(of[1], of[2]), 0)
  end
  local args = of[3] or {}
  return fn(unpack(args, 1, args.n or #args))
end

-- In byte order, each once.
local function ordered(list)
  local copy = {}
  while rawget(list, #copy + 1) do copy[#copy + 1] = rawget(list, #copy + 1) end
  table.sort(copy)
  for i = #copy, 2, -1 do
    if copy[i] == copy[i - 1] then table.remove(copy, i) end
  end
  return copy
end

local function look(of)
  local list = call(of)
  local problem = options.problem(list)
  if problem then return nil, core.reason { "bad_answer", problem } end
  return ordered(list)
end

--- Asks it. The caller gets {tag="answer", turn=, nodes=} or, where it failed,
-- {tag="answer", turn=, reason=}; or only the EXIT of the process.
---@param of function|table
---@param turn banyan.Ref
---@return banyan.Pid pid  linked to the caller
function source.ask(of, turn)
  local monitor = core.self()
  return core.spawn_link(function()
    core.set_label("source of a node monitor")
    local ok, nodes, reason = xpcall(look, with_traceback, of)
    if not ok then nodes, reason = nil, nodes end
    core.send(monitor,
      { tag = "answer", turn = turn, nodes = nodes, reason = reason })
  end)
end

--- In byte order, each once: of a list that is fine.
source.ordered = ordered

return source
