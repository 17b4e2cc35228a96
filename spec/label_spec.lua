-- What a process is called in process_info, in events and in reports.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local run = require "spec.support.run"
local server = require "banyan.server"

local function label_of(pid)
  return core.process_info(pid).label
end

local function here(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

describe("the label of a process", function()
  it("is where its function was defined, also before it runs", function()
    run(function()
      local function wait() core.receive() end
      local pid = core.spawn(wait)
      assert.equal(here(wait), label_of(pid))
      core.sleep(1)
      assert.equal(here(wait), label_of(pid))
    end)
  end)

  it("is where its function was defined, however deep that calls", function()
    run(function()
      local function deep(n)
        if n == 0 then return core.receive() or 0 end
        return 1 + deep(n - 1)
      end
      local function begin() return 1 + deep(1000) end
      local pid = core.spawn(begin)
      core.sleep(1)
      assert.equal(here(begin), label_of(pid))
    end)
  end)

  it("is none for a function of C or of the library", function()
    run(function()
      assert.is_nil(label_of(core.spawn(print)))
      local pid = core.spawn(banyan.receive)
      assert.is_nil(label_of(pid))
      core.sleep(1)
      assert.is_nil(label_of(pid))
    end)
  end)

  it("is what set_label says last", function()
    run(function()
      local pid = core.spawn(function()
        banyan.set_label("first")
        banyan.set_label("session 7")
        core.receive()
      end)
      core.sleep(1)
      assert.equal("session 7", label_of(pid))
    end)
  end)

  it("of main is where that was defined", function()
    local function main() return label_of(core.self()) end
    assert.equal(here(main), banyan.run(main))
  end)

  it("is a string of at most 255 bytes", function()
    run(function()
      assert.is_true(banyan.set_label(("x"):rep(255)))
      for _, wrong in ipairs { 5, ("x"):rep(256), false } do
        assert.is_false(pcall(banyan.set_label, wrong))
      end
      assert.is_false(pcall(banyan.set_label))
      assert.equal(("x"):rep(255), label_of(core.self()))
    end)
    assert.is_false(pcall(banyan.set_label, "x"))
  end)

  it("stands in the event of a crash, and so does the name", function()
    local function fail() error("boom", 0) end
    local events = {}
    run(function()
      core.spawn(fail)
      core.spawn(function()
        banyan.set_label("session 7")
        core.register("bob")
        error("boom", 0)
      end)
      core.sleep(1)
    end, { events = events })
    assert.equal(here(fail), events[1].label)
    assert.is_nil(events[1].name)
    assert.equal("session 7", events[2].label)
    assert.equal("bob", events[2].name)
  end)
end)

describe("the label of a server", function()
  local function labelled(module, ...)
    return label_of(assert(server.start(module, ...)))
  end

  it("is its module's name, else the one it was loaded under", function()
    run(function()
      package.loaded["spec.loaded_server"] = {}
      local module = package.loaded["spec.loaded_server"]
      assert.equal("spec.loaded_server", labelled(module))
      assert.equal("spec.loaded_server", labelled(module))
      module.name = "Loaded"
      package.loaded["spec.loaded_server"] = nil
      assert.equal("Named", labelled { name = "Named" })
    end)
  end)

  it("is the first of several names that it was loaded under", function()
    run(function()
      local module = {}
      package.loaded["spec.b_server"] = module
      package.loaded["spec.a_server"] = module
      package.loaded["spec.c_server"] = module
      assert.equal("spec.a_server", labelled(module))
      for name in ("abc"):gmatch "." do
        package.loaded[("spec.%s_server"):format(name)] = nil
      end
    end)
  end)

  it("is where its first callback was defined, if it was not loaded",
    function()
      run(function()
        local function handle_cast() end
        assert.equal(here(handle_cast), labelled { handle_cast = handle_cast })
        assert.is_nil(labelled {})
      end)
    end)

  it("is what set_label says in one of its callbacks", function()
    run(function()
      local module = { name = "room" }
      function module.init(_, n) banyan.set_label("room " .. n) end
      assert.equal("room 7", labelled(module, 7))
      assert.equal("room 8", labelled(module, 8))
    end)
  end)
end)

describe("a report of lockstep", function()
  local function text_of(body)
    return tostring(lockstep.run(body, { iterations = 1, clock = "idle" }))
  end

  it("calls a process by its label", function()
    local text = text_of(function()
      banyan.spawn(function()
        banyan.sleep(1)
        banyan.set_label "session 7"
        banyan.receive()
      end)
      banyan.receive()
    end)
    assert.matches("session 7 %(process%) waits for a message", text)
  end)

  it("says where the function of one without a label was defined", function()
    local function wait() banyan.receive() end
    local text = text_of(function()
      banyan.spawn(wait)
      banyan.receive()
    end)
    local waits = (" (%s) waits for a message"):format(here(wait))
    assert.is_truthy(text:find(waits, 1, true), text)
  end)
end)
