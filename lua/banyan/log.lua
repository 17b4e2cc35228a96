--- Functions for the option on_event that write events to a log.
--
-- An event is a table that describes one decision of a node: { event=, node=,
-- time= } and fields that depend on the event. `banyan.log.text` writes events
-- as text for people, `banyan.log.json` as JSON, one object per line.
--
--     banyan.run({ on_event = banyan.log.text { level = "info" } }, main)

local options = require "banyan.options"

local log = {}

-- --- levels ------------------------------------------------------------------

local rank = { debug = 1, info = 2, warning = 3, error = 4 }

local levels = {
  driver_error = "error",
  scheduler_error = "error",
  supervisor_gave_up = "error",
  process_crashed = "warning",
  process_held_node = "warning",
  callback_error = "warning",
  mailbox_long = "warning",
  mailbox_full = "warning",
  mailbox_drained = "warning",
  call_timeout = "info",
  accept_failed = "warning",
  child_start_failed = "warning",
  child_stop_slow = "warning",
  stop_timeout = "warning",
  link_refused = "warning",
  link_failed = "info",
  peer_unreachable = "warning",
  name_taken = "warning",
  link_broken = "info",
  link_resumed = "info",
  node_up = "info",
  node_down = "warning",
  child_restarted = "info",
  placement_conflict = "warning",
  child_failing = "warning",
  clock_gap = "warning",
  coordinator_error = "error",
  nodes_differ = "warning",
  quorum_lost = "warning",
  quorum_regained = "info",
  quorum_differs = "warning",
  peer_refused = "warning",
  spec_withheld = "warning",
  held_dropped = "warning",
  placement_moved = "info",
  placement_member = "info",
  listener_failed = "warning",
  node_source_failed = "warning",
  peer_started = "info",
  peer_lost = "warning",
  peer_connection_up = "info",
  peer_connection_down = "info",
  peer_connection_refused = "warning",
}

-- A node that is down for one of these reasons has left on purpose.
local in_order = { shutdown = true, disconnected = true }

-- A link that fails for one of these reasons needs a person: the peer is
-- hostile, or one of the two nodes is configured wrongly. Other failures may
-- pass by themselves.
local alarming = {}
for _, reason in ipairs {
  "bad_secret", "bad_version", "bad_frame", "bad_message", "bad_name",
  "wrong_name", "own_name", "refused", "frame_too_large",
  "message_too_large", "overflow", "out_of_memory",
} do
  alarming[reason] = true
end

-- A link that is refused for one of these reasons is no trouble: there is
-- another one, the peer missed that this node had given it up, or a node stops.
local passing = {
  session_unknown = true, simultaneous = true, already_connected = true,
  shutdown = true,
}

--- One decision of a node, with fields that depend on the event.
---@class banyan.Event
---@field event string  what was decided
---@field node? string  the name of the node
---@field time? integer  milliseconds of the node's clock
---@field [string] any

--- The level of an event. Does not yield.
---@param event banyan.Event|string  an event or its name
---@return "debug"|"info"|"warning"|"error"
function log.level(event)
  if type(event) ~= "table" then return levels[event] or "debug" end
  local name, reason = event.event, event.reason
  if name == "node_down" and in_order[reason] then return "info" end
  if name == "peer_lost" and type(reason) == "table"
    and reason[1] == "exit_status" and reason[2] == 0 then
    return "info"
  end
  if name == "link_refused" and passing[reason] then return "info" end
  if name == "call_timeout" and event.deadlock then return "warning" end
  if name == "link_failed" and alarming[reason] then return "warning" end
  return levels[name] or "debug"
end

-- --- where the lines go ------------------------------------------------------

local function is_file(value)
  return io.type(value) == "file"
end

local schema = {
  level = {
    '"debug", "info", "warning" or "error"',
    function(value) return rank[value] ~= nil end,
  },
  file = {
    "a path or an open file",
    function(value) return type(value) == "string" or is_file(value) end,
  },
  write = "function",
  clock = "function",
}

