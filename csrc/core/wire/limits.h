/* The sizes that the wire format fixes. To change one is to change the
 * format.
 */
#ifndef BYN_WIRE_LIMITS_H
#define BYN_WIRE_LIMITS_H

#define BYN_NONCE_SIZE 32       /* fresh bytes of each end, for one handshake */
#define BYN_PROOF_SIZE 32       /* an HMAC-SHA256 */
#define BYN_NAME_MAX 255        /* bytes of a node's name */
#define BYN_REASON_MAX 64       /* bytes of a reason in REFUSE and GOODBYE */
#define BYN_ADDRESS_MAX 64      /* bytes of an address in REFUSE and ASK */
#define BYN_FRAGMENT_SIZE 65536 /* the payload of one frame, at most */

/* The payload of one frame before the peer has proved itself. HELLO, the
 * longest, takes 561. */
#define BYN_UNPROVEN_MAX 600

#endif
