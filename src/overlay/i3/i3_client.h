/* The client of i3: what an end host says to servers, without knowing about tunnels.
 *
 *   seeds      servers from the configuration: first contact, and the way when nothing better is known
 *   owners     which server is responsible for an identifier: asked for, cached for 20 s, asked again before that
 *   bindings   our own triggers: inserted, challenged, refreshed, removed
 *   checks     whether what servers acknowledged is true: packets to ourselves; who fails is distrusted for a while
 *   samples    round trips to the servers that are responsible for random identifiers; the nearest one gives the first
 *              bytes of identifiers that we draw, so that what is sent to us passes a server near us
 *
 * An engine in the folder of one: the module calls it, then takes its events and datagrams.  Nothing that comes in clear
 * is believed further than it costs availability: identities are proven by links, in sealed bytes.
 *
 * Where answers come from is where the responsible server is: the address inside CACHE_ADDRESS is not used (an original
 * may write it backwards, and a liar could point us at somebody else), but for the forwarded one to a client behind a NAT. */
#ifndef OCALA_OVERLAY_I3_I3_CLIENT_H
#define OCALA_OVERLAY_I3_I3_CLIENT_H

#define uthash_fatal(message) abort()
#include <uthash.h>

#include "base/name.h"
#include "i3/i3_wire.h"
#include "packet/packet.h"

#define I3_SEEDS_MAX    16
#define I3_DOORS_MAX    (2 * I3_SEEDS_MAX) /* a name may have an IPv4 and an IPv6 address */
#define I3_SAMPLES_MAX  32
#define I3_BINDINGS_MAX 4096
#define I3_OWNERS_MAX   4096
#define I3_QUEUE_MAX    1024 /* datagrams that wait to be pulled */

#define I3_ACK_TIMEOUT  (2 * SECOND)  /* of an INSERT                                             */
#define I3_RETRIES      6             /* after the first INSERT; then a pause                     */
#define I3_REFRESH      (15 * SECOND) /* least; servers forget after 30 s                        */
#define I3_REFRESH_SPAN (5 * SECOND)  /* more, by chance                                          */
#define I3_OWNER_LIFE   (20 * SECOND)
#define I3_OWNER_ASKS   3 /* in the last seconds of that life                         */
#define I3_OWNER_RETRY  SECOND
#define I3_SEED_REST    (30 * SECOND) /* a silent server is left alone                           */
#define I3_CHECKS_MAX   32            /* servers that one round of checks asks                   */
#define I3_CHECK_DEPTH  3             /* identifiers of such a packet                            */
#define I3_PLACE        (I3_PREFIX + I3_KEY) /* bytes of an identifier that say where on the ring it is */
#define I3_DISTRUST     MINUTE /* after the last check that it failed                     */

