-- banyan.run's option `workers`: OS processes that are nodes, joined by Unix
-- sockets, under a supervisor.

local address = require "spec.support.address"
local banyan = require "banyan"
local program = require "spec.support.program"
local uv = require "luv"
local work = require "spec.support.work"

local SECRET = "the secret of the specs"
local WORK = "spec.support.work"

-- Runs `body` as the main of an origin; answers its events and what run did.
local function with_workers(opts, body)
  local events = {}
  opts.secret = SECRET
  opts.worker = opts.worker or { WORK, "serve" }
  opts.on_event = function(event)
    events[event.event] = events[event.event] or {}
    table.insert(events[event.event], event)
  end
  local ok, err = pcall(banyan.run, opts, function() body(events) end)
  return events, ok, err
end

local function assert_fine(...)
  local events, ok, err = with_workers(...)
  assert.is_true(ok, tostring(err))
  return events
end

-- A program whose workers say who they are as soon as they run.
local function origin(opts)
  return program(([[
    local banyan = require "banyan"
    local work = require "spec.support.work"
    banyan.run({ workers = 2, secret = os.getenv "SECRET", worker = %s },
      function()
        for _, worker in pairs(%s and work.all(2) or {}) do
          print("worker " .. worker.pid)
        end
        print "ready"
        io.stdout:flush()
        banyan.sleep(math.huge)
      end)
  ]]):format(opts.worker, opts.asks), { env = { SECRET = SECRET } })
end

local function gone(pids)
  local timer, late = uv.new_timer(), false
  timer:start(30000, 0, function() late = true end)
  local left
  repeat
    left = 0
    for _, pid in ipairs(pids) do
      if work.lives(pid) then left = left + 1 end
    end
    if left > 0 then uv.sleep(5) end
    uv.run "nowait"
  until left == 0 or late
  timer:close()
  uv.run "nowait"
  return left == 0
end

