-- What .ci/banyan-gdb.py shows of a program that stands at a breakpoint.
--
-- It knows structs by the names of their fields, so a field that has another
-- name now is found here. Left out where gdb is not installed, or may not
-- trace a program.

local lua = require "spec.support.lua"

local PROGRAM = [[
  local banyan = require "banyan"
  banyan.run(function()
    local pid = banyan.spawn(function()
      banyan.receive(function(message) return message == "never" end)
    end)
    for _, message in ipairs { 42, 1.5, true, "a string" } do
      banyan.send(pid, message)
    end
    banyan.sleep(1)
    pid:exit "kill"
  end)
]]

local function gdb(...)
  local words = { "LD_PRELOAD= gdb -nx -batch -x .ci/banyan-gdb.py" }
  for _, command in ipairs { ... } do
    words[#words + 1] = ("-ex '%s'"):format(command)
  end
  local file = os.tmpname()
  local out = assert(io.open(file, "w"))
  out:write(PROGRAM)
  out:close()
  local pipe = assert(io.popen(("%s --args %s %s 2>&1 </dev/null"):format(
    table.concat(words, " "), arg[-1], file)))
  local said = pipe:read "*a"
  pipe:close()
  os.remove(file)
  return said
end

local function can_trace()
  return lua.finds "gdb" and gdb("run"):find("exited normally", 1, true) ~= nil
end

local test = can_trace() and it or pending

describe("gdb", function()
  test("shows pids, processes and mailboxes", function()
    local said = gdb("break byn_process_end", "run", "print p->id",
      "byn-pid p", "byn-processes", "byn-mailbox p", "kill")
    assert.matches("%$1 = pid<nonode 2%.%d+>\npid<nonode 2%.%d+>\n", said)
    assert.matches("node without a name, 3 processes", said)
    assert.matches("pid<nonode 1%.%d+> +running +process +0 ", said)
    assert.matches("pid<nonode 2%.%d+> +waits:mail +process +4 ", said)
    assert.matches("4 mails\n  message  42\n  message  1%.5\n"
      .. "  message  true\n%* message  slot %d+\n", said)
  end)
end)
