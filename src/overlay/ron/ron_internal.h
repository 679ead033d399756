/* Inside of the module: what its files share.
 *
 *   ron.c          the class: life, tunnels, links, what is heard
 *   ron_output.c   what is said
 *   ron_options.c  options and profiles
 *   ron_members.c  who is a member, where, and with whom we want a link
 *   ron_news.c     announcements
 *   ron_probe.c    round trips, loss, outages
 *   ron_row.c      link state: what we measured, told to the others, and what they tell
 *   ron_route.c    by which way to each member
 *   ron_steer.c    recipes, and the table by which workers forward for others
 *   ron_about.c    all of it in words
 *   ron_wire.c     messages and header */
#ifndef OCALA_OVERLAY_RON_INTERNAL_H
#define OCALA_OVERLAY_RON_INTERNAL_H

#include <stdlib.h>

#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>
#include <utlist.h>

#include "base/check.h"
#include "overlay/overlay.h"
#include "overlay/place.h"
#include "overlay/ron/ron_wire.h"

#define RON_MEMBERS_MAX 1024
#define RON_PLACES      4   /* of one member that others told us                      */
#define RON_WINDOW      100 /* probes that loss is counted over                       */
#define RON_TRIED       16  /* hops to one member whose measured cost is remembered   */
#define RON_MTU         1500
#define RON_LOOK        (5 * SECOND) /* a name that nobody knows yet may still be announced      */
#define RON_WANT_MOST   MINUTE       /* longest pause between attempts to have a link            */
#define RON_DOUBT       MINUTE       /* how long a hop that failed us is left out, at first      */
#define RON_DOUBT_MOST  (10 * MINUTE)
#define RON_RESORT      (2 * SECOND) /* ... though there is no other way                         */
#define RON_BUDGET      (8 * 1000)   /* thousandths of a probe saved up, at least */
#define RON_NEWS_PAUSE  (SECOND / 2) /* changes of membership are told together                 */

/* Metrics: id, word, what wins. */
#define RON_METRICS(X)                                                                             \
    X(LATENCY, "latency")                                                                          \
    X(LOSS, "loss")                                                                                \
    X(THROUGHPUT, "throughput")
enum ron_metric {
#define RON_METRIC_ENUM(id, word) RON_##id,
    RON_METRICS(RON_METRIC_ENUM)
#undef RON_METRIC_ENUM
};
const char *ron_metric_word(enum ron_metric metric);
bool ron_metric_parse(const char *word, enum ron_metric *ret);

/* Why a route is the one it is: id, word for programs, text for people. */
#define RON_REASONS(X)                                                                             \
    X(FIRST, "first", "from the beginning")                                                        \
    X(CAME, "came", "the member came that way")                                                    \
    X(BETTER, "better", "better by the metric")                                                    \
    X(AS_GOOD, "as-good", "the direct way is as good")                                             \
    X(FAILED, "failed", "the way before it failed")                                                \
    X(TOLD, "told", "the member says that the way before it failed")
enum ron_reason {
#define RON_REASON_ENUM(id, word, text) RON_BECAUSE_##id,
    RON_REASONS(RON_REASON_ENUM)
#undef RON_REASON_ENUM
};

/* What is counted: id, name, text. */
#define RON_COUNTERS(X)                                                                            \
    X(PROBES, "probes", "probes sent")                                                             \
    X(PROBES_LOST, "probes-lost", "probes without an answer in time")                              \
    X(MESSAGES, "messages", "messages to other members, of all kinds")                             \
    X(BYTES, "message-bytes", "bytes of these, without what seals and carries them")               \
    X(FLIPS, "flips", "times that the route to a member changed")                                  \
    X(OUTAGES, "outages", "times that the direct way to a member failed")                          \
    X(HOPS_DOUBTED, "hops-doubted", "hops that did not keep what they advertised")                 \
    X(BAD_MESSAGE, "bad-message", "dropped: a message of a member that cannot be parsed")          \
    X(STALE_PROBE, "stale-probe", "dropped: an answer to no probe that is waiting for one")        \
    X(WRONG_WAY, "wrong-way", "dropped: a probe that came by another way than it says")            \
    X(STALE_ROW, "stale-row", "dropped: link state older than what is known")                      \
    X(TOO_MANY, "too-many-members", "dropped: news of a member beyond the most that are kept")     \
    X(ONE_NUMBER, "same-number", "dropped: news of a name whose number another name has")          \
    X(NO_LINK, "no-link", "dropped: a message on a tunnel whose link is not known")
