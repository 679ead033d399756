/* The configuration file: YAML text in, a checked `struct config` out.  Pure: files are only named
 * here, whoever opens them (daemon, `ocala config check`) reads and judges them.
 *
 * Every value below is final: defaults are filled in, relative file names are taken from the
 * configuration file's folder, names are in lower case, references between sections hold. Positions
 * (`where`) are kept for what can still turn out wrong later (a file that cannot be read, a port
 * that is taken), so that such an error names the line. */
#ifndef OCALA_CONFIG_CONFIG_H
#define OCALA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/instant.h"
#include "base/name.h"

#define CONFIG_KEY         32 /* bytes of a pinned Ed25519 public key                     */
#define CONFIG_SIZE_MAX    (1u << 20)
#define CONFIG_SECRETS_MAX 2 /* accepted side by side while a secret is being changed    */
#define CONFIG_WORKERS_MAX 16
#define CONFIG_MTU_MIN     1280
#define CONFIG_MTU_MAX     65535
#define CONFIG_MTU_DEFAULT 1400

/* From 1; line 0 means a default that no line gave. */
struct config_where {
    unsigned line, column;
};

struct config_error {
    const char *file; /* as passed to config_parse() */
    struct config_where where;
    char text[512];
};

/* A name of a file, or another text, and where it was written. */
struct config_text {
    char *text;
    struct config_where where;
};

/* Where a member is: an endpoint, or a host name that the underlay's DNS resolves. */
struct config_place {
    char *host;               /* NULL when `endpoint` is set                    */
    struct endpoint endpoint; /* family 0 for a host name; the port is always set */
    struct config_where where;
};

/* Free-form setting for an overlay module, which judges it when the instance starts. */
struct config_option {
    char *key, *value;
    struct config_where where;
};

struct config_member {
    struct overlay_name name;
    struct config_place *at; /* in order of preference; none: it dials us */
    unsigned at_count;
    bool has_key;
    uint8_t key[CONFIG_KEY];       /* Ed25519 public */
    struct config_option *options; /* about this name */
    unsigned option_count;
    struct config_where where;
};

enum config_trust { CONFIG_TRUST_PSK, CONFIG_TRUST_PIN };

struct config_overlay {
    char *instance;           /* "east.ip"                        */
    const char *type;         /* "ip", points into `instance`     */
    struct overlay_name self; /* this host's own name in here     */
    enum config_trust trust;
    struct config_text key;                         /* identity file                    */
    struct config_text secrets[CONFIG_SECRETS_MAX]; /* files; the first is used to send */
    unsigned secret_count;
    struct endpoint *listen; /* at least one; port 0: any        */
    unsigned listen_count;
    struct config_member *members;
    unsigned member_count;
    struct config_option *options;
    unsigned option_count;
    struct config_where where, listen_where;
};

/* Names that fit the pattern are reached by way of these gateways, in the order the packet meets
 * them. */
struct config_rule {
    char *names; /* a pattern of base/name.h */
    struct overlay_name *via;
    unsigned via_count; /* 1 to CHAIN_MAX - 1 */
    struct config_where where;
};

/* A gateway that is believed about who is who in other instances. */
struct config_belief {
    struct overlay_name gateway;
    char **instances;
    unsigned instance_count;
    struct config_where where;
};

struct config_pin {
    struct overlay_name name;
    uint8_t key[CONFIG_KEY];
    struct config_where where;
};

/* Whose paths this host forwards, and into which instance. */
struct config_forward {
    char *from; /* a name pattern; an instance "east.ip" becomes "*.east.ip" */
    char *to;   /* an instance of ours */
    struct config_where where;
};

/* What a peer may reach: protocol 0 is everything, ICMP covers both versions. */
enum config_protocol { CONFIG_ANY = 0, CONFIG_ICMP = 1, CONFIG_TCP = 6, CONFIG_UDP = 17 };

struct config_service {
    uint8_t protocol;   /* enum config_protocol                      */
    uint16_t low, high; /* ports, for TCP and UDP: 0 to 65535 is all */
};

/* The first entry whose pattern fits a peer decides about it. */
struct config_policy {
    char *peer; /* a name pattern */
    struct config_service *allow;
    unsigned allow_count; /* none: nothing is allowed */
    struct config_where where;
};

/* How programs' questions come to us: id, word, what it does. */
#define CONFIG_DNS_MODES(X)                                                                        \
    X(AUTO, "auto", "the first of these three that fits the machine")                              \
    X(RESOLVED, "resolved", "systemd-resolved is told which names are ours")                       \
    X(RESOLVCONF, "resolvconf", "resolv.conf is replaced and put back")                            \
    X(INTERCEPT, "intercept", "questions of local programs are led to us by nftables")             \
    X(NONE, "none", "nothing on the system is changed")

