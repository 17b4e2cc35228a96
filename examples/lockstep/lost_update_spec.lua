-- A lost update between two servers: found, replayed, made small.
--
--     lua5.4 "$(command -v busted)" examples/lockstep/lost_update_spec.lua
--
-- Two tills add to one account. The careless ones read the balance and write
-- back what they have made of it; whoever writes last wins. An ordinary test
-- does not notice: run as it comes, the first till is done before the second
-- one reads.

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

-- A till takes "pay" as a cast, and "paid?" as a call, which it answers when
-- all that came before is done.
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

-- A body runs once for each schedule and makes all that it needs anew.
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

-- Time-outs are not what this is about: time passes when nothing else can.
local opts = { iterations = 1000, clock = "idle" }

describe("two tills with one account", function()
  -- An empty tape is the schedule that comes by itself.
  it("lose no update as it comes, even if they are careless", function()
    local report = lockstep.replay(two_payments(pay_carelessly), {}, opts)
    assert.is_true(report.ok)
  end)

  it("lose no update under any schedule tried", function()
    lockstep.check(two_payments(pay_carefully), opts)
  end)

  -- lockstep.check would raise what is printed here.
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
