/* Inside of the overlay module i3: tunnels over the client (i3_client.h).
 *
 *   i3_module.c     the class, peels, what is said to people
 *   i3_settings.c   options
 *   i3_name.c       public identifiers, and the triggers of our own
 *   i3_tunnel.c     the life of a tunnel and the way that its records take
 *   i3_missing.c    identifiers on that way which have no trigger
 *   i3_exchange.c   what neighbours tell each other, sealed: private identifiers, shortcuts
 *   i3_shortcut.c   shortcuts: offered, proven, watched */
#ifndef OCALA_OVERLAY_I3_I3_MODULE_H
#define OCALA_OVERLAY_I3_I3_MODULE_H

#include "base/cursor.h"
#include "overlay/i3/i3_client.h"
#include "overlay/overlay.h"

/* Bits of a name's identifier that must match; the rest chooses among several hosts. */
#define I3_PREFIX_NAME  192
#define I3_PREFIX_EXACT 256
#define I3_NAMES        2 /* public identifiers of one name at most: one for each secret */
#define I3_VIA                                                                                     \
    (I3_HEADER + I3_ID)  /* what peels keep of a packet: its first bytes, one identifier */
#define I3_PLACES      4 /* addresses of a neighbour that are tried for a shortcut       */
#define I3_TOKEN       16
#define I3_SAID_MAX    128  /* bytes of a message to a neighbour */
#define I3_PROBE       0xDE /* first byte of a shortcut's probe: doc/protocol/i3.md */
#define I3_PROBE_SIZE  (4 + I3_TOKEN + 8)
#define I3_UDP4        28 /* IPv4 and UDP header */
#define I3_UDP6        48
#define I3_REDRAWS     8 /* in a row: identifiers at servers that we distrust, or that are gone */
#define I3_THROUGH_MAX 4 /* hosts through which records go by the sender's wish */
/* What the longest data packet has in front of a record: two identifiers, options with SENDER (4: an IPv4 one); and with
 * those hosts. */
#define I3_FRONT4    (I3_HEADER + 2 * I3_ID + 2 + I3_SENDER_OPTION)
#define I3_FRONT     (I3_HEADER + 2 * I3_ID + 2 + I3_SENDER_OPTION6)
#define I3_FRONT_MAX (I3_FRONT + I3_THROUGH_MAX * I3_ID)

enum i3_tunnel_state { I3_TUNNEL_OPENING, I3_TUNNEL_UP, I3_TUNNEL_ENDED };

/* Where records of a tunnel go, from worst to best. */
enum i3_way {
    I3_WAY_PUBLIC, /* to the public identifier of its name, with one of ours for answers on the stack */
    I3_WAY_RETURN, /* to the identifier that came on the stack                                        */
    I3_WAY_PRIVATE, /* to the private identifier that the neighbour told us                            */
    I3_WAY_SHORTCUT /* to its own address                                                              */
};

/* What a tunnel has to say: bits. */
enum i3_says {
    I3_SAY_UP = 0x01,
    I3_SAY_RECIPE = 0x02,
    I3_SAY_FAILED = 0x04,
    I3_SAY_DOWN = 0x08,
    I3_SAY_PRIVATE = 0x10, /* link messages */
    I3_SAY_OFFER = 0x20,
    I3_SAY_SEEN = 0x40,
    I3_SAY_END = 0x80
};

struct i3_place {
    struct endpoint at;
    uint64_t nonce; /* of the last probe that went there, 0: none */
};

struct i3_shortcut {
    bool peer_offers;        /* the neighbour told its token and places            */
    bool up;                 /* proven: `at`                                       */
    uint8_t token[I3_TOKEN]; /* probes for us carry it                             */
    uint8_t peer_token[I3_TOKEN];
    struct i3_place place[I3_PLACES];
    unsigned places, rounds; /* rounds without an answer                           */
    struct endpoint at;
    uint64_t nonce, seen; /* of the probe under way; of the neighbour's, to be said */
    instant sent, rtt, due;
    unsigned unanswered;
};

/* How often servers said that an identifier has no trigger. */
struct i3_missing {
    unsigned times;
    instant at;
};