/* What is counted: `ocala metrics` shows each as "i3.name". */
#define I3_CLIENT_COUNTERS(X)                                                                      \
    X(INSERTS, "inserts", "triggers inserted for the first time")                                  \
    X(REFRESHES, "refreshes", "triggers inserted again")                                           \
    X(REMOVALS, "removals", "triggers removed")                                                    \
    X(CHALLENGES, "challenges", "challenges answered")                                             \
    X(UNANSWERED, "unanswered", "requests that no server answered in time")                        \
    X(SERVERS_LOST, "servers-lost", "times that a responsible server fell silent")                 \
    X(NOT_PRESENT, "not-present", "identifiers of a neighbour without a trigger")                  \
    X(MALFORMED, "malformed", "datagrams that are no packet of i3")                                \
    X(UNEXPECTED, "unexpected", "packets with nothing in them for a client")                       \
    X(STRANGE_ACK, "strange-ack", "acknowledgements of triggers that were not asked for")          \
    X(STRANGE_CHALLENGE, "strange-challenge", "challenges of triggers that were not asked for")    \
    X(CHALLENGE_FLOOD, "challenge-flood", "more challenges of one trigger than are answered")      \
    X(NO_HELLO, "no-hello", "answers by IPv6 of servers that did not say that they serve it")      \
    X(STRANGE_HELLO, "strange-hello", "replies to pings that were not sent")                       \
    X(STRANGE_CACHE, "strange-cache", "responsible servers that nobody asked for")                 \
    X(STRANGE_NOT_PRESENT, "strange-not-present",                                                  \
      "missing triggers that no packet of ours was sent to, or told by a stranger")                \
    X(CONSTRAINT, "constraint", "triggers of ours that a server refused")                          \
    X(CHECKS, "checks", "packets to ourselves, to see whether servers deliver")                    \
    X(CHECKS_FAILED, "checks-failed", "servers through which none of three came back")             \
    X(DENIED, "denied", "times that a server said our own acknowledged trigger is not there")      \
    X(STRANGE_CHECK, "strange-check", "packets to ourselves that nobody waits for")                \
    X(DISTRUSTED, "distrusted", "servers that are avoided: they do not do what they say")          \
    X(DISPUTED, "disputed", "servers that claim to be near, which another server denies")          \
    X(QUEUE_FULL, "queue-full", "requests that were not sent: too many at once")                   \
    X(BAD_LINK_MESSAGE, "bad-link-message", "sealed messages of a neighbour that make no sense")   \
    X(SHORTCUTS, "shortcuts", "shortcuts that were proven and taken")                              \
    X(SHORTCUTS_LOST, "shortcuts-lost", "shortcuts that fell silent")                              \
    X(SHORTCUT_REFUSED, "shortcut-refused", "offers and probes of shortcuts that are not allowed") \
    X(SHORTCUT_LIE, "shortcut-lie", "shortcut addresses that were never proven")                   \
    X(STRANGE_PROBE, "strange-probe", "shortcut probes of strangers")

enum i3_counter {
#define I3_COUNTER_ENUM(id, name, help) I3_COUNT_##id,
    I3_CLIENT_COUNTERS(I3_COUNTER_ENUM)
#undef I3_COUNTER_ENUM
        I3_COUNTER_COUNT
};

/* A listed server.  One that is listed by name is two, side by side: with the name's IPv4 address, and with the IPv6 one. */
struct i3_seed {
    char name[NAME_TEXT]; /* empty for a literal address, and of the second  */
    bool is_second;       /* the name is that of the one before              */
    struct endpoint at;   /* family 0: its name is not looked up yet         */
    uint32_t lookup;      /* number of the question under way, 0: none       */
    bool ask;             /* the question waits to be pulled                 */
    instant lookup_due;
    unsigned unanswered;
    instant rest;   /* silent: not used until then, if there is another */
    uint64_t token; /* of the pings under way, 0: none                 */
    unsigned pings; /* that were not answered                          */
    bool declined;  /* it answers, and does not serve hosts by IPv6    */
    instant ping_due;
};

/* An IPv6 address that has said hello, with the ability for it. */
#define I3_PEER_KEY 18
struct i3_peer {
    uint8_t key[I3_PEER_KEY]; /* address and port */
    instant until;
    UT_hash_handle hh;
};

/* What we call ourselves in one family. */
struct i3_self {
    struct endpoint at;      /* family 0: not known                                      */
    bool open;               /* the next answer says what our address is                 */
    uint8_t nonce[I3_NONCE]; /* the last one that was acknowledged for that address      */
    bool nonce_known;
};

/* A server that is responsible for an identifier which somebody here wants to know. */
struct i3_owner {
    struct i3_id id; /* and all that begin like it: the end is no part of the place */
    struct i3_id
        asked_as; /* of the last question: the end is drawn, who did not get it does not know it */
    unsigned users;
    struct endpoint at;  /* family 0: not known                                */
    struct endpoint was; /* before it was doubted */
    struct endpoint via; /* whom the last question was sent to                 */
    instant asked, due;
    unsigned asks; /* without an answer                                  */
    UT_hash_handle hh;
};

