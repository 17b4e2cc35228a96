--- What stands in for a container that `docker run -i` starts: other processes
-- than here, another root, no network, no environment, and through it pass
-- standard input, output and error alone. `unshare` makes it of namespaces, as
-- root or as a user who may have some of his own.
--
--    local container = require "spec.support.container"
--    container.exec("sh", "-c", "exit 3")    what banyan.peer takes as `exec`
--
-- What runs in it is its process 1, in a session of its own: no signal that is
-- sent to `unshare` and its group reaches it.

local program = require "spec.support.program"
local uv = require "luv"

local container = {}

local WORDS = {
  "--pid", "--fork", "--mount", "--net", "--ipc", "--uts", "setsid", "sh", "-c",
}

-- The folders of this machine that have the interpreter, its modules and this
-- checkout are seen in it, and no others. The words after the script are run.
local SCRIPT = [[
set -e
exec 3<&-
umask 022
mount -t tmpfs tmpfs /mnt
for folder in /usr /lib /lib64 /bin "$0"; do
  [ -e "$folder" ] || continue
  if [ -h "$folder" ]; then
    cp -P "$folder" /mnt
  else
    mkdir -p "/mnt$folder"
    mount --rbind "$folder" "/mnt$folder"
  fi
done
mkdir -p /mnt/proc /mnt/dev
mount -t proc proc /mnt/proc
touch /mnt/dev/null
mount --bind /dev/null /mnt/dev/null
exec env -i PATH="$PATH" LUA_PATH="$LUA_PATH" LUA_CPATH="$LUA_CPATH" \
  ASAN_OPTIONS="$ASAN_OPTIONS" \
  chroot /mnt sh -c 'cd "$0"; exec "$@"' "$0" "$@"
]]

-- What it takes of a machine.
local PROBE = "mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc"

local function words_for(script, ...)
  local list = {}
  if uv.getuid() ~= 0 then list = { "--user", "--map-root-user" } end
  for _, word in ipairs(WORDS) do list[#list + 1] = word end
  list[#list + 1] = script
  for _, word in ipairs { ... } do list[#list + 1] = word end
  return list
end

--- The words run in a container.
function container.exec(...)
  return { "unshare", words_for(SCRIPT, uv.cwd(), ...) }
end

--- What `env` of banyan.peer is for that: a library that is to be loaded before
-- all others is for the interpreter alone.
container.env = { LD_PRELOAD = "" }

--- This interpreter, in this folder.
function container.lua()
  return container.exec("env", "LD_PRELOAD=" .. (os.getenv "LD_PRELOAD" or ""),
    uv.exepath())
end

--- Why this machine does not let us have one; nil: it does.
---@return string|nil
function container.is_refused()
  local words = { "exec unshare" }
  for _, word in ipairs(words_for(PROBE)) do
    words[#words + 1] = "'" .. word .. "'"
  end
  local child = program.command(table.concat(words, " "), {
    env = { LD_PRELOAD = false },
  })
  if child:finish() == 0 then return nil end
  return (child.err:gsub("%s+$", ""))
end

--- The OS process that is number 1 in there, by its number out here.
---@param unshare integer
function container.first_of(unshare)
  local scan = assert(uv.fs_scandir "/proc")
  for name in function() return uv.fs_scandir_next(scan) end do
    local file = name:find "^%d+$" and io.open("/proc/" .. name .. "/stat")
    local text = file and file:read "*a" or ""
    if file then file:close() end
    if text:match "%) %u (%d+)" == tostring(unshare) then
      return tonumber(name)
    end
  end
end

return container
