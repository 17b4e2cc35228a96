-- An output handler for busted that speaks TAP to .ci/tally.
--
-- Unlike busted's own it says all that is known of an error wherever it
-- happened (a spec file that does not compile, a setup), and starts each
-- result on a line of its own, whatever the tested code has printed before.

return function()
  local busted = require("busted")
  local handler = require("busted.outputHandlers.base")()
  local count = 0

  local function say(text)
    io.stdout:write("\n", text, "\n")
    io.stdout:flush()
  end

  local function comment(text)
    say("# " .. tostring(text):gsub("\n", "\n# "))
  end

  local function result(verdict, name)
    count = count + 1
    say(("%s %d - %s"):format(verdict, count, (name:gsub("%s*\n%s*", " "))))
  end

  local function explain(entry)
    local message = entry.message
    if type(message) == "table" and not (getmetatable(message) or {}).__tostring
    then
      message = require("pl.pretty").write(message)
    end
    comment(message)
    if entry.trace and entry.trace.traceback then
      comment(entry.trace.traceback:gsub("^\n", ""))
    end
  end

  local function failed(entry)
    result("not ok", entry.name)
    explain(entry)
  end

  busted.subscribe({ "test", "start" }, function(element)
    comment("running " .. handler.getFullName(element))
    return nil, true
  end)

  busted.subscribe({ "test", "end" }, function(element, _, status)
    if status == "success" then
      result("ok", handler.getFullName(element))
    elseif status == "pending" then
      result("ok", "# SKIP " .. handler.getFullName(element))
    elseif status == "failure" then
      failed(handler.failures[#handler.failures])
    else
      failed(handler.errors[#handler.errors])
    end
    return nil, true
  end)

  -- What goes wrong outside a test: in a file, a describe, a setup.
  local function outside(element)
    if element.descriptor ~= "it" then
      failed(handler.errors[#handler.errors])
    end
    return nil, true
  end
  busted.subscribe({ "error" }, outside)
  busted.subscribe({ "failure" }, outside)

  busted.subscribe({ "suite", "end" }, function()
    say("1.." .. count)
    return nil, true
  end)

  return handler
end
