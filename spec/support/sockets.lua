--- What the specs of banyan.io have in common.

local banyan = require "banyan"
local sockets = require "banyan.io"
local uv = require "luv"

local M = {}

--- An address with a free port.
M.ANY = "127.0.0.1:0"

--- Runs `body` as the first process of a node, and answers its events.
function M.on_node(body, opts)
  local events = {}
  opts = opts or {}
  opts.on_event = function(event) events[#events + 1] = event end
  banyan.run(opts, body)
  return events
end

--- How many of the events have that name.
function M.count(events, name)
  local n = 0
  for _, event in ipairs(events) do
    if event.event == name then n = n + 1 end
  end
  return n
end

--- Two ends of a connection, both of the caller.
function M.pair(opts)
  local listener = assert(sockets.listen(M.ANY, opts))
  local client = assert(sockets.connect(listener:address(), opts))
  local socket = assert(listener:accept(5000))
  listener:close()
  return socket, client
end

--- Waits until `fn` is true.
function M.eventually(fn)
  for _ = 1, 3000 do
    if fn() then return end
    banyan.sleep(10)
  end
  error("it did not come to that", 2)
end

--- The call raises an error that has that text.
function M.fails(what, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok or not tostring(err):find(what, 1, true) then
    error(("no error that says %q, but: %s"):format(what, tostring(err)), 2)
  end
end

--- For serve.
function M.echo(socket)
  while true do
    local data = socket:read()
    if not data then return end
    socket:write(data)
  end
end

--- A client of plain luv: what it received, whether the other side has closed.
function M.plain_client(at)
  local host, port = at:match "^(.*):(%d+)$"
  local client = { tcp = uv.new_tcp(), text = "" }
  client.tcp:connect(host, tonumber(port), function(err)
    client.err = err
    client.open = not err
    if err then return end
    client.tcp:read_start(function(failed, data)
      client.text = client.text .. (data or "")
      client.over = client.over or failed or data == nil
    end)
  end)
  M.eventually(function() return client.open or client.err end)
  return client
end

return M
