-- What an editor reads of the public modules, their objects and their options
-- is all that there is, and nothing else: see "Types" in CONTRIBUTING.md.

local core = require "banyan.core"
local docstrings = require "spec.support.docstrings"
local library = require "spec.support.library"
local luacats = require "spec.support.luacats"
local public = require "spec.support.public"

-- The tables of options that this library accepts: the file and the variable
-- that has them, and the class that describes them.
local schemas = {
  ["lua/banyan/childspec.lua known_backoff"] = "banyan.Backoff",
  ["lua/banyan/distributed_supervisor.lua checkpoint_schema"] =
    "banyan.CheckpointOptions",
  ["lua/banyan/distributed_supervisor/options.lua schema"] =
    "banyan.DistributedOptions",
  ["lua/banyan/dynamic_supervisor.lua start_options"] =
    "banyan.DynamicSupervisorOptions",
  ["lua/banyan/distributed_supervisor/options.lua nodes_schema"] =
    "banyan.DistributedNodes",
  ["lua/banyan/distributed_supervisor/options.lua rebalance_schema"] =
    "banyan.Rebalance",
  ["lua/banyan/io.lua connect_schema"] = "banyan.ConnectOptions",
  ["lua/banyan/io.lua socket_schema"] = "banyan.SocketOptions",
  ["lua/banyan/io/listener.lua serve_schema"] = "banyan.ServeOptions",
  ["lua/banyan/groups.lua schema"] = "banyan.GroupsOptions",
  ["lua/banyan/lockstep.lua schema"] = "banyan.LockstepOptions",
  ["lua/banyan/lockstep/chaos.lua schema"] = "banyan.ChaosOptions",
  ["lua/banyan/lockstep/cluster.lua flap_schema"] = "banyan.FlapOptions",
  ["lua/banyan/lockstep/cluster.lua link_schema"] = "banyan.LinkOptions",
  ["lua/banyan/lockstep/cluster.lua schema"] = "banyan.ClusterOptions",
  ["lua/banyan/lockstep/history.lua check_schema"] =
    "banyan.HistoryCheckOptions",
  ["lua/banyan/lockstep/history.lua schema"] = "banyan.HistoryOptions",
  ["lua/banyan/lockstep/model.lua schema"] = "banyan.Model",
  ["lua/banyan/log.lua schema"] = "banyan.LogOptions",
  ["lua/banyan/node.lua preempt_schema"] = "banyan.PreemptOptions",
  ["lua/banyan/node.lua schema"] = "banyan.StartOptions",
  ["lua/banyan/node_monitor/options.lua change_schema"] =
    "banyan.NodeMonitorChanges",
  ["lua/banyan/node_monitor/options.lua start_schema"] =
    "banyan.NodeMonitorOptions",
  ["lua/banyan/node_sources.lua dns_schema"] = "banyan.DnsSourceOptions",
  ["lua/banyan/node_sources.lua file_schema"] = "banyan.FileSourceOptions",
  ["lua/banyan/peer/options.lua schema"] = "banyan.PeerOptions",
  ["lua/banyan/peers.lua accept_options"] = "banyan.RealmOptions",
  ["lua/banyan/peers.lua advertise_options"] = "banyan.AdvertiseOptions",
  ["lua/banyan/peers.lua peer_options"] = "banyan.PeerConnectionOptions",
  ["lua/banyan/peers.lua start_options"] = "banyan.PeersOptions",
  ["lua/banyan/ring.lua schema"] = "banyan.RingOptions",
  ["lua/banyan/server.lua start_options"] = "banyan.ServerOptions",
  ["lua/banyan/supervisor.lua all_options"] = "banyan.SupervisorOptions",
  ["lua/banyan/supervisor.lua init_options"] = "banyan.SupervisorInitOptions",
  ["lua/banyan/supervisor.lua start_options"] =
    "banyan.SupervisorModuleOptions",
}

local function fail(text, ...)
  error(text:format(...), 0)
end

-- --- what the sources say ----------------------------------------------------

-- Of each file its docstrings, of each class its fields.
local sources, docs_of, classes = public.files "lua", {}, {}
for _, path in ipairs(sources) do
  docs_of[path] = docstrings.list(path)
  for _, doc in ipairs(docs_of[path]) do
    local name = doc.classes[1]
    if name then
      classes[name] =
        { parent = doc.parent, fields = doc.fields, path = path }
    end
  end
end

-- The fields of a class and of those that it extends: name -> field.
local function fields_of(class)
  local all = {}
  while class do
    local found = classes[class] or fail("there is no ---@class %s", class)
    for _, field in ipairs(found.fields) do all[field.name] = field end
    class = found.parent
  end
  return all
end

-- --- what there is -----------------------------------------------------------

local modules, objects = public.modules(), public.objects()
for _, module in ipairs(modules) do require(module) end

