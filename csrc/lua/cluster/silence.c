/* When the silence of a node's links counts. */
#include "silence.h"

#include "../../core/silence.h"
#include "transport.h"

bool byn_cluster_is_silent(const byn_cluster *c, const byn_peer *peer) {
  int64_t since;
  int64_t noticed = byn_silence_noticed_ms(c->config.connection.heartbeat_ms,
                                           c->config.down_after_ms);
  if (!peer->link || !byn_link_silence(peer->link, &since)) return false;
  return c->node->now - since >= noticed;
}

void byn_cluster_note_silence(byn_cluster *c) {
  byn_silence silence = {0};
  int64_t since;
  for (const byn_peer *p = c->peers; p; p = p->next)
    if (byn_link_silence(p->link, &since)) byn_silence_add(&silence, since);
  if (!byn_silence_is_common(&silence, c->config.connection.heartbeat_ms,
                             c->config.down_after_ms, c->node->now))
    return;
  for (byn_peer *p = c->peers; p; p = p->next)
    if (byn_link_silence(p->link, &since)) {
      byn_link_be_patient(p->link);
      byn_peer_touch(c, p);
    }
}

void byn_cluster_after_gap(byn_node *node) {
  byn_cluster *c = node->cluster;
  for (byn_peer *p = c->peers; p; p = p->next) {
    byn_link_after_gap(p->link, node->now);
    byn_peer_touch(c, p);
  }
  for (byn_transport *t = c->strangers; t; t = t->next) {
    byn_connection_after_gap(t->connection, node->now);
    byn_agenda_touch(&c->agenda, &t->entry);
  }
}
