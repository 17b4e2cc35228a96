-- Compares Banyan with Erlang/OTP and with a scheduler in plain Lua: each does
-- the same work in turn, in several rounds. Prints a table.
--
--     make bench                      everything that bench/ has
--     make bench BENCH=call           this table, rows whose key has "call"
--     make bench BENCH=call ROUNDS=9
--
-- Each measurement is an OS process that prints `key figure unit`. The
-- programs are bench/banyan/, bench/erlang/ and bench/plain/; a column whose
-- program cannot run here shows "-".

local ROUNDS = tonumber(os.getenv "ROUNDS") or 3
local WORDS = os.getenv "BENCH" or ""

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "harness/?.lua;" .. package.path
local sheet = require "sheet"
local sides_of = require "sides"

-- See harness/sheet.lua. key is the name of the measurement in the programs;
-- sides: the sides that have it, all if absent; as: its name in all programs
-- but Elixir's.
local BOTH, ELIXIR = { "banyan", "otp" }, { "banyan", "elixir" }
local ROWS = {
  { key = "call", text = "server call, integers",
    unit = "M/s", scale = 1e-6, least = 4 },
  { key = "call_queued", text = "the same, 100,000 queued [3]",
    unit = "M/s", scale = 1e-6, least = 4, sides = BOTH },
  { key = "call_table", text = "server call, a fresh table each way",
    unit = "M/s", scale = 1e-6, least = 2 },
  { key = "ping_pong", text = "messages, ping-pong",
    unit = "M/s", scale = 1e-6, least = 2.5 },
  { key = "spawn", text = "spawn, exit, DOWN seen",
    unit = "M/s", scale = 1e-6, least = 3 },
  { key = "start_dynamic", text = "start a dynamic child [1]",
    unit = "k/s", scale = 1e-3, least = 4, sides = BOTH },
  { key = "start_elixir", text = "the same, beside Elixir's",
    unit = "k/s", scale = 1e-3, least = 4, sides = ELIXIR,
    as = "start_dynamic" },
  { key = "memory", text = "memory of an idle server [2]",
    unit = "B", most = 1 / 5 },
  { key = "stop_static", text = "stop 100,000 children",
    unit = "ms", most = 1 / 5, sides = BOTH },
  { key = "stop_dynamic", text = "stop 10,000 dynamic children [1]",
    unit = "ms", most = 1 / 10, sides = BOTH },
  { key = "stop_elixir", text = "the same, beside Elixir's",
    unit = "ms", most = 1 / 10, sides = ELIXIR, as = "stop_dynamic" },
  { key = "restart", text = "restart a child, sustained 3 s",
    unit = "k/s", scale = 1e-3, least = 20, sides = BOTH },
  { key = "one_for_all", text = "one_for_all restart of 1,000",
    unit = "ms", most = 1 / 3, sides = BOTH },
  { key = "pause", text = "worst pause, 200,000 idle servers",
    unit = "ms", most_alone = 15, sides = BOTH },
}

local NOTES = [[
Medians of %d rounds, in brackets the least and the most. "ratio" is Banyan's
figure divided by OTP's: rates are to be great, times and sizes small. OTP runs
with its default flags; the clock is the wall's.
[1] OTP: simple_one_for_one, or a DynamicSupervisor in the row "Elixir's"
[2] growth of the OS process for each of 100,000 under a dynamic supervisor;
    plain Lua: a waiting coroutine, unsupervised
[3] messages that wait in the caller's mailbox: a call is not to look at them
Plain Lua copies no message; its calls have no monitor and no time-out.]]

-- --- the sides ---------------------------------------------------------------

local function find_sides()
  local beams = here .. "../build/erlang"
  local erl = "erl -noshell -pa BEAMS -run measure main %s"
  local elixir = [[elixir -pa BEAMS -e ':measure.main([~c"%s"])']]
  return {
    otp = sides_of.erlang(erl, beams),
    elixir = sides_of.erlang(elixir, beams),
    banyan = sides_of.lua(arg[-1], here .. "banyan/run.lua"),
    plain = sides_of.lua("lua5.4", here .. "plain/run.lua"),
    jit = sides_of.lua("luajit", here .. "plain/run.lua"),
  }
end

-- --- measuring ---------------------------------------------------------------

local ALL = { "banyan", "otp", "plain", "jit" }
local failed = false

-- Makes one measurement. Returns the figure, or nil.
local function measure(side, key)
  local figures = sides_of.measure(side, key)
  local list = figures and figures[key]
  failed = failed or not list
  return list and list[1]
end

-- The rows that were chosen and that can be measured on this machine.
local function choose_rows(sides)
  local rows, keys = {}, {}
  for _, row in ipairs(ROWS) do
    keys[#keys + 1] = row.key
    local possible = row.sides ~= ELIXIR or sides.elixir.command
    if sheet.chosen(row.key, WORDS) and possible then rows[#rows + 1] = row end
  end
  if #rows == 0 then sheet.nothing_chosen(keys) end
  return rows
end

local function run(rows, sides)
  for round = 1, ROUNDS do
    io.stderr:write(("round %d of %d\n"):format(round, ROUNDS))
    for _, row in ipairs(rows) do
      row.figures = row.figures or {}
      for _, name in ipairs(row.sides or ALL) do
        local list = row.figures[name] or {}
        row.figures[name] = list
        local key = name ~= "elixir" and row.as or row.key
        if sides[name].command then
          list[#list + 1] = measure(sides[name], key)
        end
      end
    end
  end
end

-- --- the table ---------------------------------------------------------------

local FORMAT = "%-35s %-4s %20s %20s %6s  %-8s %-3s %9s %7s"

local function print_row(row)
  local figures = row.figures
  if #figures.banyan == 0 then return end
  local ours, theirs, ratio, aim, mark = sheet.cells(row, figures.banyan,
    figures.otp or figures.elixir)
  sheet.line(FORMAT, row.text, row.unit, ours, theirs, ratio, aim, mark,
    sheet.middle(row, figures.plain), sheet.middle(row, figures.jit))
end

local function print_table(rows, sides)
  sheet.line(FORMAT, "", "", "Banyan", sides.otp.about or "OTP", "ratio",
    "aim", "", "plain Lua", "LuaJIT")
  for _, row in ipairs(rows) do print_row(row) end
  print()
  print(NOTES:format(ROUNDS))
end

local sides = find_sides()
local rows = choose_rows(sides)
run(rows, sides)
print_table(rows, sides)
if failed then os.exit(1) end