-- Calls visit(source, name, value) for each upvalue that functions of this
-- library have, whatever leads there from its modules.
local function each_upvalue(visit)
  local seen = {}
  local function walk(value)
    if seen[value] then return end
    if type(value) == "table" then
      seen[value] = true
      for _, inner in next, value do walk(inner) end
    elseif type(value) == "function" then
      seen[value] = true
      local info = debug.getinfo(value, "S")
      local path = info.source:match "(lua/banyan/.*%.lua)$"
        or info.source:match "(lua/banyan%.lua)$"
      if not path then return end
      local i = 1
      local name, inner = debug.getupvalue(value, i)
      while name do
        visit(path, name, inner)
        walk(inner)
        i = i + 1
        name, inner = debug.getupvalue(value, i)
      end
    end
  end
  for name, module in pairs(package.loaded) do
    if name:find "^banyan" and name ~= "banyan.core" then walk(module) end
  end
end

-- By their names this spec finds the tables of options.
local function is_schema(name)
  return name:find "schema$" or name:find "^%l+_options$"
    or name == "known_backoff"
end

-- "file variable" -> the table of options.
local accepted = {}
each_upvalue(function(path, name, value)
  if is_schema(name) and type(value) == "table" then
    accepted[path .. " " .. name] = value
  end
end)

