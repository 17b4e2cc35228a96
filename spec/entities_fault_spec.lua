-- Entities on nodes that are OS processes, called from all of them at once,
-- again and again as they fall asleep, while nodes are killed and started.

local banyan = require "banyan"
local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"
local diary = require "spec.support.diary"
local uv = require "luv"

local IDS = 20
local IDLE_MS = 200
local FAST = { options = { down_after_ms = 2000, heartbeat_ms = 200 } }
local OPTS = {
  entity = { "spec.support.diary", "start_link" }, idle_ms = IDLE_MS,
}

-- Calls each id; answers how many answered, and what else was answered.
local function call_all(count)
  local ds = require "banyan.distributed_supervisor"
  local core = require "banyan"
  local me, answered, others = core.self(), 0, {}
  for id = 1, count do
    core.spawn(function()
      local n, err = ds.call("counters", tostring(id), "add", 30000)
      core.send(me, { done = id, n = n, err = err and tostring(err) })
    end)
  end
  for _ = 1, count do
    local msg = core.receive(function(m)
      return type(m) == "table" and m.done
    end)
    if msg.n then
      answered = answered + 1
    else
      others[#others + 1] = msg.err
    end
  end
  return answered, table.concat(others, ", ")
end

-- So many run anywhere; so many sleep, with a state.
local function counts()
  local status = require("banyan.distributed_supervisor").status "counters"
  return status.everywhere, status.idle
end

local function sum_all(count)
  local ds = require "banyan.distributed_supervisor"
  local sum = 0
  for id = 1, count do
    sum = sum + assert(ds.call("counters", tostring(id), "add", 30000))
  end
  return sum
end

local function cast_all(count)
  local ds = require "banyan.distributed_supervisor"
  for id = 1, count do ds.cast("counters", tostring(id), "add") end
end

-- Runs body(c, start) where start(letter) starts a node whose entities keep a
-- diary; then looks whether two of one id ever ran at the same time.
local function with_diary(body)
  local dir = assert(uv.fs_mkdtemp(os.tmpname() .. "XXXXXX"))
  local names, killed = {}, {}
  uv.os_setenv("DIARY", dir)
  cluster.run(function(c)
    local function start(letter)
      local node = c:start(letter)
      names[#names + 1] = node.name
      node:open(counters.open, OPTS)
      return node
    end
    local function kill(node)
      node:kill()
      c:wait("it has ended", function() return node.ended end)
      killed[node.name] = uv.hrtime()
    end
    body(c, start, kill)
  end, FAST)
  local by_id, starts = {}, 0
  for _, run in ipairs(diary.read(dir, names)) do
    run.to = run.to or killed[run.node] or math.huge
    by_id[run.id] = by_id[run.id] or {}
    table.insert(by_id[run.id], run)
    starts = starts + 1
  end
  for id, runs in pairs(by_id) do
    table.sort(runs, function(a, b) return a.from < b.from end)
    for i = 2, #runs do
      assert.is_true(runs[i].from >= runs[i - 1].to,
        ("%s ran on %s and on %s"):format(id, runs[i - 1].node, runs[i].node))
    end
  end
  for _, name in ipairs(names) do os.remove(dir .. "/" .. name) end
  uv.fs_rmdir(dir)
  return starts
end

local function await_rest(c, node)
  c:wait("all sleep", function() return node:call(counts) == 0 end)
end

describe("entities of several OS processes", function()
  it("start once at a time while nodes are killed", function()
    local starts = with_diary(function(c, start, kill)
      local nodes = { start "a", start "b", start "d" }
      counters.await_members(c, nodes)
      for round = 1, 6 do
        local results, waiting = {}, 0
        for i, node in ipairs(nodes) do
          waiting = waiting + 1
          banyan.spawn(function()
            results[i] = { node:try(call_all, IDS) }
            waiting = waiting - 1
          end)
        end
        local victim = round % 2 == 0 and 2 + round / 2 % 2 or nil
        if victim then kill(nodes[victim]) end
        c:wait("the callers are answered", function() return waiting == 0 end)
        for i = 1, #nodes do
          if i ~= victim then
            local answered, others = results[i][1], results[i][2]
            assert.is_number(answered, tostring(others))
            -- the node of those was lost in the call
            local rest = others:gsub("noconnection", ""):gsub("[, ]", "")
            assert.equal("", rest)
            if not victim then assert.equal(IDS, answered) end
          end
        end
        if victim then
          nodes[victim] = start(("efghij"):sub(round, round))
          counters.await_members(c, nodes)
        end
        await_rest(c, nodes[1])
      end
      local _, idle = nodes[1]:call(counts)
      assert.equal(IDS, idle)
    end)
    assert.is_true(starts >= 6 * IDS)
  end)

  it("lose no message as they fall asleep and wake, and as nodes end",
    function()
      with_diary(function(c, start)
        local nodes = { start "a", start "b", start "d" }
        counters.await_members(c, nodes)
        local sent = 0
        for round = 1, 40 do
          for _, node in ipairs(nodes) do node:call(cast_all, IDS) end
          sent = sent + #nodes
          -- from all at once to just when they are stopped
          banyan.sleep(round % 4 * 10 + (round % 2) * IDLE_MS)
        end
        -- What one node sent may come after what another asks.
        local asked = 0
        c:wait("all has come", function()
          asked = asked + 1
          return nodes[1]:call(sum_all, IDS) == (sent + asked) * IDS
        end)
        await_rest(c, nodes[1])
        for i = 2, 3 do
          nodes[i]:call(counters.sigterm)
          c:wait("the node ends", function() return nodes[i].ended end)
          nodes[i] = start(i == 2 and "e" or "f")
          counters.await_members(c, nodes)
        end
        assert.equal((sent + asked + 1) * IDS, nodes[3]:call(sum_all, IDS))
      end)
    end)
end)
