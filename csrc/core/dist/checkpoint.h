/* Checkpoints: what a child has written for its next process, and the nodes
 * that hold it.
 *
 * The node that runs a child and the next `replicas - 1` nodes of the ring
 * hold the newest checkpoint of its generation, as bytes that nobody here
 * reads. They are ordered by (epoch, version), and an older never replaces a
 * newer. Each START takes a fresh epoch, a stamp greater than all that this
 * node has seen; so does the copy that stays of two that met. Whoever takes a
 * fresh epoch writes anew what it holds, so that nothing of the other history
 * is newer.
 *
 *   runner   CHECKPOINT -->  holder     it keeps what is newer than its own
 *   runner   <-- HELD        holder     and says what it holds then
 *
 * To each holder one CHECKPOINT of a child is under way; what is written
 * meanwhile replaces what waits. As long as a run is on this node its own
 * checkpoint is not replaced by what others send, unless another copy of the
 * child stays: then this node holds what that one wrote, as any other does, and
 * what its own process writes after it counts for nothing. That process is
 * stopped only when all that are to hold the other's newest checkpoint do.
 *
 * Of an idle entity its owner is the runner (entity.h).
 *
 * A node that the ring does not name any more keeps what it holds until the
 * runner says that enough others do.
 *
 *   holder   SPARE -->       runner     each second
 *   holder   <-- DROP        runner     all that are to hold it do
 *
 * With the end of the generation its checkpoint is gone, on each node as that
 * hears of it.
 *
 * The process that is stopped as its node leaves may write a last one. Its end
 * is not told to others before `replicas` of them hold that, or a few seconds
 * have passed. Where the ring has nobody but that node, nodes that run no
 * children hold it, and one that greets is waited for: others may count on it
 * already.
 */
#ifndef BYN_DIST_CHECKPOINT_H
#define BYN_DIST_CHECKPOINT_H

#include "parts.h"
#include "record.h"

/* Is (epoch, version) newer than what the generation has here? */
bool byn_checkpoint_is_newer(const byn_generation *g, uint64_t epoch,
                             uint64_t version);
/* Holds what another node wrote, if it is newer. false when memory is short. */
bool byn_checkpoint_take(byn_dist *d, byn_place *p, byn_generation *g,
                         const byn_record *r);
/* KEY HASH TOKEN, and EPOCH VERSION of what the generation (or NULL) has. */
void byn_checkpoint_put(byn_buf *b, const byn_dist_id *id, uint64_t token,
                        const byn_generation *g);
/* The record CHECKPOINT or FOUND of a generation that has one. */
void byn_checkpoint_put_whole(byn_dist *d, byn_record_kind kind,
                              const byn_place *p, const byn_generation *g);

/* The process of a run that is STARTING, RUNNING or STOPPING wrote that. false
 * when memory is short. It is not held where another copy stays. */
bool byn_checkpoint_write(byn_dist *d, byn_run *run, byn_generation *g,
                          bool handed, byn_dist_bytes bytes);
/* A fresh epoch, and what the run holds is written anew. */
void byn_checkpoint_renew(byn_dist *d, byn_run *run, byn_generation *g);
/* What is held here was written by a copy that stayed, and not by the run's own
 * process, which goes on. */
bool byn_checkpoint_is_anothers(const byn_run *run, const byn_generation *g);
/* START was taken, its process runs: it may write, it has resumed. */
void byn_checkpoint_begin(byn_dist *d, byn_run *run);
void byn_checkpoint_resumed(byn_dist *d, byn_run *run, byn_generation *g);

/* Who is to hold the run's checkpoint, and who of them must be sent it. */
void byn_checkpoint_review(byn_dist *d, byn_run *run);
/* Does this node hold one of that child that it is not to hold? Then the node
 * that runs it is asked, each second. */
void byn_checkpoint_review_spares(byn_dist *d, const byn_place *p);
/* This node wins against other copies of the child that are seen. */
void byn_checkpoint_review_rivals(byn_dist *d, byn_run *run, byn_generation *g);
/* Do all that are to hold it hold (epoch, version) or newer? */
bool byn_checkpoint_is_held(byn_dist *d, byn_run *run, uint64_t epoch,
                            uint64_t version);
/* The same of its newest. One that has none is safe, and one of a copy that is
 * to be stopped: it counts for nothing. */
bool byn_checkpoint_is_safe(byn_dist *d, byn_run *run);
/* May another copy of the child be stopped, a process of the generation `token`
 * that writes `epoch`? Only when this node wins, its epoch is greater, and all
 * that are to hold its newest checkpoint do. */
bool byn_checkpoint_outlives(byn_dist *d, byn_run *run, uint64_t token,
                             uint64_t epoch);
/* What others said that they hold is asked again. */
void byn_checkpoint_forget_held(byn_run *run);
/* Counts what this node holds of idle entities: idle_held. O(children). */
void byn_checkpoint_count_idle(byn_dist *d);
/* The run is over. */
void byn_checkpoint_forget_run(byn_dist *d, byn_run *run);

/* The session with that peer has ended: what was sent is to be sent again. The
 * peer is freed. */
void byn_checkpoint_forget_session(byn_dist *d, byn_peer *peer);
void byn_checkpoint_forget_peer(byn_dist *d, byn_peer *peer);

/* Sends what is queued. */
void byn_checkpoint_pump(byn_dist *d);
/* Each second. */
void byn_checkpoint_tick(byn_dist *d);
/* Goes on to tell others of what this node may hold for no need. */
void byn_checkpoint_look_for_spares(byn_dist *d);

void byn_checkpoint_take_sent(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_checkpoint_take_held(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_checkpoint_take_spare(byn_dist *d, byn_peer *peer,
                               const byn_record *r);
void byn_checkpoint_take_drop(byn_dist *d, const byn_record *r);

#endif
