/* Inside of the path engine; nobody outside path/ includes this.
 *
 * Objects and who owns them (the engine owns all):
 *
 *   neighbour  another host of one of our instances: its tunnel, and the link in use (a path of
 *              one hop)
 *   path       one end of a path; while it is opened by us it has an `opening`
 *   half       a handshake that somebody else began, before its CONFIRM: changes nothing
 *   transit    two labels joined for others
 *   peer       (name, key): the path in use towards it, and the handle that stands for it
 *   slot       what a label of ours stands for: exactly one path, half or side of a transit
 *
 * One idea per file: handshake.c (Noise inside our messages), link.c (messages in clear),
 * link_answer.c (what strangers get), open.c (what the initiator does), half.c (what the responder
 * does), over_link.c (set-up by way of a link), stand.c (which path is in use), gateway.c and
 * transit.c (for others), session.c (keys and lanes), park.c, rekey.c, alive.c (timers), suspect.c (lost,
 * closed, doubted), move.c (neighbours that are elsewhere now), control.c (sealed messages), refused.c (by the kernel), mtu.c and mtu_search.c (the largest record that gets
 * through), trust.c (who is who), policy.c, neighbour.c,
 * engine.c (life cycle, slots, outputs), inspect.c (looking).
 *
 * Nothing that may still be in somebody's hands up the stack is freed while a message is worked on:
 * paths are freed by alive_tick() alone, neighbours when their last user goes, and every path is a
 * user of its neighbour.  Halves and transits are freed at once, by functions whose callers know.
 */
#ifndef OCALA_PATH_INTERNAL_H
#define OCALA_PATH_INTERNAL_H

#include <stdlib.h>

#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/heap.h"
#include "path/limits.h"
#include "path/mtu.h"
#include "path/noise.h"
#include "path/path.h"
#include "path/path_wire.h"

struct instance {
    const struct config_overlay *config;
    uint8_t secret_key[32], public_key[32]; /* X25519 */
    uint8_t psk[2][32], mac_key[2][32];
    unsigned psk_count; /* at least 1: no secret is 32 zero bytes */
    bool secret;        /* there is one                           */
};

enum slot_kind { SLOT_FREE, SLOT_PATH, SLOT_HALF, SLOT_TRANSIT };
struct slot {
    uint8_t kind, generation; /* generation goes up each time the slot is given */
    bool used;                /* ever                                           */
    void *object;
};

/* Events in the second that began at `since`. */
struct rate {
    instant since;
    unsigned count;
};

/* What is counted for each source address on its own (load.c). */
enum source_kind { SOURCE_OPENS, SOURCE_DATA_ERRORS, SOURCE_CONTROL_ERRORS, SOURCE_KINDS };
#define SOURCE_BUCKETS 256

/* A text that things are called by (names.c), and what is called that. */
struct name_entry {
    struct hash_link link;
    struct neighbour *neighbour;
    struct peer *peers; /* of that name: one for each key */
    struct known *known;
    struct path *current, *opening; /* whose chain it is: a peer's current one; opened by us */
    unsigned users;                 /* who holds the text                                    */
    char text[];
};

struct neighbour {
    struct hash_link by_tunnel;
    const char *name; /* "gate.east.ip" */
    unsigned instance;
    uint32_t tunnel;
    uint16_t most; /* the largest record that the module would send */
    enum { TUNNEL_CLOSED, TUNNEL_OPENING, TUNNEL_UP } tunnel_state;
    struct fwd_tunnel *fwd;
    struct path *link;    /* the one in use, state UP                              */
    struct path *opening; /* a link that is being opened                           */
    unsigned users;       /* paths, halves, transits and a module that need it     */
    bool has_state;       /* a recipe of the tunnel pointed at what the module keeps     */
    bool wanted;          /* the module does: a link is to stand                   */
    bool link_told;       /* the module knows of it                                */
    bool busy;            /* the module was told that data flows                   */
    instant quiet_told, silent_told;
    struct path *paths;               /* whose first hop it is, links included           */
    struct transit_side *transits_of; /* of both sides                                */
    struct rate opens;                /* that it brings, for us or for others                  */
    struct rate passed, passed_opens; /* messages of its that we passed on to somebody else    */
    unsigned transits, waiting;       /* that came from it; of them without ACCEPT             */
};

