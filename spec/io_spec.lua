-- Sockets of banyan.io, real ones. A wait for a time to pass is only for what
-- must not happen meanwhile.

local banyan = require "banyan"
local core = require "banyan.core"
local Buffer = require "banyan.io.buffer"
local handles = require "banyan.driver.handles"
local sockets = require "banyan.io"
local support = require "spec.support.sockets"

local ANY = support.ANY
local count = support.count
local eventually = support.eventually
local fails = support.fails
local on_node = support.on_node
local pair = support.pair
local plain_client = support.plain_client

describe("a buffer of banyan.io", function()
  it("gives what was put into it, however it was cut", function()
    local text = {}
    for i = 1, 300 do
      text[i] = ("x"):rep(i % 7) .. (i % 3 == 0 and "\r" or "")
    end
    text = table.concat(text, "\n")
    for size = 1, 11 do
      local buffer, lines = Buffer.new(), {}
      for at = 1, #text, size do
        buffer:push(text:sub(at, at + size - 1))
        local line = buffer:take_line(100, false)
        while line do
          lines[#lines + 1] = line
          line = buffer:take_line(100, false)
        end
      end
      lines[#lines + 1] = buffer:take_line(100, true)
      assert.equal(0, buffer.size)
      assert.equal(text:gsub("\r\n", "\n"), (table.concat(lines, "\n")))
    end
  end)

  it("gives bytes by number", function()
    local buffer = Buffer.new()
    for i = 1, 100 do buffer:push(("%03d"):format(i)) end
    assert.equal("0010", buffer:take(4))
    assert.equal("02", buffer:take(2))
    assert.equal(294, buffer.size)
    assert.equal(294, #buffer:take(294))
    assert.equal(0, buffer.size)
    buffer:push "again"
    assert.equal("a", buffer:take(1))
  end)

  it("knows a line that is too long, with and without its end", function()
    for _, ending in ipairs { "\n", "\r\n", "" } do
      local buffer = Buffer.new()
      buffer:push(("x"):rep(10) .. ending)
      assert.equal(("x"):rep(10), (buffer:take_line(10, true)))
      buffer:push(("x"):rep(11) .. ending)
      assert.same({ nil, "line_too_long" }, { buffer:take_line(10, true) })
      assert.equal(11 + #ending, buffer.size)
    end
    local buffer = Buffer.new()
    buffer:push(("x"):rep(11))
    assert.same({}, { (buffer:take_line(10, false)) })
    buffer:push "x"
    assert.same({ nil, "line_too_long" }, { buffer:take_line(10, false) })
  end)
end)

describe("a socket", function()
  it("reads what comes, so many bytes, and lines", function()
    on_node(function()
      local a, b = pair()
      assert.is_true(a:write "one\r\ntwo\nthree")
      assert.equal("one", b:read "line")
      assert.equal("two", b:read "line")
      assert.equal("th", b:read(2))
      assert.equal("ree", b:read())
      assert.is_true(a:write { "a list", " of ", "strings" })
      assert.equal("a list of strings", b:read(17))
      assert.is_true(a:write "")
      assert.is_true(a:write "last line")
      a:close()
      assert.equal("last line", b:read "line")
      assert.same({ nil, "closed" }, { b:read() })
      assert.same({ nil, "closed" }, { b:read "line" })
    end)
  end)

  it("iterates over lines", function()
    on_node(function()
      local a, b = pair()
      a:write "1\n2\n\n3"
      a:close()
      local lines = {}
      for line in b:lines() do lines[#lines + 1] = line end
      assert.same({ "1", "2", "", "3" }, lines)
    end)
  end)

  it("keeps what is too short, too late or too long", function()
    on_node(function()
      local a, b = pair { max_line = 10 }
      a:write "12345"
      assert.same({ nil, "timeout" }, { b:read(6, 20) })
      assert.same({ nil, "timeout" }, { b:read("line", 20) })
      a:write "6789012"
      assert.same({ nil, "line_too_long" }, { b:read "line" })
      assert.equal("1234567", b:read(7))
      assert.same({ nil, "timeout" }, { b:read("line", 20) })
      a:close()
      assert.same({ nil, "closed" }, { b:read(6) })
      assert.equal("89012", b:read())
      assert.same({ nil, "closed" }, { b:read(6) })
    end)
  end)

  it("writes after the other side has ended its half", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local client = plain_client(listener:address())
      local socket = assert(listener:accept())
      client.tcp:write "request"
      client.tcp:shutdown()
      assert.equal("request", socket:read(7))
      assert.same({ nil, "closed" }, { socket:read() })
      assert.is_true(socket:write "answer")
      eventually(function() return client.text == "answer" end)
      assert.is_falsy(client.over)
      socket:close()
      eventually(function() return client.over end)
      client.tcp:close()
    end)
  end)

  it("waits in a write while much is unsent", function()
    on_node(function()
      local a, b = pair { high_water = 100000 }
      local piece, n = ("x"):rep(50000), 0
      local ok, why
      repeat
        ok, why = a:write(piece, 100)
        n = n + (ok and 1 or 0)
        assert.is_true(n < 2000)
      until not ok
      assert.equal("timeout", why)
      -- Once the other side reads, it goes on.
      b:active(true)
      assert.is_true(a:write(piece, 30000))
    end)
  end)

  it("sends what was refused at the time limit never", function()
    on_node(function()
      local a, b = pair { high_water = 1000 }
      local total, i = 0, 0
      repeat
        i = i + 1
        local data = ("%08d"):format(i):rep(10000)
        local ok = a:write(data, 50)
        if ok then total = total + #data end
      until not ok
      local reader = banyan.spawn(function()
        local socket = banyan.receive()
        local came = socket:read(total)
        assert(came and #came == total)
        local after = socket:read(3)
        assert(after == "end", after)
        socket:write "fine"
      end)
      assert.is_true(b:give(reader))
      reader:send(b)
      assert.is_true(a:write "end")
      assert.equal("fine", a:read(4))
    end)
  end)

  it("does not read without bound while nobody asks", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local client = plain_client(listener:address())
      local socket = assert(listener:accept())
      local much = ("0123456789abcdef"):rep(65536 * 4) -- 4 MiB
      for _ = 1, 8 do client.tcp:write(much) end
      local function waits() return client.tcp:write_queue_size() end
      assert.equal("0", socket:read(1)) -- it reads from now on
      local same, last = 0, waits()
      while same < 20 do
        banyan.sleep(5)
        same = waits() == last and same + 1 or 0
        last = waits()
      end
      assert.is_true(last > 0)
      local s = core.referent(socket, debug.getmetatable(socket))
      assert.is_true(s.buffer.size <= 2 * 65536)
      local rest = assert(socket:read(8 * #much - 1))
      assert.equal("f0", rest:sub(#much - 1, #much))
      assert.equal(8 * #much - 1, #rest)
      client.tcp:close()
    end)
  end)

  it("sends what was written before its close, and its owner's end", function()
    on_node(function()
      for _, how in ipairs { "close", "end", "kill" } do
        local listener = assert(sockets.listen(ANY))
        local client = plain_client(listener:address())
        client.tcp:read_stop()
        local text, n = ("y"):rep(3000000), 3
        local me = banyan.self()
        local socket = assert(listener:accept())
        local pid, ref = banyan.spawn_monitor(function()
          banyan.receive()
          for _ = 1, n do
            if not socket:write(text, 20) then n = n - 1 end
          end
          me:send(n)
          if how == "close" then socket:close() end
          if how == "kill" then banyan.sleep(math.huge) end
        end)
        socket:give(pid)
        pid:send "go"
        local written = banyan.receive()
        if how == "kill" then pid:exit "kill" end
        banyan.receive(function(m) return m.ref == ref end)
        local came = 0
        client.tcp:read_start(function(_, data)
          came = came + #(data or "")
          client.over = client.over or data == nil
        end)
        eventually(function() return client.over end)
        assert.equal(written * #text, came)
        client.tcp:close()
        listener:close()
      end
    end)
  end)

  it("is given up if the other side takes nothing after the close", function()
    local before = handles.silent_ms
    handles.silent_ms = 20
    finally(function() handles.silent_ms = before end)
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local client = plain_client(listener:address())
      client.tcp:read_stop()
      local socket = assert(listener:accept())
      socket:write(("x"):rep(20000000))
      local open = handles.count
      socket:close()
      eventually(function() return handles.count == open end)
      client.tcp:close()
    end)
  end)

  it("answers codes when the other side has gone", function()
    on_node(function()
      local a, b = pair()
      b:write "unread"
      a:read(1)
      b:close()
      local why
      eventually(function()
        local ok
        ok, why = a:write "x"
        return not ok
      end)
      assert.is_truthy(({ epipe = 1, econnreset = 1 })[why], why)
      assert.equal("nread", a:read(5))
      local _, ended = a:read()
      assert.is_truthy(({ closed = 1, econnreset = 1 })[ended], ended)
    end)
  end)

  it("is closed for everybody after close", function()
    on_node(function()
      local a, b = pair()
      assert.is_true(a:close())
      assert.is_true(a:close())
      for _, method in ipairs { "read", "peer" } do
        assert.same({ nil, "closed" }, { a[method](a) })
      end
      assert.same({ nil, "closed" }, { a:write "x" })
      assert.same({ nil, "closed" }, { a:active(true) })
      assert.same({ nil, "closed" }, { a:give(banyan.self()) })
      assert.equal("socket<closed>", tostring(a))
      assert.equal("socket<" .. tostring(banyan.self()) .. ">", tostring(b))
    end)
  end)

  it("tells the address of its other side", function()
    on_node(function()
      local a, b = pair()
      assert.matches("^127%.0%.0%.1:%d+$", a:peer())
      assert.matches("^127%.0%.0%.1:%d+$", b:peer())
    end)
  end)
end)

describe("an active socket", function()
  it("sends messages", function()
    on_node(function()
      local a, b = pair()
      a:write "before"
      banyan.sleep(10)
      assert.is_true(b:active(true))
      local m = banyan.receive()
      assert.equal("data", m.tag)
      assert.equal(b, m.socket)
      assert.equal("before", m.data)
      fails("the socket is active", b.read, b)
      a:write "after"
      assert.equal("after", banyan.receive().data)
      a:close()
      m = banyan.receive()
      assert.same({ "closed", b, "closed" }, { m.tag, m.socket, m.reason })
      assert.is_nil(banyan.receive(20))
      -- It has said so, and says so again to whoever asks again.
      b:active "once"
      assert.equal("closed", banyan.receive().tag)
    end)
  end)

  it("sends one message in the mode once", function()
    on_node(function()
      local a, b = pair()
      b:active "once"
      a:write "one"
      assert.equal("one", banyan.receive().data)
      a:write "two"
      assert.is_nil(banyan.receive(20))
      assert.equal("two", b:read(3))
      a:write "three"
      a:close()
      banyan.sleep(10)
      b:active "once"
      assert.equal("three", banyan.receive().data)
      assert.is_nil(banyan.receive(20))
      b:active "once"
      assert.equal("closed", banyan.receive().tag)
    end)
  end)

  it("is passive again with false", function()
    on_node(function()
      local a, b = pair()
      b:active(true)
      b:active(false)
      a:write "data"
      assert.equal("data", b:read(4))
      assert.is_nil(banyan.receive(0))
      fails('true, "once" or false expected', b.active, b, "twice")
    end)
  end)

  it("leaves data in the kernel while the mailbox is long", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local client = plain_client(listener:address())
      local socket = assert(listener:accept())
      local total = 0
      socket:active(true)
      -- Each write is a piece of its own for the reader, or nearly so.
      local longest = 0
      for _ = 1, 400 do
        client.tcp:write(("z"):rep(100))
        total = total + 100
        banyan.sleep(1)
        longest = math.max(longest,
          banyan.process_info(banyan.self()).message_queue_len)
      end
      local much = ("z"):rep(30000000)
      client.tcp:write(much)
      total = total + #much
      local same, last = 0, 0
      while same < 20 do
        banyan.sleep(5)
        local length = banyan.process_info(banyan.self()).message_queue_len
        same = length == last and same + 1 or 0
        last, longest = length, math.max(length, longest)
      end
      assert.is_true(longest <= 100)
      assert.is_true(client.tcp:write_queue_size() > 0)
      local came = 0
      while came < total do
        local m = banyan.receive(5000)
        assert.equal("data", m and m.tag)
        came = came + #m.data
      end
      client.tcp:close()
      assert.equal("closed", banyan.receive().tag)
    end)
  end)
end)

describe("the owner of a socket", function()
  it("is the only one to use it", function()
    on_node(function()
      local a, b = pair()
      local me = banyan.self()
      local listener = assert(sockets.listen(ANY))
      local _, ref = banyan.spawn_monitor(function()
        for _, call in ipairs {
          { a.read, a }, { a.write, a, "x" }, { a.active, a, true },
          { a.close, a }, { a.give, a, banyan.self() }, { a.peer, a },
          { a.lines, a }, { listener.accept, listener },
          { listener.close, listener }, { listener.address, listener },
          { listener.give, listener, banyan.self() },
          { listener.serve, listener, print },
        } do
          fails("belongs to " .. tostring(me), call[1], call[2], call[3])
        end
      end)
      assert.equal("normal", banyan.receive(function(m)
        return m.ref == ref
      end).reason)
      assert.is_true(a:write "still mine")
      assert.equal("still mine", b:read(10))
    end)
  end)

  it("sends it by reference, and gives it away", function()
    on_node(function()
      local a, b = pair()
      local me = banyan.self()
      local pid = banyan.spawn(function()
        local m = banyan.receive()
        me:send { same = m.socket == a }
        m.socket:write(m.socket:read "line")
        m.socket:write "more"
      end)
      assert.is_true(a:give(pid))
      fails("belongs to", a.read, a)
      pid:send { socket = a }
      assert.is_true(banyan.receive().same)
      b:write "line\n"
      assert.equal("linemore", b:read(8))
      assert.same({ nil, "closed" }, { b:read() })
      assert.is_true(b:give(me))
      local dead = banyan.spawn(function() end)
      banyan.sleep(1)
      assert.same({ nil, "noproc" }, { b:give(dead) })
      assert.same({ nil, "closed" }, { b:read() })
      fails("a pid expected, got string", b.give, b, "name")
    end)
  end)

  it("takes what has come already with the socket", function()
    on_node(function()
      local a, b = pair()
      a:write "firstsecond"
      assert.equal("first", b:read(5))
      local me = banyan.self()
      local pid = banyan.spawn(function()
        banyan.receive()
        me:send(b:read(6))
      end)
      b:give(pid)
      pid:send "go"
      assert.equal("second", banyan.receive())
    end)
  end)

  for _, how in ipairs { "return", "error", "kill", "exit" } do
    it("closes all that it has when it ends, by " .. how, function()
      local events = on_node(function()
        local clients = {}
        local me = banyan.self()
        local pid, ref = banyan.spawn_monitor(function()
          local listener = assert(sockets.listen(ANY))
          me:send(listener:address())
          for _ = 1, 3 do assert(listener:accept()) end
          me:send "has them"
          if how == "error" then error "at fault" end
          if how == "return" then return end
          banyan.await(function() end)
        end)
        local at = banyan.receive()
        for i = 1, 3 do clients[i] = assert(sockets.connect(at)) end
        assert.equal("has them", banyan.receive())
        if how == "kill" then pid:exit "kill" end
        if how == "exit" then pid:exit "asked" end
        assert.equal(ref, banyan.receive().ref)
        -- Nothing has been turned since: the port is free at this moment.
        local again = assert(sockets.listen(at))
        for i = 1, 3 do
          assert.same({ nil, "closed" }, { clients[i]:read() })
        end
        again:close()
      end)
      assert.equal(0, count(events, "callback_error"))
    end)
  end

  it("may be killed while it waits for any of it", function()
    on_node(function()
      local me = banyan.self()
      local full = assert(sockets.listen(ANY, { high_water = 1 }))
      local at = full:address()
      for _, wait in ipairs {
        function() assert(sockets.listen(ANY)):accept() end,
        function() assert(sockets.connect(at)):read() end,
        function() assert(sockets.connect(at)):read "line" end,
        function() sockets.connect "localhost.invalid:1" end,
        function()
          local socket = assert(sockets.connect(at, { high_water = 1 }))
          while true do socket:write(("x"):rep(1000000)) end
        end,
      } do
        local pid, ref = banyan.spawn_monitor(function()
          me:send "begins"
          wait()
        end)
        assert.equal("begins", banyan.receive(function(m)
          return m == "begins"
        end))
        banyan.sleep(20)
        pid:exit "kill"
        banyan.receive(function(m)
          return type(m) == "table" and m.ref == ref
        end)
      end
    end)
  end)
end)
