--- What goes over the control channel of a peer node: kinds of frames, and the
-- values in them. Private to banyan.peer.

return {
  STARTED = 1, -- pid of the peer's control process, name of the node or nil
  CALL = 2,    -- number, module, function, arguments with n
  CAST = 3,    -- module, function, arguments with n
  REPLY = 4,   -- number, values ...
  SEND = 5,    -- dest, message; towards the origin a pid
  MAIL = 6,    -- pid, message of a server.cast
  STOP = 7,    -- true: in order; false: at once
}
