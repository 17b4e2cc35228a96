-- Every public function says in its source what it takes, with types and
-- units, what it answers, and whether it yields. The public modules are those
-- of the table in README.md; to them come the objects that they hand out.

local docstrings = require "spec.support.docstrings"
local public = require "spec.support.public"

-- What functions written in C take, which Lua cannot tell.
local taken_in_c = {
  ["banyan.node"] = "",
  ["banyan.nodes"] = "",
  ["banyan.connect"] = "name timeout",
  ["banyan.disconnect"] = "name",
  ["banyan.monitor_nodes"] = "on",
  ["banyan.spawn"] = "fn ...",
  ["banyan.spawn_link"] = "fn ...",
  ["banyan.spawn_monitor"] = "fn ...",
  ["banyan.self"] = "",
  ["banyan.sleep"] = "ms",
  ["banyan.now"] = "",
  ["banyan.make_ref"] = "",
  ["banyan.send"] = "dest msg",
  ["banyan.send_after"] = "ms dest msg",
  ["banyan.send_interval"] = "ms dest msg",
  ["banyan.set_label"] = "text",
  ["banyan.set_max_mailbox"] = "n what",
  ["banyan.cancel_timer"] = "timer",
  ["banyan.link"] = "pid",
  ["banyan.unlink"] = "pid",
  ["banyan.monitor"] = "dest",
  ["banyan.demonitor"] = "ref opts",
  ["banyan.exit"] = "reason",
  ["banyan.trap_exit"] = "on",
  ["banyan.is_alive"] = "pid",
  ["banyan.process_info"] = "pid",
  ["banyan.processes"] = "",
  ["banyan.register"] = "name pid",
  ["banyan.unregister"] = "name",
  ["banyan.whereis"] = "name",
  ["banyan.registered"] = "",
  ["Pid:send"] = "msg",
  ["Pid:exit"] = "reason",
  ["Pid:is_alive"] = "",
  ["Pid:node"] = "",
  ["banyan.server.call"] = "dest msg timeout",
  ["banyan.server.cast"] = "dest msg",
  ["banyan.server.reply"] = "from ...",
  ["banyan.server.request"] = "dest msg",
  ["banyan.server.timeout"] = "ms",
  ["banyan.server.stop_with"] = "reason ...",
  ["banyan.server.continue"] = "arg",
  ["Ring:add"] = "name weight",
  ["Ring:remove"] = "name",
  ["Ring:nodes"] = "",
  ["Ring:node_for"] = "key",
  ["Ring:nodes_for"] = "key n",
}

local known_types = {}
for name in ([[any boolean false fun function integer nil number string table
  true userdata]]):gmatch "%w+" do
  known_types[name] = true
end

-- What a function takes: "a b ..."; or nil and what is to be done.
local function parameters(full_name, fn, is_method)
  local info = debug.getinfo(fn, "Su")
  if info.what == "C" then return taken_in_c[full_name] end
  local names = {}
  for i = is_method and 2 or 1, info.nparams do
    names[#names + 1] = debug.getlocal(fn, i)
  end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, " ")
end

local function names_of(params)
  local names = {}
  for i, param in ipairs(params) do names[i] = param.name end
  return table.concat(names, " ")
end

local is_time = { ms = true, timeout = true, now = true }

local function check_types(list)
  for _, entry in ipairs(list) do
    assert.not_equal("", entry.type, "there is no type")
    for _, name in ipairs(docstrings.types(entry.type)) do
      assert.is_true(known_types[name], "an unknown type: " .. name)
    end
  end
end

local function without_result_names(returns)
  local list = {}
  for i, entry in ipairs(returns) do
    local bare = entry.type:gsub("%s+[%a_][%w_]*$", ""):gsub("%s*%.%.%.$", "")
    list[i] = { type = bare }
  end
  return list
end

local function check_function(full_name, fn, doc, is_method)
  local takes = parameters(full_name, fn, is_method)
  assert.is_truthy(takes, "this spec does not know what it takes")
  assert.equal(takes, names_of(doc.params))
  assert.is_truthy(doc.returns[1] or doc.text:find "Returns%s+nothing"
    or doc.text:find "returns%s+nothing" or doc.text:find "Does not return",
    "it has no @return")
  assert.matches("[Yy]ield", doc.text)
  check_types(doc.params)
  check_types(without_result_names(doc.returns))
  for _, param in ipairs(doc.params) do
    if is_time[param.name] then assert.matches("milliseconds", param.text) end
  end
end

local described = {} -- the functions in C that were there

local function public_names(things)
  local names = {}
  for name in pairs(things) do
    if not name:find "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function check_all(prefix, class, things, docs)
  for _, name in ipairs(public_names(things)) do
    local full_name, thing = prefix .. name, things[name]
    if taken_in_c[full_name] then described[full_name] = true end
    it(full_name .. " is described", function()
      local doc = docs[class and class .. ":" .. name or name]
      assert.is_truthy(doc, "there is no docstring")
      if type(thing) == "function" then
        check_function(full_name, thing, doc, class ~= nil)
      end
    end)
  end
end

local modules, handed_out = public.modules(), public.objects()

local sources = {}
for _, module in ipairs(modules) do
  sources[#sources + 1] = public.path_of(module)
end
for _, object in ipairs(handed_out) do sources[#sources + 1] = object[3] end
local docs_of = {}
for _, path in ipairs(sources) do docs_of[path] = docstrings.read(path) end
for _, path in ipairs(public.files "lua") do
  local _, classes = docstrings.read(path)
  for _, class in ipairs(classes) do known_types[class] = true end
end

for _, module in ipairs(modules) do
  describe(module, function()
    check_all(module .. ".", nil, require(module),
      docs_of[public.path_of(module)])
  end)
end

for _, object in ipairs(handed_out) do
  local class, value, path = object[1], object[2], object[3]
  describe("an object " .. class, function()
    check_all(class .. ":", class, debug.getmetatable(value).__index,
      docs_of[path])
  end)
end

describe("the list of functions in C", function()
  for full_name in pairs(taken_in_c) do
    it("has " .. full_name .. ", which exists", function()
      assert.is_true(described[full_name])
    end)
  end
end)
