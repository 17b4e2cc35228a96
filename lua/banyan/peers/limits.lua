--- What a peer connection may hold at most, whoever is at its other end.
-- Private to banyan.peers.

return {
  text = 1024,              -- bytes of a topic, a service, a procedure
  topics = 10000,           -- that one end subscribes to
  services = 1000,          -- that one end advertises
  advertised = 4 * 1024 * 1024, -- bytes of their values, together
  calls = 1000,             -- of one end, that are being served
  serving = 64 * 1024 * 1024, -- bytes of the arguments of those
  held = 1000,              -- frames for a child that is restarted just now
  stalled_ms = 30000,       -- that the other end may read nothing
  unread = 8 * 1024 * 1024, -- bytes that the children have not worked off
  strangers = 1024,         -- connections that have not proved themselves
  stranger_bytes = 4096,    -- of one of those, that are no frame
  message = 16 * 1024 * 1024, -- bytes of one packed value
}
