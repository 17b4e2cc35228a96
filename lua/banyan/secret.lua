--- Finds the cluster secret of a node.
--
-- It is the option `secret`, or else the environment variable BANYAN_SECRET, or
-- else, for a node on a loopback address, the content of the user's secret
-- file. A node without a secret does not start.

local secret = {}

-- A shorter secret could be guessed: each handshake is one attempt.
local MIN_BYTES = 8
local OWN_BYTES = 32 -- random bytes of a new secret in the user's file
local MODE_FILE, MODE_DIRECTORY = 384, 448 -- 0600, 0700

--- Is the secret long enough?
---@param text string
---@return boolean
---@return string|nil err
function secret.check(text)
  if #text >= MIN_BYTES then return true end
  return false, ("a cluster secret has at least %d bytes, this one has %d")
    :format(MIN_BYTES, #text)
end

-- The path of the user's secret file, or nil and an error.
local function own_path(files)
  local config = os.getenv("XDG_CONFIG_HOME")
  if not config or config:sub(1, 1) ~= "/" then
    local home = files.os_homedir()
    if not home or home == "" then return nil, "there is no home directory" end
    config = home .. "/.config"
  end
  return config .. "/banyan/secret"
end

-- What is wrong with the open secret file, or nil. A file that other users can
-- read, or that belongs to one of them, must not be used.
local function fault(files, fd, path)
  local stat, why = files.fs_fstat(fd)
  if not stat then return why end
  if stat.type ~= "file" then return path .. " is not a file" end
  if stat.uid ~= files.getuid() then
    return path .. " belongs to another user; remove it, a new one is made"
  end
  local mode = stat.mode % 512
  if mode % 64 ~= 0 then
    return ("others may read the secret in %s (mode %03o): chmod 600 %s")
      :format(path, mode, path)
  end
end

-- The secret in that file; nil without an error if there is no such file.
local function read(files, path)
  local fd, why, code = files.fs_open(path, "r", 0)
  if not fd then
    if code == "ENOENT" then return nil end
    return nil, ("cannot read the secret: %s"):format(why)
  end
  local text
  why = fault(files, fd, path)
  if not why then text, why = files.fs_read(fd, 4096, 0) end
  files.fs_close(fd)
  if not text then return nil, why end
  text = text:gsub("%s+$", "")
  if secret.check(text) then return text end
  return nil, path .. " holds no secret; remove it, a new one is made"
end

-- Makes the missing directories above a path.
local function make_above(files, path)
  local above = path:match("^(.+)/[^/]*$")
  if not above or files.fs_stat(above) then return true end
  local ok, why = make_above(files, above)
  if not ok then return nil, why end
  local code
  ok, why, code = files.fs_mkdir(above, MODE_DIRECTORY)
  if ok or code == "EEXIST" then return true end
  return nil, why
end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- Writes a new file; an error if it exists already.
local function write_new(files, path, text)
  local fd, why = files.fs_open(path, "wx", MODE_FILE)
  if not fd then return nil, why end
  local n
  n, why = files.fs_write(fd, text, 0)
  if n and n ~= #text then n, why = nil, "it was written in part" end
  if n then n, why = files.fs_fsync(fd) end
  files.fs_close(fd)
  if not n then files.fs_unlink(path) end
  return n, why
end

-- Makes the file with a new secret. The secret is written to another file,
-- which is then linked to the path: so nobody sees a file that is half written,
-- and two nodes that start at the same time use the secret of the first.
local function create(files, path)
  local ok, why = make_above(files, path)
  if not ok then return nil, why end
  local mine = ("%s.%s"):format(path, hex(files.random(8)))
  ok, why = write_new(files, mine, hex(files.random(OWN_BYTES)) .. "\n")
  if not ok then return nil, why end
  local code
  ok, why, code = files.fs_link(mine, path)
  files.fs_unlink(mine)
  if ok or code == "EEXIST" then return true end
  return nil, why
end

-- The secret in the user's file, which is made at first use.
local function own(files)
  local path, why = own_path(files)
  if not path then return nil, why end
  local text
  text, why = read(files, path)
  if text or why then return text, why end
  local ok
  ok, why = create(files, path)
  if not ok then return nil, ("cannot make a secret file: %s"):format(why) end
  text, why = read(files, path)
  return text, why or not text and (path .. " is gone again") or nil
end

--- The secret of a node whose options have none.
---@param address string  the address it listens on, for the message
---@param loopback boolean  is that a loopback address?
---@param driver table  `name`; `files`: luv's functions on files, or nil if the
---  driver cannot read files
---@return string|nil secret
---@return string|nil err
function secret.find(address, loopback, driver)
  local given = os.getenv("BANYAN_SECRET")
  if given and given ~= "" then
    local fine, why = secret.check(given)
    if not fine then return nil, "BANYAN_SECRET: " .. why end
    return given
  end
  local why = "a node that listens on " .. address .. " needs a cluster secret"
  if loopback then
    if driver.files then return own(driver.files) end
    why = ('the driver "%s" reads no secret file'):format(driver.name)
  end
  return nil, why .. ": give the option secret or set BANYAN_SECRET, "
    .. "the same on all nodes"
end

return secret
