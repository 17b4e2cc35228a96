-- An exchange over sockets, for io_test.c, which gives the global `need`.
--
-- Each thing is done by a process of its own, which ends however it goes: no
-- wait has a limit, so one whose event was lost shows as a process that never
-- ends. Answers exchange(), which answers what went wrong, or nil.

local core = ...
local need = _G.need -- luacheck: globals need

local uv = require "luv"
for name, value in pairs(uv) do
  if type(value) == "function" then uv[name] = need.luv(value) end
end
for name, class in pairs(debug.getregistry()) do
  if type(name) == "string" and name:find "^uv_"
    and type(class.__index) == "table" then
    for method, fn in pairs(class.__index) do
      class.__index[method] = need.luv(fn)
    end
  end
end

local banyan = require "banyan"
local io = require "banyan.io"

local ANY = "127.0.0.1:0"
local LIMIT_MS = 20000 -- in which everything must have come to its end
local BIG = ("0123456789abcde\n"):rep(16384)

local wrong -- what must not have been, the first of it

-- Needs no memory.
local function check(is_right, what)
  if not is_right and not wrong then wrong = what end
end

local served -- the address of a listener whose acceptor outlives the things

local function serve_echo(socket)
  while true do
    local data = socket:read()
    if not data then return end
    socket:write(data)
  end
end

local SMALL = { high_water = 1000 }

-- A second try after an error finds everything as it was.
local function twice(fn, ...)
  local ok, a, b = pcall(fn, ...)
  if ok then return a, b end
  return fn(...)
end

local function connect(address, opts)
  return assert(twice(io.connect, address or served, opts))
end

local function expect(socket, how, data)
  local got, err = twice(socket.read, socket, how)
  check(got == data or err, "read something else")
  assert(got, err)
end

local function write(socket, data)
  assert(twice(socket.write, socket, data))
end

local things = {
  function() -- lines
    local socket = connect()
    write(socket, "one\r\n")
    write(socket, { "two\n", "three\n", "four" })
    expect(socket, "line", "one")
    expect(socket, "line", "two")
    expect(socket, "line", "three")
    expect(socket, 4, "four")
    socket:peer()
    twice(socket.close, socket)
    check(socket:read() == nil, "a closed socket has data")
  end,
  function() -- more than the kernel takes, also as the owner ends
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(io.listen("unix:" .. path))
    local sent = 0
    core.spawn_link(function()
      local socket = assert(io.connect("unix:" .. path, SMALL))
      os.remove(path)
      for _ = 1, 2 do
        write(socket, BIG)
        sent = sent + 1
      end
    end)
    local socket = assert(listener:accept())
    local got = 0
    while twice(socket.read, socket, #BIG) == BIG do got = got + 1 end
    check(got >= sent, "what was written has not come")
  end,
  function() -- active
    local socket = connect()
    write(socket, "abc")
    twice(socket.active, socket, "once")
    local message = core.receive()
    check(message.tag == "closed" or message.data == "abc",
      "another message")
    twice(socket.active, socket, true)
    write(socket, "defg")
    local got = ""
    while got ~= "defg" do
      message = core.receive()
      if message.tag == "closed" then return end
      got = got .. message.data
      check(("defg"):sub(1, #got) == got, "other messages")
    end
  end,
  function() -- a listener of its own, a connection that is given away
    local listener = assert(io.listen("localhost:0"))
    -- A second try would leave the first connection to be accepted.
    local client = assert(io.connect(listener:address()))
    local socket = assert(twice(listener.accept, listener))
    local heir = core.spawn_link(function()
      local given = core.receive()
      given:write("hello\n")
      core.receive()
    end)
    twice(socket.give, socket, heir)
    core.send(heir, socket)
    expect(client, "line", "hello")
    heir:exit("kill")
    check(client:read() == nil, "the socket of a killed owner is open")
    listener:close()
  end,
  function() -- a Unix socket, and one that was left over
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(io.listen("unix:" .. path))
    local acceptor = listener:serve(serve_echo, { max_connections = 1 })
    local client = connect("unix:" .. path)
    write(client, "a\n")
    expect(client, "line", "a")
    client:close()
    client = connect("unix:" .. path)
    write(client, "b\n")
    expect(client, 2, "b\n")
    acceptor:exit("shutdown")
    os.remove(path)
  end,
  function() -- await
    local err, found = banyan.await(function(done)
      uv.getaddrinfo("127.0.0.1", nil, { socktype = "stream" }, done)
    end)
    check(err or found[1].addr == "127.0.0.1", "another address")
    local a, b = banyan.await(function(done) done(1, 2) end)
    check(a == 1 and b == 2, "other values of done")
    local timer = uv.new_timer()
    banyan.await(function(done) timer:start(1, 0, done) end)
    timer:close()
    local called = false
    local timer_again = uv.new_timer()
    local c, d = banyan.await(function(done)
      timer_again:start(1, 0, function()
        timer_again:close()
        done(1, 2)
        called = true
      end)
      while not called do core.sleep(1) end
    end)
    check(c == 1 and d == 2, "other values of an early done")
  end,
}

-- --- the stage ---------------------------------------------------------------

local node, acceptor

-- Turns the loop until it is so; false if that takes too long.
local function pump(is_so)
  local late = false
  local timer = uv.new_timer()
  timer:start(LIMIT_MS, 0, function() late = true end)
  node.session:pump(function() return late or need.plenty(is_so) end)
  timer:close()
  return not late
end

local function run(body)
  local over
  local pid = node:spawn(function()
    body()
    over = true
  end)
  pump(function() return not pid:is_alive() end)
  return over
end

local function start()
  node = assert(banyan.start { on_event = function(event)
    if event.event ~= "callback_error" then return end
    local fine = type(event.traceback) == "string"
      and event.message:find("not enough memory", 1, true)
    check(fine, "another error of a callback")
    if fine then need.told() end
  end })
  assert(run(function()
    local starter = core.self()
    core.spawn(function()
      core.trap_exit(true)
      local listener = assert(io.listen(ANY))
      served = listener:address()
      acceptor = listener:serve(serve_echo)
      core.unlink(acceptor)
      core.send(starter, "done")
    end)
    core.receive()
  end))
end

local function probe()
  return run(function()
    local listener = assert(io.listen(ANY))
    local own = listener:address()
    local fresh = listener:serve(serve_echo)
    for _, address in ipairs { own, acceptor:is_alive() and served or nil } do
      local client = assert(io.connect(address))
      assert(client:write "probe\n")
      assert(client:read "line" == "probe")
    end
    core.unlink(fresh)
    fresh:exit "kill"
  end)
end

local function exchange()
  start()
  local function count() return node.core:process_count() end
  local function alone()
    return count() == (acceptor:is_alive() and 1 or 0)
  end
  pump(alone)
  local open = need.descriptors()
  for _, thing in ipairs(things) do node:spawn(thing) end
  need.window(true)
  local ended = pump(alone)
  need.window(false)
  if not ended then return "processes that wait for ever" end
  if not acceptor:is_alive() then open = open - 1 end
  if not pump(function() return need.descriptors() <= open end) then
    return "descriptors left open"
  end
  if not probe() then return "no fresh connection" end
  if not pump(alone) then return "processes left" end
  node:stop()
  return wrong
end

return exchange
