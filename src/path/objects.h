/* What the path engine keeps; nobody outside path/ includes this.
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
 * Nothing that may still be in somebody's hands up the stack is freed while a message is worked on:
 * paths are freed by path_alive_tick() alone, neighbours when their last user goes, and every path is a
 * user of its neighbour.  Halves and transits are freed at once, by functions whose callers know. */
#ifndef OCALA_PATH_OBJECTS_H
#define OCALA_PATH_OBJECTS_H

#include <stdlib.h>

#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>

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

#endif