/* Keys of both directions in one epoch. */
struct epoch_keys {
    uint8_t epoch;
    uint8_t send[32], receive[32];
};

enum path_state { PATH_STATE_OPENING, PATH_STATE_UP, PATH_STATE_DRAINING };

/* Our side of a handshake that we began. */
struct opening {
    struct path *path;
    struct opening *next_of_all, **back; /* in e->openings               */
    struct noise noise;                  /* copied before a reply is read */
    uint8_t pattern;
    unsigned secret; /* index of the secret in use    */
    bool sent;       /* this message 1 left at least once  */
    unsigned times;  /* any message 1 left                 */
    unsigned cookies;
    uint8_t *message; /* OPEN in clear, or noise message 1 (over gateways) */
    size_t message_size;
    uint8_t cookie[16];
    bool has_cookie;
    uint8_t mac1[16];
    instant limit, next;
    instant spacing; /* of repetitions: doubles       */
    unsigned unanswered_ik;
    char *hint; /* best reason known so far      */
    bool unknown_host;
};

/* Somebody who asked for this path. */
struct ask {
    uint64_t cookie;
    struct ask *next;
};

/* What is under way on a path.  It comes with the first that is (path_work()), and goes when the path sleeps and nothing
 * is (path_rest()). */
struct work {
    struct epoch_keys *next; /* offered by a rekey, responder: not yet seen in use */
    struct noise *rekey;     /* initiator: message 1 is out               */
    uint8_t *rekey_message;  /* message 1, or the responder's answer to it */
    size_t rekey_size;
    bool done_waits; /* initiator: nothing under the new keys came back yet */
    instant old_keys_until;
    instant rekey_since, rekey_next; /* since: the first attempt that is not through */
    uint8_t *confirm;                /* CONFIRM bytes, until confirmed            */
    size_t confirm_size;
    instant confirm_next, confirm_spacing;
    instant unanswered_since, probe_next;
    instant data_unanswered; /* data that nothing was heard after, when we last looked; 0: none */
    unsigned probes;
    instant probe_sent;
    uint64_t ping_cookie;
    bool ping_waits;
    struct rate messages;
    uint8_t *pieces; /* of a split control message */
    size_t pieces_size;
    uint64_t pieces_next;
    struct path_mtu mtu;
    struct path_move *move; /* where the neighbour seems to be now (move.c) */
};

/* There are many, most of them asleep: what is not needed then is elsewhere. */
struct path {
    struct timer timer;
    struct hash_link by_id; /* handshake id, in e->by_id; has_id tells                  */
    uint8_t id[HANDSHAKE_ID];
    const char *chain; /* "beta.west.ip.via.gate.east.ip"              */
    struct neighbour *first;
    struct path *first_next, **first_back; /* in first->paths                          */
    struct peer *peer;                     /* NULL while opening                       */
    struct path *peer_next;
    struct path *label_next; /* in the engine's index by label_out                     */
    struct opening *opening;
    struct ask *asks;
    struct work *work;
    struct fwd_path *fwd;
    struct parking *parking; /* parked: lanes that workers may still hold              */
    struct asleep *asleep;   /* parked: what is left of them                           */

    uint32_t slot, label_out;
    uint16_t instance; /* of ours: of the first hop                              */
    uint16_t self;     /* instance whose identity we show                        */
    uint16_t record_mtu;
    uint8_t state; /* enum path_state                                        */
    uint8_t hops, aead;
    uint8_t mtu_known; /* enum path_mtu_known                                     */
    bool has_id, initiator, one_hop, published, parked;
    bool lost;              /* draining: never in use again                           */
    bool silent;            /* draining: nothing was heard; in use again when something is */
    struct epoch_keys keys; /* in use for sending                                     */
    uint32_t probe_number, rekeys;

