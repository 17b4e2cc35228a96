--- Runs one body under one strategy, with one seed after the other, until it
-- fails or so much CPU time is used up: a program of its own, because what it
-- runs may be broken.
--
--    lua spec/mutants/hunt.lua BODY STRATEGY SEED SECONDS REPORT
--
-- Its last line is "none RUNS SECONDS", or "found RUNS SECONDS KIND REASON"
-- with tabs between; the whole report is written to the file REPORT.

local lockstep = require "banyan.lockstep"
local bodies = require "spec.mutants.bodies"

local function options(body, strategy, seed, iterations)
  local opts = {}
  for key, value in pairs(body.opts or {}) do opts[key] = value end
  opts.strategy, opts.seed, opts.iterations = strategy, seed, iterations
  return opts
end

local function say(...)
  io.stdout:write(table.concat({ ... }, "\t"), "\n")
end

local function seconds() return ("%.2f"):format(os.clock()) end

local function found(report, runs, path)
  local text = tostring(report)
  local file = assert(io.open(path, "w"))
  file:write(text, "\n")
  file:close()
  local reason = text:match "\n([^\n]+)" or text
  say("found", runs, seconds(), report.kind, reason)
end

-- How many runs to make next: as many as are likely to fit into what is left,
-- and not many more than have been made.
local function portion(runs, limit)
  local left = limit - os.clock()
  local each = os.clock() / math.max(runs, 1)
  return math.max(1, math.min(2 * runs, math.floor(left / each)))
end

local function body_named(name)
  for _, body in ipairs(bodies) do
    if body.name == name then return body end
  end
  error("no body " .. name)
end

local function hunt(name, strategy, seed, limit, path)
  local body = body_named(name)
  local runs = 0
  repeat
    local count = portion(runs, limit)
    local report = lockstep.run(body.run,
      options(body, strategy, seed + runs, count))
    runs = runs + report.iterations
    if not report.ok then return found(report, runs, path) end
  until os.clock() >= limit
  say("none", runs, seconds())
end

hunt(arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4]), arg[5])
