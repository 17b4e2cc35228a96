--- What came of a body under lockstep, as a table and as a text.
--
-- Private to banyan.lockstep.

local plain = require "banyan.lockstep.plain"
local Trace = require "banyan.lockstep.trace"

local Report = {}
Report.__index = Report

local SHOWN = 60       -- steps of a long schedule, at its end
local LONG_TAPE = 1000 -- bytes of its text
local CRASHES = 5      -- that are listed

--- A tape as one word: choices joined by dots, "2x7" for seven twos.
---@param tape integer[]
---@return string
function Report.pack(tape)
  local last = #tape
  while last > 0 and tape[last] == 0 do last = last - 1 end
  local parts, i = {}, 1
  while i <= last do
    local value, count = tape[i], 1
    while i + count <= last and tape[i + count] == value do
      count = count + 1
    end
    if count < 3 then count = 1 end
    parts[#parts + 1] = (count > 1 and "%dx%d" or "%d"):format(value, count)
    i = i + count
  end
  return table.concat(parts, ".")
end

--- The reverse.
---@param text string
---@return integer[]|nil tape
function Report.unpack(text)
  local tape = {}
  for part in text:gmatch "[^.]+" do
    local value, count = part:match "^(%d+)x(%d+)$"
    value = tonumber(value or part:match "^%d+$")
    if not value then return nil end
    for _ = 1, tonumber(count) or 1 do tape[#tape + 1] = value end
  end
  return tape
end

local MOST = 2 ^ 31 - 1 -- of a choice

local function is_tape(list)
  for i = 1, #list do
    local choice = list[i]
    if type(choice) ~= "number" or choice % 1 ~= 0 or choice < 0
      or choice > MOST then
      return false
    end
  end
  return true
end

--- A tape that was given as a list or as a text.
---@param given any
---@return integer[]|nil tape  nil: it is none
function Report.to_tape(given)
  if type(given) == "string" then given = Report.unpack(given) end
  return type(given) == "table" and getmetatable(given) == nil
    and is_tape(given) and given or nil
end

local function schedule(report, lines)
  local trace = report.trace
  if not trace then return end
  local first = math.max(1, #trace - SHOWN + 1)
  lines[#lines + 1] = ""
  lines[#lines + 1] = first > 1
    and ("the last %d of %d steps:"):format(SHOWN, #trace) or "the steps:"
  for i = first, #trace do lines[#lines + 1] = Trace.line(trace[i]) end
end

local hints = {
  max_steps = 'if the body spins until something comes, run it with '
    .. 'strategy = "fair_pct", or raise max_steps',
  divergence = "a body must do the same when it is given the same choices: "
    .. "no real clock, no real I/O, nothing kept from run to run, no "
    .. "dependence on the order of pairs()",
}

-- What a run again needs besides its tape or seed, as Lua code.
local function given_opts(report, names, opts)
  local given = report.settings.given
  for _, name in ipairs(names) do
    if given[name] ~= nil then
      opts[#opts + 1] = ("%s = %s"):format(name,
        type(given[name]) == "string" and ("%q"):format(given[name])
          or tostring(given[name]))
    end
  end
  return opts
end

local function braced(opts)
  return #opts > 0 and ("{ %s }"):format(table.concat(opts, ", ")) or nil
end

-- Lines of code that run it again, by its tape or, where that is long, by its
-- seed: one that raises the report, for a test, and one that answers it.
local function again(report)
  local text = Report.pack(report.tape)
  local opts = given_opts(report, { "clock", "max_steps", "settle",
    "no_leftovers" }, {})
  if #text <= LONG_TAPE or not report.length then
    local answering = braced(opts)
    table.insert(opts, 1, ("tape = %q"):format(text))
    return ("lockstep.check(body, %s)"):format(braced(opts)),
      ("lockstep.replay(body, %q%s)"):format(text,
        answering and ", " .. answering or "")
  end
  local seeded = braced(given_opts(report, { "depth", "fair_after", "clock",
    "max_steps", "settle", "no_leftovers" }, {
    ("strategy = %q"):format(report.strategy),
    ("seed = %d"):format(report.seed),
    ("length = %d"):format(report.length),
    "iterations = 1",
  }))
  return ("lockstep.check(body, %s)"):format(seeded),
    ("lockstep.run(body, %s)"):format(seeded)
end

-- The crashes, in order; those with the same reason are one entry.
local function crashes_of(report)
  local list, by_text = {}, {}
  for _, crash in ipairs(report.crashes or {}) do
    local text = plain.line(crash.reason)
    local entry = by_text[text]
    if not entry then
      entry = { text = text, who = crash.who, others = {} }
      by_text[text] = entry
      list[#list + 1] = entry
    else
      entry.others[#entry.others + 1] = crash.who
    end
  end
  return list
end

local function describe_crashes(report, lines)
  for i, crash in ipairs(crashes_of(report)) do
    if i > CRASHES then break end
    local same = crash.text == plain.line(report.reason)
    lines[#lines + 1] = ("%s had crashed%s%s"):format(crash.who,
      same and " of this" or ": " .. crash.text,
      #crash.others > 0
        and ("; so had %s"):format(table.concat(crash.others, ", ")) or "")
  end
end

local function failed(report)
  local lines = {
    ("lockstep: %s in step %d (run %d, seed %d, strategy %s)"):format(
      report.kind, report.steps, report.iterations, report.seed,
      report.strategy),
    (report.who and report.who .. ": " or "") .. plain.text(report.reason),
  }
  describe_crashes(report, lines)
  if hints[report.kind] then lines[#lines + 1] = hints[report.kind] end
  schedule(report, lines)
  local raising, answering = again(report)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "in a test: " .. raising
  lines[#lines + 1] = "run it again: " .. answering
  return table.concat(lines, "\n")
end

local function within(report)
  local bound = report.settings and report.settings.preemptions
  return bound and (" with %d preemptions at most"):format(bound) or ""
end

function Report:__tostring()
  if not self.ok then return failed(self) end
  return ("lockstep: ok, %d run%s, %d steps, seed %d, strategy %s%s"):format(
    self.iterations, self.iterations == 1 and "" or "s", self.steps,
    self.seed, self.strategy,
    self.complete and "; these are all schedules that there are"
      .. within(self) or "")
end

--- Makes a report of a table with its fields.
---@param fields table
---@return banyan.Report
function Report.new(fields)
  fields.complete = fields.complete or false
  return setmetatable(fields, Report)
end

return Report