    instant
        confirmed_at; /* an authenticated record came (responder: from the beginning); 0: not yet */
    instant since, keys_since;
    instant busy; /* link: last seen to be needed                           */
    instant control_sent, drain_until;
    instant rtt;
};

struct peer {
    struct peer *same_name; /* from the name's first peer on */
    const char *name;
    uint8_t key[32];
    const char *how;
    struct path *current, *paths;
    bool has_handle;
    struct ip_address handle4, handle6;
    instant reopen_next, reopen_pause; /* doubts: not before, and how long after the next one */
};

struct half {
    struct timer timer;
    UT_hash_handle hh; /* by id */
    uint8_t id[HANDSHAKE_ID];
    instant since;
    uint32_t slot;
    struct noise noise;
    uint8_t pattern, aead, lanes;
    unsigned instance, secret;
    bool over_link; /* over gateways; then `link` */
    struct arrival from;
    struct neighbour *link;
    char name[NAME_TEXT]; /* IK: judged already */
    uint8_t key[32];
    uint32_t label_out, known;
    uint16_t record_mtu;
    struct vouch vouch;
    struct name_chain *travelled;
    uint8_t *answer; /* sent again when message 1 comes again */
    size_t answer_size;
    struct {
        uint8_t *bytes;
        size_t size;
        struct arrival from;
    } stash[STASH_MAX]; /* records that came before CONFIRM */
    unsigned stashed;
    struct half *older, *newer;
};

struct transit;
struct transit_side {
    struct transit *transit;
    struct neighbour *neighbour;
    struct transit_side *next, **back; /* in neighbour->transits_of              */
    struct transit_side *label_next;   /* in the engine's index by label_out     */
    uint32_t slot;                     /* label that this side sends with          */
    uint32_t label_out;                /* what this side wants to see              */
    struct fwd_transit *fwd;           /* records that come from this side    */
};
struct transit {
    struct timer timer;
    UT_hash_handle hh; /* by id */
    uint8_t id[HANDSHAKE_ID];
    bool accepted, confirmed, released;
    struct transit_side in, out;
    char *target; /* last hop */
    bool target_is_next;
    uint16_t record_mtu;
    uint8_t *open; /* the message for the next hop, until accepted */
    size_t open_size;
    instant since, used;
    instant error_next; /* an error without keys is passed on not before */
};

struct known {
    struct known *next; /* in the order they came */
    const char *name, *how;
    uint8_t key[32];
};

struct out_node {
    struct path_out out;
    uint8_t *bytes;
    char *text;
    struct out_node *next;
};

struct refusal {
    struct endpoint to;
    instant at;
};

struct path_engine {
    const struct config *config;
    struct instance *instance;
    unsigned instance_count, data_lanes;
    bool prefer_chacha, under_load;
    struct fwd_tables *tables;
    struct epoch *epoch;
    struct entropy *entropy;
    struct aead_library *library;
    struct packet_pool *pool;
    struct heap timers; /* of paths   */
    struct heap half_timers, transit_timers;
    struct slot *slot;
    uint32_t slot_range, slots_used;
    uint32_t next_tunnel;
    struct closing *closings, **closing_last; /* tunnels whose recipes workers may still hold */
    struct hash_table names;
    struct hash_table tunnels; /* all neighbours, by tunnel     */
    struct hash_table by_id;   /* paths, by handshake           */
    struct opening *openings;  /* all that we began, newest first */
    unsigned paths, peers, opening_count;
    struct half *halves, *oldest_half, *newest_half;
    struct transit *transits;
    struct known *knowns, **known_last;
    struct out_node *out_first, **out_last, *out_given;
    struct drop_counters drops;
    uint8_t cookie_secret[2][32];
    instant cookie_since;
    struct path *path_by_label[LABEL_BUCKETS];         /* by label_out */
    struct transit_side *side_by_label[LABEL_BUCKETS]; /* by label_out */
    struct refusal refusal[REFUSAL_SOURCES];
    struct rate opens; /* of strangers who have the MAC */
    instant load_until;
    uint8_t source_key[16];
    struct rate sources[SOURCE_KINDS][SOURCE_BUCKETS];
    size_t stashed; /* bytes */
    instant notice_since;
    unsigned notices;
    uint8_t scratch[PACKET_SIZE];
};

