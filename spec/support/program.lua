--- Lua programs in OS processes of their own.
--
--    local child = program [[ print("up") io.read() ]]
--    child:wait_for("up")        pumps the loop until its output has that
--    child:kill("sigint")
--    local code, signal = child:finish()     child.out, child.err: its output
--
-- program(code, { env = { NAME = "value" | false }, args = { ... } })
-- program.command("exec some program", { env=, cwd= }) is one of a shell.
-- Every wait has a limit, and what has not ended by then is killed.

local environment = require "spec.support.environment"
local uv = require "luv"

local LIMIT_MS = 30000

local Program = {}
Program.__index = Program

local function collect(self, field)
  local pipe = uv.new_pipe(false)
  self.open = self.open + 1
  self[field] = ""
  return pipe, function()
    pipe:read_start(function(err, data)
      if data then
        self[field] = self[field] .. data
      else
        assert(not err, err)
        pipe:close()
        self.open = self.open - 1
      end
    end)
  end
end

-- Runs the loop until `done` answers true.
local function pump(self, what, done)
  local late = false
  local timer = uv.new_timer()
  timer:start(LIMIT_MS, 0, function() late = true end)
  while not done() and not late do uv.run("once") end
  timer:close()
  if not late then return end
  self:kill("sigkill")
  error(("the program did not %s; stdout:\n%s\nstderr:\n%s"):format(what,
    self.out, self.err), 3)
end

--- Waits until stdout (or stderr) has that text.
function Program:wait_for(text, field)
  field = field or "out"
  pump(self, ("say %q"):format(text), function()
    local found = self[field]:find(text, 1, true)
    if not found and self.open == 0 then
      error(("the program ended without saying %q; stdout:\n%s\nstderr:\n%s")
        :format(text, self.out, self.err), 0)
    end
    return found
  end)
end

function Program:say(text)
  self.stdin:write(text)
end

function Program:kill(signal)
  if not self.exited then uv.process_kill(self.handle, signal) end
end

--- Waits until it has ended.
---@return integer code
---@return integer signal
function Program:finish()
  pump(self, "end", function() return self.exited and self.open == 0 end)
  if not self.stdin:is_closing() then self.stdin:close() end
  uv.run("nowait")
  return self.code, self.signal
end

local function start(file, args, opts)
  local self = setmetatable({ open = 0, exited = false }, Program)
  local out, start_out = collect(self, "out")
  local err, start_err = collect(self, "err")
  self.stdin = uv.new_pipe(false)
  self.handle, self.pid = uv.spawn(file, {
    args = args,
    cwd = opts.cwd,
    env = environment(opts.env),
    stdio = { self.stdin, out, err },
  }, function(status, signal)
    self.code, self.signal, self.exited = status, signal, true
    self.handle:close()
  end)
  assert(self.handle, self.pid)
  start_out()
  start_err()
  return self
end

local program = {}

function program.command(text, opts)
  return start("sh", { "-c", text }, opts or {})
end

return setmetatable(program, {
  __call = function(_, code, opts)
    opts = opts or {}
    local args = { "-e", code }
    for _, arg in ipairs(opts.args or {}) do args[#args + 1] = arg end
    return start(opts.lua or arg[-1], args, opts)
  end,
})