enum config_dns_mode {
#define CONFIG_DNS_MODE_ENUM(id, word, text) CONFIG_DNS_##id,
    CONFIG_DNS_MODES(CONFIG_DNS_MODE_ENUM)
#undef CONFIG_DNS_MODE_ENUM
};
const char *config_dns_mode_word(enum config_dns_mode mode);

struct config_dns {
    enum config_dns_mode mode;
    struct endpoint listen;    /* UDP and TCP                                        */
    struct endpoint *upstream; /* none: what the system used before                  */
    unsigned upstream_count;
    char *suffix; /* NULL: none                                         */
    unsigned ttl_s;
    struct config_where where, listen_where;
};

struct config_handles {
    struct ip_prefix ipv4;
    struct ip_prefix ipv6; /* family 0: a random ULA /48, made at first start */
    unsigned per_user;     /* handles that one local user may hold            */
    struct config_where where;
};

struct config_tun {
    char *name;
    unsigned mtu;
    struct config_where where;
};

#define CONFIG_SEEDS_MAX 16

/* A server of i3 inside this daemon. */
struct config_i3_server {
    bool on;
    struct endpoint listen; /* an address of this machine: others are told it; IPv4 without a secret */
    struct endpoint also;   /* one of the other family; family 0: none        */
    struct endpoint ring;   /* the address of `listen`, another port          */
    struct endpoint seeds[CONFIG_SEEDS_MAX];
    unsigned seed_count;
    char *id;                  /* 40 hexadecimal digits; NULL: from the address */
    struct config_text secret; /* text NULL: an open ring                       */
    unsigned triggers, per_client, requests, per_address;
    struct config_where where;
};

/* Timers that tests shorten: name, default, least, most, what it is for. */
#define CONFIG_TIMERS(X)                                                                           \
    X(rekey, HOUR, SECOND, 24 * HOUR, "age of a key at which the next one is made")                \
    X(old_keys, 30 * SECOND, SECOND, 5 * MINUTE, "how long replaced receive keys are kept")        \
    X(keepalive, 25 * SECOND, SECOND, HOUR, "longest silence on a link")                           \
    X(probe, 3 * SECOND, 100 * MILLISECOND, MINUTE, "sent but nothing heard: ask the peer")        \
    X(retry, SECOND, 50 * MILLISECOND, MINUTE, "first repetition of an unanswered message")        \
    X(give_up, 10 * SECOND, SECOND, 5 * MINUTE, "a path not set up by then has failed")            \
    X(park, MINUTE, SECOND, 24 * HOUR, "an idle path keeps only its keys")                         \
    X(idle, 3 * MINUTE, SECOND, 24 * HOUR, "an idle gateway entry is removed")                     \
    X(raise, MINUTE, SECOND, 24 * HOUR, "larger records are tried again on a path in use")         \
    X(close, 30 * MINUTE, SECOND, 7 * 24 * HOUR, "an idle path is closed")                         \
    X(quarantine, 48 * HOUR, SECOND, 30 * 24 * HOUR, "a handle rests before it is given again")

struct config_timers {
#define CONFIG_TIMER_FIELD(name, standard, least, most, about) instant name;
    CONFIG_TIMERS(CONFIG_TIMER_FIELD)
#undef CONFIG_TIMER_FIELD
};

struct config {
    char *file;             /* name it was read from        */
    char *name;             /* host label(s)                */
    struct config_text key; /* identity file of this host   */
    struct config_overlay *overlays;
    unsigned overlay_count; /* at least one                 */
    struct config_rule *rules;
    unsigned rule_count;
    struct config_belief *beliefs;
    unsigned belief_count;
    struct config_pin *pins;
    unsigned pin_count;
    struct config_forward *forwards; /* any: this host is a gateway */
    unsigned forward_count;
    struct config_policy *policies;
    unsigned policy_count;
    struct config_dns dns;
    struct config_handles handles;
    struct config_tun tun;
    unsigned workers; /* 0: by the number of processors */
    struct config_timers timers;
    struct config_i3_server i3_server;
    struct config_text state, runtime, control; /* folders, and the control socket     */
    char *group;                                /* may read through the control socket */
};

/* Reads a whole file's text.  `types` are the overlay types that this build knows, ended by NULL.
 * NULL when something is wrong; then *ret_error says where, what, and what would be right.
 * `file_name` is kept by pointer in *ret_error. */
struct config *config_parse(const char *text, size_t size, const char *file_name,
                            const char *const *types, struct config_error *ret_error);
void config_free(struct config *config); /* accepts NULL */

/* "file:line:column: text" into `out`, cut if it does not fit; returns `out`. */
const char *config_error_format(const struct config_error *error, char *out, size_t size);

/* What was understood, defaults included, as YAML that reads back to the same; the caller frees it.
 */
char *config_print(const struct config *config);

/* Of this host's instances the one called "instance.type", or NULL. */
const struct config_overlay *config_overlay_find(const struct config *config, const char *instance);

#endif