enum ron_counter {
#define RON_COUNTER_ENUM(id, name, text) RON_COUNT_##id,
    RON_COUNTERS(RON_COUNTER_ENUM)
#undef RON_COUNTER_ENUM
        RON_COUNTER_COUNT
};

struct ron_options {
    enum ron_metric metric;
    bool adaptive;         /* silence is looked into at once, timeouts follow the round trip     */
    instant interval;      /* of probes, plus up to a third                                      */
    instant timeout;       /* of a probe: longest                                                */
    instant timeout_least; /* adaptive                                                           */
    instant busy;          /* adaptive: interval of a way whose data is not answered             */
    unsigned outage;       /* probes lost in a row                                               */
    instant update;        /* interval of link state                                             */
    uint32_t peers;        /* members that each is probed with; beyond that many: a sample       */
    uint32_t better, better_throughput; /* percent by which another way must be better            */
    instant forget; /* a member that nobody has heard for so long                         */
    uint16_t mtu;
    const char *domain; /* names not found are looked up below it; NULL: not                  */
    const char *for_whom, *to_whom; /* "all", "none" or names with blanks                         */
};

/* What probes told about a way. */
struct ron_measure {
    instant rtt;                  /* smoothed; 0: never measured */
    uint64_t window[2];           /* 1: lost; the newest in bit 0 of [0] */
    unsigned count, lost, in_row; /* in the window; lost at the end of it */
    bool outage;
    instant heard, failed_since;
};

/* Asks one way again and again. */
struct ron_prober {
    struct ron_measure measure;
    uint64_t number; /* of the probe that waits for its answer; 0: none */
    uint32_t hop;
    instant said; /* round trip by that hop, before it was measured */
    instant sent, due;
    bool say;
    /* What the other end's probes need. */
    uint64_t reply_to, reply;
    instant reply_sent;
    bool say_reply, say_ack;
    uint64_t ack;
};

/* A hop that was used and measured. */
struct ron_tried {
    uint32_t hop;
    instant until, pause;
    bool dead;
    instant rtt;
    unsigned loss;
};

struct ron_member {
    UT_hash_handle by_host, by_id;
    char host[NAME_TEXT];
    uint32_t id;
    struct ron_member *prev, *next; /* in the order of `changed` */
    uint64_t changed;               /* number of the last change worth telling */

    /* Where it is. */
    const struct overlay_member *config; /* NULL: announced, or it came to us */
    struct overlay_place *places;        /* of the configuration              */
    unsigned place_count, place;
    struct endpoint told[RON_PLACES]; /* by others */
    unsigned told_count;
    struct endpoint local, direct; /* in use; family 0: not known */
    bool proven;                   /* a sealed record came from there */
    uint32_t lookup;               /* number of the question under way */
    bool looked_up;
    instant heard, left; /* by anybody; 0: never */

    /* Link. */
    struct ron_tunnel *tunnels;
    uint32_t link; /* tunnel that has the link */
    bool linked, busy;
    bool wanted;    /* WANT was said, and no RELEASE since */
    bool asked;     /* and the answer is link_up, or not there yet */
    bool forgotten; /* goes as soon as nobody holds it */
    instant linked_since, want_due, want_pause;
    instant quiet, quiet_since; /* data without an answer: last seen, first; 0: never */
    instant quiet_told;         /* to the member */
    unsigned says;
    bool queued;
    struct ron_member *say_prev, *say_next;
    uint64_t news_told; /* number of the last change that it was told */
    uint32_t ask;       /* a number it used that we do not know           */
    uint32_t asked_for; /* what it asked for; 0: nothing, or all          */

    /* What we measure, what it says. */
    struct ron_prober near, through; /* direct, and by the hop in use */
    uint32_t reply_hop;              /* by which its last probe through a hop came */
    struct ron_entry *row;
    unsigned row_count;
    uint32_t row_sequence;
    instant row_heard;
    instant row_due, row_sent; /* ours, to it */

    /* Route. */
    uint32_t hop;      /* 0: direct */
    uint32_t dead_hop; /* the way that was left because it failed, for it to know */
    instant routed_since;
    enum ron_reason because;
    struct ron_tried tried[RON_TRIED];
    enum ron_metric metric;
    bool no_hops;    /* only direct                */
    bool no_through; /* never a hop for us         */
};

