/* Hosts of one i3 instance and servers on a network that delays, loses, doubles and reorders, for tests of the module.
 *
 * Where the path engine stands in a host there is a toy here: OPEN goes along the tunnel that was opened, ACCEPT along
 * the answer to it, CONFIRM makes the link at the other end.  It repeats both each second, and says that a tunnel is
 * suspect when nothing comes back. */
#ifndef OCALA_OVERLAY_I3_I3_FIXTURE_H
#define OCALA_OVERLAY_I3_I3_FIXTURE_H

#include "overlay/i3/i3_module.h"
#include "tests/support/seeded.h"

#define LAB_HOSTS   4
#define LAB_SERVERS 6
#define LAB_TUNNELS 4

struct lab_tunnel {
    bool used, up, linked, failed, unknown_host;
    char host[NAME_TEXT];
    struct recipe recipe;
    bool has_recipe, opened; /* opened: OPEN was sent */
    instant again;           /* OPEN, while there is no link           */
    instant confirm;         /* CONFIRM, until something comes back    */
    unsigned received, recipes;
    char reason[320];
};

struct lab_host {
    struct lab *lab;
    struct overlay *overlay;
    struct endpoint at;
    struct endpoint also; /* of the other family, or family 0: it has one only */
    bool nat; /* others see lab_nat_address() and its own port; only those it sent to get in */
    struct endpoint let_in[32];
    unsigned let_in_count;
    struct peel_table peel;
    struct lab_tunnel tunnel[LAB_TUNNELS];
    struct overlay_option option[8];
    unsigned options;
    uint8_t name_keys[I3_NAMES][CRYPTO_KEY];
    unsigned name_key_count;
    char host[NAME_TEXT];
    struct seeded random;
    bool saw[LAB_HOSTS];          /* datagrams whose IP source is that host's */
    unsigned direct;              /* records that came with nothing around them */
    bool filter;                  /* it is a middlebox                          */
    unsigned passed;              /* packets that went on from it               */
    struct overlay_member member; /* what its configuration says about one other host */
    struct overlay_option book;
};

/* What a server says that is none, to everything it gets and at once: bits. */
enum lab_lie {
    LAB_LIE_ACK = 0x01,        /* keeps each trigger: says so              */
    LAB_LIE_CLAIM = 0x02,      /* is responsible for every identifier      */
    LAB_LIE_MISSING = 0x04,    /* there is no trigger for anything         */
    LAB_LIE_CHALLENGE = 0x08,  /* wants another nonce each time            */
    LAB_LIE_CONSTRAINT = 0x10, /* no trigger keeps the constraints         */
    LAB_LIE_FORCE = 0x20,      /* somebody else is responsible             */
    LAB_LIE_MANY = 0x40,       /* ten times each                           */
    LAB_LIE_PASS = 0x80,       /* passes INSERT and checks on to the first server   */
    LAB_LIE_KEEP = 0x100       /* is right in all but this: it delivers nothing     */
};

struct lab_server {
    struct i3_server *server;                  /* NULL: a liar that is in no ring */
    unsigned lies, heard;                      /* heard: datagrams */
    struct endpoint at, ring, also, also_ring; /* also: of the other family, or family 0 */
    struct seeded random;
    bool dead;
    bool ghost; /* dead, but the ring goes on to believe in it */
};

/* What servers speak: 192.0.2.n, 2001:db8::n, or both, and in a ring each other one tells the other. */
enum lab_speech { LAB_FOUR, LAB_SIX, LAB_BOTH };

struct lab {
    instant now;
    enum lab_speech speech;
    const uint8_t *secret; /* of the ring, or NULL */
    /* Looks at every datagram that is sent; NULL: nobody does. */
    void (*watch)(const struct endpoint *from, const struct endpoint *to, const uint8_t *bytes,
                  size_t size);
    struct seeded random;
    struct lab_host host[LAB_HOSTS];
    struct lab_server server[LAB_SERVERS];
    unsigned hosts, servers;
    uint8_t name_keys[I3_NAMES][CRYPTO_KEY]; /* of hosts that are added from now on */
    unsigned name_key_count;
    const char
        *book_host; /* of hosts that are added from now on: the member with this option, or NULL */
    struct overlay_option book;
    unsigned loss, twice; /* percent */
    instant delay, jitter;
    struct lab_flight *flights;
    uint64_t seed;
    unsigned lost; /* datagrams to nobody */
};

struct lab *lab_new(unsigned servers, uint64_t seed);
struct lab *lab_new_speaking(unsigned servers, uint64_t seed, enum lab_speech speech,
                             const uint8_t *secret);
void lab_free(struct lab *l);
/* A server that only lies; hosts that are added later list it too. */
struct lab_server *lab_liar_add(struct lab *l, const char *address, unsigned lies);
/* A server that is right, in a ring of its own. */
struct lab_server *lab_hermit_add(struct lab *l, const char *address);
/* `option`s as "key=value", ended by NULL. */
struct lab_host *lab_host_add(struct lab *l, const char *name, const char *address, ...);
void lab_host_stop(struct lab_host *h);
void lab_host_start(struct lab_host *h);
void lab_run(struct lab *l, instant span);
/* Runs until it is so, at most for `span`. */
bool lab_until(struct lab *l, instant span, bool (*so)(struct lab_host *h), struct lab_host *h);
/* Have a host, and the one that its first tunnel leads to or comes from, a link over it, and do its records go that way at
 * both ends? */
bool lab_by_private(struct lab_host *h);
bool lab_by_shortcut(struct lab_host *h);
/* So many pieces of data each way along the first tunnels, ten a second; how many came. */
unsigned lab_exchange(struct lab_host *a, struct lab_host *b, unsigned times);
/* Opens a tunnel and a link over it; the number of the tunnel. */
uint32_t lab_open(struct lab_host *h, const char *host);
/* Sends one piece of data along a tunnel. */
void lab_data(struct lab_host *h, uint32_t tunnel);
void lab_move(struct lab_host *h, const char *address);
struct i3_tunnel *lab_tunnel(struct lab_host *h, uint32_t tunnel);
uint64_t lab_counter(const struct lab_host *h, enum i3_counter counter);
/* A datagram of somebody else, over the network. */
void lab_send(struct lab *l, const struct endpoint *from, const struct endpoint *to,
              const void *bytes, size_t size);
struct endpoint lab_endpoint(const char *text);
/* For the lab itself: what a server has to say goes into the network; what liars and filters do with a datagram, false:
 * it is for the host behind the filter. */
void lab_server_pump(struct lab *l, struct lab_server *s);
void lab_liar_hears(struct lab *l, struct lab_server *s, const struct endpoint *from,
                    const uint8_t *bytes, size_t size);
bool lab_filter_passes(struct lab_host *h, const struct endpoint *from, const uint8_t *bytes,
                       size_t size);
/* A datagram out of nowhere. */
void lab_forge(struct lab_host *to, const char *from, const void *bytes, size_t size);

#endif
