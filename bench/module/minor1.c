/* Connections that speak wire minor 1, whose sessions cannot be resumed and
 * have no acknowledgements: linked with the module in the place of those that
 * speak the newest, so that the cost of these can be measured.
 */
#include "../../csrc/core/connection.h"

/* What the linker makes of the two functions and of calls of them (--wrap). */
byn_connection *__real_byn_connection_dial(const byn_connection_config *config,
                                           const char *peer,
                                           const uint8_t nonce[BYN_NONCE_SIZE],
                                           const byn_resume *resume,
                                           int64_t now);
byn_connection *__wrap_byn_connection_dial(const byn_connection_config *config,
                                           const char *peer,
                                           const uint8_t nonce[BYN_NONCE_SIZE],
                                           const byn_resume *resume,
                                           int64_t now);
byn_connection *
__real_byn_connection_accept(const byn_connection_config *config,
                             const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);
byn_connection *
__wrap_byn_connection_accept(const byn_connection_config *config,
                             const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);

static byn_connection_config
without_resume(const byn_connection_config *config) {
  byn_connection_config other = *config;
  other.minor = 1;
  return other;
}

byn_connection *__wrap_byn_connection_dial(const byn_connection_config *config,
                                           const char *peer,
                                           const uint8_t nonce[BYN_NONCE_SIZE],
                                           const byn_resume *resume,
                                           int64_t now) {
  byn_connection_config other = without_resume(config);
  return __real_byn_connection_dial(&other, peer, nonce, resume, now);
}

byn_connection *
__wrap_byn_connection_accept(const byn_connection_config *config,
                             const uint8_t nonce[BYN_NONCE_SIZE], int64_t now) {
  byn_connection_config other = without_resume(config);
  return __real_byn_connection_accept(&other, nonce, now);
}
