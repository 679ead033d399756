/* Inside the server only. */
#ifndef OCALA_I3_SERVER_INTERNAL_H
#define OCALA_I3_SERVER_INTERNAL_H

#include "crypto/crypto.h"
#include "crypto/limit.h"
#include "i3/i3_server.h"
#include "i3/i3_table.h"

#define STEPS_MAX       16   /* from trigger to trigger on this server, one behind the other  */
#define LOOKS_MAX       128  /* identifiers that are looked up here for one packet            */
#define SENDS_MAX       64   /* packets that one packet may become here                       */
#define REPLIES_LONG    64   /* replies a second to one address that may exceed the request   */
#define REPLIES_SHORT   1024 /* replies a second to one address at all                        */
#define UNWANTED_MOST   64 /* packets a second to an address that never showed that it wants them */
#define ROUTE_LIVES     (20 * SECOND)
#define ROUTE_ASKS      (17 * SECOND) /* age at which it is asked for again                      */
#define ROUTE_TRIES     3
#define BACK_LIVES      (2 * SECOND)
#define NAT_LIVES       (30 * SECOND)
#define LETTERS         1024
#define PUSHED_BACK_MAX 8
#define WALK_MOST                                                                                  \
    128 /* triggers looked through at a time; two copies of each fit into the outbox */
#define WALK_EVERY (10 * MILLISECOND)

/* Which server is responsible for an identifier: asked by REQUEST_FOR_CACHE, told by CACHE_ADDRESS. */
struct route {
    struct i3_id id;
    struct endpoint at; /* family 0: asked, not told yet */
    instant told, asked;
    unsigned tries;
};

/* An identifier that its server had no trigger for. */
struct back {
    struct i3_id id;
    instant until;
};

/* A client behind a NAT whose INSERT was sent on: what it calls itself, and where it is. */
struct nat {
    struct i3_id id;
    struct endpoint real, private;
    instant until;
};

struct i3_server {
    struct endpoint at, also; /* also: of the other family, or family 0 */
    struct chord *chord;
    bool closed; /* the ring has a secret */
    struct i3_hash *hash;
    struct i3_table *table;
    struct crypto_hmac_key nonce_key, route_key;
    unsigned requests;
    struct limit_sources clients, unwanted;
    struct limit_sources replies[2]; /* for what came over the ring, and straight */
    unsigned remembered;             /* of each of these: */
    struct route *route;
    struct back *back;
    struct nat *nat;
    uint8_t index_key[16];
    struct outbox out;
    struct i3_counters counters;
    uint64_t generation; /* of the ring, when triggers were last looked through */
    struct chord_id range_from;
    struct chord_id before[CHORD_PREDECESSORS]; /* the nodes before us then */
    unsigned befores;
    struct chord_id newcomer, newcomer_from; /* our predecessor, if he came lately; his range */
    bool had_range, has_newcomer, walking;
    instant swept, walked, walk_begun, newcomer_since;
};

/* A packet under way through the server. */
struct passage {
    instant now;
    const struct endpoint *from; /* the UDP source; NULL for what came over the ring             */
    struct i3_packet *packet;
    size_t size;           /* of the datagram                                             */
    struct endpoint reply; /* family 0: nobody wants a reply                              */
    bool natted;           /* the client's own idea of its address is wrong               */
    bool told_cache;       /* it was answered who is responsible: once is enough          */
    unsigned sends, steps, looks;
    const struct i3_kept
        *pushed_back[PUSHED_BACK_MAX]; /* to be removed when the packet is through */
    unsigned pushed_backs;
};

void i3_drop(struct i3_server *s, enum i3_drop reason);
struct chord_id i3_ring_key(const struct i3_id *id);
/* This server's address for clients, or one of the ring that is known: nothing of a client's leads there. */
bool i3_is_server(const struct i3_server *s, const struct endpoint *at);
/* Our own address of that family; NULL: we do not speak it. */
static inline const struct endpoint *i3_own(const struct i3_server *s, uint8_t family)
{
    if (family && s->at.ip.family == family)
        return &s->at;
    return family && s->also.ip.family == family ? &s->also : NULL;
}
/* What we can do for whom we know by this address: enum i3_ability. */
uint8_t i3_abilities(const struct i3_server *s, const struct endpoint *whom);
unsigned i3_index(const struct i3_server *s, const void *key, size_t size, unsigned count);
/* Writes and sends a packet on the port of i3. */
void i3_send(struct i3_server *s, const struct endpoint *to, const struct i3_packet *p);
/* Gives a packet to the ring, towards the server responsible for its first identifier. */
void i3_give_to_ring(struct i3_server *s, instant now, const struct i3_packet *p);

