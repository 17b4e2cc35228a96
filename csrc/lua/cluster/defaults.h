/* The options of a node's links, where none is given. Lua has them in
 * core.defaults, under the names of the options.
 */
#ifndef BYN_CLUSTER_DEFAULTS_H
#define BYN_CLUSTER_DEFAULTS_H

#define BYN_HEARTBEAT_MS 1000
#define BYN_DOWN_AFTER_MS 5000
#define BYN_RECONNECT_MS 2000
#define BYN_HANDSHAKE_MS 5000
#define BYN_MAX_MESSAGE (16 * 1024 * 1024)
#define BYN_MAX_QUEUE (64 * 1024 * 1024)
#define BYN_REDIAL_MIN_MS 100
#define BYN_REDIAL_MAX_MS 30000

#endif
