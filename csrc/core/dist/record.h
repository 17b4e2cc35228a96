/* What two coordinators say to each other, as bytes.
 *
 *   packet   VERSION NODE INCARNATION record*        of the sender
 *   record   kind, length, fields (fields.h)
 *
 *   HELLO      SESSION ANSWERS HOSTS LEAVING LIMIT NODES KNOWN* QUORUM
 *   ENTRY      an entry (place_wire.h)
 *   MORE, GOT  a batch of entries ends; it is here, send another
 *   COMPARE    SEQ (NODE_SPAN | LEAF_SPAN)*: what I have there (compare.h)
 *   COMPARED   SEQ MASKS: you have all that I had in the leaves; of each node,
 *              root 8 bytes, other 2: which children I have that differ
 *   IN_STEP    SESSION ANSWERS: I have all that you had
 *   READY      SESSION ANSWERS ROUND HOSTS: let me in
 *   READY_OK   SESSION ANSWERS ROUND: you are in my ring, and have all that
 *              I accepted before
 *   LEAVING    REASON
 *   ASK        ROUND SUSPECT*: do you hear of them?
 *   SEEN       ROUND SUSPECT* ANSWERED* VOTES: of those
 *   DEAD       NODE INCARNATION: that life is over, proven
 *   DIGEST     DIGESTS
 *   DIFFER     MASK: compare those children of the root with me, so do I
 *   START      KEY HASH TOKEN STAMP FLAGS SPEC NODE BACKOFF
 *   TERMINATE  KEY HASH TOKEN
 *   REPLY      KEY HASH TOKEN CODE PID REASON NODE, or RETRY STAMP
 *   CONFIRM    KEY HASH RUN TOKEN EPOCH: do you run it, and does it stay? For
 *              mine I would stop then: of that generation, it writes EPOCH
 *   CONFIRMED  KEY HASH RUN RUNS VERSION: of its register
 *   RESOLVE    KEY HASH RUN STATE: for the sake of that process mine was
 *              stopped, and its handoff returned that
 *   SYNC       SEQ: acknowledge what was published up to here
 *   ACK        SEQ BEHIND: it is here; BEHIND: but not shown yet (sync.h)
 *   WANT       KEY HASH: I lack its spec
 *   RELAY      NODE INCARNATION RECORD: pass that on to that life of a node
 *   RELAYED    NODE INCARNATION RECORD: that life of a node says so (relay.h)
 *   CHECKPOINT KEY HASH TOKEN EPOCH VERSION HANDED HISTORY STATE: hold that
 *   HELD       KEY HASH TOKEN EPOCH VERSION: that is what I hold now
 *   SPARE      KEY HASH TOKEN EPOCH VERSION: I hold that; is it to stay here?
 *   DROP       KEY HASH TOKEN EPOCH VERSION: enough others hold it,
 *              or who runs it has nothing, and that was another copy's
 *   COLLECT    SOUGHT*: do you hold anything newer? (collect.h)
 *   FOUND      as CHECKPOINT: I hold that
 *   COLLECTED  SEQ: up to that one you have all that is newer here
 *   MOVE       KEY HASH TOKEN STAMP NODE: you run it; move it there, or to
 *              where the ring says (move.h). REPLY follows
 *   OFFER      KEY HASH TOKEN RUN: would you run that generation?
 *   ACCEPT     KEY HASH RUN CODE REASON, or RETRY: I would, or why not
 *   PING       SEQ BOUND: answer that; so long after your answer my processes
 *              have ended, if I see no quorum (quorum.h)
 *   PONG       SEQ VOTES: of a PING; what my answers count for
 *   MET        KNOWN*: I have met that life of a node
 *
 * A packet is checked as a whole before any of it counts.
 */
#ifndef BYN_DIST_RECORD_H
#define BYN_DIST_RECORD_H

#include "fields.h"
#include "parts.h"

enum { BYN_PACKET_VERSION = 2, BYN_PACKET_MOST = 65536 };