enum i3_binding_state {
    I3_BINDING_WANTED, /* our own address, or a server's, is not known yet     */
    I3_BINDING_INSERTING,
    I3_BINDING_HELD,
    I3_BINDING_PAUSED /* nobody answered; tried again later                   */
};

/* A trigger that we keep in the servers. */
struct i3_binding {
    struct i3_trigger trigger;
    struct i3_id stack[2]; /* of its target, when that is one                     */
    enum i3_binding_state state;
    unsigned tries, challenges;
    unsigned answers_before; /* of servers to anything, at the first try          */
    bool silent;             /* nobody answered an INSERT since the first try     */
    instant due, sent, rtt;  /* rtt: of the last INSERT that was acknowledged, 0: none */
    struct endpoint at;      /* of the responsible server, family 0: not known     */
    struct endpoint via;     /* whom the last INSERT was sent to                   */
    struct endpoint teller;  /* who acknowledged it; not `at` behind a NAT         */
    uint32_t limit;          /* packets a second that it is to let through, 0: all */
    bool at_limits;          /* `at` has said that it knows limits                 */
    bool limited;            /* the last INSERT carried the limit                  */
    bool refused;            /* a server says that the constraint does not hold    */
    bool acknowledged;       /* was held at least once                             */
    struct i3_binding *prev, *next;
};

/* A packet to ourselves through one server, in the round under way. */
struct i3_check {
    struct endpoint by;     /* the server that it is sent to                     */
    struct endpoint holder; /* the one that keeps the trigger, and must deliver  */
    struct endpoint teller; /* the one that said so                              */
    struct i3_id id, token;
    bool delivered;
    bool limited; /* it goes to a trigger that does not let everything through */
};

struct i3_distrust {
    struct endpoint at;
    instant until;
};

enum i3_sample_state {
    I3_SAMPLE_NONE,
    I3_SAMPLE_FIND,    /* who is responsible?             */
    I3_SAMPLE_CONFIRM, /* another server is asked as well */
    I3_SAMPLE_MEASURE,
    I3_SAMPLE_DONE
};
struct i3_sample {
    enum i3_sample_state state;
    struct i3_id id;
    struct endpoint at, via;
    instant sent, due, rtt; /* rtt 0: not measured */
    unsigned asks, measured;
};

/* The server near us. */
struct i3_near {
    bool known;
    uint8_t prefix[I3_PREFIX];
    struct endpoint at;
    instant rtt;
    unsigned unanswered; /* in a row */
};

enum i3_event_kind {
    I3_EVENT_HELD,   /* id: our trigger was acknowledged                              */
    I3_EVENT_UNHELD, /* id: nobody acknowledges our trigger, though servers answer other questions */
    I3_EVENT_OWNER,  /* place of id: another server is responsible, or none is known          */
    I3_EVENT_NOT_PRESENT, /* id: no trigger; told by the server that it was sent to       */
    I3_EVENT_SELF,        /* our own address is another, or known at last                 */
    I3_EVENT_FIRST_HOP    /* packets for identifiers without a known server go elsewhere  */
};
struct i3_event {
    enum i3_event_kind kind;
    struct i3_id id;
    struct i3_event *next;
};

struct i3_datagram {
    struct endpoint to;
    size_t size;
    struct i3_datagram *prev, *next;
    uint8_t bytes[];
};

