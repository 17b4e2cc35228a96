-- Errors of every kind in every callback of a server: what the reason is, who
-- hears it, and what goes on.

local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local module = servers.module
local test = servers.test

local shown = setmetatable({}, { __tostring = function() return "my text" end })
local mute = setmetatable({}, { __tostring = function() error "no" end })

-- What is raised, and the message that the reason has: a value, or a pattern
-- for a text.
local ERRORS = {
  ["a string"] = { "boom", pattern = "boom$" },
  ["a string without a place"] = { "boom", level = 0, message = "boom" },
  ["a number"] = { 12, level = 0, message = 12 },
  ["nothing"] = { nil, message = "(error object is a nil value)" },
  ["false"] = { false, message = "false" },
  ["a table"] = { { code = 7, { 1 } }, message = { code = 7, { 1 } } },
  ["a table with a text"] = { shown, message = "my text" },
  ["a table whose text fails"] = { mute,
    message = "(a table that has no text)" },
  ["a file"] = { io.stdout, pattern = "^file %(" },
  ["a function"] = { print, pattern = "^function:" },
  ["a pid"] = { core.self, call = true, pattern = "^pid<" },
}

local function raiser(kind)
  local what = ERRORS[kind]
  return function()
    if what.call then error(what[1]()) end
    error(what[1], what.level)
  end
end

local function check(kind, reason)
  local what = ERRORS[kind]
  assert.equal("error", reason[1])
  if what.pattern then
    assert.matches(what.pattern, reason[2])
  else
    assert.same(what.message, reason[2])
  end
  assert.matches("^stack traceback:", reason[3])
  assert.equal("string", type(tostring(reason)))
  assert.is_true(#tostring(reason) > 0)
end

-- For each callback: how it comes to be called, and whether its error is what
-- the caller of that hears. Without `survives` the server ends of it.
local CALLBACKS = {
  init = { start = true },
  handle_call = { provoke = function(pid) return server.call(pid, 1) end },
  handle_cast = { provoke = function(pid) server.cast(pid, 1) end },
  handle_info = { provoke = function(pid) core.send(pid, 1) end },
  handle_continue = {
    others = { handle_cast = function() return server.continue(1) end },
    provoke = function(pid) server.cast(pid, 1) end,
  },
  terminate = { provoke = function(pid) return server.stop(pid) end },
  ["the function of replace_state"] = {
    survives = true,
    provoke = function(pid, raise)
      return server.replace_state(pid, raise)
    end,
  },
}

local function build(name, callback, kind, ended)
  local callbacks = { terminate = function() ended.called = true end }
  for other, fn in pairs(callback.others or {}) do callbacks[other] = fn end
  callbacks[name] = raiser(kind)
  return module(callbacks)
end

local function start_fails(name, callback, kind)
  local ended = {}
  local pid, err = server.start_link(build(name, callback, kind, ended))
  assert.is_nil(pid)
  check(kind, err)
  assert.is_nil(ended.called)
  assert.same({ nil, "timeout" }, { core.receive(10) })
end

local function crashes(name, callback, kind)
  local ended = {}
  local pid = assert(server.start(build(name, callback, kind, ended)))
  local ref = core.monitor(pid)
  local ok, err = callback.provoke(pid, raiser(kind))
  if err ~= nil then
    assert.is_nil(ok)
    check(kind, err)
  end
  if callback.survives then
    assert.is_true(core.is_alive(pid))
    assert.same({ nil, "timeout" }, { core.receive(10) })
    return
  end
  local down = core.receive(10)
  assert.equal(ref, down.ref)
  check(kind, down.reason)
  assert.equal(name ~= "terminate" or nil, ended.called)
end

describe("an error in", function()
  for name, callback in pairs(CALLBACKS) do
    for kind in pairs(ERRORS) do
      test(("%s, which raises %s, is the reason"):format(name, kind),
        function()
          (callback.start and start_fails or crashes)(name, callback, kind)
        end)
    end
  end
end)

describe("a module's child_spec that raises", function()
  test("raises in who gave it to a supervisor, and harms no process",
    function()
      package.loaded["spec.bad_child"] = {
        child_spec = function() error("no spec today") end,
      }
      local supervisor = require "banyan.supervisor"
      local dynamic_supervisor = require "banyan.dynamic_supervisor"
      local sup = assert(supervisor.start_link {})
      local dynamic = assert(dynamic_supervisor.start_link {})
      for _, attempt in ipairs {
        function() supervisor.start_link { "spec.bad_child" } end,
        function() supervisor.start_child(sup, "spec.bad_child") end,
        function()
          dynamic_supervisor.start_child(dynamic, { "spec.bad_child", 1 })
        end,
      } do
        assert.error_matches(attempt, "no spec today")
      end
      package.loaded["spec.bad_child"] = nil
      assert.equal(0, supervisor.count_children(sup).specs)
      assert.equal(0, supervisor.count_children(dynamic).specs)
    end)
end)

describe("a stack overflow in a handler", function()
  test("ends its server only", function()
    local pid = servers.start { handle_call = function()
      local function deeper() return 1 + deeper() end
      return deeper()
    end }
    local _, err = server.call(pid, 1)
    reasons.assert_error("stack overflow", err)
    assert.is_false(core.is_alive(pid))
  end)
end)
