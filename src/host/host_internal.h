/* Inside of the host; only files of this folder include this. */
#ifndef OCALA_HOST_INTERNAL_H
#define OCALA_HOST_INTERNAL_H

#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>

#include "base/check.h"
#include "base/text.h"
#include "config/change.h"
#include "control/control.h"
#include "host/host.h"
#include "overlay/overlay.h"
#include "path/handle.h"
#include "path/path.h"

#define WAITING_PER_HANDLE   16 /* packets that wait for a path */
#define WAITING_ALL          512
#define FAILURE_REMEMBERED   (2 * SECOND) /* a name that just failed is not tried again at once   */
#define FAILURES_MAX         512
#define UPSTREAMS_REMEMBERED 256

struct host_overlay {
    struct overlay *module;
    const struct config_overlay *config;
    struct overlay_member *members;
    unsigned member_count;
    char **texts; /* what members point to; options point into the configuration */
    unsigned text_count;
    struct overlay_option *options;
    uint8_t name_keys[CONFIG_SECRETS_MAX][CRYPTO_KEY];
    unsigned name_key_count;
    uint16_t first_socket;
    struct peel_table *peel[4];
};

/* Who waits for a path: a DNS question, a handle with packets, or a request on the control socket. */
enum want_kind { WANT_QUESTION, WANT_HANDLE, WANT_EXPLAIN, WANT_PING, WANT_RELOAD };
struct want {
    UT_hash_handle hh; /* by cookie */
    uint64_t cookie;
    enum want_kind kind;
    uint64_t question;
    uint32_t handle, user;
    uint64_t client, serial;
    struct name_chain *asked, *way;
    /* ping */
    int64_t count, sent, received;
    instant next, started, least, most, sum;
    uint32_t path;
    bool outstanding;
};

struct waiting {
    struct waiting *next;
    struct packet_offload offload;
    size_t size;
    uint8_t bytes[];
};

struct host_handle {
    UT_hash_handle hh; /* by id */
    uint32_t id;
    struct fwd_handle *fwd;
    bool opening;
    struct waiting *first, **last;
    unsigned waiting;
    instant seen; /* fwd->used at the last look */
};

struct failure {
    UT_hash_handle hh; /* by chain */
    char *chain, *reason;
    instant at;
    bool unknown_host;
};

struct out_node {
    struct host_out out;
    uint8_t *bytes;
    char *text;
    struct out_node *next;
};

struct host {
    struct config *config;
    struct config_changes *changes; /* of the last reload; NULL before */
    struct entropy *entropy;
    struct epoch *epoch;
    instant now, started;
    int64_t wall;
    struct ip_address tun4, tun6;
    struct ip_prefix pool4, pool6;
    uint16_t tun_mtu;
    unsigned workers, upstreams;
    bool only_overlay_names, stopping;
    uint8_t (*public_key)[32]; /* Ed25519, by overlay */
    struct fwd_tables *tables;
    struct path_engine *path;
    struct dns *dns;
    struct handle_table *handles;
    struct control_server *control;
    struct host_overlay *overlay;
    unsigned overlay_count;
    uint16_t sockets;
    struct want *wants;
    uint64_t next_cookie;
    struct host_handle *host_handles;
    unsigned waiting;
    struct failure *failures;
    struct packet_pool *pool;
    struct drop_counters drops;
    size_t good[HOST_FILES];
    instant retry[HOST_FILES]; /* when the whole file is written anew; INSTANT_NEVER: it is sound */
    struct {
        uint32_t id;
        unsigned server;
    } upstream[UPSTREAMS_REMEMBERED];
    unsigned upstream_next;
    instant next_hour;
    struct host_owner owner;
    struct out_node *out_first, **out_last, *out_given;
};

/* host.c */
struct host_out *host_out_add(struct host *h, enum host_out_kind kind);
void host_dns_settings(const struct host *h, struct dns_settings *ret);
void host_out_bytes(struct host *h, const uint8_t *bytes, size_t size);
void host_log(struct host *h, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a line that comes from another folder (`area`, static). */
void host_log_as(struct host *h, const char *area, int level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Lets all engines say what they have to say. */
void host_pump(struct host *h);
struct want *host_want(struct host *h, enum want_kind kind);
void host_want_free(struct host *h, struct want *w);

/* host_overlay.c */
bool host_overlays_start(struct host *h, const struct host_overlay_keys *keys, char *error,
                         size_t size);
void host_overlays_free(struct host *h);
bool host_overlays_pump(struct host *h); /* true: something was said */
void host_path_out(struct host *h, const struct path_out *o);
/* Gives the module the members and options of `config`, which becomes the overlay's configuration either way, and what
 * follows from its secrets.  False: it cannot take them and goes on with the old ones. */
bool host_overlay_reload(struct host *h, unsigned index, struct config *config,
                         const struct host_overlay_keys *keys);
/* Do other keys of names follow from these secrets than those that the module has? */
bool host_overlay_renamed(const struct host *h, unsigned index,
                          const struct host_overlay_keys *keys);
int host_overlay_of_socket(const struct host *h, uint16_t socket);
void host_send_recipe(struct host *h, const struct recipe *r, const uint8_t *bytes, size_t size);

/* host_name.c */
void host_dns_out(struct host *h, const struct dns_out *o);
void host_need_path(struct host *h, uint32_t handle, const struct packet *p);
void host_path_up(struct host *h, const struct path_out *o);
void host_path_down(struct host *h, const struct path_out *o);
void host_path_failed(struct host *h, const struct path_out *o);
void host_fail_forget_all(struct host *h);
void host_fail_remember(struct host *h, const char *chain, const char *reason, bool unknown_host);
const struct failure *host_failure(struct host *h, const char *chain);
/* The chain a name is reached by: rules, or the way its handle remembers. */
bool host_route(struct host *h, const struct name_chain *asked, struct name_chain *ret,
                char *reason, size_t size);

/* host_handle.c */
void host_handles_load(struct host *h);
void host_handles_free(struct host *h);
struct host_handle *host_handle_find(struct host *h, uint32_t id);
struct host_handle *host_handle_get(struct host *h, const struct handle *record);
void host_handle_wait(struct host *h, struct host_handle *hh, const struct packet *p);
void host_handle_flush(struct host *h, struct host_handle *hh);
void host_handle_refuse(struct host *h,
                        struct host_handle *hh); /* what waited gets ICMP unreachable */
void host_handles_age(struct host *h);

/* host_journal.c */
void host_journal_known(struct host *h, const uint8_t *bytes, size_t size);
void host_journals_pump(struct host *h);
instant host_journals_deadline(const struct host *h);

/* host_control.c */
void host_control_out(struct host *h, const struct control_out *o);
void host_ping_up(struct host *h, struct want *w, uint32_t path);
void host_ping_pong(struct host *h, uint64_t cookie, instant rtt);
void host_ping_advance(struct host *h);
instant host_ping_deadline(const struct host *h);
void host_ping_failed(struct host *h, struct want *w, const char *reason);

/* describe.c, explain.c */
json_t *describe_status(struct host *h);
json_t *describe_dns(struct host *h);
json_t *describe_paths(struct host *h);
/* What the module knows of a tunnel (overlay.h: tunnel_fact), as an object. */
json_t *describe_tunnel_facts(struct host *h, unsigned instance, uint32_t tunnel);
json_t *describe_handles(struct host *h);
json_t *describe_overlays(struct host *h);
json_t *describe_keys(struct host *h);
json_t *describe_drops(struct host *h, bool all);
json_t *describe_metrics(struct host *h);
json_t *explain_name(struct host *h, const struct name_chain *asked, const char *failure);

#endif
