--- The fenced blocks of a page.

---@param path string
---@return table[] blocks  { kind = "lua", text=, line = of the fence }
return function(path)
  local blocks, open, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    if open and line:match "^```%s*$" then
      blocks[#blocks + 1] = open
      open = nil
    elseif open then
      open.text = open.text .. line .. "\n"
    else
      local kind = line:match "^```(%w*)%s*$"
      if kind then open = { kind = kind, text = "", line = number } end
    end
  end
  assert(not open, path .. ": a block is not closed")
  return blocks
end
