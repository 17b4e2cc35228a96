--- The frames between two nodes of different clusters, see csrc/core/wire/
-- channel.h. One of a kind that a node does not know is ignored. Private to
-- banyan.peers.
--
-- Values of the program are packed (core.pack), and opened where they are
-- wanted.

return {
  READY = 1,       -- all that the sender subscribes to and advertises is said
  PING = 2,        -- milliseconds of the sender's clock
  PONG = 3,        -- the same
  BYE = 4,         -- a text: why the sender closes the connection
  SUBSCRIBE = 5,   -- topic; a second time means nothing
  UNSUBSCRIBE = 6, -- topic
  PUBLISH = 7,     -- topic, packed message
  CALL = 8,        -- number, procedure, packed arguments
  REPLY = 9,       -- number, packed results
  ADVERTISE = 10,  -- service, packed value, milliseconds that it is good for
  WITHDRAW = 11,   -- service
}
