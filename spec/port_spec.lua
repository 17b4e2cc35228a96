-- Hostile connections to the port of a node in an OS process, on real sockets.
-- The node must close each of them and go on serving its peers.

local cluster = require "spec.support.cluster"
local uv = require "luv"

--- Opens a connection to a node's port and sends `bytes`. Returns its state.
local function throw(node, bytes)
  local conn = { socket = uv.new_tcp(), answer = "" }
  local port = tonumber(node.name:match ":(%d+)$")
  local function close()
    conn.closed = true
    if not conn.socket:is_closing() then conn.socket:close() end
  end
  conn.socket:connect("127.0.0.1", port, function(err)
    if err then return close() end
    conn.open = true
    if bytes ~= "" then conn.socket:write(bytes) end
    conn.socket:read_start(function(failed, data)
      if failed or not data then return close() end
      conn.answer = conn.answer .. data
    end)
  end)
  return conn
end

local function random_bytes(n, seed)
  local list, x = {}, seed
  for i = 1, n do
    x = (x * 1103515245 + 12345) % 2147483648
    list[i] = string.char(math.floor(x / 65536) % 256)
  end
  return table.concat(list)
end

local function is_well(node)
  return node:call(function(a, b) return a + b end, 40, 2) == 42
end

local function it_closes(name, bytes)
  it(name, function()
    cluster.run(function(c)
      local node = c:start("a")
      local conn = throw(node, bytes)
      c:wait("the connection is closed", function()
        return conn.closed
      end)
      assert.is_true(conn.open)
      assert.is_true(#conn.answer < 200)
      assert.is_true(is_well(node))
    end)
  end)
end

describe("a node's port", function()
  it_closes("closes on garbage", random_bytes(4096, 7))
  it_closes("closes on another protocol",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
  it_closes("closes on a frame that claims to have four gigabytes",
    "\255\255\255\255" .. random_bytes(1000, 3))
  it_closes("closes on an empty frame", "\0\0\0\0\0\0\0\0")

  it("closes on half a frame and on silence after a time limit", function()
    cluster.run(function(c)
      local node = c:start("a")
      local half, silent = throw(node, "\0\0\0\60\1"), throw(node, "")
      c:wait("both are open", function() return half.open and silent.open end)
      assert.is_true(is_well(node))
      c:wait("both are closed", function()
        return half.closed and silent.closed
      end)
      assert.is_true(is_well(node))
    end)
  end)

  it("serves its peers while it has many hostile connections", function()
    cluster.run(function(c)
      local node, crowd = c:start("a"), {}
      for i = 1, 300 do crowd[i] = throw(node, i % 2 == 0 and "\0\0" or "") end
      c:wait("all connections are open or closed", function()
        for _, conn in ipairs(crowd) do
          if not conn.open and not conn.closed then return false end
        end
        return true
      end)
      assert.is_true(is_well(node))
      c:wait("all are closed", function()
        for _, conn in ipairs(crowd) do
          if not conn.closed then return false end
        end
        return true
      end)
      local late = c:start("b")
      assert.is_true(is_well(late))
    end)
  end)
end)
