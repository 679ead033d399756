/* A whole host as one engine: the wiring of dns, path, overlay, control and handles, without a system call.
 *
 * This is the only folder beside daemon/ and sim/ that knows everybody: the daemon gives it real sockets and a real TUN,
 * the simulator gives it a virtual network and a virtual clock, and both run the same object code.
 *
 *   DNS question -> dns -> (name) -> rules add `via` -> path engine -> overlay module opens a tunnel -> handshake
 *   -> path stands -> handle -> DNS answer; packets to the handle then flow through path/forward.h alone.
 *
 * One thread (control) calls all of this.  After each call pull host_output() until it returns false. */
#ifndef OCALA_HOST_HOST_H
#define OCALA_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/entropy.h"
#include "base/epoch.h"
#include "base/instant.h"
#include "base/text.h"
#include "config/config.h"
#include "dns/dns.h"
#include "path/forward.h"

/* What the files named in the configuration hold; one per overlay, in the configuration's order. */
struct host_overlay_keys {
    uint8_t seed[32]; /* Ed25519 identity for this instance                     */
    uint8_t secret[2][32];
    unsigned secret_count; /* 0 with trust: pin                                  */
};

enum host_file {
    HOST_FILE_HANDLES,
    HOST_FILE_KNOWN,
    HOST_FILES
}; /* known: names and the keys bound to them */

struct host_settings {
    struct config *config;                /* outlives the host, or until host_reload      */
    const struct host_overlay_keys *keys; /* copied                                       */
    struct ip_address tun4, tun6;         /* the capture's own addresses                  */
    struct ip_prefix pool4, pool6;
    uint16_t tun_mtu;
    unsigned workers;
    enum aead_choice library; /* who seals                                    */
    unsigned upstreams;       /* how many previous resolvers the daemon asks for us; 0: none */
    bool only_overlay_names;  /* `ocala run`: foreign names get an answer that says so */
    struct epoch *epoch;      /* readers: the workers                         */
    struct entropy *entropy;
    int64_t wall; /* seconds since 1970                           */
    struct {
        const uint8_t *bytes;
        size_t size;
    } file[HOST_FILES]; /* as read from the state directory             */
};

struct host;
/* NULL: `error` says what failed, on what, what to do. */
struct host *host_new(const struct host_settings *s, instant now, char *error, size_t error_size);
void host_free(struct host *h); /* workers are stopped; accepts NULL */

/* What workers look at. */
struct fwd_tables *host_tables(struct host *h);

/* UDP sockets wanted, by index; stable for the life of the host.  The owner binds them before anything else. */
struct host_socket {
    uint16_t index;
    const char *instance;
    struct endpoint listen; /* port 0: any */
};
unsigned host_sockets(const struct host *h, struct host_socket *ret, unsigned max);
/* Where the owner has bound one of them, with the port that the kernel chose. */
void host_socket_bound(struct host *h, instant now, uint16_t index, const struct endpoint *at);

/* How many bytes of each file were sound: the owner truncates the file there. */
size_t host_file_good(const struct host *h, enum host_file file);

/* Both addresses of the handle that has this one (family 0: none); false: nobody's.  For flows that stood before this
 * process did. */
bool host_handle_addresses(const struct host *h, const struct ip_address *address,
                           struct ip_address *ret_v4, struct ip_address *ret_v6);

/* ---- events in; `wall` is passed now and then so that handles age by the calendar ---- */

void host_wall(struct host *h, int64_t wall);
/* A punt of a worker's forward (kind FORWARD_PUNT).  The packet stays the caller's. */
void host_punt(struct host *h, instant now, const struct forward_out *punt);
/* One DNS message from a program. */
void host_dns_query(struct host *h, instant now, const struct dns_client *client,
                    const uint8_t *bytes, size_t size);
void host_dns_upstream(struct host *h, instant now, unsigned server, const uint8_t *bytes,
                       size_t size);
void host_dns_upstream_failed(struct host *h, instant now, uint32_t upstream_id,
                              const char *reason);
/* The control socket: a client connects, says bytes, leaves. */
void host_control_open(struct host *h, uint64_t client, bool may_change);
void host_control_input(struct host *h, instant now, uint64_t client, const uint8_t *bytes,
                        size_t size);
void host_control_close(struct host *h, uint64_t client);
/* The kernel said EMSGSIZE for a datagram of `size` bytes to `remote`; `fits` is the largest that it would take, 0 when it
 * does not say.  `bytes` NULL: it was counted as lost; else a packet of a program inside of it is sent again. */
void host_too_big(struct host *h, instant now, uint16_t socket, const struct endpoint *remote,
                  const uint8_t *bytes, size_t size, size_t fits);