local function pids_in(text)
  local pids = {}
  for pid in text:gmatch "worker (%d+)" do pids[#pids + 1] = tonumber(pid) end
  return pids
end

describe("workers", function()
  it("run what they are told, each on a node of its own", function()
    local name = address.fresh_name "origin"
    local worker_main = { WORK, "serve", { 7, nil, "x" } }
    assert_fine({ name = name, workers = 2, worker = worker_main },
      function()
        local all = work.all(2)
        local seen = {}
        for node, worker in pairs(all) do
          assert.matches("^origin%-[12]@127.0.0.1:%d+$", node)
          assert.same({ 7, nil, "x" }, worker.args)
          assert.is_not.equal(uv.os_getpid(), worker.pid)
          seen[worker.pid] = true
        end
        local count = 0
        for _ in pairs(seen) do count = count + 1 end
        assert.equal(2, count)
        assert.equal(name, banyan.node())
      end)
  end)

  it("are not told what is no argument", function()
    for _, worker in ipairs {
      { WORK, "serve", { depth = 1 } }, { WORK, "serve", {}, "more" },
      { WORK, "serve", name = "x" }, { WORK, "serve", { 1, 2, n = 1 } },
      { WORK, "serve", { [1.5] = 1 } }, { WORK },
    } do
      local _, ok, err = with_workers({ workers = 1, worker = worker },
        function() end)
      assert.is_false(ok)
      assert.matches('option "worker" must be a list {"module", "function"',
        err)
    end
  end)

  it("are there when main begins, also where the origin has no name", function()
    assert_fine({ workers = 2 }, function()
      assert.equal(2, #banyan.nodes())
      assert.matches("^main%-%d+@127.0.0.1:%d+$", banyan.node())
    end)
    assert_fine({ workers = 0 }, function()
      assert.equal(0, #banyan.nodes())
    end)
  end)

  it("are as many as there are cores", function()
    assert_fine({ workers = "cores" }, function()
      assert.equal(uv.available_parallelism and uv.available_parallelism()
        or #uv.cpu_info(), #banyan.nodes())
    end)
  end)

  it("are linked by Unix sockets, with the origin and with each other",
    function()
      local events = assert_fine({ workers = 2 }, function()
        local all = work.all(2)
        for node in pairs(all) do
          assert.is_true(banyan.send({ name = "work", node = node }, {}))
        end
        if uv.os_uname().sysname ~= "Linux" then return end
        -- Each node listens, and accepted what others dialled: of three links
        -- each has one end with a path. No TCP connection is there.
        local file = assert(io.open "/proc/net/unix")
        local text = file:read "*a"
        file:close()
        local connected = 0
        local name = banyan.node():match "^[^@]+"
        local line = "(%d%d) +%d+ [^\n]*/" .. name:gsub("%p", "%%%0")
          .. "[%w-]*%.sock"
        for state in text:gmatch(line) do
          if state == "03" then connected = connected + 1 end
        end
        assert.equal(3, connected)
      end)
      for _, event in ipairs(events.node_up) do
        assert.matches("^unix:/", event.address)
      end
    end)

  it("that are killed are started again, under their names", function()
    assert_fine({ workers = 2 }, function(events)
      local before = work.all(2)
      local victim, old = next(before)
      assert(uv.kill(old.pid, "sigkill"))
      local fresh = work.eventually("it is back", function()
        local answer = work.ask(victim)
        return answer and answer.pid ~= old.pid and answer
      end)
      assert.equal(victim, fresh.node)
      assert.equal("econnrefused", events.node_down[1].reason)
      work.all(2)
      assert.equal(1, #events.child_restarted)
      assert.matches("^unix:/", events.node_up[#events.node_up].address)
    end)
  end)

  it("that are killed are started again where their directory is gone, too",
    function()
      local at = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
        .. "/byn-XXXXXX"))
      local child = program([[
        local banyan = require "banyan"
        local uv = require "luv"
        local work = require "spec.support.work"
        local directory = os.getenv "XDG_RUNTIME_DIR" .. "/banyan"
        local function lose()
          for name in uv.fs_scandir_next, assert(uv.fs_scandir(directory)) do
            assert(uv.fs_unlink(directory .. "/" .. name))
          end
          assert(uv.fs_rmdir(directory))
        end
        local function refuse() assert(uv.fs_chmod(directory, 511)) end -- 0777
        banyan.run({ workers = 1, worker = { "spec.support.work", "serve" },
          secret = os.getenv "SECRET", on_event = false }, function()
          for _, spoil in ipairs { lose, refuse } do
            local node, old = next(work.all(1))
            spoil()
            assert(uv.kill(old.pid, "sigkill"))
            work.eventually("it is back", function()
              local answer = work.ask(node)
              return answer and answer.pid ~= old.pid
            end)
          end
        end)
      ]], { env = { SECRET = SECRET, XDG_RUNTIME_DIR = at } })
      assert.equal(0, (child:finish()), child.err)
      os.execute(("rm -r '%s'"):format(at)) -- also the killed one's socket
    end)

  it("that raise, fail, exit or are stopped by others are started again",
    function()
      for _, order in ipairs {
        { raise = "on purpose" }, { fail = "on_purpose" }, { exit = 3 },
        { gives_up = true }, { signal = "sigterm" },
      } do
        assert_fine({ workers = 1 }, function()
          local node, old = next(work.all(1))
          if order.signal then
            assert(uv.kill(old.pid, order.signal))
          else
            banyan.send({ name = "work", node = node }, order)
          end
          work.eventually("it is back", function()
            local answer = work.ask(node)
            return answer and answer.pid ~= old.pid
          end)
        end)
      end
    end)

  it("that return have done their work, and are not", function()
    local events = assert_fine({ workers = 2 }, function(events)
      local node, old = next(work.all(2))
      banyan.send({ name = "work", node = node }, { done = true })
      work.eventually("it has gone", function()
        return events.child_exited
      end)
      assert.equal("normal", events.child_exited[1].reason)
      assert.is_false(work.lives(old.pid))
      assert.equal(1, #banyan.nodes())
    end)
    assert.is_nil(events.child_restarted)
  end)

  it("that fail again and again end the program with an error", function()
    local events, ok, err = with_workers({
      workers = 1, worker = { WORK, "raise" },
    }, function() banyan.sleep(math.huge) end)
    assert.is_false(ok)
    assert.matches("the supervisor .* gave up and ended main", tostring(err))
    assert.equal(1, #events.supervisor_gave_up)
  end)

  it("that cannot start keep main from being called", function()
    for _, worker in ipairs {
      { "no.such.module", "main" }, { WORK, "no_such_function" },
    } do
      local called = false
      local _, ok, err = with_workers({ workers = 1, worker = worker },
        function() called = true end)
      assert.is_false(ok)
      assert.matches("worker 1 did not start: boot_failed: exit_status: 1",
        tostring(err))
      assert.is_false(called)
    end
  end)

  it("are there for other nodes, over TCP", function()
    assert_fine({ workers = 2 }, function()
      local node = next(work.all(2))
      local third = program([[
        local banyan = require "banyan"
        local name, target = os.getenv "NAME", os.getenv "TARGET"
        local function tell(event)
          if event.event == "node_up" and event.peer == target then
            print(event.address)
          end
        end
        banyan.run({ name = name, secret = os.getenv "SECRET",
          on_event = tell }, function()
          assert(banyan.connect(target))
          banyan.send({ name = "work", node = target },
            { ask = banyan.self() })
          print(banyan.receive(10000).node)
        end)
      ]], { env = {
        NAME = address.fresh_name "third", TARGET = node, SECRET = SECRET,
      } })
      work.eventually("the third one has ended", function()
        return third.exited and third.open == 0
      end)
      local at = node:match "@(.*)"
      assert.equal(("%s\n%s\n"):format(at, node), third.out)
    end)
  end)

  it("are gone when the origin is killed", function()
    local child = origin { worker = '{ "spec.support.work", "serve" }',
      asks = "true" }
    child:wait_for "ready"
    local pids = pids_in(child.out)
    assert.equal(2, #pids)
    for _, pid in ipairs(pids) do assert.is_true(work.lives(pid)) end
    child:kill "sigkill"
    assert.is_true(gone(pids))
    child:finish()
  end)

  for _, signal in ipairs { "sigterm", "sigint" } do
    it("stop in order when the origin gets " .. signal, function()
      local child = origin { worker = '{ "spec.support.work", "tidy" }',
        asks = "false" }
      child:wait_for "ready"
      child:kill(signal)
      assert.equal(0, (child:finish()), child.err)
      assert.matches("main%-%d+%-1 is tidy", child.out)
      assert.matches("main%-%d+%-2 is tidy", child.out)
      assert.equal("", child.err)
    end)
  end

  it("run distributed children, which move with their state when one stops",
    function()
      local rooms = require "banyan.distributed_supervisor"
      local function score_of(id)
        return rooms.call("rooms", id, { tag = "get" }, 10000)
      end
      assert_fine({ workers = 2, worker = { WORK, "rooms" }, hosts = false },
        function()
          assert(rooms.start_link { name = "rooms" })
          work.eventually("both take part",
            function() return #rooms.nodes "rooms" == 2 end)
          for id = 1, 20 do
            assert(rooms.start_child("rooms", {
              id = id,
              start = { "spec.support.room", "start_link", { { id = id } } },
            }))
            rooms.call("rooms", id, { tag = "forget", n = id })
          end
          local node, worker = next(work.all(2))
          assert(uv.kill(worker.pid, "sigterm"))
          work.eventually("all run on the other one", function()
            return #rooms.nodes "rooms" == 1
          end)
          for id = 1, 20 do assert.equal(id, (score_of(id))) end
          work.eventually("it is back", function()
            local answer = work.ask(node)
            return answer and answer.pid ~= worker.pid
              and #rooms.nodes "rooms" == 2
          end)
          for id = 1, 20 do assert.equal(id, (score_of(id))) end
        end)
    end)

  it("and their origin stop in order with distributed children", function()
    local child = program([[
      local banyan = require "banyan"
      local rooms = require "banyan.distributed_supervisor"
      local work = require "spec.support.work"
      banyan.run({ workers = 2, worker = { "spec.support.work", "rooms" },
        secret = os.getenv "SECRET" }, function()
        assert(rooms.start_link { name = "rooms" })
        work.eventually("all take part",
          function() return #rooms.nodes "rooms" == 3 end)
        for id = 1, 30 do
          assert(rooms.start_child("rooms", {
            id = id,
            start = { "spec.support.room", "start_link", { { id = id } } },
          }))
        end
        for _, worker in pairs(work.all(2)) do
          print("worker " .. worker.pid)
        end
        print "ready"
        io.stdout:flush()
        banyan.sleep(math.huge)
      end)
    ]], { env = { SECRET = SECRET } })
    child:wait_for "ready"
    local pids = pids_in(child.out)
    child:kill "sigterm"
    assert.equal(0, (child:finish()), child.err)
    assert.equal("", child.err)
    for _, pid in ipairs(pids) do assert.is_false(work.lives(pid)) end
  end)

  it("that begin just now are stopped, too", function()
    local child = program([[
      local banyan = require "banyan"
      banyan.run({ workers = 2, worker = { "spec.support.slow_worker", "main" },
        secret = os.getenv "SECRET" }, function() print "main" end)
    ]], { env = { SECRET = SECRET } })
    child:wait_for "loading"
    local pids = pids_in(child.out)
    assert.equal(1, #pids)
    child:kill "sigterm"
    assert.equal(0, (child:finish()), child.err)
    assert.is_nil(child.out:find "main")
    assert.is_true(gone(pids))
  end)

  it("are stopped by stop_ms where they do not stop", function()
    local child = program([[
      local banyan = require "banyan"
      banyan.run({ workers = 1, worker = { "spec.support.work", "stubborn" },
        stop_ms = 300, secret = os.getenv "SECRET" }, function()
        print("worker " .. require("spec.support.work").pid_of(1))
        io.stdout:flush()
        banyan.sleep(math.huge)
      end)
    ]], { env = { SECRET = SECRET } })
    child:wait_for "worker"
    local pids = pids_in(child.out)
    child:kill "sigterm"
    child:finish()
    assert.is_true(gone(pids))
  end)

  it("remove the sockets of origins that were killed", function()
    local at = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
      .. "/byn-XXXXXX"))
    local directory = at .. "/banyan"
    assert(uv.fs_mkdir(directory, 448))
    local gone_pid = 4194304 -- above the greatest that Linux has
    local names = {
      old = ("a-1-%d.sock"):format(gone_pid),
      fresh = ("b-1-%d.sock"):format(gone_pid),
      alive = ("c-1-%d.sock"):format(uv.os_getpid()),
      listens = ("d-1-%d.sock"):format(gone_pid),
      other = "e.sock",
    }
    local pipes = {}
    for what, name in pairs(names) do
      local path = directory .. "/" .. name
      pipes[what] = uv.new_pipe(false)
      assert(pipes[what]:bind(path))
      if what == "listens" then pipes[what]:listen(8, function() end) end
      if what ~= "fresh" then assert(uv.fs_utime(path, 1000, 1000)) end
    end
    local child = program([[
      require "banyan".run({ workers = 0, worker = { "a", "b" },
        secret = os.getenv "SECRET" }, function() end)
    ]], { env = { SECRET = SECRET, XDG_RUNTIME_DIR = at } })
    assert.equal(0, (child:finish()), child.err)
    local left = {}
    for what, name in pairs(names) do
      left[what] = uv.fs_stat(directory .. "/" .. name) ~= nil
      pipes[what]:close()
    end
    uv.run "nowait"
    assert.same({ old = false, fresh = true, alive = true, listens = true,
      other = true }, left)
    uv.fs_rmdir(directory)
    uv.fs_rmdir(at)
  end)

  it("have sockets whose paths are short enough", function()
    local sockets = require "banyan.sockets"
    local name = ("a.b"):rep(30) .. "@127.0.0.1:65535"
    local path = sockets.path("/run/user/1000/banyan", name, 4194304)
    assert.equal("/run/user/1000/banyan/" .. ("a_b"):rep(10)
      .. "a_-65535-4194304.sock", path)
    assert.equal(103, #sockets.path(("/d"):rep(40), name, 4194304))
    local none, why = sockets.path(("/d"):rep(50), name, 4194304)
    assert.is_nil(none)
    assert.matches("too long for sockets$", why)
  end)

  it("have sockets elsewhere where the runtime directory is not fit", function()
    local at = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
      .. "/byn-XXXXXX"))
    for _, runtime in ipairs { at .. "/a b", at .. ("/dir"):rep(20) } do
      local child = program([[
        local runtime = os.getenv "XDG_RUNTIME_DIR"
        os.execute(("mkdir -p -m 700 '%s'"):format(runtime))
        require "banyan".run({ workers = 1, secret = os.getenv "SECRET",
          worker = { "spec.support.work", "serve" } }, function()
          print(#require "banyan".nodes())
        end)
        os.execute(("rm -r '%s'"):format(os.getenv "AT"))
      ]], { env = { SECRET = SECRET, XDG_RUNTIME_DIR = runtime, AT = at } })
      assert.equal(0, (child:finish()), child.err)
      assert.equal("1\n", child.out)
    end
  end)

  it("leave no socket behind", function()
    local paths = {}
    assert_fine({ workers = 2 }, function(events)
      work.all(2)
      for _, event in ipairs(events.node_up) do
        paths[#paths + 1] = event.address:sub(#"unix:" + 1)
      end
      assert.is_truthy(uv.fs_stat(paths[1]))
    end)
    for _, path in ipairs(paths) do assert.is_nil(uv.fs_stat(path)) end
  end)
end)

describe("the option", function()
  local function err_of(opts, fn)
    return select(2, pcall(function()
      local result = (fn or banyan.run)(opts, function() end)
      return result
    end))
  end

  it("workers needs worker, and the other way round", function()
    assert.matches('workers_spec.lua:%d+: banyan.run: the option "workers" '
      .. 'needs the option "worker"', err_of { workers = 2 })
    assert.matches('the option "worker" is for the option "workers"',
      err_of { worker = { "a", "b" } })
  end)

  it("workers is a number or cores, worker a list", function()
    for _, value in ipairs { -1, 1.5, "all", true, 5000 } do
      assert.matches('option "workers" must be an integer from 0 to 1024 or '
        .. '"cores"', err_of { workers = value, worker = { "a", "b" } })
    end
    for _, value in ipairs {
      { "a" }, { 1, 2 }, { "a", "b", "c" }, { "a", "b", {}, {} }, "a",
    } do
      assert.matches('option "worker" must be a list {"module", "function", '
        .. "{arguments}}", err_of { workers = 1, worker = value })
    end
  end)

  it("worker has arguments that can be sent", function()
    assert.matches('workers_spec.lua:%d+: banyan.run: option "worker": its '
      .. "arguments: cannot send a function", err_of {
      workers = 1, worker = { "a", "b", { print } },
    })
  end)

  it("is for banyan.run", function()
    assert.matches('banyan.start: the option "workers" is for banyan.run',
      err_of({ workers = 1, worker = { "a", "b" } }, banyan.start))
  end)
end)
