/* The path engine (OC-I): links, paths over gateways, who is who, liveness, rekey.
 *
 * What it does: asked for a chain of names it brings up a path (the overlay opens a tunnel to the first hop, neighbours
 * shake hands and have a *link*, PATH_OPEN travels over links to the target), keeps it alive, replaces its keys, and
 * opens it again when either end or a gateway restarted.  For others it is a gateway: it joins labels of two links.
 * What workers need is published by it into `struct fwd_tables`.
 *
 * Wire formats and state tables: doc/protocol/link.md and path.md.  One thread.  After each call pull path_output(). */
#ifndef OCALA_PATH_PATH_H
#define OCALA_PATH_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "base/epoch.h"
#include "base/instant.h"
#include "base/name.h"
#include "config/config.h"
#include "path/forward.h"

/* Identity and secrets of one of our instances, in the configuration's order. */
struct path_instance {
    uint8_t seed[32]; /* Ed25519 */
    uint8_t secret[2][32];
    unsigned secret_count;
};

struct path_settings {
    const struct config *config; /* outlives the engine, or until path_reload() */
    const struct path_instance *instance;
    unsigned data_lanes;      /* 1 to 15: how many lanes we want for data    */
    bool prefer_chacha;       /* which AEAD we offer first                    */
    enum aead_choice library; /* who computes it                         */
    struct fwd_tables *tables;
    struct epoch *epoch;
    struct entropy *entropy;
    const char *known; /* text of the file of known names (may be NULL) */
    size_t known_size;
};

struct path_engine;
struct path_engine *path_engine_new(const struct path_settings *s, instant now);
void path_engine_free(struct path_engine *e); /* workers are stopped; accepts NULL */

/* Asks for a path.  The answer is PATH_OUT_UP or PATH_OUT_FAILED with `cookie`, perhaps at once. */
void path_open(struct path_engine *e, instant now, const struct name_chain *chain, uint64_t cookie);

/* A packet wants out on a path that is parked: wakes it.  False when the path is gone. */
bool path_wake(struct path_engine *e, instant now, uint32_t path);
/* The owner gives the path the addresses that stand for the peer; only then data flows. */
void path_attach(struct path_engine *e, uint32_t path, const struct ip_address *handle4,
                 const struct ip_address *handle6);
/* Ends a path: says CLOSE to the peer. */
void path_close(struct path_engine *e, instant now, uint32_t path, const char *reason);
void path_close_all(struct path_engine *e, instant now, const char *reason);
/* Measures a round trip on the path; PATH_OUT_PONG with `cookie`. */
void path_ping(struct path_engine *e, instant now, uint32_t path, uint64_t cookie);

/* From workers and sockets.  `bytes` are a message of wire type 0xC1..0xDF, or a record of lane 0. */
void path_datagram(struct path_engine *e, instant now, unsigned instance,
                   const struct arrival *from, const uint8_t *bytes, size_t size);
void path_unknown_label(struct path_engine *e, instant now, unsigned instance,
                        const struct arrival *from, const uint8_t *record, size_t size);
void path_moved(struct path_engine *e, instant now, uint32_t path, const struct arrival *from);
void path_active(struct path_engine *e, instant now, uint32_t path);
void path_transit_too_big(struct path_engine *e, instant now, uint32_t slot);

/* From overlay modules, by tunnel number. */
void path_tunnel_up(struct path_engine *e, instant now, uint32_t tunnel,
                    const struct recipe *recipe);
void path_tunnel_failed(struct path_engine *e, instant now, uint32_t tunnel, bool unknown_host,
                        const char *reason);
void path_tunnel_too_big(struct path_engine *e, instant now, const struct endpoint *remote,
                         size_t size, size_t fits);
/* A datagram to that place was refused for its size, after path_tunnel_too_big(): a packet of a program inside of it goes
 * again (PATH_OUT_AGAIN), anything else is counted as lost. */
void path_refused(struct path_engine *e, const struct endpoint *remote, const uint8_t *bytes,
                  size_t size);
/* A module's message for its neighbour, by another way than the tunnel's when `recipe` is not NULL; false: there is no
 * link on that tunnel. */
bool path_link_message(struct path_engine *e, instant now, uint32_t tunnel,
                       const struct recipe *recipe, const uint8_t *bytes, size_t size);
/* A module wants a link to a host of its instance, now and until it says otherwise.  PATH_OUT_LINK_UP, or LINK_DOWN: then
 * it may ask again. */
void path_link_want(struct path_engine *e, instant now, unsigned instance, const char *host,
                    bool want);

/* The machine slept or its addresses changed: ask all neighbours now. */
void path_check_all(struct path_engine *e, instant now);
/* Strangers must show a cookie before any Diffie-Hellman: while there are too many of them, or while
 * the owner says so. */
void path_under_load(struct path_engine *e, bool under_load);
bool path_is_under_load(const struct path_engine *e, instant now);
/* New policy, rules, believe, pins, forward lines, timers: who lost a right loses it now.  The instances are the same,
 * in the same order. */
void path_reload(struct path_engine *e, instant now, const struct config *config);
/* Other secrets of an instance, for handshakes from now on; what stands was proven and stays.  True when they are not the
 * same as before. */
bool path_reload_secrets(struct path_engine *e, instant now, unsigned instance,
                         const uint8_t (*secret)[32], unsigned count);
/* Forgets the key bound to a name, closes its paths.  False: no such name. */
bool path_forget(struct path_engine *e, instant now, const char *name);

void path_advance(struct path_engine *e, instant now);
instant path_deadline(const struct path_engine *e);

