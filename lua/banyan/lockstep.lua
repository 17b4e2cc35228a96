--- Lockstep: runs a program on a virtual clock and a virtual network, has a
-- strategy decide every step, and replays and shrinks what fails. What runs is
-- the production core.
--
--     local lockstep = require "banyan.lockstep"
--     it("loses no update", function()
--       lockstep.check(function()
--         ... processes, servers, supervisors ...
--         assert.equal(2, server.call(counter, "get"))
--       end, { iterations = 1000 })
--     end)
--
-- The body runs as a process. Every choice that is not determined by the
-- program (which process runs next, which timer fires first, whether a timer
-- fires before a message comes, how the network delivers, os.time's and
-- math.random's answers) is drawn from one tape, a list of integers: the same
-- tape gives the same run.

local core = require "banyan.core"
local cluster = require "banyan.lockstep.cluster"
local history = require "banyan.lockstep.history"
local options = require "banyan.options"
local plain = require "banyan.lockstep.plain"
local play = require "banyan.lockstep.play"
local Report = require "banyan.lockstep.report"
local shrink_tape = require "banyan.lockstep.shrink"
local slice = require "banyan.lockstep.slice"
local Trace = require "banyan.lockstep.trace"

local lockstep = {}

--- Recorded operations and their checkers, see banyan.lockstep.history.
lockstep.history = history

--- What came of running a body. tostring shows it to people.
---@class banyan.Report
---@field ok boolean
---@field iterations integer  runs made
---@field complete boolean  dfs has seen all schedules
---@field steps integer  of the run that failed, or of all
---@field seed integer
---@field strategy string
---@field tape integer[]  of the run that failed, or of the last
---@field kind? string  after a failure: what kind it is
---@field reason? any  after a failure
--- After a failure: the steps: step, now, who, what and more.
---@field trace? table[]

-- --- options -----------------------------------------------------------------

local strategies =
  { random = true, pct = true, pos = true, fair_pct = true, dfs = true }

local clocks = { racing = true, idle = true }

-- A kind of option: an integer in a range.
local function from(least, most)
  return {
    ("an integer from %d to %d"):format(least, most),
    function(value)
      return type(value) == "number" and value % 1 == 0
        and value >= least and value <= most
    end,
  }
end

local schema = {
  clock = {
    '"racing" or "idle"',
    function(value) return clocks[value] == true end,
  },
  iterations = "positive",
  strategy = {
    '"random", "pct", "pos", "fair_pct" or "dfs"',
    function(value) return strategies[value] == true end,
  },
  seed = "integer",
  depth = from(1, 1025),
  preemptions = from(0, 2 ^ 31 - 1),
  fair_after = from(1, 2 ^ 31 - 1),
  reduce = "boolean",
  length = from(0, 2 ^ 31 - 1),
  max_steps = "positive",
  tape = {
    "a tape (a list of choices, or its text)",
    function(value) return Report.to_tape(value) ~= nil end,
  },
  settle = "boolean",
  no_leftovers = "boolean",
}

local ITERATIONS, DFS_ITERATIONS = 100, 100000
local SHRINK_TRIES = 10000

local function check(what, body, opts, level)
  if type(body) ~= "function" then
    error(("%s: the body must be a function, got a %s")
      :format(what, type(body)), level + 1)
  end
  play.check_outside(what, level + 1)
  if pcall(core.self) then
    error(what .. ": a process cannot wait for whole runs: call it outside "
      .. "of banyan.run", level + 1)
  end
  opts = options.check(what, opts, schema, level + 1)
  local strategy = opts.strategy or "pct"
  return {
    strategy = strategy,
    iterations = opts.iterations
      or (strategy == "dfs" and DFS_ITERATIONS or ITERATIONS),
    seed = opts.seed or 1,
    depth = opts.depth or 3,
    preemptions = opts.preemptions,
    shared = strategy == "dfs" and not opts.reduce,
    fair_after = opts.fair_after, length = opts.length,
    idle_clock = opts.clock == "idle",
    max_steps = opts.max_steps or 10000,
    tape = opts.tape and Report.to_tape(opts.tape),
    settle = opts.settle,
    no_leftovers = opts.no_leftovers,
    given = opts,
  }
end

local function new_control(settings)
  return core.control {
    strategy = settings.strategy, depth = settings.depth,
    preemptions = settings.preemptions, length = settings.length,
    fair_after = settings.fair_after, idle_clock = settings.idle_clock,
    shared = settings.shared,
  }
end

-- --- playing -----------------------------------------------------------------

local function replay_traced(control, body, settings, tape)
  control:replay(tape)
  local outcome = play.once(control, body, settings, true)
  outcome.tape, outcome.diverged_at = control:finish()
  return outcome
end

local function same_failure(a, b)
  return a.kind == b.kind
    and plain.key(a.reason) == plain.key(b.reason)
end

-- A run once more, as a tape says; the report tells of that one alone.
local function replay_report(body, settings, tape, given)
  local again = replay_traced(new_control(settings), body, settings, tape)
  return Report.new {
    ok = again.ok, kind = again.kind, reason = again.reason, who = again.who,
    crashes = again.crashes,
    steps = again.steps, tape = again.tape, trace = again.trace,
    iterations = 1, seed = given and given.seed or settings.seed,
    strategy = settings.strategy, settings = settings,
  }
end

-- "error (a reason)"
local function describe_outcome(outcome)
  if outcome.ok then return "no failure" end
  if outcome.kind == "divergence" then return "a divergence" end
  return ("%s (%s)"):format(outcome.kind, plain.line(outcome.reason))
end

-- The report of a run that failed: it is run once more, with a trace. If that
-- goes another way, the body is not deterministic.
local function failure_report(control, body, settings, failed)
  local again = replay_traced(control, body, settings, failed.tape)
  local report = Report.new {
    ok = false, kind = failed.kind, reason = failed.reason, who = failed.who,
    crashes = again.crashes,
    steps = failed.steps, tape = failed.tape, trace = again.trace,
    seed = failed.seed, iterations = failed.iterations,
    length = failed.length, strategy = settings.strategy,
    settings = settings,
  }
  if same_failure(failed, again) and not again.diverged_at then
    return report
  end
  report.kind, report.steps = "divergence", again.diverged_at or again.steps
  report.reason = ("the same choices did not lead to the same run: first %s, "
    .. "then %s%s"):format(describe_outcome(failed), describe_outcome(again),
    again.diverged_at and ("; step %d is the first that differs")
      :format(again.diverged_at) or ", after the same steps")
  return report
end

-- Under dfs the body itself shows it: after the same choices it did otherwise.
local function diverged_report(settings, tape, seed, runs, outcome)
  return Report.new {
    ok = false, kind = "divergence", steps = outcome.steps, tape = tape,
    reason = "the same choices did not lead to the same run",
    seed = seed, iterations = runs, strategy = settings.strategy,
    settings = settings,
  }
end

--- The options of lockstep.run, check and replay.
---@class banyan.LockstepOptions
---@field iterations? integer  100 (dfs: 100000), how many schedules
---@field strategy? "pct"|"random"|"pos"|"fair_pct"|"dfs"  "pct" by default
---@field seed? integer  1, of the first run; run i has seed + i - 1
---@field depth? integer  3, pct: how many steps must be in the one wrong order
--- pct: how many steps a run is thought to have, until one was longer; 100 if
--- not given.
---@field length? integer
--- dfs: at most so many in a run; any number by default.
---@field preemptions? integer
--- fair_pct: after so many steps of a run it goes on at random; twice the
--- longest run by default.
---@field fair_after? integer
--- false, dfs: of schedules that differ only in the order of steps that do not
--- touch one another, run one. Say true if the processes of the body share no
--- variables: nobody sees when those are touched.
---@field reduce? boolean
--- "racing" (default): time may pass to the next deadline while there is work,
--- so that a time-out may come before a reply that is on its way, as in life;
--- or "idle": only when nothing else can happen.
---@field clock? "racing"|"idle"
---@field max_steps? integer  10000, of one run
--- Choices or their text, as a report has it: only this schedule is run,
--- whatever iterations, seed and strategy say.
---@field tape? integer[]|string
--- false, go on after the body returned, until nothing more can happen;
--- otherwise what still runs then is killed.
---@field settle? boolean
--- false, a process that lives at the end is a failure.
---@field no_leftovers? boolean

--- Runs a body under many schedules, until one fails. Must not be called by a
-- process; does not yield, but blocks until it is done.
--
-- A run fails by an error in the body, or in a process that lockstep.watch
-- watches (kind "error"); by an invariant that does not hold ("invariant"); if
-- everything waits and no timer is left ("deadlock"); after too many steps
-- ("max_steps"); by processes that are left over, if asked ("leftover"); and if
-- the body is not deterministic ("divergence").
--
---@param body fun()  runs as a process, once for each schedule: whatever it
---  makes, it makes anew
---@param opts? banyan.LockstepOptions
---@return banyan.Report report  of the first run that failed, or of all
function lockstep.run(body, opts)
  local settings = check("lockstep.run", body, opts, 2)
  if settings.tape then return replay_report(body, settings, settings.tape) end
  local control, steps, made, tape = new_control(settings), 0, 0, nil
  for i = 1, settings.iterations do
    local seed, length = settings.seed + i - 1, control:length()
    if not control:begin(seed) then break end
    local outcome = play.once(control, body, settings)
    tape = control:finish()
    made = i
    if not outcome.ok then
      outcome.tape, outcome.seed, outcome.iterations = tape, seed, i
      outcome.length = settings.strategy ~= "dfs" and length or nil
      return failure_report(control, body, settings, outcome)
    end
    steps = steps + outcome.steps
    if control:diverged() then
      return diverged_report(settings, tape, seed, i, outcome)
    end
  end
  return Report.new {
    ok = true, iterations = made, complete = control:complete(),
    steps = steps, seed = settings.seed, strategy = settings.strategy,
    tape = tape, settings = settings,
  }
end

--- Runs a body as lockstep.run does, and raises the printed report if a run
-- fails: all that a test needs. Not for processes; does not yield.
---@param body fun()  as for run
---@param opts? banyan.LockstepOptions
---@return banyan.Report report  of runs that all went well
function lockstep.check(body, opts)
  check("lockstep.check", body, opts, 2)
  local report = lockstep.run(body, opts)
  if not report.ok then error(tostring(report), 2) end
  return report
end

-- --- replaying ---------------------------------------------------------------

local function tape_of(what, given, level)
  if type(given) == "table" and type(given.tape) == "table" then
    return given.tape, given
  end
  return Report.to_tape(given)
    or error(what .. ": a report, a tape or a tape's text expected", level + 1)
end

--- Runs a body once more, as a report or its tape says. Raises nothing if that
-- fails. Not for processes; does not yield.
---@param body fun()  the same, or another version of it
---@param report_or_tape table|string  a report, its tape, or the text that its
---  last line shows
---@param opts? banyan.LockstepOptions  what the report says goes without saying
---@return banyan.Report report  of kind "divergence" if a report was given and
---  the run went another way
function lockstep.replay(body, report_or_tape, opts)
  local settings = check("lockstep.replay", body, opts, 2)
  local tape, given = tape_of("lockstep.replay", report_or_tape, 2)
  settings = given and given.settings or settings
  local report = replay_report(body, settings, tape, given)
  if not given then return report end
  local at = given.trace and report.trace
    and Trace.difference(given.trace, report.trace)
  if not at and (report.ok and given.ok or same_failure(report, given)) then
    return report
  end
  report.reason = ("the run went another way: it was %s, now it is %s%s")
    :format(describe_outcome(given), describe_outcome(report),
      at and ("; step %d is the first that differs"):format(at) or "")
  report.ok, report.kind, report.steps =
    false, "divergence", at or report.steps
  return report
end

--- Looks for the smallest schedule that fails in the same way, by running the
-- body again and again. Not for processes; does not yield.
---@param body fun()  the one of the report
---@param report banyan.Report  of a failure
---@return banyan.Report report  of the smallest one found
function lockstep.shrink(body, report)
  check("lockstep.shrink", body, nil, 2)
  local tape, given = tape_of("lockstep.shrink", report, 2)
  if not given or given.ok then
    error("lockstep.shrink: a report of a failure expected", 2)
  end
  local settings = given.settings
  local control = new_control(settings)
  local function fails(candidate)
    control:replay(candidate)
    local outcome = play.once(control, body, settings)
    local answered = control:finish()
    return not outcome.ok and same_failure(outcome, given) and answered or nil
  end
  local smallest = shrink_tape(tape, fails, SHRINK_TRIES)
  local again = replay_traced(control, body, settings, smallest)
  return Report.new {
    ok = again.ok, kind = again.kind, reason = again.reason, who = again.who,
    crashes = again.crashes,
    steps = again.steps, tape = smallest, trace = again.trace,
    iterations = given.iterations, seed = given.seed,
    strategy = settings.strategy, settings = settings,
  }
end

--- The steps of a failed run that can have caused its failure: those of the
-- process that failed, of who sent to it or woke it before, and so on
-- backwards. What goes by Lua variables from one process to another is not
-- seen. Does not yield.
---@param report banyan.Report  of a failure
---@return table[] steps  some of report.trace, in order; tostring shows them
---  as the report does
function lockstep.slice(report)
  local trace = type(report) == "table" and report.trace
  if not trace then
    error("lockstep.slice: a report of a failure expected", 2)
  end
  return Trace.printable(slice.of(trace))
end

-- --- for bodies --------------------------------------------------------------

--- Adds an invariant, which is checked after every step. It is called outside
-- of any process and must neither wait nor send. Returns nothing; does not
-- yield.
---@param fn fun(): boolean, string|nil  true if it holds; else why not
---@param name? string  for the report
function lockstep.invariant(fn, name)
  if type(fn) ~= "function" then
    error("lockstep.invariant: a function expected, got a " .. type(fn), 2)
  end
  play.world("lockstep.invariant"):invariant(name or "an invariant", fn)
end

--- Has the run fail if a process ends for another reason than "normal" and
-- "shutdown". Returns nothing; does not yield.
-- A process that dies with its node, by cluster:crash, has not failed: its
-- watch ends.
---@param pid banyan.Pid
---@param name? string  for the report
function lockstep.watch(pid, name)
  play.world "lockstep.watch"
  if type(pid) ~= "userdata" then
    error("lockstep.watch: a pid expected, got a " .. type(pid), 2)
  end
  play.watch(pid, name)
end

--- The options of lockstep.cluster.
---@class banyan.ClusterOptions
--- 3, how many; or a list of their names; or a list of such lists: of several
--- clusters, which do not know one another. The field `nodes` has all names.
---@field nodes? integer|string[]|string[][]
--- From 1, what the random numbers inside of the nodes begin with; by default
--- the tape says.
---@field seed? integer
--- 65536, bytes that a connection takes before they are read.
---@field window? integer
---@field heartbeat_ms? integer  milliseconds, as for banyan.start
---@field down_after_ms? integer  milliseconds, as for banyan.start
---@field reconnect_ms? integer  milliseconds, as for banyan.start
---@field handshake_ms? integer  milliseconds, as for banyan.start
---@field max_message? integer  bytes, as for banyan.start
---@field max_queue? integer  bytes, as for banyan.start

--- Makes a cluster: nodes on a virtual network, already connected to each
-- other. The body is none of them; it can do anything to them. Yields.
---@param opts? banyan.ClusterOptions
---@return banyan.Cluster cluster  nodes (list of names); see
---  lua/banyan/lockstep/cluster.lua for what it can do
function lockstep.cluster(opts)
  return cluster.new(play.world("lockstep.cluster"), opts, 1)
end

--- Draws a choice of the body's own from the tape. Does not yield.
---@param n integer  from 1 to 2^31 - 1
---@return integer chosen  1..n; shrinking lowers it, so 1 should be the tamest
function lockstep.choose(n)
  if type(n) ~= "number" or n % 1 ~= 0 or n < 1 or n > 2 ^ 31 - 1 then
    error("lockstep.choose: n must be an integer from 1 to 2^31 - 1, got "
      .. (type(n) == "number" and tostring(n) or "a " .. type(n)), 2)
  end
  return play.world("lockstep.choose"):choose(n)
end

return lockstep
