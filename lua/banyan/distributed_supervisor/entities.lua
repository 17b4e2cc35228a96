-- Entities: children that any message starts, and which of them have had none
-- for so long that they may be stopped. The coordinator's part of it.
--
-- The time since a process had its last message is not noted as messages come:
-- now and then it is looked how many it has had in all. So one is stopped after
-- idle_ms at the earliest, and a quarter of that later at the latest.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local held = require "banyan.distributed_supervisor.held"
local views = require "banyan.distributed_supervisor.views"
local slices = require "banyan.slices"

local entities = {}

local LOOKS = 4    -- in the time idle_ms
local ENTITY = 16 -- of a start

-- --- their specs -------------------------------------------------------------

--- The spec of an entity, packed.
---@param entity table  {"module", "fn"}, the option
---@param id any
---@return table packed
function entities.spec(entity, id)
  local packed = assert(childspec.pack {
    id = id, start = { entity[1], entity[2], { id } }, restart = "transient",
  })
  return packed
end

--- What is wrong with the option `entity` where its module is concerned, or
-- nil.
---@param entity table
---@return string|nil problem
function entities.problem(entity)
  local ok, module = pcall(childspec.load, entity[1])
  if not ok then return tostring(module) end
  if type(module) == "table" and module[entity[2]] ~= nil then return nil end
  return ("module %q has no function %q"):format(entity[1], entity[2])
end

-- --- idle ones ---------------------------------------------------------------

--- The part of a coordinator's state that is kept here.
function entities.open(self)
  self.idle = {
    came = {},  -- child -> messages that its process had, when that was looked
    since = {}, -- child -> at: since then it has had none
    row = 0,    -- of the roster: where the look goes on; 0: none is under way
  }
end

--- A process of this node has ended.
function entities.forget(self, child)
  self.idle.came[child], self.idle.since[child] = nil, nil
end

local function look_message(self)
  return { tag = "look_for_idle", key = self.view.key }
end

--- Has the processes of this node looked at after a while.
function entities.look_later(self)
  if not self.opts.idle_ms then return end
  core.send_after(math.ceil(self.opts.idle_ms / LOOKS), self.me,
    look_message(self))
end

-- Is it to be stopped?
local function is_idle(self, child, pid, now)
  local came, watch = core.at_rest(pid), self.idle
  if not came or came ~= watch.came[child] then
    watch.came[child], watch.since[child] = came, now
    return false
  end
  return now - watch.since[child] >= self.opts.idle_ms
end

--- Looks at the next slice of the processes of this node: a message. One that
-- is not stopped is asked again later.
function entities.look(self)
  local view, watch, now = self.view, self.idle, core.now()
  local roster = view.here
  local last = math.min(watch.row + slices.size, roster.last)
  for row = watch.row + 1, last do
    local id = roster.rows[row]
    local pid = id and views.pid(view, id)
    local child = pid and view.numbers[pid]
    if child and is_idle(self, child, pid, now) then
      watch.since[child] = now
      self.dist:rest(child)
    end
  end
  watch.row = last < roster.last and last or 0
  if watch.row == 0 then return entities.look_later(self) end
  core.cast_now(self.me, look_message(self))
end

-- --- asking for one ----------------------------------------------------------

--- Messages wait for an entity: a message of held.lua.
function entities.ask_for(self, msg)
  msg.spec, msg.ensure = entities.spec(self.opts.entity, msg.id), true
  self:ask_for_start(self:new_request("ask_for", nil, msg.id), msg, ENTITY)
end

-- What says that another start is under way is no failure of this one.
local UNDER_WAY = {
  ok = true, already_started = true, already_present = true, terminated = true,
}

--- The machine has answered that.
---@param id any
---@param a table  the action
---@param answer function|nil  what makes an answer of it for a program
function entities.asked(self, id, a, answer)
  if UNDER_WAY[a.code] then return held.asked(self.view, id) end
  local err = a.code
  if answer then err = select(2, answer(a)) end
  held.asked(self.view, id, err)
end

return entities