struct i3_tunnel {
    uint32_t id;
    enum i3_tunnel_state state;
    unsigned says;
    char host[NAME_TEXT];
    struct i3_id name; /* public identifier of the host                              */
    unsigned which;    /* of those that its name has                                 */
    struct i3_id through[I3_THROUGH_MAX]; /* what we send passes them, in this order          */
    unsigned throughs;
    enum i3_way way;
    struct endpoint remote;   /* of the recipe that was said last                           */
    struct i3_id used;        /* on top of that recipe's stack                              */
    struct i3_id target;      /* behind the hosts that are passed: the neighbour's          */
    bool watching;            /* the owner of `used` is wanted                              */
    struct i3_binding *back;  /* where answers to the public way come, or NULL              */
    struct i3_binding *own;   /* our private trigger for this tunnel, or NULL               */
    struct i3_binding *inner; /* behind a middlebox: the one that leads to us, or NULL      */
    struct i3_id to_return, to_private;
    bool has_return, has_private;
    bool linked, known;      /* there is a link; the neighbour has our private identifier  */
    bool peer_allows;        /* shortcuts                                                  */
    instant due, back_until; /* the private identifier is said again; `back` goes          */
    unsigned private_denied; /* times that a server said it has none */
    unsigned redrawn;        /* identifiers of ours given up in a row: see I3_REDRAWS */
    unsigned told;           /* times that it was said                                     */
    instant told_at, silent_at;
    instant private_lost; /* when the neighbour's identifier last had no trigger        */
    struct i3_missing
        missing[I3_THROUGH_MAX + 1]; /* of the hosts that are passed, and then of the name */
    bool asking; /* their servers, whether they have triggers                  */
    instant ask_due, opened;
    struct i3_shortcut shortcut;
    char reason[320];
    bool unknown_host;
    UT_hash_handle hh;
    struct i3_tunnel *prev, *next; /* in the queue while says != 0 */
};

struct i3 {
    struct overlay overlay; /* first */
    struct i3_client client;
    struct i3_binding *name[I3_NAMES]; /* our own public triggers */
    struct i3_tunnel *tunnels, *queue;
    uint16_t mtu;
    uint32_t limit; /* packets a second to each of our names, 0: all */
    bool allow;     /* shortcuts                                 */
    bool keyed;     /* names: who lacks the secret cannot compute their identifiers */
    bool has_middlebox;
    struct i3_id middlebox;
    uint8_t suffix[8]; /* of our own name's identifier, and of those we look for */
    unsigned suffix_size;
    instant due;
    bool peel_said;
    struct peel_table peel;
    struct recipe recipe;
    uint8_t said[I3_SAID_MAX];
};

static inline struct i3 *i3_of(const struct overlay *o)
{
    return (struct i3 *)o;
}

/* ---- i3_settings.c ---- */

extern const struct overlay_schema i3_schema[];
/* NULL: not given. */
const char *i3_option(const struct overlay_settings *s, const char *key);
unsigned i3_settings_samples(const struct overlay_settings *s);
instant i3_settings_resample(const struct overlay_settings *s);
/* NULL, or what is wrong with all of them together. */
const char *i3_settings_fault(const struct overlay_settings *s);
void i3_settings_read(struct i3 *m);

/* The same about one host of the instance: an option of the member of that name. */
const char *i3_member_option(const struct overlay_settings *s, const char *host, const char *key);
extern const struct overlay_schema i3_member_schema[];
/* 64 hexadecimal digits, of a public identifier. */
bool i3_id_text_parse(const char *text, struct i3_id *ret);
/* Host names behind commas, each once.  False: too many, or no names. */
bool i3_through_parse(const char *text, char ret[I3_THROUGH_MAX][NAME_TEXT], unsigned *ret_count);

/* ---- i3_name.c ---- */

/* How many public identifiers a name has. */
unsigned i3_name_count(const struct i3 *m, const char *host);
/* One of them (`which` is below their count), with the suffix that the configuration wants. */
void i3_name_id(struct i3 *m, unsigned which, const char *host, struct i3_id *ret,
                uint8_t ret_key[I3_KEY]);
/* A middlebox has no secret: its identifier is one that everybody can compute. */
void i3_middlebox_id(struct i3 *m, const char *host, struct i3_id *ret);
/* The hosts through which what is sent to `host` goes, and their identifiers; both return how many. */
unsigned i3_through_names(const struct i3 *m, const char *host,
                          char ret[I3_THROUGH_MAX][NAME_TEXT]);
unsigned i3_through_ids(struct i3 *m, const char *host, struct i3_id ret[I3_THROUGH_MAX]);
/* The triggers of our own name. */
void i3_names_insert(struct i3 *m, instant now);
void i3_names_remove(struct i3 *m);

/* ---- i3_module.c ---- */

void i3_wake(struct i3 *m, instant due);

/* ---- i3_tunnel.c ---- */

