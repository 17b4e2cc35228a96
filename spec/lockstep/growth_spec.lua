-- Nothing grows while nodes come and go.

local lockstep = require "banyan.lockstep"
local rejoin = require "spec.support.scripts.rejoin"
local lua = require "spec.support.lua"

local LIVES = 800       -- before the tape of choices doubles once more
local FROM = 500        -- after it has doubled, and what is remembered for ten
                        -- minutes has come and gone
local EVERY = 100       -- garbage makes tables grow for good
local LUA_KB = 60
local C_KB = 600
local TAPE_BYTES = 8    -- of one choice; twice of what it needs

-- AddressSanitizer keeps freed memory for a while; a leak it finds itself.
local function is_sanitized()
  local file = io.open "/proc/self/maps"
  local maps = file and file:read "*a" or ""
  if file then file:close() end
  return maps:find("libasan", 1, true) ~= nil
end

-- Kilobytes of this process, where the system tells.
local function resident()
  local file = not is_sanitized() and io.open "/proc/self/statm"
  if not file then return 0 end
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4
end

-- What is in use once that many lives are over: found in a run, judged after
-- it, for a run that fails is played again with a trace.
local function measure(sites, steps)
  return {
    lua = lua.in_use(),
    rest = resident() - steps * TAPE_BYTES / 1024,
    processes = sites[1].core:process_count(),
  }
end

describe("800 joins and leaves under lockstep", function()
  it("leave no more memory in use than 500", function()
    local seen = {}
    lockstep.check(function()
      rejoin(LIVES, function(life, sites, steps)
        if life % EVERY == 0 then
          seen[life] = measure(sites, steps)
        end
      end)
    end, { strategy = "random", clock = "idle", iterations = 1,
      max_steps = 1e7 })
    local first, last = seen[FROM], seen[LIVES]
    assert.equal(first.processes, last.processes)
    assert.is_true(last.lua - first.lua < LUA_KB,
      ("%.0f kB more"):format(last.lua - first.lua))
    assert.is_true(last.rest - first.rest < C_KB,
      ("%.0f kB more outside of Lua"):format(last.rest - first.rest))
  end)
end)