-- A function that writes one string; nil, err if the file does not open.
local function writer(opts)
  if opts.write then return opts.write end
  local file = opts.file or io.stderr
  if type(file) == "string" then
    local opened, why = io.open(file, "a")
    if not opened then return nil, why end
    file = opened
  end
  return function(line)
    file:write(line)
    file:flush()
  end
end

-- How much is written of a field: values in all of its tables, levels of nested
-- tables, bytes of one string; and of one in the state of a crashed server, or
-- in the message that it was handling.
local MOST, DEEPEST, LONGEST, LONGEST_OF_STATE = 100, 6, 10000, 1000

-- A copy within these limits, without metatables. The limit on depth also ends
-- a cycle, which a state may contain.
local function bounded(value, depth, left)
  if type(value) == "string" and #value > left.bytes then
    return value:sub(1, left.bytes) .. "..."
  end
  if type(value) ~= "table" then return value end
  if depth > DEEPEST then return "..." end
  local copy = {}
  for key, part in next, value do
    if left.n == 0 then
      copy["..."] = "..."
      break
    end
    left.n = left.n - 1
    if type(key) == "table" then key = "a table" end
    copy[key] = bounded(part, depth + 1, left)
  end
  return copy
end

local function without_excess(event)
  local copy = {}
  for key, value in pairs(event) do
    local of_state = event.event == "process_crashed"
      and (key == "message" or key == "state")
    copy[key] = bounded(value, 1,
      { n = MOST, bytes = of_state and LONGEST_OF_STATE or LONGEST })
  end
  return copy
end

-- A node dials again what it cannot reach, so the same failure comes again and
-- again. It is written at once, and then after waits that double, until the
-- peer is up. `repeated` says how often it came meanwhile.
local repeating = {
  link_failed = true, link_refused = true, name_taken = true,
}
local FIRST_WAIT_MS, LAST_WAIT_MS = 3000, 300000
local MOST_KEPT = 1000 -- failures of different peers

-- Answers how many were forgotten.
local function forget_peer(kept, event)
  local forgotten = 0
  for key, entry in pairs(kept) do
    if entry.node == event.node and entry.peer == event.peer then
      kept[key] = nil
      forgotten = forgotten + 1
    end
  end
  return forgotten
end

-- Answers what is to be written of an event: itself, a copy, or nil.
local function without_repeats()
  local kept, count = {}, 0
  return function(event)
    local what, peer = event.event, event.peer
    if what == "node_up" then count = count - forget_peer(kept, event) end
    if not repeating[what] then return event end
    local reason = alarming[event.reason] and event.reason or ""
    local key = ("%s %s %s %s"):format(what, tostring(event.node),
      tostring(peer), reason)
    local now, entry = event.time or os.time() * 1000, kept[key]
    if entry and now < entry.again then
      entry.repeated = entry.repeated + 1
      return nil
    end
    if not entry then
      if count == MOST_KEPT then kept, count = {}, 0 end
      count = count + 1
      entry = { node = event.node, peer = peer, wait = FIRST_WAIT_MS / 2 }
      kept[key] = entry
    end
    entry.wait = math.min(entry.wait * 2, LAST_WAIT_MS)
    local repeated = entry.repeated
    entry.again, entry.repeated = now + entry.wait, 0
    if not repeated or repeated == 0 then return event end
    local copy = { repeated = repeated }
    for field, value in pairs(event) do copy[field] = value end
    return copy
  end
end

-- A receiver of events: it writes `format(event, level, time)` for each event
-- of the option `level` or a higher one.
local function sink(what, opts, format)
  opts = options.check(what, opts, schema, 2)
  local write, why = writer(opts)
  if not write then return nil, why end
  local least = rank[opts.level or "info"]
  local clock, fresh = opts.clock, without_repeats()
  return function(event)
    local level = log.level(event)
    event = fresh(event)
    if not event or rank[level] < least then return end
    write(format(without_excess(event), level, clock and clock()))
  end
end

-- --- text --------------------------------------------------------------------

