--- Who has one side of a virtual connection (pipe.lua):
--
--   a link      of the node: the core hears of it, by its number
--   a stream    of the node's transport (transport.lua)
--   an unmarked connection that came in, until its first bytes show which of
--               the two it is, as in driver/luv.lua
--
-- Each has `site`, and `out`, the pipe that leads away from it. It is told what
-- happens: connected(), received(bytes), written(n), closed(reason), which is
-- the last. What arrives waits while its field `holds` is true.

local pipe = require "banyan.lockstep.pipe"

local MARK = 8 -- the first bytes of a connection, by which it may be claimed
local MARK_MS = 2000 -- that they may take

local ends = {}

--- Is that life of a node over?
function ends.is_over(site)
  return site.net.sites[site.name] ~= site
end

--- It has a side of a connection from now on.
---@param out table  the pipe that leads away from there
---@param link table
function ends.hold(out, link)
  out.from.link, link.out = link, out
end

--- Does it have its side still?
function ends.has(link)
  return link.out.from.link == link
end

--- Closes its side. A second time means nothing.
function ends.close(link)
  local out = link.out
  if out.from.link ~= link then return end
  out.from.link = nil
  if link.number then link.site.links[link.number] = nil end
  if not out.lost then out:push(pipe.CLOSED) end
  out:retire()
end

-- --- time --------------------------------------------------------------------

--- Calls fn once so much time of a node has passed, and the node is not paused.
---@param site table
---@param ms integer
---@param name string  for people
---@param fn fun()
---@return fun() cancel
function ends.later(site, ms, name, fn)
  local net = site.net
  local timer
  local function fire()
    if not timer or ends.is_over(site) then return end
    if site.node.paused then return table.insert(site.overdue, fire) end
    timer = nil
    fn()
    net:act(site)
  end
  timer = net.world:later(math.ceil(ms / site.node.rate), name, fire)
  return function()
    if timer then net.world:cancel(timer) end
    timer = nil
  end
end

--- A node is not paused any more.
function ends.go_on(site)
  local overdue = site.overdue
  site.overdue = {}
  for _, fire in ipairs(overdue) do fire() end
end

-- --- links of the node -------------------------------------------------------

local Link = {}
Link.__index = Link

local function time(site)
  return site.net.world:time_of(site.node)
end

--- A link of a node.
---@param site table
---@param number integer
---@return table link
function ends.link(site, number)
  local link = setmetatable({ site = site, number = number }, Link)
  site.links[number] = link
  return link
end

function Link:connected()
  self.site.core:connected(self.number, time(self.site))
end

function Link:received(bytes)
  self.site.core:received(self.number, bytes, time(self.site))
end

function Link:written(n)
  self.site.core:written(self.number, n, time(self.site))
end

function Link:closed(reason)
  local site = self.site
  site.links[self.number] = nil
  site.core:closed(self.number, reason, time(site))
end

local function admit(out)
  local site = out.from.site
  local number = site.core:accepted(time(site))
  if number then ends.hold(out, ends.link(site, number)) end
  return number ~= nil
end

-- --- connections that came in ------------------------------------------------

local Unmarked = {}
Unmarked.__index = Unmarked

local function decide(self)
  local out, site, head = self.out, self.site, self.head
  if not ends.has(self) then return end
  self.cancel()
  local claim = #head >= MARK and site.core:kept().claims[head:sub(1, MARK)]
  if claim then
    local stream = site.transport.stream(out)
    if not claim(stream, head, site.core) then stream:close() end
  elseif not admit(out) then
    ends.close(self)
  elseif head ~= "" then
    out.from.link:received(head)
  end
end

function Unmarked:received(bytes)
  self.head = self.head .. bytes
  if #self.head >= MARK then decide(self) end
end

function Unmarked.written() end

function Unmarked:closed()
  self.cancel()
end

--- A node takes a connection that came in.
---@param out table  the pipe that leads away from it
---@return boolean ok  false: it takes none
function ends.accept(out)
  local site = out.from.site
  local claims = site.transport and site.core:kept().claims
  if not claims or not next(claims) then return admit(out) end
  local self = setmetatable({ site = site, head = "" }, Unmarked)
  ends.hold(out, self)
  self.cancel = ends.later(site, MARK_MS, out.name .. " is unmarked",
    function() decide(self) end)
  return true
end

return ends