enum ron_tunnel_state { RON_LOOKING, RON_UP, RON_ENDED };
struct ron_tunnel {
    UT_hash_handle hh;
    uint32_t id;
    struct ron_member *member;
    enum ron_tunnel_state state;
    unsigned says;
    instant due; /* LOOKING: gives up */
    char reason[320];
    bool unknown_host;
    struct ron_tunnel *member_next;
    struct ron_tunnel *prev, *next; /* queue */
};

/* What a tunnel says: bits. */
#define RON_SAY_UP     0x01
#define RON_SAY_RECIPE 0x02
#define RON_SAY_FAILED 0x04
/* What is said about or to a member. */
#define RON_SAY_LOOKUP  0x01
#define RON_SAY_WANT    0x02
#define RON_SAY_RELEASE 0x04
#define RON_SAY_PROBES  0x08 /* of both ways: probes, replies, acks */
#define RON_SAY_ROW     0x10
#define RON_SAY_NEWS    0x20
#define RON_SAY_ASK     0x40
#define RON_SAY_LEAVE   0x80
#define RON_SAY_DEAD    0x100
#define RON_SAY_QUIET   0x200

struct ron_steer;
struct ron {
    struct overlay overlay; /* first */
    struct ron_options options;
    uint32_t id;
    struct ron_member *members, *numbers, *changes;
    unsigned member_count;
    uint64_t changed;
    struct ron_tunnel *tunnels, *queue;
    struct ron_member *says;
    uint32_t last_lookup;
    instant started, due, news_due;
    instant now; /* of the last advance or event */
    unsigned links;
    uint32_t row_sequence;
    instant budget_since;
    uint64_t budget; /* thousandths of a probe */
    uint64_t count[RON_COUNTER_COUNT];
    struct ron_steer *steer, *steer_old;
    bool steer_due, peel_said;
    /* What the last output points to. */
    struct recipe recipe, by;
    struct peel_table peel;
    uint8_t bytes[8192];
    char text[NAME_TEXT];
};

static inline struct ron *ron_of(struct overlay *o)
{
    return (struct ron *)o;
}

static inline void ron_due(struct ron *r, instant due)
{
    r->due = instant_min(r->due, due);
}

/* ron_output.c */
void ron_say(struct ron *r, struct ron_member *m, unsigned what);
void ron_unsay(struct ron *r, struct ron_member *m, unsigned what);
void ron_tunnel_say(struct ron *r, struct ron_tunnel *t, unsigned what);
void ron_tunnel_unsay(struct ron *r, struct ron_tunnel *t, unsigned what);
bool ron_output(struct overlay *o, struct overlay_out *ret);

