-- What Lua 5.1 to 5.4 and LuaJIT have in common, and the few names that code
-- asks for before it uses them.
std = "min"
max_line_length = 80
read_globals = {
  "unpack",
  "loadstring",
  "setfenv",
  "jit",
  "newproxy",
  table = { fields = { "unpack", "pack" } },
  math = { fields = { "type", "tointeger", "maxinteger", "mininteger" } },
  string = { fields = { "pack", "unpack" } },
  package = { fields = { "searchpath" } },
}
files["spec/**/*_spec.lua"] = { std = "min+busted" }
-- It puts its own functions in the place of Lua's.
files["lua/banyan/lockstep/virtual.lua"] = { globals = { "os", "math" } }
files[".luacheckrc"] = { std = "luacheckrc" }
files["rockspec/*.rockspec"] = { std = "rockspec" }
files["examples/**/*_spec.lua"] = { std = "min+busted" }
files["lua/banyan/lockstep/virtual.lua"] = { globals = { "os", "math" } }