-- The fields that come first in a line; the rest follows in order of name.
local first = {
  "node", "peer", "address", "supervisor", "id", "pid", "old", "name",
  "label", "ms",
  "at", "from", "to", "incarnation", "reason",
}
local ahead = { event = 0, time = 0, traceback = 0 }
for i, key in ipairs(first) do ahead[key] = i end

local function fields(event)
  local keys, rest = {}, {}
  for _, key in ipairs(first) do
    if event[key] ~= nil then keys[#keys + 1] = key end
  end
  for key in pairs(event) do
    if not ahead[key] then rest[#rest + 1] = key end
  end
  table.sort(rest, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(rest) do keys[#keys + 1] = key end
  return keys
end

local escapes = {
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\",
}

local function escaped(text)
  return (text:gsub("[%c\\]", function(c)
    return escapes[c] or ("\\x%02x"):format(c:byte())
  end))
end

local show

local function show_string(value, bare)
  local text = escaped(value)
  if bare and text ~= "" and not text:find("[%s\"=,{}]") then return text end
  return '"' .. text:gsub('["]', '\\"') .. '"'
end

local function show_table(value, depth)
  if depth > 8 then return "{...}" end
  local parts, n = {}, #value
  for i = 1, n do parts[i] = show(value[i], depth + 1) end
  local keys = {}
  for key in pairs(value) do
    local place = type(key) == "number" and key
    if not (place and place >= 1 and place <= n and place % 1 == 0) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = ("%s=%s"):format(escaped(tostring(key)),
      show(value[key], depth + 1))
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- A value on one line.
function show(value, depth)
  if type(value) == "string" then return show_string(value, depth == 0) end
  if type(value) == "table" then return show_table(value, depth) end
  return escaped(tostring(value))
end

local function is_error(reason)
  return type(reason) == "table" and reason[1] == "error"
    and type(reason[3]) == "string"
end

local function indented(traceback)
  return "    " .. traceback:gsub("\t", "  "):gsub("%s+$", "")
    :gsub("\n", "\n    ")
end

-- Returns the message of {"error", message, traceback}, and the traceback.
local function show_error(reason)
  local message = reason[2]
  if type(message) ~= "string" then message = show(message, 0) end
  return "error: " .. escaped(message), indented(reason[3])
end

-- The first {"error", message, traceback} in a reason, which may be nested in
-- reasons such as {"shutdown", {"failed_to_start_child", id, reason}}.
local function inner_error(reason, depth)
  if is_error(reason) then return reason end
  if type(reason) ~= "table" or depth > 8 then return nil end
  for i = 1, #reason do
    local found = inner_error(reason[i], depth + 1)
    if found then return found end
  end
end

-- A copy without tracebacks, which would make the line unreadable.
local function brief(value, depth)
  if type(value) ~= "table" or depth > 8 then return value end
  local copy = {}
  for key, part in pairs(value) do copy[key] = brief(part, depth + 1) end
  if is_error(value) then copy[3] = nil end
  return copy
end

local function show_reason(reason)
  local found = inner_error(reason, 0)
  if not found then return show(brief(reason, 0), 0) end
  local message, below = show_error(found)
  if found ~= reason then message = show(brief(reason, 0), 0) end
  return message, below
end

local function stamp(ms)
  if not ms then return os.date("%Y-%m-%d %H:%M:%S") end
  ms = math.floor(ms)
  local seconds = math.floor(ms / 1000)
  return ("%s.%03d"):format(os.date("%Y-%m-%d %H:%M:%S", seconds), ms % 1000)
end

local function text_line(event, level, time)
  local parts = {
    stamp(time), ("%-7s"):format(level), escaped(tostring(event.event)),
  }
  local below = {}
  for _, key in ipairs(fields(event)) do
    local value, more = show_reason(event[key])
    parts[#parts + 1] = ("%s=%s"):format(escaped(tostring(key)), value)
    below[#below + 1] = more
  end
  if type(event.traceback) == "string" then
    below[#below + 1] = indented(event.traceback)
  end
  table.insert(below, 1, table.concat(parts, " "))
  return table.concat(below, "\n") .. "\n"
end

--- The options of log.text and log.json.
---@class banyan.LogOptions
--- The lowest level that is written; "info" by default.
---@field level? "debug"|"info"|"warning"|"error"
--- The path of a file to append to, or an open file; stderr by default.
---@field file? any
---@field write? fun(text: string)  called instead of writing to a file
--- Milliseconds of wall-clock time, for times more exact than a second.
---@field clock? fun(): integer

--- Makes a receiver of events that writes each event as a line of text: time,
-- level, name, and the fields in a fixed order. The traceback of an error
-- follows on further lines, indented. Does not yield, nor does the receiver.
---@param opts? banyan.LogOptions
---@return (fun(event: banyan.Event))|nil receiver
---@return string|nil err  the file cannot be opened
function log.text(opts)
  return sink("banyan.log.text", opts, text_line)
end

-- --- JSON --------------------------------------------------------------------

-- Are these bytes UTF-8? Overlong forms are accepted: JSON readers take them.
local function is_utf8(text)
  if not text:find("[\128-\255]") then return true end
  local tail = "[\128-\191]"
  local rest = text:gsub("[\240-\244]" .. tail:rep(3), "?")
    :gsub("[\224-\239]" .. tail:rep(2), "?")
    :gsub("[\194-\223]" .. tail, "?")
  return not rest:find("[\128-\255]")
end

-- UTF-8 for any bytes: if they are not UTF-8, each byte becomes the character
-- of the same number.
local function utf8_of(text)
  if is_utf8(text) then return text end
  return (text:gsub("[\128-\255]", function(c)
    local byte = c:byte()
    return string.char(192 + math.floor(byte / 64), 128 + byte % 64)
  end))
end

-- lua-cjson writes 14 digits of a number. Longer integers become strings.
local EXACT = 99999999999999

local plain

local function plain_table(value, depth)
  if depth > 20 then return "..." end
  local copy, count = {}, 0
  for _ in pairs(value) do count = count + 1 end
  local is_list = count == #value
  for key, part in pairs(value) do
    local name = is_list and key or utf8_of(tostring(key))
    copy[name] = plain(part, depth + 1)
  end
  return copy
end

-- The nearest value that JSON can represent.
function plain(value, depth)
  local kind = type(value)
  if kind == "string" then return utf8_of(value) end
  if kind == "boolean" then return value end
  if kind == "table" then return plain_table(value, depth) end
  if kind ~= "number" or value ~= value then return tostring(value) end
  local size = math.abs(value)
  local is_fraction = size < math.huge and value % 1 ~= 0
  return (is_fraction or size <= EXACT) and value or tostring(value)
end

local function utc(ms)
  ms = ms and math.floor(ms)
  local seconds = ms and math.floor(ms / 1000) or os.time()
  local text = os.date("!%Y-%m-%dT%H:%M:%S", seconds)
  return ms and ("%s.%03dZ"):format(text, ms % 1000) or text .. "Z"
end

--- Makes a receiver of events that writes each event as a JSON object on a line
-- of its own: the fields of the event, its `level`, and `at`, the time in ISO
-- 8601 (UTC). A field of the event that has one of these names is `event_level`
-- or `event_at`, such as the place in process_held_node. Pids and refs are
-- strings, reasons are strings or arrays. Needs the rock lua-cjson. Does not
-- yield, nor does the receiver.
---@param opts? banyan.LogOptions
---@return (fun(event: banyan.Event))|nil receiver
---@return string|nil err  the file cannot be opened, or lua-cjson is missing
function log.json(opts)
  local found, cjson = pcall(require, "cjson")
  if not found then return nil, "banyan.log.json needs the rock lua-cjson" end
  local codec = cjson.new()
  return sink("banyan.log.json", opts, function(event, level, time)
    local object = plain(event, 0)
    object.event_level, object.event_at = object.level, object.at
    object.level, object.at = level, utc(time)
    return codec.encode(object) .. "\n"
  end)
end

return log