static inline instant now_floor(instant t)
{
    return t > 0 ? t : 1; /* 0 stands for "never happened" in the fields above */
}

static inline unsigned label_bucket(uint32_t label)
{
    return (label >> 4) * 0x9E3779B1u >> 22;
}
_Static_assert(LABEL_BUCKETS == 1 << 10, "label_bucket() gives ten bits");

/* engine.c */
/* 0: there are no more. */
uint32_t slot_take(struct path_engine *e, enum slot_kind kind, void *object);
void slot_free(struct path_engine *e, uint32_t slot);
void slot_change(struct path_engine *e, uint32_t slot, enum slot_kind kind, void *object);
uint32_t slot_label(const struct path_engine *e, uint32_t slot);
/* The path with that slot, or NULL. */
struct path *slot_path(const struct path_engine *e, uint32_t slot);
/* The object behind a label of ours, if it is of this kind. */
void *slot_find(const struct path_engine *e, uint32_t label, enum slot_kind kind);
struct path_out *out_add(struct path_engine *e, enum path_out_kind kind);
/* Copies the bytes or text into the newest output. */
void out_bytes(struct path_engine *e, const uint8_t *bytes, size_t size);
void out_text(struct path_engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
void out_host(struct path_engine *e, const char *host);
void out_forward(struct path_engine *e, const struct forward_out *f);
/* A line for the log, at most 20 in a second. */
void notice(struct path_engine *e, instant now, int level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The network's secrets; none is one of 32 zero bytes. */
void instance_set_secrets(struct instance *in, const uint8_t (*secret)[32], unsigned count);
int engine_instance(const struct path_engine *e, const char *instance_name); /* index, or -1 */
bool engine_is_self(const struct path_engine *e, const char *name);

/* work.c */
struct work *path_work(struct path *p);   /* made when there is none            */
void path_rest(struct path *p);           /* frees it when the path needs it not */
bool path_keys_under_way(struct path *p); /* they are being replaced or confirmed */
void path_work_free(struct path *p);

/* names.c */
void names_init(struct path_engine *e);
/* The text, as long as it is not given back. */
const char *names_take(struct path_engine *e, const char *text);
void names_give(struct path_engine *e, const char *taken); /* accepts NULL */
struct name_entry *names_of(const char *taken);
struct name_entry *names_find(const struct path_engine *e, const char *text); /* or NULL */

/* neighbour.c */
void neighbours_init(struct path_engine *e);
struct neighbour *neighbour_find(const struct path_engine *e, const char *name); /* or NULL */
/* Closes the tunnels that no worker can use any more. */
void neighbours_settle(struct path_engine *e);
void neighbours_done(struct path_engine *e);
/* The next of all; NULL: that was the last.  See hash_each(). */
struct neighbour *neighbour_each(const struct path_engine *e, struct hash_walk *walk);
struct neighbour *neighbour_get(struct path_engine *e, const char *name,
                                unsigned instance); /* found or made */
struct neighbour *neighbour_by_tunnel(struct path_engine *e, uint32_t tunnel);
void neighbour_open_tunnel(struct path_engine *e, struct neighbour *n);
void neighbour_use(struct neighbour *n);
void neighbour_release(struct path_engine *e,
                       struct neighbour *n); /* closes the tunnel of the last user */
const struct recipe *neighbour_recipe(const struct neighbour *n);
/* The largest record to send to it: what its tunnel takes, or less, as the link found out. */
uint16_t neighbour_record_mtu(const struct neighbour *n);
uint16_t neighbour_tunnel_mtu(const struct neighbour *n);
/* A record of this size got through its tunnel. */
void neighbour_carries(struct path_engine *e, struct neighbour *n, uint16_t record_mtu);
void neighbour_set_recipe(struct path_engine *e, struct neighbour *n, const struct recipe *r);
/* Makes sure that a link is being opened, which may take until `limit`; true when one is up. */
bool neighbour_want_link(struct path_engine *e, instant now, struct neighbour *n, instant limit);
/* Nobody wants anything any more: the engine ends. */
void neighbours_release_wanted(struct path_engine *e);
/* Another link, or none (NULL). */
void neighbour_set_link(struct path_engine *e, struct neighbour *n, struct path *link);
/* A link that the module wanted could not be had. */
void neighbour_link_failed(struct path_engine *e, struct neighbour *n);
/* Data flows over the neighbour; the module is told when that is new. */
void neighbour_used(struct path_engine *e, struct neighbour *n);
/* The link was looked at: does any path still use the neighbour? */
void neighbour_idle(struct path_engine *e, instant now, struct neighbour *n);
/* Data went, and none came back for `pause`; told once in each pause. */
void neighbour_quiet(struct path_engine *e, instant now, struct neighbour *n, instant pause);
void neighbour_silent(struct path_engine *e, instant now, struct neighbour *n);
/* Does a datagram from there come from this neighbour?  A tunnel that cannot tell: yes. */
bool neighbour_at(const struct neighbour *n, const struct endpoint *remote);

/* load.c */
/* One more; false: that is more than `most` in this second. */
bool rate_admits(struct rate *r, instant now, unsigned most);
bool source_admits(struct path_engine *e, instant now, enum source_kind kind,
                   const struct ip_address *ip, unsigned most);
/* A stranger's OPEN came: must it show a cookie? */
bool load_judge(struct path_engine *e, instant now, unsigned instance);
void load_init(struct path_engine *e);

/* handshake.c: Noise inside our messages, for links and for paths over gateways */
struct handshake_settings {
    uint8_t pattern;
    unsigned self;           /* instance whose identity we show                          */
    const char *target;      /* initiator                                                */
    const uint8_t *peer_key; /* initiator; NULL: not known                               */
    const uint8_t *psk;
    uint32_t label; /* of ours, said inside message 1; 0 over gateways          */
    uint32_t known; /* of the target's paths; 0: none                           */
    size_t pad_to;  /* the whole noise message gets at least this size; 0: none */
};
/* Writes message 1.  With a key that cannot be used the pattern falls back to XX; *ret_pattern
 * tells. */
size_t handshake_begin(struct path_engine *e, struct noise *n, const struct handshake_settings *s,
                       uint8_t *ret_pattern, uint8_t *out, size_t size);
bool handshake_answer_read(struct path_engine *e, struct noise *n, uint8_t pattern, unsigned self,
                           const uint8_t psk[32], const uint8_t *message, size_t size,
                           struct handshake_payload *ret);
uint8_t handshake_choose_aead(const struct path_engine *e, uint8_t offered);
void handshake_id(const uint8_t *message1, size_t size, uint8_t ret[HANDSHAKE_ID]);
void handshake_keys(const struct noise *n, bool initiator, struct epoch_keys *ret);

/* session.c */
void session_create(struct path_engine *e, struct path *p, unsigned data_lanes);
void session_install(struct path_engine *e, struct path *p, const struct epoch_keys *keys,
                     bool send_now);
/* The first keys of a path.  Counter 0 of the initiator's lane 0 is spent: it was inside CONFIRM.
 */
void session_first(struct path_engine *e, struct path *p, const struct epoch_keys *keys);
void session_send_on(struct path_engine *e, struct path *p, const struct epoch_keys *keys);
void session_drop_old(struct path_engine *e, struct path *p);
void session_publish(struct path_engine *e, struct path *p);
void session_free(struct path_engine *e, struct path *p);
void session_key_lane(struct path_engine *e, const struct path *p, struct lane *l,
                      uint64_t next_send, const uint64_t *highest); /* NULL: opened nothing yet */
void session_lane_release(void *lane);                              /* for epoch_retire()       */
instant session_heard(const struct path *p);
instant session_sent(const struct path *p);
instant session_data_used(const struct path *p);
/* Was data sent for longer than `pause` after some was heard last? */
bool session_data_unanswered(const struct path *p, instant pause);
void session_data_last(const struct path *p, instant *ret_heard, instant *ret_sent);
/* What was sent on data lanes: records, and bytes inside of them. */
void session_data_sent(const struct path *p, uint64_t *ret_records, uint64_t *ret_bytes);
void session_watch(struct path *p);
uint64_t session_counter(const struct path *p); /* the highest of all lanes, sent */
void session_set_mtu(struct path *p, uint16_t record_mtu);

/* park.c */
bool session_park(struct path_engine *e, struct path *p); /* false: not now */
bool session_parked_settle(struct path_engine *e,
                           struct path *p); /* true when the keys are put away */
void session_wake(struct path_engine *e, struct path *p);
void session_forget_parked(struct path_engine *e, struct path *p);
/* Of the sleeping lanes from `first` on: moves the instants to those of their last use. */
void session_parked_use(const struct path *p, unsigned first, instant *heard, instant *sent);
/* Records and bytes of all lanes, asleep or not. */
void session_count(const struct path *p, struct path_info *ret);
uint64_t session_parked_counter(const struct path *p, unsigned lane); /* next to be sent */

/* rekey.c */
void rekey_begin(struct path_engine *e, instant now, struct path *p);
void rekey_receive(struct path_engine *e, instant now, struct path *p, struct reader *r);
void rekey_reply(struct path_engine *e, instant now, struct path *p, struct reader *r);
void rekey_done(struct path_engine *e, instant now, struct path *p);
void rekey_ask(struct path_engine *e, instant now,
               struct path *p); /* responder: the keys are due */
void rekey_asked(struct path_engine *e, instant now, struct path *p);
void rekey_seen(struct path_engine *e, instant now, struct path *p, uint8_t epoch);

/* control.c */
void control_send(struct path_engine *e, instant now, struct path *p, const uint8_t *bytes,
                  size_t size);
/* By another way than the tunnel's; `recipe` NULL: by the tunnel's. */
void control_send_by(struct path_engine *e, instant now, struct path *p,
                     const struct recipe *recipe, const uint8_t *bytes, size_t size);
void control_record(struct path_engine *e, instant now, const struct arrival *from,
                    const uint8_t *bytes, size_t size);
void control_probe(struct path_engine *e, instant now, struct path *p);
/* A PROBE in one record of `record_size` bytes, whatever the MTU: at least CONTROL_PROBE_LEAST. */
void control_probe_sized(struct path_engine *e, instant now, struct path *p, uint32_t number,
                         uint16_t record_size);
#define CONTROL_PROBE_LEAST (RECORD_OVERHEAD + 5)
/* The smallest PROBE, to that place and not by the tunnel. */
void control_ask_at(struct path_engine *e, instant now, struct path *p, const struct arrival *at,
                    uint32_t number);
void control_hello(struct path_engine *e, instant now, struct path *p); /* an empty record */

/* link.c */
void link_begin(struct path_engine *e, instant now, struct path *p);
void link_repeat(struct path_engine *e, instant now, struct path *p);
void link_again(struct path_engine *e,
                struct path *p); /* the same bytes: the tunnel leads elsewhere now */
void link_hurry(struct path_engine *e, instant now, struct neighbour *n);
void link_clear(struct path_engine *e, instant now, unsigned instance, const struct arrival *from,
                const uint8_t *bytes, size_t size);
void link_send_clear(struct path_engine *e, struct path *p, const uint8_t *bytes, size_t size);

/* link_answer.c */
void link_open_received(struct path_engine *e, instant now, unsigned instance,
                        const struct arrival *from, const uint8_t *bytes, size_t size);
void link_mac(const uint8_t key[32], const uint8_t *bytes, size_t size, uint8_t ret[LINK_MAC]);
void link_cookie_key(const struct instance *in, unsigned secret, uint8_t ret[32]);
void link_error_received(struct path_engine *e, instant now, const struct arrival *from,
                         const uint8_t *bytes, size_t size);

/* open.c */
/* The first hop must be in an instance of ours.  An initiator takes a slot (NULL: there is none
 * left); a responder's comes from its half. */
struct path *path_new(struct path_engine *e, const struct name_chain *chain, bool initiator);
void path_free(struct path_engine *e, struct path *p);
void opening_free(struct path_engine *e, struct path *p);
struct path *path_opening_of(struct path_engine *e, const char *chain);
void paths_init(struct path_engine *e);
void path_fail(struct path_engine *e, instant now, struct path *p, const char *reason);
void path_begin(struct path_engine *e, instant now, struct path *p, instant limit);
struct path *path_reopen(struct path_engine *e, instant now, struct path *p);
void path_hint(struct path *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void path_accepted(struct path_engine *e, instant now, struct path *p, uint32_t label,
                   uint16_t record_mtu, const struct vouch *vouch, const uint8_t *noise,
                   size_t size);
void path_confirm_again(struct path_engine *e, instant now, struct path *p);
void path_leave_soon(struct path_engine *e, instant now,
                     struct path *p); /* alive_tick() frees it */
void path_set_id(struct path_engine *e, struct path *p, const uint8_t id[HANDSHAKE_ID]);
void path_set_label(struct path_engine *e, struct path *p, uint32_t label_out);
struct path *path_of_handshake(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
/* The last hop of a path's chain, as text inside of it. */
size_t path_target_size(const struct path *p);

/* over_link.c */
void open_over_link(struct path_engine *e, instant now, struct path *p);
void open_receive(struct path_engine *e, instant now, struct path *link, struct reader *r);
void open_accept_receive(struct path_engine *e, instant now, struct path *link, struct reader *r);
void open_confirm_receive(struct path_engine *e, instant now, struct path *link, struct reader *r);
void open_refuse_receive(struct path_engine *e, instant now, struct path *link, struct reader *r);
void refuse_over_link(struct path_engine *e, instant now, struct path *link,
                      const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text);

/* half.c */
/* NULL: there is no room. */
struct half *half_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID]);
struct half *half_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
void half_free(struct path_engine *e, struct half *h);
void half_make_room(struct path_engine *e, const struct neighbour *link,
                    const struct overlay_name *origin);
unsigned half_count_from(const struct path_engine *e, const struct ip_address *ip);
/* Reads message 1 into the half and writes message 2; 0 with *ret_code when the half must go. */
size_t half_answer(struct path_engine *e, instant now, struct half *h, const uint8_t *noise,
                   size_t noise_size, uint8_t *out, size_t size, unsigned *ret_code);
/* `from`: over a link NULL.  The half is gone when this was the real one. */
void half_confirm(struct path_engine *e, instant now, struct half *h, const uint8_t *bytes,
                  size_t size, const struct arrival *from);
void half_stash(struct path_engine *e, struct half *h, const struct arrival *from,
                const uint8_t *record, size_t size);

/* stand.c */
/* The path stands (both sides).  Responder: `half` is what it comes from, by which crossed opens are known; else NULL. */
void path_stands(struct path_engine *e, instant now, struct path *p, const char *name,
                 const uint8_t key[32], const char *how, const struct half *half);
/* What message 1 for that name says in `known`. */
uint32_t stand_known(const struct path_engine *e, const char *name);
/* It is not the current one any more; if another one can stand in, that is. */
void stand_leave(struct path_engine *e, instant now, struct path *p, const char *reason);
void stand_promote(struct path_engine *e, instant now, struct path *p);
struct path *path_current_of(struct path_engine *e, const char *chain);
void peer_leave(struct path_engine *e, struct path *p);
struct peer *peer_by_name(const struct path_engine *e, const char *name);

/* gateway.c */
void gateway_open(struct path_engine *e, instant now, struct path *link, struct open_message *m);
bool gateway_accept(struct path_engine *e, instant now, struct path *link,
                    struct accept_message *m);
bool gateway_confirm(struct path_engine *e, instant now, struct path *link,
                     const uint8_t id[HANDSHAKE_ID], const uint8_t *bytes, size_t size);
bool gateway_refuse(struct path_engine *e, instant now, struct path *link,
                    const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text);
void gateway_link_up(struct path_engine *e, instant now, struct neighbour *n);
void gateway_link_failed(struct path_engine *e, instant now, struct neighbour *n, unsigned code,
                         const char *reason);

/* transit.c */
struct transit *transit_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
struct transit *transit_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID],
                            struct neighbour *in, struct neighbour *out); /* NULL: no room */