-- The third argument of each options.check, as it is written: a number or a
-- level where it is that of distributed_supervisor.options.
local function checked(path)
  local names = {}
  local text = library.read(path)
  for module, call in text:gmatch "%f[%w_](%l+)%.check(%b())" do
    local rest = call:sub(2, -2):gsub("%b()", ""):gsub('%b""', "")
    local third = rest:match "^[^,]*,[^,]*,%s*([^,]*)"
    local is_ours = module == "options" or module == "common"
    if is_ours and third and not third:find "^[%dl]" then
      names[#names + 1] = third
    end
  end
  return names
end

local function is_hidden(kind)
  return type(kind) == "table" and kind.hidden
end

local function check_fields(class, known, where)
  local fields = fields_of(class)
  local path = classes[class].path
  for option, kind in pairs(known) do
    if not fields[option] and not is_hidden(kind) then
      fail('%s accepts the option "%s"; add "---@field %s? TYPE  what it is" '
        .. "below ---@class %s in %s", where, option, option, class, path)
    end
  end
  for name in pairs(fields) do
    if not known[name] or is_hidden(known[name]) then
      fail('---@class %s in %s has the field "%s", which %s does not accept',
        class, path, name, where)
    end
  end
end

describe("the class of options", function()
  for where, known in pairs(accepted) do
    it("has what is in " .. where, function()
      local class = schemas[where] or fail("no class describes the options in "
        .. '%s: declare one, and add ["%s"] = "banyan.ITS_NAME" to schemas '
        .. "in spec/library_spec.lua", where, where)
      check_fields(class, known, where)
    end)
  end

  for where in pairs(schemas) do
    it("is found where it should be: " .. where, function()
      if not accepted[where] then
        fail("no function has that variable; take it out of schemas in "
          .. "spec/library_spec.lua")
      end
    end)
  end

  it("is found by the name of the table", function()
    local count = 0
    for _, path in ipairs(sources) do
      for _, name in ipairs(checked(path)) do
        count = count + 1
        if not is_schema(name) then
          fail('%s checks options by "%s": have that be a variable whose name '
            .. "ends in schema or _options, for this spec to find it", path,
            name)
        end
      end
    end
    assert.is_true(count > 10)
  end)

  it("has what C accepts in a child spec", function()
    local _, places = debug.getupvalue(core.supervisor.pack, 1)
    check_fields("banyan.ChildSpec", places, "csrc/lua/otp/childspec.c")
  end)

  it("has the callbacks of a listener", function()
    local where = "lua/banyan/distributed_supervisor/listeners.lua"
    check_fields("banyan.DistributedListener",
      require("banyan.distributed_supervisor.listeners").callbacks, where)
  end)
end)

-- --- library/ ----------------------------------------------------------------

describe("library/", function()
  for source, target in pairs(library.sources) do
    it("has all that C implements of " .. source, function()
      local text = library.text(source, target[2])
      if library.read(target[1]) ~= text then
        fail("%s is not what the docstrings of %s say: run `make library`",
          target[1], source)
      end
    end)
  end

  it("has no other file", function()
    local expected = {}
    for _, target in pairs(library.sources) do
      expected[#expected + 1] = target[1]
    end
    table.sort(expected)
    assert.same(expected, public.files "library")
  end)
end)

-- --- functions ---------------------------------------------------------------

-- What stands at run time behind each class: name -> table.
local behind, source_of = {}, {}
for _, module in ipairs(modules) do
  behind[module], source_of[module] = require(module), public.path_of(module)
end
for _, object in ipairs(objects) do
  local class = "banyan." .. object[1]
  behind[class] = debug.getmetatable(object[2]).__index
  source_of[class] = object[3]
end

-- class -> name -> true: what Lua files define, and what library/ does.
local in_lua, in_library = {}, {}
for class in pairs(behind) do in_lua[class], in_library[class] = {}, {} end

for class, path in pairs(source_of) do
  local short = class:match "[%w_]+$"
  for line in io.lines(path) do
    local owner, name = line:match "^function ([%w_]+)[.:]([%w_]+)"
    if not owner then owner, name = line:match "^([%w_]+)%.([%w_]+) = " end
    if owner == short then in_lua[class][name] = true end
  end
end
for source, target in pairs(library.sources) do
  local _, found = library.text(source, target[2])
  for _, one in ipairs(found) do
    local names = in_library[one.class]
      or fail("%s is no class of public things", one.class)
    names[one.name] = true
  end
end

local function check_seen(class, name, value)
  local path, short = source_of[class], class:match "[%w_]+$"
  local in_c = type(value) == "function"
    and debug.getinfo(value, "S").what == "C"
  if in_c and not in_library[class][name] then
    fail("%s has %s, which is written in C: give it a docstring with "
      .. "---@param and ---@return in %s, above `%s.%s = core.%s` or with "
      .. "---@function, list that file in library.sources in "
      .. "spec/support/library.lua if it is not there, and run `make library`",
      class, name, path, short, name, name)
  elseif not in_library[class][name] and not in_lua[class][name] then
    fail("%s has %s, which no line of %s that begins with `function %s` or "
      .. "`%s.%s =` defines", class, name, path, short, short, name)
  end
end

describe("an editor sees", function()
  for class, things in pairs(behind) do
    it("all of " .. class, function()
      for name, value in pairs(things) do
        if not name:find "^_" then check_seen(class, name, value) end
      end
    end)

    it("nothing else of " .. class, function()
      for _, names in ipairs { in_lua[class], in_library[class] } do
        for name in pairs(names) do
          if things[name] == nil then
            fail("%s.%s is described in %s, but does not exist", class, name,
              source_of[class])
          end
        end
      end
    end)
  end
end)

local function check_instance(class, all)
  for name in pairs(fields_of(class)) do
    local found = false
    for _, one in ipairs(all) do found = found or one[name] ~= nil end
    if not found then
      fail("---@class %s has the field %s, which none of these objects has",
        class, name)
    end
  end
end

describe("a field is one of", function()
  local lockstep = require "banyan.lockstep"

  it("a report", function()
    local once = { iterations = 1 }
    check_instance("banyan.Report", {
      lockstep.run(function() end, once),
      lockstep.run(function() error "no" end, once),
    })
  end)

  it("an operation", function()
    local history = require("banyan.lockstep.history").new()
    local op = history:invoke("ann", "read")
    history:ok(op, 1)
    check_instance("banyan.Operation", { op })
  end)
end)

-- --- types -------------------------------------------------------------------

local known = {}
for name in ([[any boolean false fun function integer nil number string table
  true userdata thread]]):gmatch "%w+" do
  known[name] = true
end
for class in pairs(classes) do known[class] = true end

local function check_type(text, where)
  local names, why = luacats.names(text)
  if not names then fail("%s: %q is no type: %s", where, text, why) end
  for _, name in ipairs(names) do
    if not known[name] then
      fail("%s: %q: there is no ---@class %s", where, text, name)
    end
  end
end

describe("the types", function()
  for _, path in ipairs(sources) do
    it("in " .. path .. " can be read", function()
      for _, doc in ipairs(docs_of[path]) do
        local where = doc.subject or doc.classes[1] or doc.below
        for _, list in ipairs { doc.params, doc.returns, doc.fields } do
          for _, entry in ipairs(list) do check_type(entry.type, where) end
        end
      end
    end)
  end

  for class, path in pairs(source_of) do
    it("of options in " .. path .. " for " .. class .. " are classes",
      function()
        for _, doc in ipairs(docs_of[path]) do
          local name = doc.subject and doc.subject:match "[%w_]+$"
          for _, param in ipairs(behind[class][name] and doc.params or {}) do
            if param.name:find "opts$" and param.type == "table" then
              fail("%s: say which table `%s` is: declare a ---@class "
                .. "banyan.…Options with a ---@field for each option",
                doc.subject, param.name)
            end
          end
        end
      end)
  end
end)

describe(".luarc.json", function()
  it("finds the modules and library/", function()
    local settings = require("cjson").decode(library.read ".luarc.json")
    assert.equal("library", settings["workspace.library"][1])
    for source in pairs(library.sources) do
      local module = source:match "^lua/(.-)%.lua$":gsub("/init$", "")
      local found
      for _, pattern in ipairs(settings["runtime.path"]) do
        found = found or library.read((pattern:gsub("%?", module)))
      end
      assert.equal(library.read(source), found)
    end
  end)
end)

describe("luacats", function()
  it("reads types", function()
    assert.same({ "a.B", "c", "d", "e", "f" }, luacats.names
      '(fun(x: a.B, y?: c, ...: d): e, f[])|"text"')
    assert.same({ "table", "a", "b", "any" },
      luacats.names "table<a, b>|{ k: any } name")
    assert.same({ "any" }, luacats.names "any ...")
  end)

  it("refuses what is no type", function()
    for _, text in ipairs { "", "a|", "fun(", "table<a", "{ k }", "a b c",
      "(a", "a]" } do
      assert.is_nil(luacats.names(text))
    end
  end)
end)
