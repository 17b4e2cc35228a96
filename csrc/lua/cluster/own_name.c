/* Two lives of this node's name: what it answers, and the event. */
#include "own_name.h"

#include "../../core/wire/handshake.h"
#include "../process/event.h"

/* An event of two lives of one name: this node's own. */
static void name_event(lua_State *L, byn_cluster *c, const byn_peer *peer,
                       uint64_t incarnation, const char *address,
                       bool refused) {
  if (!byn_event(L, c->node, "name_taken")) return;
  lua_pushstring(L, peer->name);
  lua_setfield(L, -2, "peer");
  if (*address) {
    lua_pushstring(L, address);
    lua_setfield(L, -2, "address");
  }
  lua_pushinteger(L, (lua_Integer)incarnation);
  lua_setfield(L, -2, "incarnation");
  lua_pushboolean(L, refused);
  lua_setfield(L, -2, "refused");
  byn_event_done(L, c->node);
}

/* Another life claims this node's name: it answers while it has that. */
void byn_own_name_asked(lua_State *L, byn_cluster *c, byn_peer *peer,
                        const byn_question *question) {
  bool member = question->traits & BYN_TRAIT_MEMBER;
  if (c->stopping || byn_membership_has_lost_name(c->membership)) return;
  if (byn_membership_claimed(c->membership, question->incarnation, member))
    byn_link_answer(peer->link, question->number);
  name_event(L, c, peer, question->incarnation, question->address, false);
}

/* The peer has refused this node, for the sake of another life. */
void byn_own_name_refused(lua_State *L, byn_cluster *c, const byn_peer *peer,
                          const byn_holder *holder) {
  byn_membership_name_taken(c->membership, holder->incarnation);
  name_event(L, c, peer, holder->incarnation, holder->address, true);
}
