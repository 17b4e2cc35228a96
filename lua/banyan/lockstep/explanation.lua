--- Why a history is not consistent, for people and for programs.

local value = require "banyan.lockstep.value"

local Explanation = {}
Explanation.__index = Explanation

local MAX_ROWS = 24

-- --- the timeline ----------------------------------------------------------

-- Where there are many, those that fit nowhere and the latest are shown.
local function rows_of(self)
  local rows, wanted = {}, {}
  for _, op in ipairs(self.stuck) do wanted[op] = true end
  local ops, left = self.prefix, MAX_ROWS
  for i = #ops, 1, -1 do
    if wanted[ops[i]] or left > 0 then
      left = left - 1
      table.insert(rows, 1, ops[i])
    end
  end
  return rows, #ops - #rows
end

local function end_of(self, op)
  if op.outcome == "ok" and op.returned <= self.until_tick then
    return op.returned
  end
end

-- The moments at which something is seen to happen, numbered.
local function columns_of(self, rows)
  local ticks, columns = {}, {}
  for _, op in ipairs(rows) do
    ticks[#ticks + 1] = op.invoked
    ticks[#ticks + 1] = end_of(self, op)
  end
  table.sort(ticks)
  for i, tick in ipairs(ticks) do columns[tick] = i end
  return columns, #ticks
end

local function bar(self, op, columns, width)
  local from, to = columns[op.invoked], columns[end_of(self, op)]
  local before = (" "):rep(from - 1)
  if not to then return before .. "|" .. ("."):rep(width - from) end
  return before .. "|" .. ("-"):rep(to - from - 1) .. "|"
end

local function timeline(self, marks)
  local rows, left_out = rows_of(self)
  local columns, width = columns_of(self, rows)
  local lines, widest = {}, 0
  if left_out > 0 then
    lines[1] = ("  (%d earlier operations are not shown)"):format(left_out)
  end
  for _, op in ipairs(rows) do widest = math.max(widest, #tostring(op)) end
  for _, op in ipairs(rows) do
    local text = tostring(op)
    lines[#lines + 1] = "  " .. text .. (" "):rep(widest - #text) .. "  "
      .. bar(self, op, columns, width) .. (marks[op] or "")
  end
  return table.concat(lines, "\n")
end

-- --- the text --------------------------------------------------------------

local function headline(self)
  local which = self.key == nil and ""
    or (" on key %s"):format(value.show(self.key))
  if self.undecided then
    return ("undecided: after %d steps no %s order of the operations%s was "
      .. "found, nor that there is none; see max_steps")
      :format(self.steps, self.consistency, which)
  end
  return ("not %s: no order of the operations%s explains what they returned")
    :format(self.consistency, which)
end

local function prefix_line(self)
  local part = ("all %d operations"):format(self.total)
  if #self.prefix < self.total then
    part = ("the first %d of %d operations, whatever the others did")
      :format(#self.prefix, self.total)
  end
  return ("  model: %s; %s:"):format(self.model, part)
end

local function indented(ops)
  local lines = {}
  for i, op in ipairs(ops) do lines[i] = "    " .. tostring(op) end
  return #lines > 0 and table.concat(lines, "\n") or "    (none)"
end

local function text(self)
  local marks = {}
  for _, op in ipairs(self.stuck) do marks[op] = "  <- fits nowhere" end
  return table.concat({
    headline(self),
    prefix_line(self),
    "",
    timeline(self, marks),
    "",
    ("  the longest order that works, after which the state is %s:")
      :format(self.state_text),
    indented(self.longest),
    "  and none of these can be next:",
    indented(self.stuck),
  }, "\n")
end

function Explanation:__tostring()
  if not self.text then rawset(self, "text", text(self)) end
  return self.text
end

return Explanation