/* Of a packet, where nobody says otherwise. */
#define BYN_PACKET_LIMIT ((size_t)16 << 20)
/* Of a COMPARE. */
#define BYN_COMPARE_MOST ((size_t)256 << 10)
/* What a record has besides a key and a spec, at most. */
#define BYN_RECORD_ROOM ((size_t)2048)
/* Of a checkpoint, or of a register as CONFIRMED has it. */
#define BYN_RECORD_VERSION_MOST (BYN_STAMP_MAX / 2)
/* A spec or a checkpoint that comes from elsewhere is no longer than this. */
#define BYN_SPEC_MOST (BYN_PACKET_LIMIT - BYN_DIST_KEY_MAX - BYN_RECORD_ROOM)

typedef enum byn_record_kind {
  BYN_RECORD_HELLO = 1,
  BYN_RECORD_ENTRY,
  BYN_RECORD_MORE,
  BYN_RECORD_GOT,
  BYN_RECORD_IN_STEP,
  BYN_RECORD_READY,
  BYN_RECORD_READY_OK,
  BYN_RECORD_LEAVING,
  BYN_RECORD_ASK,
  BYN_RECORD_SEEN,
  BYN_RECORD_DEAD,
  BYN_RECORD_DIGEST,
  BYN_RECORD_DIFFER,
  BYN_RECORD_START,
  BYN_RECORD_TERMINATE,
  BYN_RECORD_REPLY,
  BYN_RECORD_CONFIRM,
  BYN_RECORD_CONFIRMED,
  BYN_RECORD_SYNC,
  BYN_RECORD_ACK,
  BYN_RECORD_WANT,
  BYN_RECORD_RELAY,
  BYN_RECORD_RELAYED,
  BYN_RECORD_SEES,
  BYN_RECORD_CHECKPOINT,
  BYN_RECORD_HELD,
  BYN_RECORD_SPARE,
  BYN_RECORD_DROP,
  BYN_RECORD_COLLECT,
  BYN_RECORD_FOUND,
  BYN_RECORD_COLLECTED,
  BYN_RECORD_RESOLVE,
  BYN_RECORD_MOVE,
  BYN_RECORD_OFFER,
  BYN_RECORD_ACCEPT,
  BYN_RECORD_PING,
  BYN_RECORD_PONG,
  BYN_RECORD_MET,
  BYN_RECORD_COMPARE,
  BYN_RECORD_COMPARED,
  BYN_RECORD_KINDS
} byn_record_kind;

enum {
  BYN_FIELD_SESSION = 1,
  BYN_FIELD_ANSWERS,
  BYN_FIELD_HOSTS,
  BYN_FIELD_LEAVING,
  BYN_FIELD_NODES,
  BYN_FIELD_DIGESTS,
  BYN_FIELD_KNOWN, /* a life of a node; FLAGS: it is a member, it hosts */
  BYN_FIELD_ROUND,
  BYN_FIELD_REASON,
  BYN_FIELD_SUSPECT, /* a life of a node */
  BYN_FIELD_NODE,
  BYN_FIELD_INCARNATION,
  BYN_FIELD_MASK,
  BYN_FIELD_KEY,
  BYN_FIELD_HASH,
  BYN_FIELD_TOKEN,
  BYN_FIELD_STAMP,
  BYN_FIELD_FLAGS,
  BYN_FIELD_SPEC,
  BYN_FIELD_BACKOFF,
  BYN_FIELD_CODE,
  BYN_FIELD_RETRY,
  BYN_FIELD_PID,
  BYN_FIELD_RUN,
  BYN_FIELD_RUNS,
  BYN_FIELD_SEQ,
  BYN_FIELD_RECORD, /* one, as in a packet */
  BYN_FIELD_LIMIT,  /* bytes of a packet that is taken */
  BYN_FIELD_EPOCH,
  BYN_FIELD_VERSION,
  BYN_FIELD_HANDED,
  BYN_FIELD_STATE,
  BYN_FIELD_SOUGHT, /* KEY HASH TOKEN EPOCH VERSION SEQ */
  BYN_FIELD_HISTORY,
  BYN_FIELD_BOUND,
  BYN_FIELD_VOTES,
  BYN_FIELD_ANSWERED, /* a life of a node that was answered lately */
  BYN_FIELD_QUORUM,   /* needed, times, names */
  BYN_FIELD_NODE_SPAN,
  BYN_FIELD_LEAF_SPAN,
  BYN_FIELD_MASKS,
  BYN_FIELD_BEHIND
};