struct i3_client {
    struct i3_hash *hash;
    struct entropy *entropy;
    struct i3_self self[2]; /* IPv4, IPv6                                          */
    uint16_t port;          /* that our socket is bound to                         */
    bool behind_nat;        /* a server told us so                                 */
    bool moving;            /* the first answer says which family we have now      */
    struct i3_seed seed[I3_DOORS_MAX];
    unsigned listed, seed_count, seed_used;
    struct i3_peer *peers;
    uint32_t last_lookup;
    struct i3_owner *owners;
    struct i3_binding *bindings;
    unsigned binding_count;
    struct i3_binding *checked;  /* the trigger that checks go to through all seeds, or NULL */
    struct i3_binding *stand_in; /* the one that they go to while that one has a limit, or NULL */
    struct i3_check check[I3_CHECKS_MAX];
    unsigned answers;                      /* of servers to requests */
    unsigned checks, check_tries, denials; /* of the round; NOT_PRESENT for the checked trigger */
    instant check_due, check_begun;
    struct i3_distrust distrust[I3_CHECKS_MAX];
    struct i3_sample sample[I3_SAMPLES_MAX];
    unsigned samples; /* wanted in each round */
    instant resample, sample_due;
    bool sampling;
    struct i3_near near;
    struct i3_event *event_first, **event_last;
    struct i3_datagram *datagrams, *given; /* waiting; the one handed out last */
    unsigned datagram_count;
    uint64_t counter[I3_COUNTER_COUNT];
    instant due;
};

/* ---- i3_client.c: life, what comes in, what goes out ---- */

void i3_client_init(struct i3_client *c, struct entropy *e, unsigned samples, instant resample);
void i3_client_done(struct i3_client *c);
/* The socket's port, and its address unless the family is 0. */
void i3_client_bound(struct i3_client *c, instant now, const struct endpoint *local);
void i3_client_moved(struct i3_client *c, instant now);
void i3_client_input(struct i3_client *c, instant now, const struct arrival *from,
                     const uint8_t *bytes, size_t size);
void i3_client_advance(struct i3_client *c, instant now);
/* The next datagram, valid until the next call; NULL: none. */
const struct i3_datagram *i3_client_datagram(struct i3_client *c);
bool i3_client_event(struct i3_client *c, struct i3_event *ret);

/* ---- i3_seed.c: servers to begin with ---- */

/* `seeds`: "HOST:PORT, [IPV6-ADDRESS]:PORT"; false: *ret_reason (static). */
bool i3_seeds_parse(const char *seeds, struct i3_seed *ret, unsigned *ret_count,
                    const char **ret_reason);
/* Takes other seeds, at the start or later. */
void i3_client_seeds(struct i3_client *c, instant now, const struct i3_seed *seeds, unsigned count);
void i3_client_resolved(struct i3_client *c, instant now, uint32_t lookup,
                        const struct ip_address *addresses, unsigned count);
/* A name to look up; false: none. */
bool i3_client_lookup(struct i3_client *c, uint32_t *ret_lookup, const char **ret_name);
/* A server to send to when the responsible one is not known; false: there is none with an address. */
bool i3_client_first_hop(struct i3_client *c, instant now, struct endpoint *ret);
/* The same, by another server than `not_this` if there is one.  `same_family`: or by none. */
bool i3_client_other_hop(struct i3_client *c, instant now, const struct endpoint *not_this,
                         bool same_family, struct endpoint *ret);
/* What went to this server was not answered by a neighbour: the first contact is another one. */
void i3_client_move_on(struct i3_client *c, const struct endpoint *server);
/* A request was or was not answered that went by this server. */
void i3_client_answered(struct i3_client *c, const struct endpoint *via);
void i3_client_unanswered(struct i3_client *c, instant now, const struct endpoint *via);
instant i3_seeds_advance(struct i3_client *c, instant now);

/* ---- for the parts ---- */

void i3_client_count(struct i3_client *c, enum i3_counter counter);
void i3_client_wake(struct i3_client *c, instant due);
void i3_client_say(struct i3_client *c, enum i3_event_kind kind, const struct i3_id *id);
/* Sends a control packet with one identifier, SENDER and `option` behind it. */
void i3_client_send(struct i3_client *c, const struct endpoint *to, const struct i3_id *id,
                    const struct i3_option *option);
