--- A program between a peer and its origin that does what a bad line does.
--
--     lua spec/support/damage.lua FILE program args ...
--
-- Runs the program with nothing but standard input and output, which it passes
-- on. Where FILE has a word in it, the next piece of output is not passed on as
-- it is, and the word is taken out:
--
--   damage     a byte in its middle is another
--   cut        its second half is missing
--   noise      bytes of others stand before it

local uv = require "luv"

local FILE = arg[1]

local function word()
  local file = io.open(FILE)
  local text = file and file:read "*a" or ""
  if file then file:close() end
  if text ~= "" then assert(io.open(FILE, "w")):close() end
  return text
end

local spoil = {
  damage = function(data)
    local middle = math.floor(#data / 2)
    local byte = data:byte(middle + 1)
    return data:sub(1, middle) .. string.char((byte + 1) % 256)
      .. data:sub(middle + 2)
  end,
  cut = function(data) return data:sub(1, math.floor(#data / 2)) end,
  noise = function(data) return "somebody says\n" .. data end,
}

local function is_passed(entry)
  return not entry:find "^BANYAN_PEER="
end

local env = {}
for name, value in pairs(uv.os_environ()) do
  local entry = name .. "=" .. value
  if is_passed(entry) then env[#env + 1] = entry end
end

local args = {}
for i = 3, #arg do args[#args + 1] = arg[i] end
local to, from = uv.new_pipe(false), uv.new_pipe(false)
local input, output = uv.new_pipe(false), uv.new_pipe(false)
input:open(0)
output:open(1)

local status
assert(uv.spawn(arg[2], { args = args, env = env, stdio = { to, from, 2 } },
  function(code) status = code end))
input:read_start(function(_, data)
  if data then return to:write(data) end
  to:close()
  input:read_stop()
end)
from:read_start(function(_, data)
  if not data then
    uv.run "nowait"
    os.exit(status or 0)
  end
  local change = spoil[word()]
  output:write(change and change(data) or data)
end)
uv.run()
