-- Rows of figures, as they are printed.
--
-- A row has: key, the name of its figure; text; unit, scale: how it is shown;
-- least, most: the aim for Banyan's figure divided by the other's; least_alone,
-- most_alone: the aim for Banyan's own figure. Aims are in the unit shown.

local sheet = {}

--- A figure with three significant digits.
function sheet.show(value)
  local size = math.abs(value)
  local digits = size < 9.995 and 2 or size < 99.95 and 1 or 0
  return ("%." .. digits .. "f"):format(value)
end

function sheet.median(list)
  table.sort(list)
  local n = #list
  return (list[math.floor((n + 1) / 2)] + list[math.floor(n / 2) + 1]) / 2
end

function sheet.middle(row, list)
  if not list or #list == 0 then return "-" end
  return sheet.show(sheet.median(list) * (row.scale or 1))
end

--- The median, and in brackets the least and the most, if there are several.
function sheet.cell(row, list)
  if not list or #list == 0 then return "-" end
  local value, scale = sheet.middle(row, list), row.scale or 1
  if #list == 1 then return value end
  return ("%s (%s-%s)"):format(value, sheet.show(list[1] * scale),
    sheet.show(list[#list] * scale))
end

--- What is aimed at, as text. Does Banyan reach it (nil: there is no aim, or
-- nothing to compare with)?
function sheet.judge(row, ours, ratio)
  local shown = ours * (row.scale or 1)
  if row.most_alone then
    return ("<= %g %s"):format(row.most_alone, row.unit),
      shown <= row.most_alone
  end
  if row.least_alone then
    return (">= %g %s"):format(row.least_alone, row.unit),
      shown >= row.least_alone
  end
  if row.most then
    return ("<= 1/%.0f"):format(1 / row.most), ratio and ratio <= row.most
  end
  if row.least then
    return (">= %g"):format(row.least), ratio and ratio >= row.least
  end
  return ""
end

--- Two cells, the ratio, the aim, and whether it is reached.
function sheet.cells(row, ours, theirs)
  local ratio
  if ours and theirs and #ours > 0 and #theirs > 0 then
    ratio = sheet.median(ours) / sheet.median(theirs)
  end
  local aim, holds = "", nil
  if ours and #ours > 0 then
    aim, holds = sheet.judge(row, sheet.median(ours), ratio)
  end
  return sheet.cell(row, ours), sheet.cell(row, theirs),
    ratio and sheet.show(ratio) or "-", aim,
    holds == nil and "" or holds and "yes" or "no"
end

--- Prints a line without the spaces at its end.
function sheet.line(format, ...)
  print((format:format(...):gsub("%s+$", "")))
end

--- Is a key among those that the words of BENCH choose?
function sheet.chosen(key, words)
  if words == "" then return true end
  for word in words:gmatch "[^%s,]+" do
    if key:find(word, 1, true) then return true end
  end
  return false
end

--- Ends the program: the words chose none of `keys`.
function sheet.nothing_chosen(keys)
  io.stderr:write("BENCH is one or more of: ", table.concat(keys, " "), "\n")
  os.exit(1)
end

return sheet
