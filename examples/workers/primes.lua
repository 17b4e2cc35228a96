-- What each worker of examples/workers.lua runs: a server that counts primes.

local banyan = require "banyan"
local server = require "banyan.server"

local Primes = { name = "primes" }

local function is_prime(n)
  if n < 4 then return n > 1 end
  if n % 2 == 0 then return false end
  for divisor = 3, math.floor(math.sqrt(n)), 2 do
    if n % divisor == 0 then return false end
  end
  return true
end

function Primes:handle_call(part)
  local count = 0
  for n = part.from, part.to do
    if is_prime(n) then count = count + 1 end
  end
  self.done = (self.done or 0) + 1
  return count
end

--- The worker's main. It would be done when this returns.
function Primes.main()
  assert(server.start_link(Primes, nil, { name = "primes" }))
  banyan.sleep(math.huge)
end

return Primes