enum path_out_kind {
    PATH_OUT_SEND,        /* a finished datagram: socket, local, remote, tos, bytes              */
    PATH_OUT_ANSWER,      /* bytes for `from`, through instance `instance`, not by a tunnel       */
    PATH_OUT_TUNNEL_OPEN, /* instance, tunnel, host                                               */
    PATH_OUT_TUNNEL_ACCEPT, /* instance, tunnel, host, from                                         */
    PATH_OUT_TUNNEL_MOVED, /* instance, tunnel, from                                               */
    PATH_OUT_TUNNEL_SUSPECT, /* instance, tunnel                                                     */
    PATH_OUT_TUNNEL_CLOSE, /* instance, tunnel                                                     */
    PATH_OUT_TUNNEL_USE, /* instance, tunnel, use                                                */
    PATH_OUT_LINK_UP,    /* instance, tunnel, host: there is a link, and was none                */
    PATH_OUT_LINK_DOWN, /* instance, tunnel, host: there is none any more, or it was not to be had */
    PATH_OUT_LINK_MESSAGE, /* instance, tunnel, from, bytes                                        */
    /* path: stands for (name, key), until the next UP or DOWN about them; give it a handle and path_attach(); cookie when
     * asked for.  By the time it is read the path may be lost again: what follows says so. */
    PATH_OUT_UP,
    PATH_OUT_DOWN,   /* path: no longer the one for (name, key); `reason`                    */
    PATH_OUT_FAILED, /* cookie: `reason`; `unknown_host` when the name does not exist        */
    PATH_OUT_INJECT, /* a record that woke a path: again through the data path; bytes, from  */
    PATH_OUT_AGAIN,  /* a packet as a program sent it: again through the data path; bytes, offload */
    PATH_OUT_PONG,   /* cookie, path, rtt                                                    */
    PATH_OUT_KNOWN,  /* bytes to append to the file of known names                           */
    PATH_OUT_NOTICE, /* level (syslog), reason: for the log                                  */
};

enum path_use { PATH_USE_IDLE, PATH_USE_BUSY, PATH_USE_QUIET, PATH_USE_SILENT };

/* Pointers are valid until the next call. */
struct path_out {
    enum path_out_kind kind;
    enum path_use use;
    unsigned instance;
    uint32_t tunnel, path;
    uint64_t cookie;
    const char *host, *reason;
    bool unknown_host;
    struct arrival from;
    uint16_t socket;
    struct endpoint local, remote;
    uint8_t tos;
    const uint8_t *bytes;
    size_t size;
    struct packet_offload offload;
    instant rtt;
    int level;
};
bool path_output(struct path_engine *e, struct path_out *ret);

/* ---- looking ---- */

/* How the largest record of a path is known: the overlay and the gateways say so; a gateway or the kernel has refused
 * more; a probe of that size was answered. */
enum path_mtu_known { PATH_MTU_ASSUMED, PATH_MTU_TOLD, PATH_MTU_CONFIRMED };

struct path_info {
    uint32_t path;
    const char *name;     /* of the peer                                        */
    const char *self;     /* our name towards it                                */
    const uint8_t *key;   /* X25519                                             */
    const char *state;    /* "opening", "up", "parked", "draining"              */
    const char *identity; /* "bound on first use", "vouched for by gate.west.ip"... */
    const char *chain;    /* as a name with .via.                               */
    bool one_hop, initiator, current;
    unsigned lanes;
    uint8_t epoch;
    uint16_t record_mtu;
    enum path_mtu_known mtu_known;
    bool mtu_searching;
    instant mtu_confirmed; /* when a probe of that size was last answered; 0: never     */
    const char *aead;
    uint64_t records_in, records_out, bytes_in, bytes_out, rekeys;
    instant rtt, since, heard, sent; /* rtt 0: not measured                           */
    uint32_t tunnel;
    unsigned instance;      /* of the first hop                                   */
    struct endpoint remote; /* of the first hop                                   */
    unsigned travelled;     /* links that the path crosses                        */
};
/* Calls for every path (closed ones excluded). */
void path_each(struct path_engine *e, void (*look)(void *context, const struct path_info *info),
               void *context);
bool path_info(struct path_engine *e, uint32_t path, struct path_info *ret);
/* The path in use for a peer; false: none.  `key` NULL: whichever key the name has. */
bool path_find(struct path_engine *e, const char *name, const uint8_t *key, uint32_t *ret_path);

/* What the data path needs to send to that path; NULL: it has no keys. */
struct fwd_path *path_forwarding(struct path_engine *e, uint32_t path);

struct path_transit_info {
    const char *from, *to; /* neighbours on both sides */
    const char *target;    /* the last hop */
    bool accepted;
    uint64_t records, bytes;
    instant since, idle_since;
};
void path_each_transit(struct path_engine *e,
                       void (*look)(void *context, const struct path_transit_info *info),
                       void *context);

struct path_known_info {
    const char *name;
    const uint8_t *key;
    const char *how; /* "first use", "vouched for by ..." */
};
void path_each_known(struct path_engine *e,
                     void (*look)(void *context, const struct path_known_info *info),
                     void *context);

/* The key (X25519) that is pinned for a name, or else bound to it; false: neither. */
bool path_key_of(const struct path_engine *e, const char *name, uint8_t ret[32]);
/* The whole file of known names, for an owner who could not append: malloc'd, not a string. */
char *path_known_text(const struct path_engine *e, size_t *ret_size);

/* Rules add the `via`: the chain the name is really reached by.  False with a reason when no instance of ours and no rule
 * leads there. */
bool path_route(const struct path_engine *e, const struct name_chain *asked, struct name_chain *ret,
                char *reason, size_t reason_size);

struct drop_counters *path_drops(struct path_engine *e);
/* For tests: objects alive, so that leaks of labels show. */
struct path_count {
    unsigned paths, halves, transits, tunnels, slots, opens;
};
void path_count(const struct path_engine *e, struct path_count *ret);

#endif