enum {
  BYN_KNOWN_MEMBER = 1,
  BYN_KNOWN_HOSTS = 2,
  BYN_KNOWN_PROVEN = 4,
  BYN_KNOWN_SEEN = 8
};

typedef struct byn_record {
  uint8_t kind;
  byn_dist_bytes body;
  uint64_t session, answers, round, mask, token, stamp, flags, run, seq;
  uint64_t incarnation, code, limit, epoch, version, history, bound, votes;
  bool hosts, leaving, retry, runs, own_backoff, handed, behind;
  byn_dist_bytes nodes, digests, reason, node, spec, pid, record, state, quorum;
  byn_dist_bytes masks;
  byn_dist_id id;
  bool hashed;
  int64_t backoff_min, backoff_max;
  double backoff_factor, backoff_jitter;
} byn_record;

/* One record begins in d->scratch; fields are put there; then it goes to one
 * peer or to several. To one that is not connected it does not go. */
byn_buf *byn_record_begin(byn_dist *d, byn_record_kind kind);
void byn_record_send(byn_dist *d, byn_peer *peer);
/* May it be sent to that peer? One that is too large is left out. */
bool byn_record_fits(const byn_dist *d, const byn_peer *peer);
/* Of how many bytes may it be, without its kind and length? */
size_t byn_record_most(const byn_dist *d, const byn_peer *peer);
/* Could one with so many bytes, besides BYN_RECORD_ROOM? */
bool byn_record_would_fit(const byn_dist *d, const byn_peer *peer, size_t n);
void byn_record_put_id(byn_buf *b, const byn_place *p);
void byn_record_put_node(byn_buf *b, uint8_t tag, const byn_host *host,
                         uint64_t flags);
/* Of the children of the root. */
void byn_record_put_digests(byn_buf *b, const byn_registry *r);
/* A backoff, as a field. */
void byn_record_put_backoff(byn_buf *b, const byn_backoff *backoff);

/* The packets of a peer: the first, which leaves the queue, or NULL. */
byn_packet *byn_packet_take(byn_peer *peer);
void byn_packet_free(byn_dist *d, byn_packet *packet);
void byn_packet_drop_all(byn_dist *d, byn_peer *peer);

/* The head of a packet; `r` stands at its records then. */
typedef struct byn_packet_head {
  byn_dist_bytes node;
  uint64_t incarnation;
  byn_reader records;
} byn_packet_head;
bool byn_packet_open(byn_packet_head *head, const uint8_t *bytes, size_t n);
/* The next record. false: there is none more, or (r->failed) it is malformed.
 * ENTRY is looked at by byn_entry_check. */
bool byn_record_next(byn_reader *r, byn_record *record);
/* A life of a node in the fields of a record that was read. */
bool byn_record_next_node(byn_reader *fields, uint8_t tag,
                          byn_packet_head *node, uint64_t *flags);
/* A child that is sought, in the fields of COLLECT: as its own record. */
bool byn_record_next_sought(byn_reader *fields, byn_record *sought);
/* A list of names as NODES has it: the next one; NULL at the end. */
const char *byn_record_next_name(byn_reader *names, size_t *n);
/* The digest of a child of the root in a field DIGESTS. */
uint64_t byn_record_digest(byn_dist_bytes digests, uint32_t child);

#endif