/* Bytes of a HOST_OUT_JOURNAL could not be written, and the owner dropped them with all that he has for that file up to the
 * next `rewrite`, which comes after a while. */
void host_journal_lost(struct host *h, instant now, enum host_file file);
/* Other resolvers than before, `count` of them. */
bool host_upstreams(struct host *h, instant now, unsigned count);
/* The domains that are ours, with spaces between them: "ip ron ov.example.org". */
void host_dns_domains(const struct host *h, struct text *out);
/* The machine woke up, or addresses of the underlay changed: check all links now. */
void host_underlay_changed(struct host *h, instant now);
/* New configuration, already parsed; `keys` are in its order.  What can change now does, who lost a right loses it now.
 * For the rest `config` gets the values of the old one, which gets them in exchange: both are still to be freed by the
 * caller, and `config` outlives the host or the next reload.  host_reload_done() says what happened.
 * Negative errno: `error` says why, and nothing was changed. */
int host_reload(struct host *h, instant now, struct config *config,
                const struct host_overlay_keys *keys, char *error, size_t error_size);
/* Says goodbye on every path (CLOSE), so that peers know at once. */
void host_stop(struct host *h, instant now);

void host_advance(struct host *h, instant now);
instant host_deadline(const struct host *h);

enum host_out_kind {
    HOST_OUT_SEND, /* a datagram: socket, local, remote, tos, bytes                               */
    HOST_OUT_CAPTURE, /* an IP packet for the capture (ICMP errors to programs): bytes               */
    HOST_OUT_INJECT, /* a packet that waited for its path: again through forward_capture (from_capture)
                              or forward_underlay, by worker 0: bytes, offload, arrival                   */
    HOST_OUT_DNS_REPLY, /* client, bytes                                                               */
    HOST_OUT_DNS_UPSTREAM, /* server, upstream_id, tcp, bytes                                             */
    HOST_OUT_CONTROL, /* control_client, bytes                                                       */
    HOST_OUT_JOURNAL, /* file, bytes to append and sync; with `rewrite` the bytes replace the file   */
    HOST_OUT_LOG,  /* level (syslog numbers), text                                                */
    HOST_OUT_STOP, /* `ocala stop`                                                                */
    HOST_OUT_RELOAD, /* `ocala reload`: control_client waits for host_reload_done()                 */
    HOST_OUT_CONTROL_CLOSE, /* control_client: close it once its bytes have left                          */
};

/* Pointers are valid until the next call. */
struct host_out {
    enum host_out_kind kind;
    const uint8_t *bytes;
    size_t size;
    uint16_t socket;
    struct endpoint local, remote;
    uint8_t tos;
    bool from_capture;
    struct packet_offload offload;
    struct arrival arrival;
    struct dns_client client;
    unsigned server;
    uint32_t upstream_id;
    bool tcp;
    uint64_t control_client;
    enum host_file file;
    bool rewrite;
    int level;
    const char *area; /* of a log line: the folder it comes from */
    const char *text;
};
bool host_output(struct host *h, struct host_out *ret);

void host_reload_done(struct host *h, uint64_t control_client,
                      const char *error); /* NULL: it worked */

/* The owner's numbers for `status` and `drops`: called by describe through these pointers (all optional). */
struct host_owner {
    void *self;
    /* Adds the drop counters of all workers. */
    void (*add_drops)(void *self, struct drop_counters *sum);
    /* A JSON object text about the process (sockets, workers, TUN, DNS mode, helper) merged into `status`. */
    const char *(*status)(void *self);
    /* Sets how much is logged ("debug", "path=info"); NULL, or why not. */
    const char *(*log_set)(void *self, const char *setting);
    /* The same for `dns`: how programs' questions come to us. */
    const char *(*dns)(void *self);
    /* The i3 server of this process, for `i3`; NULL when there is none. */
    const char *(*i3)(void *self);
    /* More numbers for `metrics`: calls `add` for each. */
    void (*add_metrics)(void *self, void (*add)(void *context, const char *name, uint64_t value),
                        void *context);
    /* Does a program still have a connection to a handle's address?  Then it is not given to another host. */
    bool (*address_in_use)(void *self, const struct ip_address *address);
};
void host_set_owner(struct host *h, const struct host_owner *owner);

/* For tests: objects alive, so that leaks show.  Slots are paths + halves + 2 * transits. */
struct host_count {
    unsigned paths, halves, transits, tunnels, slots,
        opens; /* of the path engine                          */
    unsigned handles, wants,
        waiting; /* handles; who waits for a path; packets that do                     */
};
void host_count(const struct host *h, struct host_count *ret);

#endif
