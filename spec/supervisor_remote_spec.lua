-- A supervisor, used from another node.

local core = require "banyan.core"
local pair = require "spec.support.pair"
local supervisor = require "banyan.supervisor"

describe("a supervisor on another node", function()
  -- `it`, on two nodes; the body gets {name=, node=} of a supervisor there.
  local function far_test(name, opts, body)
    it(name, function()
      pair(function(b)
        b:spawn(function()
          package.loaded["spec.far"] = {
            go = function(id)
              return core.spawn_link(function() core.receive() end), id
            end,
          }
          opts.name = "far"
          assert(supervisor.start_link({
            { id = "t", start = { "spec.far", "go", {} } },
          }, opts))
          core.receive()
        end)
        local dest = { name = "far", node = b:name() }
        while select(2, supervisor.count_children(dest)) == "noproc" do
          core.sleep(1)
        end
        body(dest, b:name())
        package.loaded["spec.far"] = nil
      end)
    end)
  end

  far_test("answers every request", {}, function(dest, node)
    local spec = { id = "x", start = { "spec.far", "go", { "more" } } }
    local pid, extra = supervisor.start_child(dest, spec)
    assert.equal(node, pid:node())
    assert.equal("more", extra)
    assert.same({ nil, { "already_started", pid } },
      { supervisor.start_child(dest, spec) })
    assert.equal(pid, supervisor.which_children(dest)[2].pid)
    assert.same({ "spec.far", "go", { "more" } },
      supervisor.get_childspec(dest, "x").start)
    assert.is_true(supervisor.terminate_child(dest, "x"))
    assert.is_true(supervisor.delete_child(dest, "x"))
    assert.equal(1, supervisor.count_children(dest).specs)
    assert.is_true(supervisor.stop(dest))
  end)

  far_test("may be simple_one_for_one", { strategy = "simple_one_for_one" },
    function(dest)
      local pid, extra = supervisor.start_child(dest, { "a" })
      assert.equal("a", extra)
      assert.same({ { pid = pid, state = "running", type = "worker" } },
        supervisor.which_children(dest))
    end)

  far_test("refuses a spec with a function", {}, function(dest)
    assert.error_matches(function()
      supervisor.start_child(dest, { id = 1, start = function() end })
    end, "cannot send a function to another node")
  end)
end)
