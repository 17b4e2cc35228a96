--- What the specs of banyan.peer have in common.

local address = require "spec.support.address"
local peer = require "banyan.peer"
local sockets = require "spec.support.sockets"
local uv = require "luv"

local M = {}

M.WORK = "spec.support.peer_work"
M.eventually = sockets.eventually
M.fails = sockets.fails

--- This interpreter.
M.LUA = uv.exepath()

--- Runs body as the first process of a node without a name.
M.on_node = sockets.on_node

--- The same on a node that has one.
function M.on_named(body)
  return sockets.on_node(body, {
    name = address.fresh_name "origin", secret = "the secret of the specs",
  })
end

--- Options of a peer of each kind of control connection.
M.kinds = {
  stdio = function() return { connection = "stdio" } end,
  framed = function()
    return { connection = "stdio", exec = M.bare(M.LUA) }
  end,
  tcp = function() return { connection = 0 } end,
  dist = function() return { name = "p" } end,
}

--- An exec that lets nothing through but standard input and output, as ssh
-- does: no environment, no other descriptor.
function M.bare(...)
  local list = {
    "-c", 'exec 3<&- && exec env -i LUA_PATH="$LUA_PATH" '
      .. 'LUA_CPATH="$LUA_CPATH" PATH="$PATH" LD_PRELOAD="$LD_PRELOAD" '
      .. 'ASAN_OPTIONS="$ASAN_OPTIONS" "$@"', "sh",
  }
  for _, word in ipairs { ... } do list[#list + 1] = word end
  return { "sh", list }
end

--- Options with more of them.
function M.with(opts, more)
  for key, value in pairs(more) do opts[key] = value end
  return opts
end

function M.start(opts)
  local p, node = peer.start_link(opts)
  return assert(p, node), node
end

function M.call(p, fn, ...)
  return peer.call(p, M.WORK, fn, { n = select("#", ...), ... }, 30000)
end

function M.os_pid(p)
  return math.floor(assert(peer.call(p, "luv", "os_getpid", {}, 30000)))
end

--- Does no such OS process run? One that nobody has waited for counts, unless
-- it is somebody else's to wait for.
function M.is_gone(os_pid, is_orphan)
  if not uv.kill(os_pid, 0) then return true end
  if not is_orphan then return false end
  local file = io.open(("/proc/%d/stat"):format(os_pid))
  if not file then return not uv.kill(os_pid, 0) end
  local text = file:read "*a" or ""
  file:close()
  return text:match "%) (%u)" == "Z"
end

--- How many descriptors this OS process has open.
function M.descriptors()
  local count = 0
  local scan = assert(uv.fs_scandir "/proc/self/fd")
  while uv.fs_scandir_next(scan) do count = count + 1 end
  return count
end

--- Collects what a peer prints: on_output, and the texts by stream.
function M.recorder()
  local texts = { stdout = "", stderr = "" }
  return function(stream, text) texts[stream] = texts[stream] .. text end, texts
end

--- A test for each kind of control connection.
---@param it function  busted's
---@param what string
---@param test fun(options: table, kind: string)
function M.each_kind(it, what, test)
  for kind, options in pairs(M.kinds) do
    it(what .. " (" .. kind .. ")", function()
      M.on_named(function() test(options(), kind) end)
    end)
  end
end

return M
