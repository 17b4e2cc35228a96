--- Functions whose errors are events of a node: for callbacks of the host's
-- loop, which luv would end the program for. Private to this library; see
-- banyan.guard.

local core = require "banyan.core"

local guard = {}

-- What is said where memory is too short for more.
local LAST_WORDS = "banyan: callback_error: not enough memory\n"

local function text_of(err)
  if type(err) == "string" then return err end
  local ok, text = pcall(tostring, err)
  return ok and text or "an error that cannot be shown"
end

local function failure(err)
  return { message = text_of(err), traceback = debug.traceback("", 2)
    :gsub("^\n", "") }
end

local function tell(here, fields)
  if core.event_at(here, "callback_error", fields) then return end
  io.stderr:write(("banyan: callback_error: %s\n%s\n"):format(fields.message,
    fields.traceback))
end

local function tell_of_shortage(here, text)
  tell(here, { message = text_of(text), traceback = "" })
end

-- Neither raises nor fails: this is the last that hears of the error. Where
-- memory was short Lua did not call `failure`, and the error is a text.
local function report(here, err)
  local told = type(err) == "table" and pcall(tell, here, err)
    or pcall(tell_of_shortage, here, err)
  if not told then pcall(io.stderr.write, io.stderr, LAST_WORDS) end
end

local function finish(here, ok, ...)
  if ok then return ... end
  report(here, (...))
end

--- Wraps a function.
---@param here banyan.Pid|banyan.Ref  made by the node whose events they are
---@param fn function
---@return function  answers what fn returned, nothing after an error
function guard.wrap(here, fn)
  return function(...)
    return finish(here, xpcall(fn, failure, ...))
  end
end

--- The same for a function of a state and at most two values, at less cost.
---@param here banyan.Pid|banyan.Ref
---@param fn fun(state: any, a: any, b: any)
---@param state any
---@return fun(a: any, b: any): boolean  answers whether there was no error
function guard.bind(here, fn, state)
  return function(a, b)
    local ok, err = xpcall(fn, failure, state, a, b)
    if not ok then report(here, err) end
    return ok
  end
end

return guard
