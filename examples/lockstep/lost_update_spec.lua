-- A lost update between two servers: found, replayed, and shrunk.
--
--     lua5.4 "$(command -v busted)" examples/lockstep/lost_update_spec.lua
--
-- Two tills add to one account. A careless till reads the balance, adds to it
-- and writes the sum back; if both read before either writes, one payment is
-- lost. An ordinary test does not find that: in the usual order, the first till
-- has written before the second one reads.

local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

-- --- the program ------------------------------------------------------------

local Account = { name = "account" }
function Account:init(balance) self.balance = balance end
function Account:handle_call(msg)
  if msg.set then self.balance = msg.set end
  if msg.add then self.balance = self.balance + msg.add end
  return self.balance
end

-- A till takes "pay" as a cast, and "paid?" as a call, which it answers after
-- all earlier casts.
local function till(name, pay)
  local Till = { name = name }
  function Till:init(account) self.account = account end
  function Till:handle_cast(amount) pay(self.account, amount) end
  function Till.handle_call() return true end
  return Till
end

local function pay_carelessly(account, amount)
  local balance = server.call(account, {})
  server.call(account, { set = balance + amount })
end

local function pay_carefully(account, amount)
  server.call(account, { add = amount })
end

-- --- its test ----------------------------------------------------------------

-- A body runs once for each schedule, and starts its servers each time.
local function two_payments(pay)
  return function()
    local account = assert(server.start_link(Account, 100))
    local a = assert(server.start_link(till("till a", pay), account))
    server.cast(a, 10)
    local b = assert(server.start_link(till("till b", pay), account))
    server.cast(b, 10)
    server.call(a, "paid?")
    server.call(b, "paid?")
    assert.equal(120, server.call(account, {}))
  end
end

-- This is not about time-outs: with "idle", time passes when nothing else can.
local opts = { iterations = 1000, clock = "idle" }

describe("two tills with one account", function()
  -- The schedule of an empty tape makes the first choice each time.
  it("lose no update as it comes, even if they are careless", function()
    local report = lockstep.replay(two_payments(pay_carelessly), {}, opts)
    assert.is_true(report.ok)
  end)

  it("lose no update under any schedule tried", function()
    lockstep.check(two_payments(pay_carefully), opts)
  end)

  -- lockstep.check would raise the text that is printed here.
  it("lose one under some if they are careless", function()
    local body = two_payments(pay_carelessly)
    local report = lockstep.run(body, opts)
    assert.is_false(report.ok)
    assert.equal("error", report.kind)

    local again = lockstep.replay(body, report)
    assert.equal(report.steps, again.steps)

    local small = lockstep.shrink(body, report)
    assert.is_true(#small.tape <= #report.tape)
    print(small)
  end)
end)