/* Asks who is responsible for an identifier, by data of one byte, which nobody at the other end takes for anything: in a
 * control packet that neither inserts nor removes an original does not translate the address of a client behind a NAT, and
 * its answer is lost. */
void i3_client_ask(struct i3_client *c, const struct endpoint *to, const struct i3_id *id);
/* Sends data of one byte for a stack of identifiers, with SENDER. */
void i3_client_send_data(struct i3_client *c, const struct endpoint *to, const struct i3_id *stack,
                         unsigned depth);
void i3_client_queue(struct i3_client *c, const struct endpoint *to, const void *bytes,
                     size_t size);

/* What we call ourselves towards this server: in its family.  Before it told us an address that it surely does not see, so
 * that it answers to where the packet came from. */
struct endpoint i3_client_self(const struct i3_client *c, const struct endpoint *server);
/* It answered what we asked: so we know what our address is, and that its family works. */
void i3_client_learn_self(struct i3_client *c, instant now, const struct arrival *from);
/* There is one more server to send to: whatever waited for one goes on. */
void i3_client_server_came(struct i3_client *c, instant now);

/* ---- i3_hello.c: IPv6 ---- */

/* May packets with our address in them go there? */
bool i3_client_speaks(const struct i3_client *c, const struct endpoint *server);
/* It said hello; family 4: nothing to remember. */
void i3_hello_heard(struct i3_client *c, instant now, const struct endpoint *from,
                    uint8_t abilities);
/* The hello in the answer to a question of ours, if it is one. */
void i3_hello_answer(struct i3_client *c, instant now, const struct endpoint *from,
                     const struct i3_packet *p);
/* The seed has an address, or shall be asked again. */
void i3_seed_greet(struct i3_client *c, instant now, struct i3_seed *s);
void i3_hello_moved(struct i3_client *c, instant now);
/* False: that is no ping. */
bool i3_hello_input(struct i3_client *c, instant now, const struct arrival *from,
                    const uint8_t *bytes, size_t size);
instant i3_hellos_advance(struct i3_client *c, instant now);
void i3_hellos_done(struct i3_client *c);

/* An identifier at the same place, whose end nobody can guess: who answers for it has been asked. */
void i3_client_draw_end(struct i3_client *c, struct i3_id *id);

/* ---- i3_owner.c ---- */

/* Keeps knowing who is responsible, until released as often as wanted. */
void i3_owner_want(struct i3_client *c, instant now, const struct i3_id *id);
void i3_owner_release(struct i3_client *c, const struct i3_id *id);
/* Family 0: not known. */
struct endpoint i3_owner_at(const struct i3_client *c, const struct i3_id *id);
/* Where packets for it go now: the responsible server, else the one that is being asked.  False: no server has an
 * address. */
bool i3_owner_hop(struct i3_client *c, instant now, const struct i3_id *id, struct endpoint *ret);
/* Is, or was until a moment ago, that server responsible? */
bool i3_owner_is(const struct i3_client *c, const struct i3_id *id, const struct endpoint *server);
/* Is it the identifier of a question of ours? */
bool i3_owner_asks(const struct i3_client *c, const struct i3_id *id);
/* What is known may be wrong: asks by another way. */
void i3_owner_doubt(struct i3_client *c, instant now, const struct i3_id *id);
/* The same, and whom we took for responsible is not heard about it any more. */
void i3_owner_deny(struct i3_client *c, instant now, const struct i3_id *id);
/* All that this server is responsible for is doubted. */
void i3_owners_distrust(struct i3_client *c, instant now, const struct endpoint *server);
/* True: it was asked for. */
bool i3_owner_told(struct i3_client *c, instant now, const struct i3_id *id,
                   const struct endpoint *at);
