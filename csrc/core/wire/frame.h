/* Frames: how a stream of bytes is cut into things with a beginning and an
 * end. Integers are big-endian, strings are a varint length and the bytes.
 *
 *    0                   4         5
 *   +-------------------+---------+-----------------------------+
 *   | length        u32 | type u8 | payload, length - 1 bytes   |
 *   +-------------------+---------+-----------------------------+
 *
 * `length` counts the type and the payload, so it is never 0.
 *
 *   type            payload
 *   1 HELLO         | magic "BYAN" | major u8 | minor u8 | nonce 32 bytes |
 *                   | incarnation u64 | name string | dialled name string |
 *                   | traits u8 |
 *   2 CHALLENGE     | major u8 | minor u8 | nonce 32 bytes |
 *                   | incarnation u64 | name string | traits u8 |
 *   3 PROOF         | session u64 | attempt u64 | received u64 |
 *                   | previous session u64 | window u32 |
 *                   | proof of the dialer, 32 bytes |
 *   4 WELCOME       | received u64 | goes on after u64 | window u32 |
 *                   | proof of the acceptor, 32 bytes |
 *   5 REFUSE        | reason string | nothing, or:
 *                   | incarnation u64 and address string of who has the name |
 *                   | proof 32 bytes |
 *   6 MESSAGE       | a message, or the last part of one |
 *   7 FRAGMENT      | a part of a message; more follow |
 *   8 HEARTBEAT     | received u64 |
 *   9 GOODBYE       | reason string |
 *  10 ASK           | number u64 | incarnation of the claimant u64 |
 *                   | its traits u8 | its address string |
 *  11 ANSWER        | number u64 |
 *
 * 1 to 5 are the handshake, see handshake.h; the others come after it.
 *
 * A message is any number of FRAGMENT frames and then one MESSAGE frame.
 * Only one message is under way in each direction, so order is kept; between
 * two of its parts only HEARTBEAT, ASK and ANSWER may stand. A FRAGMENT is
 * never empty. These two types are the data frames: each direction of a session
 * numbers them from 1, without saying the number. `received` acknowledges all
 * up to that one.
 *
 * ASK says that another life claims the name of the node that gets it, which
 * answers with the number of the question: it lives. An ANSWER holds for all
 * questions up to its number.
 *
 * Versions: HELLO and CHALLENGE carry the major and the minor version of
 * their sender. Unequal majors cannot talk: the acceptor refuses with
 * "bad_version", and the place of magic, major and minor is the same in all
 * versions. With equal majors both ends speak the smaller minor; a minor
 * version may add fields at the end of HELLO and CHALLENGE, which a reader
 * that does not know them passes over, and may send new frame types only to
 * a peer whose minor knows them. Minor 1 added the traits. Minor 2 added what
 * PROOF, WELCOME, REFUSE and HEARTBEAT carry before or besides the proofs, and
 * ASK and ANSWER; a peer of minor 1 sends and gets them without.
 */
#ifndef BYN_WIRE_FRAME_H
#define BYN_WIRE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "limits.h"

#define BYN_WIRE_MAGIC 0x4259414eu
#define BYN_WIRE_MAJOR 1
#define BYN_WIRE_MINOR 2

#define BYN_FRAME_HEADER 5

typedef enum byn_frame_type {
  BYN_FRAME_HELLO = 1,
  BYN_FRAME_CHALLENGE,
  BYN_FRAME_PROOF,
  BYN_FRAME_WELCOME,
  BYN_FRAME_REFUSE,
  BYN_FRAME_MESSAGE,
  BYN_FRAME_FRAGMENT,
  BYN_FRAME_HEARTBEAT,
  BYN_FRAME_GOODBYE,
  BYN_FRAME_ASK,
  BYN_FRAME_ANSWER
} byn_frame_type;

/* Writes the header of a frame at `at`, where BYN_FRAME_HEADER bytes are. */
void byn_frame_header(uint8_t *at, byn_frame_type type, size_t payload);
/* The bytes of the whole frame that begins at `at`. */
size_t byn_frame_size(const uint8_t *at);

typedef struct byn_frame {
  uint8_t type; /* any byte; the reader does not judge it */
  bool begins;  /* the payload is there from its first byte on */
  bool ends;    /* and up to its last */
  const uint8_t *payload;
  size_t length; /* of the payload */
} byn_frame;

typedef enum byn_frame_status {
  BYN_FRAME_NONE,      /* all that was fed is read */
  BYN_FRAME_READ,      /* here is one, or a piece of one */
  BYN_FRAME_BAD,       /* a length of 0 */
  BYN_FRAME_TOO_LARGE, /* a length past the limit */
  BYN_FRAME_NO_MEMORY
} byn_frame_status;

/* Takes chunks cut anywhere, gives frames. Work is linear in the bytes fed: a
 * frame that lies in one chunk is a view of it. A data frame that a chunk's end
 * cuts through is given in pieces, a view of each chunk that it lies in; they
 * follow one another, none is empty, and the first `begins` and the last
 * `ends`. All other frames are whole: what a chunk's end cuts through of those
 * is copied. Memory grows with what came, never with what a length promises.
 *
 * After BAD, TOO_LARGE or NO_MEMORY the stream is lost: do not read on. */
typedef struct byn_frame_reader {
  byn_buf tail;            /* of the chunks before: a frame's beginning */
  bool spent;              /* the tail was given out as a frame */
  bool begun;              /* a piece of the data frame was given out */
  uint8_t type;            /* of the data frame that is given in pieces */
  size_t left;             /* bytes of its payload to come; 0: there is none */
  const uint8_t *at, *end; /* what is unread of the chunk */
  size_t max;              /* bytes of a payload */
} byn_frame_reader;

void byn_frame_reader_init(byn_frame_reader *r, const byn_alloc *alloc,
                           size_t max);
void byn_frame_reader_free(byn_frame_reader *r);
/* Holds for the frames whose length is not read yet. */
void byn_frame_reader_limit(byn_frame_reader *r, size_t max);
/* Lends a chunk: it must stay until byn_frame_next has answered NONE, and
 * only then may the next one be fed. */
void byn_frame_reader_feed(byn_frame_reader *r, const uint8_t *bytes, size_t n);
bool byn_frame_reader_is_done(const byn_frame_reader *r);
/* The payload is valid until the next call, and while its chunk is. */
byn_frame_status byn_frame_next(byn_frame_reader *r, byn_frame *frame);

#endif