/* ---- i3_server_fit.c: what an original, if one is responsible, survives ---- */
bool i3_fits_originals(const struct i3_packet *p);
bool i3_payload_fits(const void *payload, size_t size); /* the same, of bytes */
/* IPv6 and limits: an original would drop the packet, and look as if it were dead. */
bool i3_only_for_ours(const struct i3_packet *p);
/* A trigger to another machine than the one that it comes from: an original does not ask that one. */
bool i3_target_is_elsewhere(const struct i3_packet *p, const struct endpoint *from);

/* ---- i3_server_control.c: options ---- */
/* Of a packet whose first identifier is ours. */
void i3_control_owned(struct i3_server *s, struct passage *p);
/* Of a packet without identifiers: for this server itself. */
void i3_control_own(struct i3_server *s, struct passage *p);
/* The option's trigger by which a server tells somebody that it is responsible for an identifier: in his family. */
void i3_cache_option(struct i3_server *s, const struct i3_id *id, const struct endpoint *whom,
                     struct i3_option *ret);
/* May this address be sent a reply, and may it be longer than what it answers? */
bool i3_may_reply(struct i3_server *s, const struct passage *p, bool *ret_long);

/* ---- i3_server_nonce.c: who may keep and remove a trigger ---- */
/* Of a trigger to an address; `proven`: given to the target itself. */
void i3_nonce(const struct i3_server *s, const struct i3_trigger *t, bool proven,
              uint8_t ret[I3_NONCE]);
/* Of a trigger to identifiers, for who is sent replies at `owner`. */
void i3_chain_nonce(const struct i3_server *s, const struct i3_trigger *t,
                    const struct endpoint *owner, uint8_t ret[I3_NONCE]);
/* Is the trigger's own nonce one of these, whosever it is? */
bool i3_chain_nonce_is_one(const struct i3_server *s, const struct i3_trigger *t);
/* Of a trigger that is refused: who shows it receives at `sender`, and it lets nobody keep or remove anything. */
void i3_refusal_nonce(const struct i3_server *s, const struct i3_trigger *t,
                      const struct endpoint *sender, uint8_t ret[I3_NONCE]);
/* The nonce that an original gives for this target: no secret. */
void i3_nonce_of_original(const struct i3_address *target, uint8_t ret[I3_NONCE]);

/* ---- i3_server_data.c ---- */
void i3_data(struct i3_server *s, struct passage *p);

/* ---- i3_server_route.c: who is responsible, as far as we were told ---- */
const struct route *i3_route_find(const struct i3_server *s, instant now, const struct i3_id *id);
/* Is it time to ask (again) for the identifier's server?  Notes that it is being asked. */
bool i3_route_ask(struct i3_server *s, instant now, const struct i3_id *id);
void i3_route_told(struct i3_server *s, struct passage *p, const struct i3_trigger *t);
void i3_back_put(struct i3_server *s, instant now, const struct i3_id *id);
bool i3_back_take(struct i3_server *s, instant now, const struct i3_id *id);
/* An answer NOT_PRESENT for `id` came from there. */
void i3_back_told(struct i3_server *s, struct passage *p, const struct i3_id *id);

/* ---- i3_server_nat.c ---- */
/* Rewrites what a client behind a NAT says about itself, before its packet goes to another server. */
void i3_nat_foreign(struct i3_server *s, struct passage *p);
/* A challenge for somebody behind a NAT: sent on to him.  True when it was one. */
bool i3_nat_relay(struct i3_server *s, struct passage *p);

/* ---- i3_server_ring.c: triggers follow the ring ---- */
void i3_copy_out(struct i3_server *s, const struct i3_trigger *t);
void i3_copy_in(struct i3_server *s, instant now, struct i3_packet *p);
void i3_ring_advance(struct i3_server *s, instant now);

#endif
