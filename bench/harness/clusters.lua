-- Measurements of clusters: nodes that are OS processes, on Banyan's side
-- (bench/banyan/cluster.lua) and on Erlang's (bench/erlang/cluster.erl).
--
-- A measurement has: name; rows, see sheet.lua, and in a row `other`, the key
-- of what is set beside it where that is not the same on Erlang's side;
-- rounds: how often it is made, where ROUNDS does not say; alone: Erlang has
-- nothing like it.

local sheet = require "sheet"
local sides_of = require "sides"

local clusters = {}

local ROUNDS = tonumber(os.getenv "ROUNDS")
local WORDS = os.getenv "BENCH" or ""
local LIMIT_S = 600 -- for one measurement
local FORMAT = "%-36s %-4s %20s %20s %6s  %-8s %-3s"

-- Those that have a row that BENCH chooses, with no other rows.
local function choose(measurements)
  local chosen, keys = {}, {}
  for _, one in ipairs(measurements) do
    local rows = {}
    keys[#keys + 1] = one.name
    for _, row in ipairs(one.rows) do
      if sheet.chosen(one.name .. " " .. row.key, WORDS) then
        rows[#rows + 1] = row
      end
    end
    one.rows = rows
    if #rows > 0 then chosen[#chosen + 1] = one end
  end
  if #chosen == 0 then sheet.nothing_chosen(keys) end
  return chosen
end

local function add(sum, figures)
  for key, list in pairs(figures) do
    sum[key] = sum[key] or {}
    for _, figure in ipairs(list) do table.insert(sum[key], figure) end
  end
end

-- Each side in turn. Answers whether all went well.
local function measure(one, sides)
  local well = true
  one.figures = { banyan = {}, otp = {} }
  local rounds = ROUNDS or one.rounds or 1
  for round = 1, rounds do
    io.stderr:write(("%s, round %d of %d\n"):format(one.name, round, rounds))
    for _, name in ipairs { "banyan", "otp" } do
      local side = sides[name]
      local measured = side.command and not (one.alone and name == "otp")
      local figures = measured
        and sides_of.measure(side, one.name, LIMIT_S)
      if figures then add(one.figures[name], figures) end
      well = well and not (measured and not figures)
    end
  end
  return well
end

--- Makes the measurements that BENCH chooses and prints a table of them. Ends
-- the program with a status of 1 if one has failed.
---@param here string  the folder of benchmarks, with its slash
---@param measurements table[]
---@param notes string  printed below the table
function clusters.compare(here, measurements, notes)
  local sides = {
    banyan = sides_of.lua(arg[-1], here .. "banyan/cluster.lua"),
    otp = sides_of.erlang("erl -noshell -pa BEAMS -run cluster main %s",
      here .. "../build/erlang"),
  }
  local chosen, well = choose(measurements), true
  for _, one in ipairs(chosen) do well = measure(one, sides) and well end
  sheet.line(FORMAT, "", "", "Banyan", sides.otp.about or "OTP", "ratio",
    "aim", "")
  for _, one in ipairs(chosen) do
    local figures = one.figures
    for _, row in ipairs(one.rows) do
      sheet.line(FORMAT, row.text, row.unit, sheet.cells(row,
        figures.banyan[row.key], figures.otp[row.other or row.key]))
    end
  end
  print()
  print(notes)
  if not well then os.exit(1) end
end

return clusters