/* ron.c */
void ron_tunnel_fail(struct ron *r, struct ron_tunnel *t, bool unknown, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The way to the member changed: its tunnels come up, or get another recipe. */
void ron_tunnels_follow(struct ron *r, instant now, struct ron_member *m);

/* ron_options.c */
extern const struct overlay_schema ron_schema[], ron_member_schema[];
void ron_options_read(const struct overlay_settings *s, struct ron_options *ret);
void ron_member_options(const struct ron_options *all, struct ron_member *m);
/* Is `host` in "all", "none" or a list of names? */
bool ron_listed(const char *list, const char *host);

/* ron_members.c */
int ron_members_config(struct ron *r, instant now, const char **ret_reason);
struct ron_member *ron_member(const struct ron *r, const char *host);
struct ron_member *ron_member_by_id(const struct ron *r, uint32_t id);
/* Found or made; NULL: there are too many, or the number is another name's. */
struct ron_member *ron_member_get(struct ron *r, instant now, const char *host);
void ron_member_free(struct ron *r, struct ron_member *m);
/* Worth telling the others. */
void ron_member_changed(struct ron *r, instant now, struct ron_member *m);
bool ron_member_gone(const struct ron_member *m);
/* Is this host and that member a pair that probes each other? */
bool ron_member_sampled(const struct ron *r, const struct ron_member *m);
/* Is it probed, and told our link state?  Members of the sample, and those that data goes to. */
bool ron_member_probed(const struct ron *r, instant now, const struct ron_member *m);
void ron_member_heard(struct ron *r, instant now, struct ron_member *m);
/* It is at `at` now; `proven` by a sealed record. */
void ron_member_at(struct ron *r, instant now, struct ron_member *m, const struct endpoint *local,
                   const struct endpoint *at, bool proven);
/* The next place that it may be at. */
void ron_member_elsewhere(struct ron *r, instant now, struct ron_member *m);
void ron_member_resolved(struct ron *r, instant now, struct ron_member *m,
                         const struct ip_address *addresses, unsigned count, bool none,
                         const char *reason);
void ron_member_linked(struct ron *r, instant now, struct ron_member *m, uint32_t tunnel);
void ron_member_unlinked(struct ron *r, instant now, struct ron_member *m);
void ron_members_advance(struct ron *r, instant now);
/* ron_news.c: MEMBERS, ASK, LEAVE: for whom they are made (0: nothing to say), from whom they came. */
size_t ron_news_make(struct ron *r, instant now, struct ron_member *to);
void ron_news_heard(struct ron *r, instant now, struct ron_member *from, const uint8_t *bytes,
                    size_t size);
void ron_ask_heard(struct ron *r, instant now, struct ron_member *from, const uint8_t *bytes,
                   size_t size);
size_t ron_ask_make(struct ron *r, struct ron_member *to);
void ron_leave_heard(struct ron *r, instant now, struct ron_member *from);

/* ron_probe.c */
unsigned ron_loss(const struct ron_measure *m); /* percent */
/* `said`: the round trip by that hop as far as others know; 0: nobody does. */
void ron_prober_begin(struct ron_prober *p, uint32_t hop, instant said, instant due);
void ron_probes_advance(struct ron *r, instant now, struct ron_member *m);
void ron_probe_now(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p);
/* Data goes to the member by the way in use, and none comes back; `own`: we see that, else it is the member that says so. */
void ron_probe_quiet(struct ron *r, instant now, struct ron_member *m, bool own);
/* One message of the member's probers; 0: there is none.  *ret_hop: by which way it goes. */
size_t ron_probe_make(struct ron *r, struct ron_member *m, uint32_t *ret_hop);
void ron_probe_heard(struct ron *r, instant now, struct ron_member *from,
                     const struct arrival *arrival, const uint8_t *bytes, size_t size);

/* ron_row.c */
size_t ron_row_make(struct ron *r, instant now, struct ron_member *to);
void ron_row_heard(struct ron *r, instant now, struct ron_member *from, uint32_t hop,
                   const uint8_t *bytes, size_t size);
/* What a member said about the way from it to `id`; NULL: nothing, or too long ago. */
const struct ron_entry *ron_row_entry(const struct ron *r, const struct ron_member *of,
                                      uint32_t id);
void ron_rows_hurry(struct ron *r, instant now, struct ron_member *about);
void ron_rows_more(struct ron *r, instant now);
void ron_row_advance(struct ron *r, instant now, struct ron_member *m);

/* ron_route.c */
struct ron_way {
    uint32_t hop;
    bool usable, measured;
    instant rtt;
    unsigned loss; /* of ten thousand */
    uint64_t cost; /* less is better  */
};
struct ron_way ron_way_direct(const struct ron_member *m);
struct ron_way ron_way_used(const struct ron *r, const struct ron_member *m);
/* The best by a hop, as far as is known. */
struct ron_way ron_way_best(const struct ron *r, instant now, const struct ron_member *m);
/* Looks whether another way is better now. */
void ron_route(struct ron *r, instant now, struct ron_member *m);
void ron_routes_by(struct ron *r, instant now, uint32_t hop);
/* The way in use does not lead there. */
void ron_route_failed(struct ron *r, instant now, struct ron_member *m);
/* The same, and it is the member itself who says so. */
void ron_route_told(struct ron *r, instant now, struct ron_member *m);
/* DEAD: it left that way to us; `by`: the hop that the message came through. */
size_t ron_dead_make(struct ron *r, struct ron_member *to);
void ron_dead_heard(struct ron *r, instant now, struct ron_member *from, uint32_t by,
                    const uint8_t *bytes, size_t size);

/* ron_steer.c */
bool ron_recipe(const struct ron *r, const struct ron_member *m, uint32_t hop, struct recipe *ret);
bool ron_answer(const struct ron *r, const struct arrival *from, struct recipe *ret);
/* The hop that it came through; 0: none. */
uint32_t ron_arrival_hop(const struct arrival *from);
void ron_steer_build(struct ron *r);
void ron_steer_free(void *steer);

/* ron_about.c */
void ron_describe(const struct overlay *o, struct text *t);
void ron_describe_tunnel(const struct overlay *o, uint32_t tunnel, struct text *t);
bool ron_tunnel_fact(const struct overlay *o, instant now, uint32_t tunnel, unsigned index,
                     struct overlay_fact *ret);

#endif
