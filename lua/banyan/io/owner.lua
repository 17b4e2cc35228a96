--- What sockets and listeners have in common: a handle of luv that belongs to
-- a process. Private to banyan.io.
--
-- The program holds a reference (see core.reference), which it may send; its
-- table has:
--
--   handle       of luv; false once it is closed
--   owner        the pid; nobody else may use it
--   waits        what the owner waits for, while it does, or false
--   is_over      of that wait, see owner.wait
--   done         ends that wait; false before the first
--   behind       a callback was broken off: see below
--   release      called when the owner has ended; see owned.lua
--   pause        or false: called as a callback was broken off; must not need
--                memory
--   catch_up     or false: does later what that was to do
--
-- Memory may be short in a callback, and nobody hears of the error. So the
-- fields are there from the beginning, and never nil: to set one cannot fail. A
-- callback first notes in fields what has come, and what may fail comes after
-- that. Where it fails it is done after a later step: `catch_up` is called, and
-- a wait that is over is ended.
--
-- Callbacks of luv change the same tables as the owner, which may be preempted
-- at any place. So what the owner changes in more than one step, it changes in
-- core.unbroken; and before it waits it looks once more.

local core = require "banyan.core"
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local luv_driver = require "banyan.driver.luv"
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
  local done = await_begin(state.done or nil)
  state.done, state.is_over, state.waits = done, is_over, what
  local ok, why = true, nil
  if not is_over(state) then ok, why = await_wait(done, timeout) end
  state.waits = false
  return ok, why
end

--- Ends a wait, if there is one.
function owner.wake(state)
  if not state.waits then return end
  state.done(true)
  state.waits = false
end

-- --- callbacks ---------------------------------------------------------------

local is_behind = false -- is the field `behind` of anything true?

local function catch_up(state)
  if not state.behind then return end
  if state.handle then
    if state.catch_up then state:catch_up() end
    if state.waits and state.is_over(state) then owner.wake(state) end
  end
  state.behind = false
end

local function catch_up_all()
  owned.each(catch_up)
end

-- After each step.
table.insert(luv_driver.after_step, function()
  if is_behind then is_behind = not pcall(catch_up_all) end
  return is_behind
end)

--- Has `catch_up` called after a later step. Cannot fail.
function owner.fall_behind(state)
  state.behind, is_behind = true, true
end

--- A callback of luv, with at most two arguments: an error in it ends nothing
-- else, and what it was to do is done later.
---@param state table  its first argument
---@param fn fun(state: table, a: any, b: any)
---@return fun(a: any, b: any)
function owner.callback(state, fn)
  local guarded = guard.bind(state.owner, fn, state)
  return function(a, b)
    if handles.exiting or guarded(a, b) then return end
    if state.pause then state:pause() end
    owner.fall_behind(state)
  end
end

local function pass_on(state, pid)
  if not owned.add(pid, state) then return nil, "noproc" end
  owned.remove(state.owner, state)
  state.owner, state.done = pid, false
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

local function init(state, prepare)
  state.owner = core.self()
  state.waits, state.is_over, state.done = false, false, false
  state.behind, state.pause = false, state.pause or false
  state.catch_up = state.catch_up or false
  if prepare then prepare(state) end
  owned.add(state.owner, state)
end

--- Makes the caller the owner of a handle that was just made. Called in
-- core.unbroken, with the making of the handle, lest that is left over: where
-- memory is short, it is closed.
---@param state table  with handle, release and fields of its own
---@param prepare? fun(state: table)  does the rest; what it raises is raised
---@return table state
function owner.take(state, prepare)
  local ok, err = pcall(init, state, prepare)
  if ok then return state end
  handles.close(state.handle)
  error(err, 0)
end

--- Closes it. Called in core.unbroken.
---@param state table
function owner.close(state)
  if not state.handle then return end
  state:release()
  owned.remove(state.owner, state)
end

--- Calls fn, which may yield, and closes the socket if that raises.
---@param state table
---@param fn function
---@return any ...  what fn returned, at most two values
function owner.try(state, fn, ...)
  local ok, a, b = pcall(fn, ...)
  if ok then return a, b end
  core.unbroken(owner.close, state)
  error(a, 0)
end

return owner
