-- A distributed supervisor whose nodes stand in a file, on nodes that are OS
-- processes. Functions that run there are sent as bytecode.

local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"

local function open(path)
  local sources = require "banyan.node_sources"
  _G.tree = assert(require("banyan.supervisor").start_link {
    require("banyan.distributed_supervisor").child_spec {
      name = "counters",
      nodes = { source = sources.file { path = path }, refresh_ms = 50 },
    },
  })
end

local function is_connected(name)
  for _, node in ipairs(require("banyan").nodes()) do
    if node == name then return true end
  end
  return false
end

local function ring()
  local ds = require "banyan.distributed_supervisor"
  return table.concat(ds.nodes("counters") or {}, " ")
end

describe("a file of nodes", function()
  it("says who runs children; whoever leaves it lives on, and without it "
    .. "nothing changes", function()
    local path = os.tmpname()
    local function write(...)
      local file = assert(io.open(path .. ".new", "w"))
      for _, node in ipairs { ... } do file:write(node.name, "\n") end
      file:close()
      assert(os.rename(path .. ".new", path))
    end
    cluster.run(function(c)
      local a, b, d = c:start("a", "b", "d")
      local function wait_for(...)
        local names = {}
        for i, node in ipairs { ... } do names[i] = node.name end
        table.sort(names)
        local expected = table.concat(names, " ")
        for _, node in ipairs { a, b, d } do
          c:wait(node.name .. " has the ring " .. expected, function()
            return node:call(ring) == expected
          end)
        end
      end
      write(a, b, d)
      for _, node in ipairs { a, b, d } do node:open(open, path) end
      wait_for(a, b, d)
      assert.same({}, a:call(counters.start, counters.list(30)))
      assert.is_true(d:call(counters.here) > 0)
      write(a, b)
      wait_for(a, b)
      c:wait("all run on the others", function()
        return d:call(counters.processes) == 0
          and a:call(counters.processes) + b:call(counters.processes) == 30
      end)
      assert.is_true(a:call(is_connected, d.name))
      c:wait("d calls all", function()
        return d:call(counters.everywhere) == 30
      end)
      assert(os.remove(path))
      c:wait("the source fails", function()
        return a:call(counters.events, "node_source_failed") > 2
      end)
      assert.equal(30,
        a:call(counters.processes) + b:call(counters.processes))
      write()
      local before = a:call(counters.events, "node_source_failed")
      c:wait("an empty file is a failure", function()
        return a:call(counters.events, "node_source_failed") > before + 2
      end)
      wait_for(a, b)
      write(a, b, d)
      wait_for(a, b, d)
    end)
    os.remove(path)
  end)
end)
