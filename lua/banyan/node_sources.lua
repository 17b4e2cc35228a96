--- Sources of nodes, for node_monitor and for the option `nodes` of a
-- distributed supervisor: the addresses of a host in DNS, the lines of a file.
--
--     local sources = require "banyan.node_sources"
--     local pid = assert(node_monitor.start_link {
--       source = sources.dns { host = "app.internal", port = 9101 },
--     })
--
-- Both wait on luv's loop and block nothing: they need a node with the driver
-- "luv". What cannot be resolved or read is an error, so the last good answer
-- stays.

local core = require "banyan.core"
core.skip_in_errors()
local guard = require "banyan.guard"
local names = require "banyan.name"
local options = require "banyan.options"
local wait = require "banyan.wait"

local await_wait = wait(core.await_wait)

---@class banyan.node_sources
local node_sources = {}

local MAX_FILE = 1024 * 1024
local CHUNK = 65536

local function text(value)
  return type(value) == "string" and value ~= "" and not value:find "%z"
end

local dns_schema = {
  host = { "a non-empty string", text },
  port = {
    "an integer from 1 to 65535",
    function(value)
      return type(value) == "number" and value % 1 == 0 and value >= 1
        and value <= 65535
    end,
  },
  name = {
    'what may stand before "@" in the name of a node',
    function(value)
      return text(value) and not value:find "@"
        and names.parse(value .. "@127.0.0.1:1") ~= nil
    end,
  },
}

local file_schema = { path = { "a non-empty string", text } }

local function demand(what, opts, keys)
  for _, key in ipairs(keys) do
    if opts[key] == nil then
      error(("%s: option %q is missing"):format(what, key), 3)
    end
  end
end

-- luv, where there is a loop that runs. It is loaded late: a program without it
-- may load this module.
local function loop(what)
  local driver = core.driver()
  if driver ~= "luv" then
    error(('%s: needs a node with the driver "luv"; this one has %s')
      :format(what, driver and ("%q"):format(driver) or "none"), 0)
  end
  return require "banyan.driver.uv"
end

-- Waits until what begin(done) has begun calls done(err, value).
local function await(begin)
  local done = core.await_begin()
  begin(function(...) done(...) end)
  return await_wait(done)
end

-- --- DNS --------------------------------------------------------------------

--- The options of node_sources.dns.
---@class banyan.DnsSourceOptions
---@field host string  what is resolved
---@field port integer  of each node
---@field name? string  what stands before "@"; "node" by default

local HINTS = { socktype = "stream" }

local function resolve(uv, host)
  local here = core.self()
  return await(function(done)
    local request, err = uv.getaddrinfo(host, nil, HINTS,
      guard.wrap(here, done))
    if not request then done(err) end
  end)
end

--- Makes a source that resolves a host: each of its addresses is a node,
-- "name@address:port". So a node must have the address in its own name that it
-- has there. Asks what the system asks, /etc/hosts included. Does not yield;
-- the source does.
---@param opts banyan.DnsSourceOptions
---@return fun(): string[] source
function node_sources.dns(opts)
  local what = "node_sources.dns"
  opts = options.check(what, opts, dns_schema)
  demand(what, opts, { "host", "port" })
  local host, port, name = opts.host, opts.port, opts.name or "node"
  return function()
    local err, found = resolve(loop(what), host)
    if not found then
      error(("%s: %s: %s"):format(what, host, tostring(err)), 0)
    end
    local list = {}
    for i, entry in ipairs(found) do
      list[i] = ("%s@%s"):format(name,
        names.show { host = entry.addr, port = port })
    end
    return list
  end
end

-- --- files ------------------------------------------------------------------

--- The options of node_sources.file.
---@class banyan.FileSourceOptions
---@field path string

-- Calls done(err, text). Each step begins the next one itself, whether or not
-- the process that waits is there any more, so that the file is closed.
local function read(uv, path, done)
  local here, parts, size = core.self(), {}, 0
  local fd, step
  local function finish(err)
    uv.fs_close(fd, guard.wrap(here, function()
      done(err, table.concat(parts))
    end))
  end
  step = guard.wrap(here, function(err, part)
    if err or part == "" then return finish(err) end
    parts[#parts + 1], size = part, size + #part
    if size > MAX_FILE then
      return finish(("it has more than %d bytes"):format(MAX_FILE))
    end
    uv.fs_read(fd, CHUNK, -1, step)
  end)
  uv.fs_open(path, "r", 0, guard.wrap(here, function(err, opened)
    if err then return done(err) end
    fd = opened
    uv.fs_read(fd, CHUNK, -1, step)
  end))
end

local function names_in(content, where)
  local list, number = {}, 0
  for line in (content .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local name = line:match "^%s*(.-)%s*$"
    if name ~= "" and name:sub(1, 1) ~= "#" then
      local fine, why = names.parse(name)
      if not fine then error(("%s:%d: %s"):format(where, number, why), 0) end
      list[#list + 1] = name
    end
  end
  return list
end

--- Makes a source that reads a file: the name of a node on each line. Blanks
-- around a name, empty lines and those that begin with "#" do not count. A file
-- that cannot be read, has another line in it or more than 1 MiB is an error.
-- Whoever changes the file writes another one and renames it: what is read
-- halfway is an answer, too. Does not yield; the source does.
---@param opts banyan.FileSourceOptions
---@return fun(): string[] source
function node_sources.file(opts)
  local what = "node_sources.file"
  opts = options.check(what, opts, file_schema)
  demand(what, opts, { "path" })
  local path = opts.path
  return function()
    local uv = loop(what)
    local err, content = await(function(done) read(uv, path, done) end)
    if err then error(("%s: %s: %s"):format(what, path, tostring(err)), 0) end
    return names_in(content, ("%s: %s"):format(what, path))
  end
end

return node_sources
