-- What peer nodes cost, beside Erlang's module peer where that is installed.
--
--     make bench SPEC=peers        or        lua5.4 bench/peers.lua [ROUNDS]
--
-- Each measurement is an OS process of its own (bench/banyan/peers.lua,
-- bench/erlang/peer_nodes.erl): how long peers take to boot, one by one and
-- twenty at a time; what a call costs that does nothing, one that carries
-- 1 MiB there and back, and what 1,000 calls at a time cost each; how long it
-- takes to start and to stop a peer, CYCLES=1000 times. OTP's channel by stdio
-- shares standard output with what the peer prints; "stdio, framed" is what
-- does so here. "stdio" has a descriptor of its own, for which OTP has nothing.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "harness/?.lua;" .. package.path

local sheet = require "sheet"
local sides = require "sides"

local ROUNDS = tonumber(arg[1] or os.getenv "ROUNDS") or 3
local WORDS = os.getenv "BENCH" or ""

local ours = sides.lua(arg[-1], here .. "banyan/peers.lua")
local theirs = sides.erlang(
  "erl -noshell -pa BEAMS -sname origin_" .. os.time()
    .. " -run peer_nodes main %s", "build/erlang")

local rows = {}
local function row(key, text, unit, most)
  rows[#rows + 1] = { key = key, text = text, unit = unit, most_alone = most }
end

for _, kind in ipairs { "stdio", "framed", "tcp", "dist" } do
  local name = kind == "framed" and "stdio, framed" or kind
  row("boot_" .. kind, "boot, " .. name, "ms", 60)
  row("call_" .. kind, "call, " .. name, "us",
    (kind == "stdio" or kind == "framed") and 200 or kind == "tcp" and 100
      or nil)
  row("big_" .. kind, "call with 1 MiB, " .. name, "ms")
  row("many_" .. kind, "1,000 calls at a time, each, " .. name, "us")
  row("twenty_" .. kind, "20 boot at a time, " .. name, "ms")
  row("cycle_" .. kind, "start and stop, " .. name, "ms")
end

local function measure(side, kind)
  if not side.command then return {} end
  return sides.measure(side, kind, 600) or {}
end

local ours_of, theirs_of = {}, {}
local function note(all, figures)
  for key, list in pairs(figures) do
    all[key] = all[key] or {}
    for _, value in ipairs(list) do table.insert(all[key], value) end
  end
end

for _ = 1, ROUNDS do
  for _, kind in ipairs { "stdio", "framed", "tcp", "dist" } do
    if sheet.chosen(kind, WORDS) then
      note(ours_of, measure(ours, kind))
      if kind ~= "stdio" then note(theirs_of, measure(theirs, kind)) end
    end
  end
end

print(("Banyan on %s; %s; %d rounds"):format(jit and jit.version or _VERSION,
  theirs.about or "no Erlang", ROUNDS))
local form = "%-42s %-4s %-20s %-20s %-6s %-10s %s"
sheet.line(form, "", "", "Banyan", "OTP", "ratio", "aim", "")
for _, it in ipairs(rows) do
  if ours_of[it.key] then
    local a, b, ratio, aim, holds = sheet.cells(it, ours_of[it.key],
      theirs_of[it.key])
    sheet.line(form, it.text, it.unit, a, b, ratio, aim, holds)
  end
end
local left = ours_of.left_descriptors
if left then
  print(("Left after the cycles: %g descriptors, %g KiB of Lua, %g processes")
    :format(sheet.median(left), sheet.median(ours_of.left_memory),
      sheet.median(ours_of.left_processes)))
end
