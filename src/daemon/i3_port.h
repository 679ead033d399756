/* A server of i3 in this process: its engine, its two sockets, and their place in a loop of libuv.  Used by `ocalad
 * --i3-server` (`ocala i3-server`), which does nothing else, and by the daemon when its configuration says so. */
#ifndef OCALA_DAEMON_I3_PORT_H
#define OCALA_DAEMON_I3_PORT_H

#include <uv.h>

#include "base/text.h"
#include "i3/i3_server.h"

#define DAEMON_I3_TEXT     65536 /* longest description */
#define DAEMON_I3_TRIGGERS 1000000

struct daemon_i3_settings {
    struct endpoint at, ring; /* where it listens and what others are told: no wildcards */
    struct endpoint also; /* listens there too, at an address of the other family; or family 0 */
    struct endpoint seed[CHORD_SEEDS_MAX];
    unsigned seeds;
    bool has_id; /* else its place on the ring comes from `ring`: the same after a restart */
    struct chord_id id;
    bool closed; /* with a secret */
    uint8_t secret[CHORD_SECRET];
    unsigned triggers, per_client, requests,
        per_address; /* limits, as in i3_server.h and chord.h */
};

/* All limits at their standard. */
void daemon_i3_settings_init(struct daemon_i3_settings *s);

struct daemon_i3;
/* Binds the sockets; `e` must live as long.  0 or a negative errno with a line in `err`. */
int daemon_i3_open(const struct daemon_i3_settings *s, struct entropy *e, struct daemon_i3 **ret,
                   char *err, size_t size);
/* From here on it serves. */
int daemon_i3_start(struct daemon_i3 *i, uv_loop_t *loop);
/* Closes its handles; the loop must run once more before daemon_i3_free(). */
void daemon_i3_stop(struct daemon_i3 *i); /* accepts NULL */
void daemon_i3_free(struct daemon_i3 *i); /* accepts NULL */
/* A JSON object. */
void daemon_i3_describe(const struct daemon_i3 *i, struct text *json);
/* All counters and gauges, named as in `metrics` (doc/protocol/control.md). */
void daemon_i3_metrics(const struct daemon_i3 *i,
                       void (*add)(void *context, const char *name, uint64_t value), void *context);

/* ---- i3_options.c ---- */

/* The ring's secret from its file.  0 or a negative errno with a line in `err`. */
int daemon_i3_secret(const char *path, struct daemon_i3_settings *s, char *err, size_t size);
/* What the daemon's configuration says. */
struct config_i3_server;
int daemon_i3_configured(const struct config_i3_server *c, struct daemon_i3_settings *ret,
                         char *err, size_t size);

/* ---- i3_main.c ---- */

/* The whole program; argv[0] is "--i3-server".  Returns the exit status. */
int daemon_i3_main(int argc, char **argv);

#endif
