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
local LIMIT_S = 120 -- for one measurement

local here = arg[0]:match "^(.*/)" or "./"

-- key: the name of the measurement in the programs; unit, scale: how it is
-- shown; least, most: the aim for Banyan's figure divided by OTP's; most_alone:
-- the aim for Banyan's own figure; sides: the sides that have it, all if
-- absent; as: its name in all programs but Elixir's.
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

local function first_line(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "*l"
  pipe:close()
  return line
end

local function is_there(program)
  return first_line("command -v " .. program) ~= nil
end

-- A side is a table {command=}, the command with "%s" for the key; without a
-- command where its program is missing.
local function lua_side(lua, file)
  local try = lua .. [[ -e "print((pcall(require, 'luv')))" 2>&1]]
  if first_line(try) ~= "true" then return {} end
  return { command = lua .. " " .. here .. file .. " %s" }
end

local function erlang_side(command)
  local beams = here .. "../build/erlang"
  local found = io.open(beams .. "/measure.beam")
  if found then found:close() end
  if not (found and is_there(command:match "^%S+")) then return {} end
  return { command = command:gsub("BEAMS", beams) .. "" }
end

local function find_sides()
  local erl = "erl -noshell -pa BEAMS -run measure main %s"
  local elixir = [[elixir -pa BEAMS -e ':measure.main([~c"%s"])']]
  return {
    otp = erlang_side(erl),
    elixir = erlang_side(elixir),
    banyan = lua_side(arg[-1], "banyan/run.lua"),
    plain = lua_side("lua5.4", "plain/run.lua"),
    jit = lua_side("luajit", "plain/run.lua"),
  }
end

-- --- measuring ---------------------------------------------------------------

local ALL = { "banyan", "otp", "plain", "jit" }
local failed = false

-- Makes one measurement. Returns the figure, or nil.
local function measure(side, key)
  local command = ("timeout %d "):format(LIMIT_S) .. side.command:format(key)
  local line = first_line(command) or "nothing"
  local value = tonumber(line:match(key .. " (%S+) %S+$"))
  if not value then
    failed = true
    io.stderr:write(("%s\nfailed, it printed: %s\n"):format(command, line))
  end
  return value
end

local function chosen(key)
  if WORDS == "" then return true end
  for word in WORDS:gmatch "[^%s,]+" do
    if key:find(word, 1, true) then return true end
  end
  return false
end

-- The rows that were chosen and that can be measured on this machine.
local function choose_rows(sides)
  local rows, keys = {}, {}
  for _, row in ipairs(ROWS) do
    keys[#keys + 1] = row.key
    local possible = row.sides ~= ELIXIR or sides.elixir.command
    if chosen(row.key) and possible then rows[#rows + 1] = row end
  end
  if #rows == 0 then
    io.stderr:write("BENCH is one or more of: ", table.concat(keys, " "), "\n")
    os.exit(1)
  end
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

-- A figure with three significant digits.
local function show(value)
  local digits = value < 9.995 and 2 or value < 99.95 and 1 or 0
  return ("%." .. digits .. "f"):format(value)
end

local function median(list)
  table.sort(list)
  local n = #list
  return (list[math.floor((n + 1) / 2)] + list[math.floor(n / 2) + 1]) / 2
end

local function middle(row, list)
  if not list or #list == 0 then return "-" end
  return show(median(list) * (row.scale or 1))
end

-- The median, and in brackets the least and the most.
local function cell(row, list)
  if not list or #list == 0 then return "-" end
  local value, scale = middle(row, list), row.scale or 1
  return ("%s (%s-%s)"):format(value, show(list[1] * scale),
    show(list[#list] * scale))
end

-- Does Banyan reach the aim?
local function judge(row, ours, ratio)
  if row.most_alone then
    return ("<= %g %s"):format(row.most_alone, row.unit),
      ours <= row.most_alone
  end
  if row.most then
    return ("<= 1/%.0f"):format(1 / row.most), ratio and ratio <= row.most
  end
  if row.least then
    return (">= %g"):format(row.least), ratio and ratio >= row.least
  end
  return ""
end

local FORMAT = "%-35s %-4s %20s %20s %6s  %-8s %-3s %9s %7s"

local function line(...)
  print((FORMAT:format(...):gsub("%s+$", "")))
end

local function print_row(row)
  local figures = row.figures
  local theirs = figures.otp or figures.elixir or {}
  local ours, ratio = figures.banyan, nil
  if #ours == 0 then return end
  if #theirs > 0 then ratio = median(ours) / median(theirs) end
  local aim, holds = judge(row, median(ours), ratio)
  local mark = holds == nil and "" or holds and "yes" or "no"
  line(row.text, row.unit, cell(row, ours), cell(row, theirs),
    ratio and show(ratio) or "-", aim, mark, middle(row, figures.plain),
    middle(row, figures.jit))
end

local function print_table(rows, sides)
  local erl = sides.otp.command
  line("", "", "Banyan", erl and first_line(erl:format "about") or "OTP",
    "ratio", "aim", "", "plain Lua", "LuaJIT")
  for _, row in ipairs(rows) do print_row(row) end
  print()
  print(NOTES:format(ROUNDS))
end

local sides = find_sides()
local rows = choose_rows(sides)
run(rows, sides)
print_table(rows, sides)
if failed then os.exit(1) end
