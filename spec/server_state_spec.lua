-- Looking into a server, and what one weighs.

local core = require "banyan.core"
local lua = require "spec.support.lua"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local start = servers.start
local test = servers.test
local assert_error_reason = reasons.assert_error

describe("server.get_state", function()
  test("answers a copy", function()
    local pid = start({ handle_call = function(self) return self.arg end },
      { 1 })
    local state = server.get_state(pid)
    assert.same({ arg = { 1 } }, state)
    assert.is_nil(getmetatable(state))
    state.arg[1] = 2
    assert.same({ 1 }, server.call(pid, 0))
  end)

  test("answers bad_state for a state that cannot be sent, and changes nothing",
    function()
      local pid = start {
        init = function(self) self.thing = setmetatable({}, {}) end,
      }
      local state, err = server.get_state(pid)
      assert.is_nil(state)
      assert.equal("bad_state", err[1])
      assert.matches("metatable", err[2])
      assert.is_true(core.is_alive(pid))
    end)
end)

describe("server.replace_state", function()
  local function counter()
    return start({ handle_call = function(self) return self.arg end }, 1)
  end

  test("takes the table that the function returns", function()
    local pid = counter()
    local state = server.replace_state(pid, function(old)
      return { arg = old.arg + 1 }
    end)
    assert.same({ arg = 2 }, state)
    assert.equal(2, server.call(pid, 0))
  end)

  test("keeps what the function changed and did not return", function()
    local pid = counter()
    server.replace_state(pid, function(state) state.arg = 5 end)
    assert.equal(5, server.call(pid, 0))
  end)

  test("lets the function wait", function()
    local pid = counter()
    server.replace_state(pid, function(state)
      core.sleep(10)
      state.arg = 6
    end)
    assert.equal(6, server.call(pid, 0))
  end)

  test("leaves the server as it was when the function raises", function()
    local pid = counter()
    local state, err = server.replace_state(pid, function() error("no") end)
    assert.is_nil(state)
    assert_error_reason("no", err)
    assert.equal(1, server.call(pid, 0))
  end)

  test("undoes what the function had changed when it raises", function()
    local pid = counter()
    local err = select(2, server.replace_state(pid, function(state)
      state.arg, state.more = 5, 6
      error "no"
    end))
    assert_error_reason("no", err)
    assert.same({ arg = 1 }, server.get_state(pid))
    assert.same({ nil, "out" }, { server.replace_state(pid, function(state)
      state.arg = nil
      core.exit "out"
    end) })
    assert.same({ arg = 1 }, server.get_state(pid))
  end)

  test("lets the function remove fields, and use the module's methods",
    function()
      local pid = start({ double = function(self) return self.arg * 2 end }, 4)
      assert.same({ twice = 8 }, server.replace_state(pid, function(state)
        state.twice, state.arg = state:double(), nil
        return state
      end))
    end)

  test("answers an error when the function returns what is not a table",
    function()
      local pid = counter()
      assert.same({ nil, { "bad_return_value", "string" } },
        { server.replace_state(pid, function() return "x" end) })
      assert.equal(1, server.call(pid, 0))
    end)

  test("points, as get_state and get_status do, at a caller that misuses it",
    function()
      local pid = counter()
      for _, name in ipairs { "stop", "get_state", "get_status",
        "replace_state" } do
        local second = name == "stop" and "x" or nil
        if name == "replace_state" then second = function() end end
        local _, err = pcall(function()
          local _ = server[name](nil, second)
        end)
        assert.matches("server_state_spec%.lua:%d+: .*destination must be", err)
        _, err = pcall(function()
          local _ = server[name](pid, second or -1, -1)
        end)
        assert.matches("server_state_spec%.lua:%d+: server." .. name
          .. ": timeout must be", err)
      end
    end)

  test("raises without a function", function()
    assert.error_matches(function() server.replace_state("x", 5) end,
      "fn must be a function, got number")
  end)
end)

describe("process_info of a server", function()
  test("shows an idle server without a coroutine, a busy one with", function()
    local pid = start { handle_cast = function() core.sleep(10) end }
    assert.is_false(core.process_info(pid).coroutine)
    server.cast(pid, 0)
    core.sleep(5)
    assert.is_true(core.process_info(pid).coroutine)
    core.sleep(10)
    assert.is_false(core.process_info(pid).coroutine)
  end)

  test("names the behaviour and the module", function()
    local info = core.process_info(start { name = "Counter" })
    assert.equal("server", info.behaviour)
    assert.equal("Counter", info.label)
  end)
end)

describe("a module", function()
  test("can be collected once its servers have ended", function()
    local kept = setmetatable({}, { __mode = "k" })
    local function use()
      local Short = { handle_call = function() return "answer" end }
      kept[Short] = true
      local pid = server.start(Short)
      assert.equal("answer", server.call(pid, "question"))
      assert.is_true(server.stop(pid))
    end
    use()
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(kept))
  end)
end)

describe("10,000 idle servers", function()
  test("take less memory in Lua than 10,000 coroutines would", function()
    local Idle = {}
    local function weigh() return lua.in_use() * 1024 end
    server.start(Idle)
    local before = weigh()
    for _ = 1, 10000 do server.start(Idle) end
    assert.is_true((weigh() - before) / 10000 < 500)
  end)

  test("leave nothing behind when they end", function()
    local count = #core.processes()
    local pids = {}
    for i = 1, 10000 do pids[i] = server.start({}) end
    for i = 1, 10000 do pids[i]:exit("kill") end
    core.sleep(1)
    assert.equal(count, #core.processes())
  end)
end)
