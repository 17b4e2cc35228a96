/* When the silence of a node's links counts. */
#include "silence.h"

#include "../../core/silence.h"
#include "transport.h"

void byn_cluster_note_silence(byn_cluster *c) {
  byn_silence silence = {0};
  int64_t since;
  for (const byn_peer *p = c->peers; p; p = p->next)
    if (byn_link_silence(p->link, &since)) byn_silence_add(&silence, since);
  if (!byn_silence_is_common(&silence, c->config.connection.heartbeat_ms,
                             c->config.down_after_ms, c->node->now))
    return;
  for (byn_peer *p = c->peers; p; p = p->next)
    if (byn_link_silence(p->link, &since)) byn_link_be_patient(p->link);
}

void byn_cluster_after_gap(byn_node *node) {
  byn_cluster *c = node->cluster;
  for (byn_peer *p = c->peers; p; p = p->next)
    byn_link_after_gap(p->link, node->now);
  for (byn_transport *t = c->transports; t; t = t->next)
    if (!t->peer) byn_connection_after_gap(t->connection, node->now);
}
