--- The OS process of a peer: started, read from, stopped. Private to
-- banyan.peer.
--
-- It belongs to a process of the origin, and is killed when that ends. It gets
--
--   0 stdin      a pipe; see control.lua
--   1, 2         pipes: what comes is told as it comes, so a reader that is
--                slow makes the program wait, and nothing piles up
--   3            a socket that nobody else has: the lifeline, and where it can
--                be used the control channel
--
-- It leads a process group. What is left of that group when it has ended is
-- killed, so nothing that it was started through, or that it started, stays.

local core = require "banyan.core"
local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local owned = require "banyan.owned"
local uv = require "banyan.driver.uv"

local DRAIN_MS = 500 -- that its output may go on after its end
local KILL_MS = 1000 -- from TERM to KILL
local LEAVE_MS = 2000 -- that the end of a node waits for one that was killed

local Program = {}
Program.__index = Program

local M = {}

-- --- the end -----------------------------------------------------------------

-- It is over: it has ended, and all of its output was told.
local function conclude(self)
  if self.over then return end
  self.over = true
  if self.timer then handles.close(self.timer) end
  for _, pipe in ipairs { self.stdout, self.stderr } do handles.close(pipe) end
  if self.let_go then self.let_go() end
  for _, done in ipairs(self.waiting) do done(true) end
  if not self.released then self.on_end(self.ending) end
end

local function arm(self, ms, fn)
  self.timer = self.timer or uv.new_timer()
  uv.update_time()
  self.timer:start(ms, 0, guard.wrap(self.owner, fn))
end

local function on_exit(self, code, signal)
  handles.close(self.handle)
  self.ended = true
  self.ending = signal ~= 0 and { "signal", signal } or { "exit_status", code }
  uv.kill(-self.pid, "sigkill") -- what is left of its group
  if self.streams == 0 then return conclude(self) end
  arm(self, DRAIN_MS, function() conclude(self) end)
end

--- Sends a signal to it and its group.
---@param name string
function Program:signal(name)
  if self.ended then return end
  if not uv.kill(-self.pid, name) then uv.kill(self.pid, name) end
end

--- Has it ended: TERM now, KILL a second later. Does not wait.
function Program:terminate()
  if self.ended then return end
  self:signal "sigterm"
  arm(self, KILL_MS, function() self:signal "sigkill" end)
end

local function await(self, done)
  if self.over then return done(true) end
  self.waiting[#self.waiting + 1] = done
end

--- Waits until it is over. Yields.
---@param await_wait function
---@param timeout integer|nil
---@return boolean  false: not in that time
function Program:wait(await_wait, timeout)
  if self.over then return true end
  local done = core.await_begin()
  core.unbroken(await, self, done)
  return await_wait(done, timeout) == true
end

--- Closes what only the origin holds: a peer ends at once.
function Program:cut()
  for _, pipe in ipairs { self.life, self.stdin } do handles.close(pipe) end
end

-- Its owner has ended, or has no more use for it.
function Program:release()
  if self.released then return end
  self.released = true
  self:cut()
  if self.over then return end
  if not self.spared then self:signal "sigkill" end
  self.let_go = handles.hold()
  if self.ended then return end
  if self.spared then return self:terminate() end
  arm(self, LEAVE_MS, function() self.let_go() end)
end

-- --- the start ---------------------------------------------------------------

local function read(self, pipe, name)
  pipe:read_start(guard.wrap(self.owner, function(err, data)
    if handles.exiting then return end
    if data then return self.on_output(name, data) end
    handles.close(pipe)
    self.streams = self.streams - 1
    self.on_output(name, nil, err)
    if self.ended and self.streams == 0 then conclude(self) end
  end))
end

local function make_pipes(self)
  for _, name in ipairs { "stdin", "stdout", "stderr", "life" } do
    self[name] = uv.new_pipe(false)
  end
end

local function spawn(self, spec)
  return uv.spawn(spec.path, {
    args = spec.args, env = spec.env, cwd = spec.cwd, detached = true,
    stdio = { self.stdin, self.stdout, self.stderr, self.life },
  }, guard.wrap(self.owner, function(code, signal)
    if not handles.exiting then return on_exit(self, code, signal) end
    if self.let_go then self.let_go() end
  end))
end

--- Starts a program. It belongs to the caller. Called in core.unbroken: its end
-- may be told at any time.
---@param spec table  path, args, env (a list of "NAME=value"), cwd
---@param on_output fun(stream: string, text: string|nil)  nil: no more comes
---@param on_end fun(ending: table)  {"exit_status", n} or {"signal", n}
---@return table|nil program
---@return string|nil err  "enoent" and other codes
function M.start(spec, on_output, on_end)
  local self = setmetatable({
    owner = core.self(), on_output = on_output, on_end = on_end, waiting = {},
    streams = 2, over = false,
  }, Program)
  make_pipes(self)
  local handle, pid = spawn(self, spec)
  if not handle then
    for _, name in ipairs { "stdin", "stdout", "stderr", "life" } do
      handles.close(self[name])
    end
    return nil, (tostring(pid):match "^[%w_]+" or "error"):lower()
  end
  self.handle, self.pid = handle, pid
  owned.add(self.owner, self)
  read(self, self.stdout, "stdout")
  read(self, self.stderr, "stderr")
  return self
end

return M
