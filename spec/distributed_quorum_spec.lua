-- The options of mode = "quorum", and what one node answers that has the quorum
-- or has none; see also quorum_fault_spec.lua.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local run = require "spec.support.run"
local worker = require "spec.support.worker"

local NAME = "children"
local OWN, OTHER = "nonode", "other@h:1"

local function with(quorum, body)
  return function()
    run(function()
      assert(ds.start_link {
        name = NAME, mode = "quorum", quorum = quorum, quorum_stop_ms = 100,
      })
      body()
    end)
  end
end

local function refused(text, opts)
  opts.name = NAME
  local ok, err = pcall(ds.start_link, opts)
  assert.is_false(ok)
  assert.is_true(tostring(err):find(text, 1, true) ~= nil, tostring(err))
end

describe("the option quorum", function()
  it("goes with the mode, and is a number or a list", function()
    refused('option "mode" must be "available" or "quorum"', { mode = "both" })
    refused('option "quorum" is missing', { mode = "quorum" })
    refused('option "quorum" needs mode = "quorum"', { quorum = 2 })
    refused('option "quorum" needs mode = "quorum"',
      { mode = "available", quorum = { OWN } })
    refused('option "quorum_stop_ms" needs mode', { quorum_stop_ms = 10 })
    for _, wrong in ipairs { 0, -1, 1.5, 10001, {}, { 1 }, { OWN, "" }, "2" } do
      refused('option "quorum" must be a positive integer',
        { mode = "quorum", quorum = wrong })
    end
    refused('option "quorum_stop_ms" must be',
      { mode = "quorum", quorum = 1, quorum_stop_ms = -1 })
  end)
end)

describe("a node that is the quorum", function()
  for what, quorum in pairs { ["a number"] = 1, ["a list"] = { OWN, OWN } } do
    it("runs children, by " .. what, with(quorum, function()
      assert.is_true(ds.status(NAME).quorum)
      assert.equal("quorum", ds.status(NAME).mode)
      local pid = assert(ds.start_child(NAME, worker.spec "x"))
      assert.equal(pid, ds.whereis(NAME, "x"))
      assert.same({ nil, "noproc" }, { ds.call(NAME, "y", "hi") })
    end))
  end

  it("has no such thing in the other mode", function()
    run(function()
      assert(ds.start_link { name = NAME })
      local status = ds.status(NAME)
      assert.equal("available", status.mode)
      assert.is_nil(status.quorum)
    end)
  end)
end)

describe("a node without a quorum", function()
  for what, quorum in pairs {
    ["a number"] = 2, ["a list"] = { OWN, OTHER }, others = { OTHER },
  } do
    it("says so, by " .. what, with(quorum, function()
      assert.is_false(ds.status(NAME).quorum)
      for _, fn in ipairs { ds.start_child, ds.ensure_child } do
        local pid, err = fn(NAME, worker.spec "x")
        assert.is_nil(pid)
        assert.equal("no_quorum", err)
      end
      for _, fn in ipairs { ds.call, ds.cast, ds.send } do
        local answer, err = fn(NAME, "x", "hi")
        assert.is_nil(answer)
        assert.equal("no_quorum", err)
      end
      local via = ds.via(NAME, "x")
      assert.equal("no_quorum", select(2, core.send(via, "hi")))
      assert.equal("no_quorum",
        select(2, require("banyan.server").call(via, "hi")))
      assert.same({}, ds.children(NAME))
    end))
  end

  it("answers those who ask while it cannot know yet, in the end", function()
    run(function()
      local answers, me = {}, banyan.self()
      -- start_link waits until it is known; others may ask before.
      banyan.spawn(function()
        repeat banyan.sleep(100) until ds.status(NAME)
        answers.called = select(2, ds.call(NAME, "x", "hi", 20000))
        me:send "done"
      end)
      assert(ds.start_link { name = NAME, mode = "quorum", quorum = 2 })
      assert.equal("done", banyan.receive(20000))
      assert.equal("no_quorum", answers.called)
    end)
  end)
end)
