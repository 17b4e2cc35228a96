--- What the programs of `make chaos` have in common.

return {
  supervisor = "counters",
  children = 300,
  secret = "the secret of the chaos",
  -- Five times as fast as the defaults would be too fast: a machine under load
  -- must not be silent for down_after_ms by itself. The proportions are those
  -- of the defaults.
  heartbeat_ms = 400,
  down_after_ms = 2000,
  reconnect_ms = 800,
}
