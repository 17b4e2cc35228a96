--- Lists that are taken in slices, so that one of very many holds nobody up.
--
-- Private to this library. Between two slices the other processes of the node
-- have their turns. Where the caller cannot be left (outside of processes, in a
-- coroutine of its own, below a C function), there are none in between.

local core = require "banyan.core"
core.skip_in_errors()

local slices = {}

--- Entries of one slice: few, because Lua's collector works in proportion to
-- what is allocated in it.
slices.size = 128
--- The same where each slice costs the way to another node and back. A
-- supervisor answers no more (ROWS_MOST in csrc/lua/otp/supervisor_request.c).
slices.far = 512

--- A list that a function of banyan.core makes: step(list, from, most) appends
-- to it and answers the list, and where it goes on, if there is more.
---@param step function
---@return table list
function slices.list(step)
  local list, at = step(nil, 0, slices.size)
  while at do
    core.give_way()
    list, at = step(list, at, slices.size)
  end
  return list
end

--- Calls fn(member, ...) for the members of a roster (see below) that it has
-- now. One that stays in it meanwhile is visited once, one that comes or goes
-- once or not at all.
function slices.each(roster, fn, ...)
  local rows, left = roster.rows, slices.size
  for i = 1, roster.last do
    if left == 0 then
      core.give_way()
      left = slices.size
    end
    left = left - 1
    local member = rows[i]
    if member then fn(member, ...) end
  end
end

-- --- rosters -----------------------------------------------------------------
--
-- A set that may be gone through while it changes: a member keeps its row as
-- long as it is in it, and the rows of those that have left are used again. The
-- order is that in which members come, the same in each run of a program.

--- A roster without members.
function slices.roster()
  return {
    rows = {},  -- 1..last -> member, or false
    last = 0,   -- the last row that has one
    row_of = {}, -- member -> row
    free = {},  -- rows that may be free: what stands there is looked at
  }
end

-- A row that no member has.
local function free_row(roster)
  local free, rows = roster.free, roster.rows
  for i = #free, 1, -1 do
    local row = free[i]
    free[i] = nil
    if row <= roster.last and not rows[row] then return row end
  end
  roster.last = roster.last + 1
  return roster.last
end

--- Adds what may be in it.
function slices.add(roster, member)
  if roster.row_of[member] then return end
  local row = free_row(roster)
  roster.rows[row], roster.row_of[member] = member, row
end

--- Removes what may be in it.
function slices.remove(roster, member)
  local row = roster.row_of[member]
  if not row then return end
  local rows, last = roster.rows, roster.last
  roster.row_of[member], rows[row] = nil, false
  if row < last then
    roster.free[#roster.free + 1] = row
    return
  end
  while last > 0 and not rows[last] do
    rows[last] = nil
    last = last - 1
  end
  roster.last = last
end

return slices