/* What went by servers of the other family is asked by this one; `waiting`: what nobody could be asked is. */
void i3_owners_family(struct i3_client *c, instant now, uint8_t family);
void i3_owners_waiting(struct i3_client *c, instant now);
instant i3_owners_advance(struct i3_client *c, instant now);
void i3_owners_done(struct i3_client *c);

/* ---- i3_binding.c ---- */

/* A trigger from `id` to ourselves (`stack` NULL) or to a stack.  NULL: too many. */
struct i3_binding *i3_binding_add(struct i3_client *c, instant now, const struct i3_id *id,
                                  const uint8_t key[I3_KEY], uint16_t prefix,
                                  const struct i3_id *stack, unsigned depth);
void i3_binding_remove(struct i3_client *c, struct i3_binding *b);
/* Inserts it again at once. */
void i3_binding_refresh(struct i3_client *c, instant now, struct i3_binding *b);
/* Tells the servers that it goes. */
void i3_binding_retract(struct i3_client *c, struct i3_binding *b);
struct i3_binding *i3_binding_find(const struct i3_client *c, const struct i3_id *id);
/* Who answers an INSERT. */
struct i3_answerer {
    struct endpoint responsible; /* the server that keeps the trigger             */
    struct endpoint from;        /* the same, or the one that passes it on by NAT */
    uint8_t abilities;           /* that it says it has: enum i3_ability          */
};
/* CHALLENGE, ACK, CONSTRAINT_FAILED.  True: it was ours and asked for. */
bool i3_binding_told(struct i3_client *c, instant now, const struct i3_option *option,
                     const struct i3_answerer *by);
instant i3_bindings_advance(struct i3_client *c, instant now);
/* What this server acknowledged, or was asked for, is inserted by another one. */
void i3_bindings_distrust(struct i3_client *c, instant now, const struct endpoint *server);
/* Our own address of that family is another one: triggers to it follow. */
void i3_bindings_follow(struct i3_client *c, instant now, uint8_t family);
/* Triggers in servers of the other family are inserted by this one. */
void i3_bindings_family(struct i3_client *c, instant now, uint8_t family);
/* Those that waited for a server are inserted. */
void i3_bindings_waiting(struct i3_client *c, instant now);
/* Is it one of ours, and being inserted? */
bool i3_binding_asks(const struct i3_client *c, const struct i3_trigger *t);

/* ---- i3_check.c ---- */

/* Begins a round of checks, unless one is under way; not at once when there was one a moment ago. */
void i3_checks_begin(struct i3_client *c, instant now);
/* A data packet with three identifiers came. */
void i3_check_came(struct i3_client *c, instant now, const struct endpoint *from,
                   const struct i3_packet *p);
/* Somebody says that the checked trigger is not there.  False: that was not asked. */
bool i3_check_denied(struct i3_client *c, const struct endpoint *from, const struct i3_id *id);
instant i3_checks_advance(struct i3_client *c, instant now);
/* It is avoided for a while, and what it told us is asked again elsewhere. */
void i3_client_distrust(struct i3_client *c, instant now, const struct endpoint *server);
bool i3_client_distrusts(const struct i3_client *c, instant now, const struct endpoint *server);

/* ---- i3_sample.c ---- */

void i3_samples_begin(struct i3_client *c, instant now);
bool i3_sample_told(struct i3_client *c, instant now, const struct i3_id *id,
                    const struct endpoint *at);
bool i3_sample_asks(const struct i3_client *c, const struct i3_id *id);
/* Those that were sent to servers of the other family, or to nobody, begin again. */
void i3_samples_again(struct i3_client *c, instant now, uint8_t family);
instant i3_samples_advance(struct i3_client *c, instant now);
/* The near server is silent: it is not near any more, and another is looked for. */
void i3_near_lost(struct i3_client *c, instant now);
/* Draws an identifier whose packets pass the near server. */
void i3_client_draw(struct i3_client *c, struct i3_id *ret, uint8_t ret_key[I3_KEY]);

#endif
