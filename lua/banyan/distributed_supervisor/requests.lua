-- Starting and terminating by id, from any node.
--
-- A request goes from its caller to the coordinator of the caller's node, the
-- asker, and from there to the coordinator that can serve it: a start to the
-- ring's owner of the id, which serialises the starts of it; a termination to
-- the node that runs the child. The answer comes back to the asker, which
-- knows of the outcome before its caller does. An asker carries on when the
-- node that it asked is lost: the same request, by the same id, goes to
-- whoever is in charge then.
--
-- An answer is {"ok", pid=, entry=}, {"error", reason} or {"retry"}: whom you
-- asked is not in charge, or cannot say yet.

local core = require "banyan.core"

local requests = {}

local RETRY_MS = 30
local PATIENCE_MS = 30000 -- to find somebody in charge
local HOPS = 3

local OK, RETRY = "ok", { "retry" }

local function failure(reason) return { "error", reason } end

local function already_started(pid)
  return failure(core.reason { "already_started", pid })
end

-- --- the asker -------------------------------------------------------------

local function answer_caller(self, request, answer)
  if answer[1] ~= OK then
    if request.kind == "terminate" and request.again
      and answer[2] == "not_found" then
      return core.reply(request.from, true) -- an earlier try did it
    end
    return core.reply(request.from, nil, answer[2])
  end
  local function reply()
    if request.kind == "terminate" then
      core.reply(request.from, true)
    else
      core.reply(request.from, answer.pid, request.id)
    end
  end
  local entry = answer.entry
  if entry then self.registry:merge(entry, core.now()) end
  -- Two nodes know of it before the caller does: the host and the asker are
  -- two, unless they are one.
  if entry and entry[5] == self.me then return self:when_shared(reply) end
  reply()
end