struct i3_tunnel *i3_tunnel_find(const struct i3 *m, uint32_t id);
void i3_tunnel_say(struct i3 *m, struct i3_tunnel *t, unsigned what);
void i3_tunnel_unsay(struct i3 *m, struct i3_tunnel *t, unsigned what);
/* May an identifier of ours be drawn anew?  Counts it: not more than I3_REDRAWS in a row. */
bool i3_tunnel_may_redraw(struct i3_tunnel *t);
void i3_tunnel_open(struct overlay *o, instant now, uint32_t tunnel, const char *host);
void i3_tunnel_accept(struct overlay *o, instant now, uint32_t tunnel, const char *host,
                      const struct arrival *from);
void i3_tunnel_moved(struct overlay *o, instant now, uint32_t tunnel, const struct arrival *from);
void i3_tunnel_close(struct overlay *o, instant now, uint32_t tunnel);
void i3_tunnel_suspect(struct overlay *o, instant now, uint32_t tunnel);
void i3_tunnel_use(struct overlay *o, instant now, uint32_t tunnel, enum overlay_use use);
void i3_tunnel_free(struct i3 *m, struct i3_tunnel *t);
/* It failed or is down, for the reason that was written. */
void i3_tunnel_end(struct i3 *m, struct i3_tunnel *t);
/* What the client says. */
void i3_tunnels_event(struct i3 *m, instant now, const struct i3_event *e);
instant i3_tunnels_advance(struct i3 *m, instant now);
/* Shortcuts are allowed, and would not go past hosts that are to be passed. */
bool i3_tunnel_allows(const struct i3 *m, const struct i3_tunnel *t);
/* Takes the best way there is; says so when it is another one. */
void i3_tunnel_route(struct i3 *m, instant now, struct i3_tunnel *t);
/* From now on it looks for another identifier of the host's name. */
void i3_tunnel_rename(struct i3 *m, instant now, struct i3_tunnel *t, unsigned which);
/* A recipe along the tunnel's way. */
bool i3_tunnel_recipe(const struct i3 *m, const struct i3_tunnel *t, struct recipe *ret);
bool i3_answer(const struct overlay *o, const struct arrival *from, struct recipe *ret);
void i3_plain_recipe(const struct i3 *m, const struct endpoint *to, bool ports_free,
                     struct recipe *ret);

/* ---- i3_missing.c ---- */

/* The server that is responsible for `id` says that it has no trigger. */
void i3_missing_told(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id);
/* OPEN was not answered: asks for whom nobody would tell us of, until there is a link. */
void i3_missing_ask(struct i3 *m, instant now, struct i3_tunnel *t);
void i3_missing_rest(struct i3 *m, struct i3_tunnel *t);
instant i3_missing_advance(struct i3 *m, instant now, struct i3_tunnel *t);

/* ---- i3_exchange.c ---- */

void i3_link_up(struct overlay *o, instant now, uint32_t tunnel, const char *host);
void i3_link_down(struct overlay *o, instant now, uint32_t tunnel, const char *host);
void i3_link_message(struct overlay *o, instant now, uint32_t tunnel, const struct arrival *from,
                     const uint8_t *bytes, size_t size);
/* The tunnel's private identifier is told (again), as soon as its trigger stands. */
void i3_exchange_begin(struct i3 *m, instant now, struct i3_tunnel *t);
/* The same with another identifier; the one that there is goes. */
void i3_exchange_redraw(struct i3 *m, instant now, struct i3_tunnel *t);
/* One of our triggers was acknowledged. */
void i3_exchange_held(struct i3 *m, instant now, struct i3_tunnel *t);
instant i3_exchange_advance(struct i3 *m, instant now, struct i3_tunnel *t);
/* Writes what `says` asks for into m->said; *ret_what: which it was.  Returns its size, 0: nothing. */
size_t i3_exchange_write(struct i3 *m, struct i3_tunnel *t, unsigned *ret_what);
void i3_exchange_reset(struct i3 *m, struct i3_tunnel *t);

/* ---- i3_shortcut.c ---- */

void i3_shortcut_offer(struct i3 *m, instant now, struct i3_tunnel *t);
void i3_shortcut_offered(struct i3 *m, instant now, struct i3_tunnel *t, struct reader *r);
void i3_shortcut_seen(struct i3 *m, instant now, struct i3_tunnel *t, uint64_t nonce);
void i3_shortcut_probed(struct i3 *m, instant now, const struct arrival *from, const uint8_t *bytes,
                        size_t size);
/* Is it still good?  Asks now instead of later. */
void i3_shortcut_ask(struct i3 *m, instant now, struct i3_tunnel *t);
/* Not used any more; `tell`: the neighbour hears of it. */
void i3_shortcut_end(struct i3 *m, instant now, struct i3_tunnel *t, bool tell);
instant i3_shortcut_advance(struct i3 *m, instant now, struct i3_tunnel *t);
void i3_shortcut_write_offer(const struct i3 *m, const struct i3_tunnel *t, struct writer *w);

#endif
