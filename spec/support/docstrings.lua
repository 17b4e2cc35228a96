--- Reads the docstrings of a Lua file.
--
-- A docstring begins with a `---` line; the comment lines that follow belong
-- to it. Its subject is the name that the line below it defines, or, where
-- nothing stands below, the name after `---@function`: "call" for what a
-- module has, "Ring:add" for a method of an object.

local docstrings = {}

local function subject_of(line)
  local class, method = line:match "^function ([%w_]+):([%w_]+)"
  if class then return class .. ":" .. method end
  return line:match "^function [%w_]+%.([%w_]+)"
    or line:match "^local function ([%w_]+)"
    or line:match "^[%w_]+%.([%w_]+) ="
end

-- "name? type  text", or for a result "type name  text": two blanks end a
-- type, which may hold single ones.
local function read_typed(text, named)
  local first, rest = text:match "^([^\n]*)(.*)$"
  local head, tail = first:match "^(.-)%s%s+(.*)$"
  head, tail = head or first, tail or ""
  local name
  if named then name, head = head:match "^(%S+)%s*(.*)$" end
  return { name = name and name:gsub("%?$", ""), type = head,
    text = tail .. rest }
end

local function new_doc()
  return { text = "", params = {}, returns = {}, classes = {}, fields = {} }
end

-- "name? type  text", or for a field of any name "[key type] type  text".
local function read_field(text)
  local key, rest = text:match "^(%b[])%s*(.*)$"
  if key then
    return { name = key, type = read_typed(rest).type }
  end
  local field = read_typed(text, true)
  field.optional = text:find "^%S+%?" ~= nil
  return field
end

local function close_section(doc, tag, text)
  if tag == "param" then
    doc.params[#doc.params + 1] = read_typed(text, true)
  elseif tag == "return" then
    doc.returns[#doc.returns + 1] = read_typed(text)
  elseif tag == "field" then
    doc.fields[#doc.fields + 1] = read_field(text)
  elseif tag == "function" then
    doc.owner, doc.mark, doc.name = text:match "^([%w_]+)([.:])([%w_]+)"
    doc.subject = doc.mark == ":" and doc.owner .. ":" .. doc.name or doc.name
  elseif tag == "class" or tag == "alias" then
    doc.classes[#doc.classes + 1] = text:match "^[%w_.]+"
    doc.parent = text:match "^[%w_.]+%s*:%s*([%w_.]+)"
  end
end

local function read_block(lines, below)
  local doc = new_doc()
  local tag, text
  doc.lines, doc.below, doc.tags = lines, below, {}
  for _, line in ipairs(lines) do
    local next_tag, rest = line:match "^%-%-%-@(%w+)%s*(.*)$"
    local plain = line:gsub("^%-+ ?", "")
    doc.text = doc.text .. plain .. "\n"
    if next_tag then
      close_section(doc, tag, text)
      tag, text = next_tag, rest
      doc.tags[#doc.tags + 1] = tag
    elseif tag then
      text = text .. "\n" .. plain
    end
  end
  close_section(doc, tag, text)
  doc.subject = doc.subject or subject_of(below)
  return doc
end

--- The docstrings in a file, in order.
---@param path string
---@return table[] docs  { text=, params=, returns=, fields=, lines=, below=,
---  tags=, subject=, owner=, parent= }: the params are a list of {name=, type=,
---  text=}, the returns of {type=, text=}, the fields of {name=, type=, text=,
---  optional=}; `below` is the line that follows
function docstrings.list(path)
  local list, block = {}, nil
  for line in io.lines(path) do
    if block and line:find "^%-%-" then
      block[#block + 1] = line
    elseif block then
      list[#list + 1] = read_block(block, line)
      block = nil
    elseif line:find "^%-%-%-" and not line:find "^%-%-%-%-" then
      block = { line }
    end
  end
  return list
end

--- The docstrings in a file.
---@param path string
---@return table docs  subject -> what docstrings.list has of it
---@return string[] classes  the types that the file declares
function docstrings.read(path)
  local docs, classes = {}, {}
  for _, doc in ipairs(docstrings.list(path)) do
    if doc.subject then docs[doc.subject] = doc end
    for _, class in ipairs(doc.classes) do classes[#classes + 1] = class end
  end
  return docs, classes
end

--- The names of types in the type of a parameter or a result.
---@param text string
---@return string[] names
function docstrings.types(text)
  text = text:gsub('"[^"]*"', ""):gsub("[%w_]+%??%s*:", "")
  local names = {}
  for name in text:gmatch "[%a_][%w_.]*" do names[#names + 1] = name end
  return names
end

return docstrings
