--- Bytes that came in and were not read yet.
--
-- What is read is cut from the first string, from `at` on; what comes is put
-- behind, and joined to the first only when a read needs it. So neither many
-- small reads of a large string nor a long line in many small pieces cost more
-- than the bytes in them. Where memory is short a method raises an error and
-- has changed nothing. Private to banyan.io.

local Buffer = {}
Buffer.__index = Buffer

---@return table buffer
function Buffer.new()
  return setmetatable({ size = 0, first = "", at = 1, ends = false }, Buffer)
end

---@param bytes string
---@param for_line boolean  somebody waits for a line: is there an end of one?
function Buffer:push(bytes, for_line)
  local ends = self.ends or not for_line or bytes:find("\n", 1, true) ~= nil
  if self.size == 0 then
    self.first, self.at = bytes, 1
  else
    self.rest = self.rest or {}
    self.rest[#self.rest + 1] = bytes
  end
  self.size = self.size + #bytes
  self.ends = ends
end

local function join(self)
  if not self.rest then return end
  self.first = self.first:sub(self.at) .. table.concat(self.rest)
  self.at, self.rest = 1, nil
end

-- The first `n` bytes are read.
local function drop(self, n)
  self.size = self.size - n
  self.at = self.at + n
  if self.size == 0 then self.first, self.at, self.ends = "", 1, false end
end

---@param n integer  not more than `size`, and at least 1
---@return string
function Buffer:take(n)
  if n > #self.first - self.at + 1 then join(self) end
  local bytes = self.first
  if n < #bytes then bytes = bytes:sub(self.at, self.at + n - 1) end
  drop(self, n)
  return bytes
end

--- All of it, at least one byte, which stays.
---@return string
function Buffer:all()
  join(self)
  return self.at == 1 and self.first or self.first:sub(self.at)
end

--- Drops all of it.
function Buffer:clear()
  self.rest = nil
  drop(self, self.size)
end

--- Whether a search for the end of a line may find one.
---@return boolean
function Buffer:may_have_line()
  return self.ends
end

-- Where the first string has the next end of a line.
local function find_end(self)
  if not self.ends then return nil end
  local stop = self.first:find("\n", self.at, true)
  if not stop then
    join(self)
    stop = self.first:find("\n", self.at, true)
  end
  self.ends = stop ~= nil
  return stop
end

--- Takes out a line, without its end, "\n" or "\r\n".
---@param most integer  bytes that a line may have
---@param over boolean  nothing follows: what is left is a line
---@return string|nil line  nil: it is not there yet
---@return string|nil err  "line_too_long"; the bytes stay where they are
function Buffer:take_line(most, over)
  local stop = find_end(self)
  if not stop then
    -- One byte more may be the "\r" of the end.
    if self.size > most + (over and 0 or 1) then
      return nil, "line_too_long"
    end
    return over and self.size > 0 and self:take(self.size) or nil
  end
  local last = stop - 1
  if last >= self.at and self.first:byte(last) == 13 then last = last - 1 end
  if last - self.at + 1 > most then return nil, "line_too_long" end
  local line = self.first:sub(self.at, last)
  drop(self, stop - self.at + 1)
  return line
end

return Buffer
