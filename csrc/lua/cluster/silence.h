/* When the silence of a node's links counts: not after a gap of this node, and
 * only later where all peers fell silent at once.
 */
#ifndef BYN_CLUSTER_SILENCE_H
#define BYN_CLUSTER_SILENCE_H

#include "cluster.h"

/* Was a peer not heard for so long that it is noticed? */
bool byn_cluster_is_silent(const byn_cluster *c, const byn_peer *peer);
/* Has all links wait longer if all peers fell silent at once. Precedes each
 * tick of a link with a peer that is silent, which may judge it. */
void byn_cluster_note_silence(byn_cluster *c);

/* The node stood still until now: links, and connections of strangers, have
 * all their time again. Precedes the next tick. */
void byn_cluster_after_gap(byn_node *node);

#endif
