local ring = require "banyan.ring"

local GOLDEN = "spec/golden/ring.txt"

local function names(n, prefix)
  local list = {}
  for i = 1, n do list[i] = (prefix or "node") .. i end
  return list
end

-- The owners of many keys, as one string.
local function picture(r)
  local owners = {}
  for i = 1, 300 do
    owners[i] = table.concat(r:nodes_for("key" .. i, 3), " ")
  end
  return table.concat(owners, "\n")
end

describe("a ring", function()
  it("is empty by default", function()
    local r = ring.new()
    assert.same({}, r:nodes())
    assert.same({ nil, "no_nodes" }, { r:node_for("key") })
    assert.same({}, r:nodes_for("key", 3))
    assert.same({}, ring.new({ nodes = {} }):nodes())
  end)

  it("lists its nodes in byte order", function()
    local r = ring.new { nodes = { "b", "a", "a\0", "B", "\255", "ab" } }
    assert.same({ "B", "a", "a\0", "ab", "b", "\255" }, r:nodes())
  end)

  it("gives a new list each time", function()
    local r = ring.new { nodes = { "a" } }
    r:nodes()[1] = "spoilt"
    r:nodes_for("key", 1)[1] = "spoilt"
    assert.same({ "a" }, r:nodes())
    assert.equal("a", r:node_for("key"))
  end)

  it("counts a name that is in the list twice once", function()
    assert.same({ "a", "b" }, ring.new({ nodes = { "a", "b", "a" } }):nodes())
  end)

  it("does not depend on the order in which nodes joined", function()
    local at_once = ring.new { nodes = { a = 1, b = 3, c = 2 } }
    local one_by_one = ring.new { nodes = { "x", "c" } }
    assert.is_true(one_by_one:add("b", 7))
    assert.is_true(one_by_one:add("c", 2))
    assert.is_true(one_by_one:remove("x"))
    assert.is_true(one_by_one:add("a"))
    assert.is_true(one_by_one:add("b", 3))
    assert.equal(picture(at_once), picture(one_by_one))
  end)

  it("takes weight 1 where none is given", function()
    local r = ring.new { nodes = { a = 1, b = 1 } }
    local s = ring.new { nodes = { a = 5, b = 1 } }
    s:add("a")
    assert.equal(picture(r), picture(s))
    assert.equal(picture(r), picture(ring.new { nodes = { "a", "b" } }))
  end)

  it("does not change with the list that it was made from", function()
    local nodes = { "a", "b" }
    local r = ring.new { nodes = nodes }
    nodes[1] = "c"
    assert.same({ "a", "b" }, r:nodes())
  end)

  it("places keys in another way with other vnodes", function()
    local nodes = names(5)
    assert.equal(picture(ring.new { nodes = nodes }),
      picture(ring.new { nodes = nodes, vnodes = 160 }))
    assert.not_equal(picture(ring.new { nodes = nodes }),
      picture(ring.new { nodes = nodes, vnodes = 16 }))
  end)

  it("answers not_found when an unknown node is removed", function()
    local r = ring.new { nodes = { "a" } }
    assert.same({ nil, "not_found" }, { r:remove("b") })
    assert.is_true(r:remove("a"))
    assert.same({ nil, "not_found" }, { r:remove("a") })
    assert.same({ nil, "no_nodes" }, { r:node_for(1) })
  end)

  it("moves only the keys of a node that leaves", function()
    local r, s = ring.new { nodes = names(5) }, ring.new { nodes = names(5) }
    s:remove("node3")
    local moved = 0
    for key = 1, 2000 do
      local was, is = r:node_for(key), s:node_for(key)
      if was == "node3" then
        moved = moved + 1
        assert.equal(r:nodes_for(key, 2)[2], is)
      else
        assert.equal(was, is)
      end
    end
    assert.is_true(moved > 200 and moved < 800)
  end)

  it("prints its nodes and weights", function()
    assert.equal("ring<0 nodes>", tostring(ring.new()))
    assert.equal("ring<1 node: a>", tostring(ring.new { nodes = { "a" } }))
    assert.equal("ring<2 nodes: a, b x3>",
      tostring(ring.new { nodes = { b = 3, a = 1 } }))
    assert.equal("ring<9 nodes: n1, n2, n3, n4, n5, n6, n7, n8, ...>",
      tostring(ring.new { nodes = names(9, "n") }))
  end)
end)