void transit_join(struct path_engine *e, instant now, struct transit *t);
void transit_set_label(struct path_engine *e, struct transit_side *s, uint32_t label_out);
void transit_free(struct path_engine *e, struct transit *t);
void transit_tick(struct path_engine *e, instant now, struct transit *t);
void transit_link_lost(struct path_engine *e, instant now, struct neighbour *n);
/* A neighbour does not know a label that we send to: a hint without keys, for the other side. */
void transit_error(struct path_engine *e, instant now, const struct endpoint *from,
                   uint32_t label_out);
/* The neighbour `from` says of a label of ours: that it leads nowhere, is not used any more, or
 * carries less. */
void transit_label_error(struct path_engine *e, instant now, struct neighbour *from,
                         uint32_t label);
void transit_label_release(struct path_engine *e, instant now, struct neighbour *from,
                           uint32_t label);
void transit_label_mtu(struct path_engine *e, instant now, struct neighbour *from, uint32_t label,
                       uint16_t record_mtu);
/* The tunnel to `n` carries less than before: whoever sends into it is told. */
void transit_tunnel_mtu(struct path_engine *e, instant now, struct neighbour *n,
                        uint16_t record_mtu);
/* A message of `from` is to be passed on; false: it brought too many. */
bool transit_may_pass(struct path_engine *e, instant now, struct neighbour *from);
void transit_recheck(struct path_engine *e, instant now);

