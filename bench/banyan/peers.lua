-- One kind of peers for bench/peers.lua: stdio, framed, tcp or dist.

local banyan = require "banyan"
local peer = require "banyan.peer"
local uv = require "luv"

local KIND = arg[1]
local CYCLES = tonumber(os.getenv "CYCLES") or 1000
local CALLS = 5000

local function options()
  if KIND == "stdio" then return { connection = "stdio" } end
  if KIND == "tcp" then return { connection = 0 } end
  if KIND == "dist" then return { name = peer.random_name() } end
  return {
    connection = "stdio",
    exec = { "env", { "-u", "BANYAN_PEER", uv.exepath() } },
  }
end

local function start() return assert(peer.start(options())) end

local function say(key, value, unit)
  print(("%s_%s %.3f %s"):format(key, KIND, value, unit))
end

local function ms(from) return (uv.hrtime() - from) / 1e6 end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local function boot()
  local list = {}
  for i = 1, 21 do
    local from = uv.hrtime()
    local p = start()
    list[i] = ms(from)
    peer.stop(p)
  end
  say("boot", median(list), "ms")
end

local function calls()
  local p = start()
  for _ = 1, 500 do peer.call(p, "math", "abs", { -1 }) end
  local from = uv.hrtime()
  for _ = 1, CALLS do peer.call(p, "math", "abs", { -1 }) end
  say("call", ms(from) * 1000 / CALLS, "us")
  local big, times = ("x"):rep(1024 * 1024), 20
  from = uv.hrtime()
  for _ = 1, times do
    assert(#peer.call(p, "string", "reverse", { big }) == #big)
  end
  say("big", ms(from) / times, "ms")
  local me = banyan.self()
  from = uv.hrtime()
  for _ = 1, 1000 do
    banyan.spawn(function()
      for _ = 1, 5 do assert(peer.call(p, "math", "abs", { -1 }, 60000)) end
      banyan.send(me, true)
    end)
  end
  for _ = 1, 1000 do banyan.receive() end
  say("many", ms(from) * 1000 / 5000, "us")
  peer.stop(p)
end

local function twenty()
  local me, list = banyan.self(), {}
  local from = uv.hrtime()
  for _ = 1, 20 do
    banyan.spawn(function() banyan.send(me, start()) end)
  end
  for i = 1, 20 do list[i] = banyan.receive() end
  say("twenty", ms(from), "ms")
  for _, p in ipairs(list) do peer.stop(p) end
end

local function descriptors()
  local count, scan = 0, uv.fs_scandir "/proc/self/fd"
  while scan and uv.fs_scandir_next(scan) do count = count + 1 end
  return count
end

local function children()
  local path = ("/proc/self/task/%d/children"):format(uv.os_getpid())
  local file, count = io.open(path), 0
  for _ in (file and file:read "*a" or ""):gmatch "%d+" do count = count + 1 end
  if file then file:close() end
  return count
end

local function memory()
  banyan.sleep(50)
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

local function cycles()
  for _ = 1, 20 do peer.stop(start()) end
  local open, before = descriptors(), memory()
  local from = uv.hrtime()
  for _ = 1, CYCLES do peer.stop(start()) end
  say("cycle", ms(from) / CYCLES, "ms")
  print(("left_memory %.1f KiB"):format(memory() - before))
  print(("left_descriptors %d n"):format(descriptors() - open))
  print(("left_processes %d n"):format(children()))
end

local node = KIND == "dist" and {
  name = ("origin@127.0.0.1:%d"):format(15000 + uv.os_getpid() % 15000),
  secret = "the secret of the bench", on_event = false,
} or { on_event = false }
banyan.run(node, function()
  boot()
  calls()
  twenty()
  cycles()
end)
