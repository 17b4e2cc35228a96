--- What sockets and listeners have in common: a handle of luv that belongs to
-- a process. Private to banyan.io.
--
-- The program holds a reference (see core.reference), which it may send; its
-- table has:
--
--   handle       of luv; nil once it is closed
--   owner        the pid; nobody else may use it
--   waits        what the owner waits for, while it does
--   done         ends that wait
--   release      called when the owner has ended; see owned.lua
--
-- Callbacks of luv change the same tables as the owner, which may be preempted
-- at any place. So what the owner changes in more than one step, it changes in
-- core.unbroken; and before it waits it looks once more.

local core = require "banyan.core"
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local owned = require "banyan.owned"

local referent, is_self = core.referent, core.is_self
local await_begin, await_wait = core.await_begin, core.await_wait

local owner = {}

-- Why a value is not one that the caller may use; level 4 is the program's.
local function refuse(value, class, what, state)
  if not state then
    error(("%s: a %s expected, got %s"):format(what, class.__name,
      type(value)), 4)
  end
  core.self(what) -- an error where there is no process
  error(("%s: the %s belongs to %s; only its owner may use it, or give it "
    .. "away"):format(what, class.__name, tostring(state.owner)), 4)
end

--- The table of a socket or listener that the caller owns, or that is closed.
---@param value any  what a method was called on
---@param class table  the metatable
---@param what string  the method, for messages
---@return table state
function owner.check(value, class, what)
  local state = referent(value, class)
  if not state or state.handle and not is_self(state.owner) then
    refuse(value, class, what, state)
  end
  return state
end

--- The deadline of a time limit, and what is left of it.
---@param timeout integer|nil  milliseconds
---@return integer|nil
function owner.deadline(timeout)
  return timeout and core.now() + timeout
end

function owner.left(deadline)
  return deadline and math.max(deadline - core.now(), 0)
end

--- Waits until somebody calls `wake`. Yields.
---@param state table
---@param what string  becomes state.waits
---@param timeout integer|nil  milliseconds
---@param is_over fun(state: table): boolean  true: there is nothing to wait
---  for; a callback may have come just before
---@return true|nil ok
---@return string|nil err  "timeout"
function owner.wait(state, what, timeout, is_over)
  local done = await_begin(state.done)
  state.done, state.waits = done, what
  local ok, why = true, nil
  if not is_over(state) then ok, why = await_wait(done, timeout) end
  state.waits = nil
  return ok, why
end

--- Ends a wait, if there is one.
function owner.wake(state)
  if not state.waits then return end
  state.waits = nil
  state.done(true)
end

--- A callback of luv, with at most two arguments: an error in it ends nothing
-- else.
---@param state table  its first argument
---@param fn fun(state: table, a: any, b: any)
---@return fun(a: any, b: any)
function owner.callback(state, fn)
  local guarded = guard.bind(state.owner, fn, state)
  return function(a, b)
    if not handles.exiting then guarded(a, b) end
  end
end

local function pass_on(state, pid)
  if not owned.add(pid, state) then return nil, "noproc" end
  owned.remove(state.owner, state)
  state.owner, state.done = pid, nil
  return true
end

--- Makes a process the owner of what the caller owns.
---@param state table
---@param pid any
---@param what string  for messages
---@return true|nil ok
---@return string|nil err  "noproc", "closed"
function owner.give(state, pid, what)
  if not core.is_pid(pid) then
    error(what .. ": a pid expected, got " .. type(pid), 3)
  end
  if pid:node() ~= core.node_name() then
    error(what .. ": " .. tostring(pid) .. " is a process of another node", 3)
  end
  if not state.handle then return nil, "closed" end
  if pid == state.owner then return true end
  return core.unbroken(pass_on, state, pid)
end

--- Gives a handle that was just made to the caller. Called in core.unbroken,
-- with the making of the handle, lest that is left over.
function owner.take(state)
  state.owner = core.self()
  owned.add(state.owner, state)
end

--- Forgets the handle, and answers it; nil if there is none. Called in
-- core.unbroken, with what then becomes of the handle.
function owner.leave(state)
  local handle = state.handle
  state.handle = nil
  if handle then owned.remove(state.owner, state) end
  return handle
end

return owner