/* alive.c */
void alive_tick(struct path_engine *e, instant now, struct path *p);
void alive_schedule(struct path_engine *e, instant now, struct path *p);
void alive_heard(struct path_engine *e, instant now, struct path *p);

/* suspect.c */
/* A hint that the other end or a gateway lost the path: ask, and open the same way beside it. */
void alive_suspect(struct path_engine *e, instant now, struct path *p);
void path_lost(struct path_engine *e, instant now, struct path *p, const char *reason);
void path_drain(struct path_engine *e, instant now, struct path *p);
/* Lost, as far as we can tell; but the other end may not know, and the way may heal. */
void path_fell_silent(struct path_engine *e, instant now, struct path *p, const char *reason);
/* Something authentic came on a path that had fallen silent. */
void path_heard_again(struct path_engine *e, instant now, struct path *p);
/* One end wants no more: nothing of what drains may stand in. */
void path_forsake(struct path_engine *e, instant now, struct peer *peer);

/* move.c */
/* The newest record of the link came from there, and not from where its tunnel leads. */
void path_move_seen(struct path_engine *e, instant now, struct path *p, const struct arrival *from);
/* It came from where the tunnel leads. */
void path_move_not(struct path *p);
/* A PROBE_REPLY came; true: the number is that of a question of ours. */
bool path_move_reply(struct path_engine *e, instant now, struct path *p, uint32_t number);

/* trust.c */
struct judgement {
    bool ok;
    char text[256]; /* how it is known, or why not */
};
/* Is `name` = `key`?  `link_instance` >= 0: over a link of that instance.  Else over gateways;
 * `voucher` is the neighbour whose word came with it (NULL: none).  With `bind` a first use is
 * written down. */
struct judgement trust_judge(struct path_engine *e, const char *name, const uint8_t key[32],
                             int link_instance, const char *voucher, bool bind);
/* The key we would expect for a name; false: none. */
bool trust_key(const struct path_engine *e, const char *name, uint8_t ret[32]);
bool trust_believes(const struct path_engine *e, const char *gateway, const char *name);
void trust_load(struct path_engine *e, const char *text, size_t size);
void trust_free(struct path_engine *e);

/* policy.c */
void policy_apply(struct path_engine *e, struct path *p);
void policy_forget(struct path_engine *e, struct path *p); /* before the path is freed */
bool policy_forwards(const struct path_engine *e, const char *from, const char *to_instance);

#endif
