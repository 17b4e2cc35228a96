--- The client of `make chaos`: it increments each child without pause, keeps
-- what was acknowledged, and by which process.
--
-- A call that is not answered may have been carried out, once or not at all.
-- So the next answer of the same process is greater than the last one by one
-- and by at most the number of such calls since.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local settings = require "spec.support.chaos.settings"

local client = {}

local Client = {}
Client.__index = Client

local WORKERS, PAUSE_MS, CALL_MS = 10, 4, 1500

function client.new()
  return setmetatable({
    ledger = {}, -- id -> {doubts=, by = {who -> {count=, doubts=}}}
    problems = {}, acknowledged = 0, unanswered = 0, working = 0,
  }, Client)
end

local function row_of(self, id)
  local row = self.ledger[id]
  if not row then
    row = { doubts = 0, by = {} }
    self.ledger[id] = row
  end
  return row
end

local function check(self, id, count, who, by)
  local row = row_of(self, id)
  local last = row.by[who] or { count = 0, doubts = 0 }
  local least = last.count + by
  local most = least + row.doubts - last.doubts
  if count < least or count > most then
    table.insert(self.problems, {
      id = id, text = ("child %d, process %s: it counts %d; %d was "
        .. "acknowledged before, and %d calls were not answered since"):format(
        id, who, count, last.count, row.doubts - last.doubts),
    })
  end
  row.by[who] = { count = count, doubts = row.doubts }
end

--- Adds to a child; answers its count, and which process it is, or nil.
function Client:add(id, by)
  local count, who = ds.call(settings.supervisor, id, by, CALL_MS)
  if count then
    check(self, id, count, who, by)
    self.acknowledged = self.acknowledged + 1
    return count, who
  end
  -- All are permanent, and known to this node.
  if who == "noproc" then
    table.insert(self.problems, { id = id,
      text = ("child %d: a call answered noproc"):format(id) })
  end
  self.unanswered = self.unanswered + 1
  row_of(self, id).doubts = row_of(self, id).doubts + by
  return nil
end

local function work(self, first)
  while not self.stopping do
    for id = first, settings.children, WORKERS do
      if self.stopping then break end
      self:add(id, 1)
      banyan.sleep(PAUSE_MS)
    end
  end
  self.working = self.working - 1
end

--- Begins to count, if it does not.
function Client:start()
  if self.working > 0 then return end
  self.working, self.stopping = WORKERS, false
  for first = 1, WORKERS do
    banyan.spawn(function() work(self, first) end)
  end
end

--- Stops counting; waits for the calls under way.
function Client:stop()
  self.stopping = true
  while self.working > 0 do banyan.sleep(10) end
end

return client
