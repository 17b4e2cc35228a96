-- Peer connections (banyan.peers) between two OS processes.
--
--     make bench SPEC=bridges      or      lua5.4 bench/bridges.lua [ROUNDS]
--
-- A message to 1,000 subscribers over 10 peers, from the call of publish to the
-- last delivery; a call that does nothing, one by one and 1,000 at a time, and
-- one of 1 MiB there and back; 1,000 peers, from the first dial until all are
-- connected, and from the kill of the other process until none is left. The
-- medians of all rounds, the least and the most.

local banyan = require "banyan"
local peers = require "banyan.peers"
local uv = require "luv"

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "harness/?.lua;" .. package.path
local sheet = require "sheet"

local ROUNDS = tonumber(arg[1]) or tonumber(os.getenv "ROUNDS") or 3
local WORDS = os.getenv "BENCH" or ""
local PEERS, EACH = 10, 100
local KEY = { realm = "bench", secret = "the secret of the bench" }

-- --- the other process -------------------------------------------------------

-- Each peer that comes gets EACH subscribers; what the last of all gets is
-- answered on the peer that it came by.
local function far(name)
  local got, wanted = 0, PEERS * EACH
  local function subscribe(p)
    for _ = 1, EACH do
      banyan.spawn(function()
        peers.subscribe(p, "news")
        while true do
          local message = banyan.receive()
          got = got + 1
          if got % wanted == 0 then
            peers.publish(message.peer, "all", true)
          end
        end
      end)
    end
  end
  banyan.run({ name = name, secret = "the other one's own" }, function()
    assert(peers.start_link())
    peers.serve("nothing", function() end)
    peers.serve("echo", function(text) return text end)
    assert(peers.accept {
      realm = KEY.realm, secret = KEY.secret, on_up = subscribe,
    })
    assert(peers.accept { realm = "many", secret = KEY.secret })
    print "ready"
    io.stdout:flush()
    banyan.receive()
  end)
end

if arg[1] == "far" then return far(arg[2]) end

local function start_far()
  local port = ("%d"):format(20000 + uv.os_getpid() % 10000)
  local out = uv.new_pipe(false)
  local handle = assert(uv.spawn(arg[-1], {
    args = { arg[0], "far", "far@127.0.0.1:" .. port }, stdio = { nil, out, 2 },
  }, function() end))
  banyan.await(function(done)
    out:read_start(function(_, data) done(data) end)
  end)
  return "banyan://127.0.0.1:" .. port, function()
    handle:kill "sigkill"
    handle:close()
    out:close()
  end
end

-- --- figures -----------------------------------------------------------------

local rows, figures = {
  { key = "publish", text = "to 1,000 subscribers over 10 peers", unit = "ms" },
  { key = "call", text = "call", unit = "us" },
  { key = "many", text = "1,000 calls at a time, each", unit = "us" },
  { key = "big", text = "call with 1 MiB", unit = "ms" },
  { key = "connect", text = "1,000 peers, until all are up", unit = "ms" },
  { key = "die", text = "1,000 peers die, until none is left", unit = "ms" },
}, {}

local function since(from) return (uv.hrtime() - from) / 1e6 end

local function note(key, value)
  figures[key] = figures[key] or {}
  table.insert(figures[key], value)
end

local function await(fn)
  while not fn() do banyan.sleep(1) end
end

local function connect(url, n, realm)
  local up, list = 0, {}
  for i = 1, n do
    list[i] = assert(peers.start_peer(url, {
      realm = realm, secret = KEY.secret, timeout_ms = 60000,
      on_up = function() up = up + 1 end,
    }))
  end
  await(function() return up == n end)
  return list
end

local function publish(list)
  for _, p in ipairs(list) do peers.subscribe(p, "all") end
  -- The last of the other end's subscribers may be under way still.
  await(function() return peers.info(list[PEERS]).topics == 1 end)
  banyan.sleep(500)
  local text, times = ("x"):rep(100), 100
  local from
  for i = 0, times do
    if i == 1 then from = uv.hrtime() end
    for _, p in ipairs(list) do peers.publish(p, "news", text) end
    banyan.receive()
  end
  note("publish", since(from) / times)
end

local function calls(p)
  local n, big, me = 5000, ("x"):rep(2 ^ 20), banyan.self()
  for _ = 1, 500 do peers.call(p, "nothing") end
  local from = uv.hrtime()
  for _ = 1, n do peers.call(p, "nothing") end
  note("call", since(from) * 1000 / n)
  from = uv.hrtime()
  for _ = 1, 1000 do
    banyan.spawn(function()
      for _ = 1, 5 do peers.call(p, "nothing", nil, 60000) end
      banyan.send(me, true)
    end)
  end
  for _ = 1, 1000 do banyan.receive() end
  note("many", since(from) * 1000 / 5000)
  from = uv.hrtime()
  for _ = 1, 20 do assert(#peers.call(p, "echo", big, 60000) == #big) end
  note("big", since(from) / 20)
end

local function round()
  local url, kill = start_far()
  local list = connect(url, PEERS, KEY.realm)
  publish(list)
  calls(list[1])
  for _, p in ipairs(list) do peers.stop_peer(p) end
  local from = uv.hrtime()
  connect(url, 1000, "many")
  note("connect", since(from))
  from = uv.hrtime()
  kill()
  await(function() return peers.count_peers() == 0 end)
  note("die", since(from))
end

banyan.run(function()
  assert(peers.start_link())
  for _ = 1, ROUNDS do round() end
end)

print(("Banyan on %s; %d rounds"):format(jit and jit.version or _VERSION,
  ROUNDS))
for _, row in ipairs(rows) do
  if sheet.chosen(row.key, WORDS) then
    sheet.line("%-40s %-4s %s", row.text, row.unit,
      sheet.cell(row, figures[row.key]))
  end
end