describe("nodes_for", function()
  it("lists distinct nodes, the owner first", function()
    local r = ring.new { nodes = names(6) }
    for key = 1, 100 do
      local list, seen = r:nodes_for(key, 4), {}
      assert.equal(4, #list)
      assert.equal(r:node_for(key), list[1])
      for _, name in ipairs(list) do
        assert.is_nil(seen[name])
        seen[name] = true
      end
    end
  end)

  it("lists fewer where there are fewer", function()
    local r = ring.new { nodes = names(3) }
    assert.equal(3, #r:nodes_for("key", 100))
    assert.equal(0, #r:nodes_for("key", 0))
  end)

  it("lists many nodes", function()
    local r = ring.new { nodes = names(1500), vnodes = 2 }
    local list = r:nodes_for("key", 1500)
    table.sort(list)
    assert.same(r:nodes(), list)
  end)
end)

describe("a key", function()
  local r = ring.new { nodes = names(50) }
  local function place(key) return table.concat(r:nodes_for(key, 50), " ") end

  it("that is a float of integer value is that integer", function()
    assert.equal(place(42), place(42.0))
    assert.equal(place(-3), place(-3.0))
    assert.equal(place(0), place(-0.0))
  end)

  it("that is a string of digits is not a number", function()
    assert.not_equal(place(42), place("42"))
  end)

  it("may contain any bytes, all of which count", function()
    assert.not_equal(place("a"), place("a\0"))
    assert.not_equal(place(""), place("\0"))
  end)

  it("of another type is misuse", function()
    local wanted = "key must be a string, an integer, a pid or a ref"
    local bad = { 1.5, 0 / 0, math.huge, -math.huge, 2 ^ 63, true, {},
      print, io.stdout, coroutine.create(print) }
    for _, key in ipairs(bad) do
      assert.error_matches(function() r:node_for(key) end, wanted, 1, true)
      assert.error_matches(function() r:nodes_for(key, 1) end, wanted, 1,
        true)
    end
    assert.error_matches(function() r:node_for() end, wanted, 1, true)
    assert.error_matches(function() r:node_for(nil) end, wanted, 1, true)
  end)
end)

describe("misuse", function()
  local r = ring.new { nodes = { "a" } }

  -- The error names what is wrong, and this file as the place.
  local function raises(wanted, fn, ...)
    local ok, message = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find(wanted, 1, true),
      ("%q is not in %q"):format(wanted, tostring(message)))
    return message
  end

  it("of new names the option", function()
    raises("options must be a table", function() ring.new("a") end)
    raises('"node"', function() ring.new { node = { "a" } } end)
    raises('"nodes"', function() ring.new { nodes = "a" } end)
    for _, vnodes in ipairs { 0, -1, 1.5, 10001, "160", {} } do
      raises('"vnodes"', function() ring.new { vnodes = vnodes } end)
    end
  end)

  it("of nodes says what is wrong with them", function()
    local function new(nodes)
      return function() ring.new { nodes = nodes } end
    end
    raises('"nodes" has a name', new { "a", 1 })
    raises('"nodes" has a name', new { "a", "" })
    raises('"nodes" has a name', new { { "a" } })
    raises('"nodes" has a name', new { [""] = 1 })
    raises('"nodes" has a name', new { [true] = 1 })
    raises("not both", new { "a", b = 2 })
    for _, weight in ipairs { 0, -1, 1.5, 1001, "2", true } do
      raises('"nodes" has a weight', new { a = weight })
    end
  end)

  it("points at its caller", function()
    local message = raises("nodes", function() ring.new { nodes = 1 } end)
    assert.is_truthy(message:find("ring_spec.lua", 1, true))
    message = raises("weight", function() ring.new { nodes = { a = 0 } } end)
    assert.is_truthy(message:find("ring_spec.lua", 1, true))
    message = raises("key", function() return (r:node_for({})) end)
    assert.is_truthy(message:find("ring_spec.lua", 1, true))
  end)

  it("of a method names the argument", function()
    for _, name in ipairs { "", 1, true, {} } do
      raises("name must be", function() r:add(name) end)
      raises("name must be", function() r:remove(name) end)
    end
    raises("name must be", function() r:add() end)
    for _, weight in ipairs { 0, -1, 1.5, 1001, "2", {} } do
      raises("weight must be", function() r:add("b", weight) end)
    end
    for _, n in ipairs { -1, 1.5, "2", 2 ^ 40 } do
      raises("n must be", function() r:nodes_for("key", n) end)
    end
    raises("n must be", function() r:nodes_for("key") end)
    assert.same({ "a" }, r:nodes())
  end)

  it("of a method without its ring is an error", function()
    raises("banyan.ring", r.nodes)
    raises("banyan.ring", r.node_for, {}, "key")
    raises("banyan.ring", r.node_for, io.stdout, "key")
  end)
end)

describe("the golden vectors", function()
  local function decode(text)
    if text == "-" then return "" end
    return (text:gsub("%%(%x%x)", function(hex)
      return string.char(tonumber(hex, 16))
    end))
  end

  -- The key, or nil if this Lua cannot represent it: here a ref has no bytes,
  -- and with doubles alone integers end at 2^53.
  local function key_of(kind, text)
    if kind == "string" then return decode(text) end
    if kind ~= "integer" then return nil end
    local number = tonumber(text)
    if ("%d"):format(number) == text then return number end
  end

  local function words_of(line)
    local words = {}
    for word in line:gmatch("[^ ]+") do words[#words + 1] = word end
    return words
  end

  -- Yields each ring of the file as {vnodes, nodes = {name = weight}, keys}.
  local function read()
    local rings = {}
    for line in io.lines(GOLDEN) do
      local words = words_of(line)
      local current = rings[#rings]
      if words[1] == "ring" then
        rings[#rings + 1] = { vnodes = tonumber(words[2]), nodes = {},
          keys = {} }
      elseif words[1] == "node" then
        current.nodes[decode(words[2])] = tonumber(words[3])
      elseif words[1] == "key" then
        current.keys[#current.keys + 1] = words
      end
    end
    return rings
  end

  it("hold for ever", function()
    local checked = 0
    for _, golden in ipairs(read()) do
      local r = ring.new { nodes = golden.nodes, vnodes = golden.vnodes }
      for _, words in ipairs(golden.keys) do
        local key = key_of(words[2], words[3])
        local expected = {}
        for i = 5, #words do expected[i - 4] = decode(words[i]) end
        if key ~= nil then
          checked = checked + 1
          assert.same(expected, r:nodes_for(key, 3))
          assert.equal(expected[1], (r:node_for(key)))
        end
      end
    end
    assert.is_true(checked > 300)
  end)
end)

describe("pids and refs", function()
  local core = require "banyan.core"
  local run = require "spec.support.run"

  it("are keys by their value and not by their address", function()
    run(function()
      local r = ring.new { nodes = names(10) }
      local owners, seen = 0, {}
      for _ = 1, 200 do
        local ref = core.make_ref()
        local owner = r:node_for(ref)
        core.send(core.self(), ref)
        assert.equal(owner, r:node_for(core.receive()))
        if not seen[owner] then owners = owners + 1 end
        seen[owner] = true
      end
      assert.is_true(owners > 5)
      assert.is_string(r:node_for(core.self()))
    end)
  end)
end)
