/* When the silence of a node's links counts: not after a gap of this node, and
 * only later where all peers fell silent at once.
 */
#ifndef BYN_CLUSTER_SILENCE_H
#define BYN_CLUSTER_SILENCE_H

#include "cluster.h"

/* Has all links wait longer if all peers fell silent at once. Precedes each
 * tick of the links, which may judge one of them. */
void byn_cluster_note_silence(byn_cluster *c);

/* The node stood still until now: links, and connections of strangers, have
 * all their time again. Precedes the next tick. */
void byn_cluster_after_gap(byn_node *node);

#endif