local function try_later(self, request)
  if core.now() > request.deadline then
    return answer_caller(self, request, failure("timeout"))
  end
  request.again = true
  self.retries[#self.retries + 1] = request
  if #self.retries == 1 then
    core.send_after(RETRY_MS, self.me, { tag = "retry" })
  end
end

-- Finds somebody to serve it: this node or another.
local function try(self, request)
  local function done(answer)
    if answer == nil or answer[1] == "retry" then
      try_later(self, request)
    else
      answer_caller(self, request, answer)
    end
  end
  self:when_ready(function()
    self:serve({
      kind = request.kind, id = request.id, pid = request.pid,
      spec = request.spec, node = request.node, token = request.token,
      hops = 0,
    }, done)
  end)
end

function requests:take_retries()
  local list = self.retries
  self.retries = {}
  for _, request in ipairs(list) do try(self, request) end
end

--- A process of this node asks.
function requests:take_request(msg, from)
  try(self, {
    kind = msg.tag, id = msg.id, pid = msg.pid, spec = msg.spec,
    node = msg.node, from = from, deadline = core.now() + PATIENCE_MS,
    token = core.make_ref(),
  })
end

-- --- serving ---------------------------------------------------------------

local function forward(self, request, peer, done)
  if not peer or request.hops >= HOPS then return done(RETRY) end
  self:ask(peer.pid, {
    tag = "serve", kind = request.kind, id = request.id, pid = request.pid,
    spec = request.spec, node = request.node, token = request.token,
    hops = request.hops + 1,
    -- An answer must not be older than what the asker has seen.
    known = request.id ~= nil and self.registry:entry(request.id) or nil,
  }, done)
end

local function forward_to_owner(self, request, done)
  local owner = self.placement:owner(request.id)
  if not owner then return done(failure("no_nodes")) end
  forward(self, request, self.by_node[owner], done)
end

local function is_mine(self, id)
  return self.placement:owner(id) == self.node
end

local serve = {}

-- Waits for a start or stop of the same child that is under way here.
local function queued(self, request, done)
  local id = request.id
  local function again() self:serve(request, done) end
  if self.starting[id] then
    local after = self.starting[id].after
    after[#after + 1] = again
    return true
  end
  if self.stopping[id] then
    self:stop_here(id, again)
    return true
  end
  return false
end

-- It ran already: by this very request, if that was made again because the
-- node that had served it was lost.
local function started_before(self, request)
  local row = self.registry.rows[request.id]
  if row.token ~= request.token then return already_started(row.pid) end
  return { OK, pid = row.pid, entry = self.registry:entry(request.id) }
end

local function finished(self, id, done)
  return function(ok, result)
    if not ok then return done(failure(result)) end
    done { OK, pid = result, entry = self.registry:entry(id) }
  end
end

-- On a node that was named: this node's part is to let no other start of the
-- id in until the answer comes.
local function start_there(self, request, done)
  local id, peer = request.id, self.by_node[request.node]
  if not peer or not self.members[request.node] then
    local known = peer ~= nil
    for _, node in ipairs(core.nodes()) do
      known = known or node == request.node
    end
    return done(failure(known and "not_a_member" or "noconnection"))
  end
  self.starting[id] = { after = {}, done = function() end }
  self:ask(peer.pid, {
    tag = "place", id = id, spec = request.spec, token = request.token,
    known = self.registry:entry(id),
  }, function(answer, err)
    if answer and answer.entry then
      self.registry:merge(answer.entry, core.now())
    end
    done(answer or failure(err))
    self:finish_start(id)
  end)
end

function serve.start(self, request, done)
  local id = request.id
  if queued(self, request, done) then return end
  if not is_mine(self, id) then return forward_to_owner(self, request, done) end
  if self.elsewhere[id] then return done(RETRY) end
  local state = self.registry:state(id)
  local row = self.registry.rows[id]
  if state == "running"
    or state == "ended" and row.token == request.token then
    return done(started_before(self, request))
  elseif state == "lost" or self.runs[id] then
    return done(RETRY)
  end
  if request.node and request.node ~= self.node then
    return start_there(self, request, done)
  end
  if request.node and not self.members[request.node] then
    return done(failure("not_a_member"))
  end
  self:start_here(id, request.spec, request.node ~= nil, request.token,
    finished(self, id, done))
end

local function stop_and_answer(self, id, done)
  self:stop_here(id, function()
    done { OK, entry = self.registry:entry(id) }
  end)
end

-- It runs nowhere, but is to: the one who would start it forgets it.
local function terminate_lost(self, request, host, done)
  if not is_mine(self, request.id) then
    return forward_to_owner(self, request, done)
  end
  if self.placement:host_state(host) ~= "dead" or self.elsewhere[request.id]
  then
    return done(RETRY)
  end
  self.placement:abandon(request.id, core.now())
  self:publish(request.id, { reason = "shutdown" })
  done { OK, entry = self.registry:entry(request.id) }
end

function serve.terminate(self, request, done)
  local id = request.id
  if id == nil then
    id = self.registry.view.ids[request.pid]
    if id == nil then
      local peer = self.by_node[request.pid:node() or ""]
      if not peer or request.hops > 0 then return done(failure("not_found")) end
      return forward(self, request, peer, done)
    end
    request.id, request.pid = id, nil
  end
  if queued(self, request, done) then return end
  if self.runs[id] then return stop_and_answer(self, id, done) end
  local state, host = self.registry:state(id)
  if state == "running" then
    if host == self.me then return done(RETRY) end
    return forward(self, request, self.peers[host], done)
  elseif state == "lost" then
    return terminate_lost(self, request, host, done)
  elseif is_mine(self, id) or request.hops > 0 then
    return done(failure("not_found"))
  end
  forward_to_owner(self, request, done)
end

--- Serves a request, or has it served. done(answer) follows, once; with nil
-- if whom we asked was lost.
function requests:serve(request, done)
  if request.kind == "terminate" then
    return serve.terminate(self, request, done)
  end
  self:when_open(function() serve.start(self, request, done) end)
end

--- Another coordinator asks.
function requests:take_serve(msg, from)
  if msg.known then self.registry:merge(msg.known, core.now()) end
  self:serve(msg, function(answer)
    core.reply(from, answer or RETRY)
  end)
end

--- The owner of an id asks for its start here.
function requests:take_place(msg, from)
  local id = msg.id
  if msg.known then self.registry:merge(msg.known, core.now()) end
  local function done(answer) core.reply(from, answer) end
  if self.runs[id] then
    return done(already_started(self.runs[id].pid))
  elseif self.starting[id] or self.stopping[id] then
    return done(RETRY)
  end
  self:start_here(id, msg.spec, true, msg.token, finished(self, id, done))
end

-- --- waiting ---------------------------------------------------------------

--- Runs fn once this coordinator is ready.
function requests:when_ready(fn)
  if self.ready then return fn() end
  self.until_ready[#self.until_ready + 1] = fn
end

--- Runs fn once this node may start children: not while others are asked
-- what they know of a lost node.
function requests:when_open(fn)
  if self:is_open() then return fn() end
  self.until_open[#self.until_open + 1] = fn
end

local function run_all(list)
  for _, fn in ipairs(list) do fn() end
end

--- After each message: what can go on, goes on.
function requests:carry_on()
  if self.ready and #self.until_ready > 0 then
    local list = self.until_ready
    self.until_ready = {}
    run_all(list)
  end
  if self:is_open() then
    self:reconcile()
    if #self.until_open > 0 then
      local list = self.until_open
      self.until_open = {}
      run_all(list)
      self:reconcile()
    end
  end
end

--- Where a child runs, for those who do not read the view themselves.
function requests:take_lookup(msg)
  local view = self.registry.view
  if msg.pid ~= nil then return view.ids[msg.pid] end
  return view.pids[msg.id]
end

return requests
