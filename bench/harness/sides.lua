-- The sides of a comparison: programs that each do the same work. Each
-- measurement is an OS process that prints lines of `key figure unit`.

local sides = {}

local LIMIT_S = 120 -- for one measurement, where nothing else is said

local function first_line(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "*l"
  pipe:close()
  return line
end

local function is_there(program)
  return first_line("command -v " .. program) ~= nil
end

-- A side is a table {command=}, the command with "%s" for the name of the
-- measurement; an empty one where its program is missing.

--- A program in Lua that needs luv.
function sides.lua(lua, file)
  local try = lua .. [[ -e "print((pcall(require, 'luv')))" 2>&1]]
  if first_line(try) ~= "true" then return {} end
  return { command = lua .. " " .. file .. " %s" }
end

--- A program of `beams`, the folder of compiled Erlang: BEAMS in the command.
-- about: what Erlang says of itself.
function sides.erlang(command, beams)
  local found = io.open(beams .. "/measure.beam")
  if found then found:close() end
  if not (found and is_there(command:match "^%S+")) then return {} end
  return {
    command = command:gsub("BEAMS", beams) .. "",
    about = first_line(("erl -noshell -pa %s -run measure main about")
      :format(beams)),
  }
end

--- Makes one measurement. Returns its figures, key -> list; or nil, and what
-- it printed last.
function sides.measure(side, name, limit_s)
  local command = ("timeout %d "):format(limit_s or LIMIT_S)
    .. side.command:format(name)
  local pipe = assert(io.popen(command))
  local figures, last = nil, "nothing"
  for line in pipe:lines() do
    last = line
    local key, value = line:match "^(%S+) (%S+) %S+$"
    if tonumber(value) then
      figures = figures or {}
      figures[key] = figures[key] or {}
      table.insert(figures[key], tonumber(value))
    end
  end
  local ended = pipe:close()
  if figures and ended then return figures end
  io.stderr:write(("%s\nfailed, it printed last: %s\n"):format(command, last))
  return nil
end

return sides
