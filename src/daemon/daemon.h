/* The daemon: the only place that knows everybody.  Each part below owns one kind of file
 * descriptor, turns what happens on it into calls of the host engine, and ends with daemon_pump(),
 * which carries out what the host wants.
 *
 *   loop.c            the clock, the host's deadline, the host's outputs, the way to the end
 *   data_path.c       workers, their sockets and punts
 *   dns_socket.c      programs' questions
 *   dns_upstream.c    foreign questions
 *   dns_mode.c        how questions come to us
 *   control_socket.c  `ocala`
 *   underlay.c        suspend; addresses and routes that change
 *   devices.c         TUN, listeners and control socket, from the helper
 *   flows.c           connections of programs, as the kernel knows them
 *   pools.c           who else uses the addresses of our handles
 *   journal.c         what must survive
 *   reload.c          a new configuration
 *   confine.c         the sandbox
 *   main.c            the order of it all */
#ifndef OCALA_DAEMON_DAEMON_H
#define OCALA_DAEMON_DAEMON_H

#include <uv.h>

#include "base/entropy.h"
#include "base/epoch.h"
#include "base/text.h"
#include "daemon/dns_mode.h"
#include "daemon/i3_port.h"
#include "capture/linux/tun.h"
#include "daemon/journal.h"
#include "daemon/options.h"
#include "daemon/pools.h"
#include "daemon/settings.h"
#include "daemon/state.h"
#include "helper/helper.h"
#include "helper/run.h"
#include "host/host.h"
#include "io/worker.h"
#include "linux/sandbox.h"

#define DAEMON_UPSTREAMS_MAX DNS_SERVERS_MAX
#define DAEMON_DNS_MAX       RUN_DNS_COUNT

struct daemon_clock;
struct daemon_data_path;
struct daemon_dns;
struct daemon_upstream;
struct daemon_control;
struct daemon_underlay;

/* What the system gave us: by the helper, or by the child of `--run`. */
struct daemon_devices {
    char tun_name[HELPER_NAME_SIZE];
    unsigned tun_index;
    unsigned queues;
    int tun[HELPER_FDS_MAX]; /* -1 once the data path took it over */
    bool v6;
    struct tun_offload offload;
    int dns_udp[DAEMON_DNS_MAX], dns_tcp[DAEMON_DNS_MAX]; /* -1: none */
    struct endpoint dns_listen;
    struct endpoint dns_listen6; /* for mode intercept; family 0: none */
    int control;                 /* -1: none   */
    char control_path[STATE_PATH];
    bool control_ours; /* to be unlinked at the end */
};

/* What is in force of the sandbox: confine.c. */
struct daemon_confined {
    struct linux_sandbox sandbox;
    bool self_seen, helper_seen, helper_seccomp;
    char capabilities[160], helper_capabilities[160];
};

struct daemon {
    const struct daemon_options *options;
    char *config_file;
    struct daemon_settings settings;
    char *state_folder, *runtime_folder;
    struct daemon_state *state;
    struct daemon_pools pools;
    struct entropy entropy;

    struct helper *helper;  /* NULL with --run */
    struct run_child child; /* only with --run */
    struct daemon_devices devices;
    struct endpoint upstream[DAEMON_UPSTREAMS_MAX];
    unsigned upstream_count;

    unsigned workers;
    bool threads; /* false: the one worker runs inside the loop */
    struct epoch *epoch;
    struct host *host;
    instant started, config_read;

    uv_loop_t loop;
    bool loop_made;
    struct daemon_clock *clock;
    struct daemon_data_path *data_path;
    struct daemon_dns *dns;
    struct daemon_upstream *upstreams;
    struct daemon_dns_mode *dns_mode;
    char pool_clash[256]; /* what appeared in our ranges since the start, or "" */
    struct daemon_control *control;
    struct daemon_underlay *underlay;
    struct daemon_journal *journal;
    struct daemon_i3_settings i3_settings;
    struct daemon_i3 *i3; /* the server of i3 in here; NULL: none */
    char *i3_text;        /* what i3() of the host's owner returned last */
    struct drop_counters drops; /* of the control thread's own sends */

    struct daemon_confined confined;
    bool ready, stopping;
    int status;             /* exit status            */
    char status_text[4096]; /* what status() of the host's owner returned last */
};

/* ---- loop.c ---- */

int daemon_loop_start(struct daemon *d, char *err, size_t size);
/* Runs until the end was ordered and everything was said. */
void daemon_loop_run(struct daemon *d);
void daemon_loop_done(struct daemon *d);
/* After every event: what is due, what the host wants, and the next deadline. */
void daemon_pump(struct daemon *d);
/* Only the deadline: after an event that did not touch the host. */
void daemon_arm(struct daemon *d);
/* Ends in order; the first call decides about the exit status.  `why` NULL: it was said already. */
void daemon_stop(struct daemon *d, int status, const char *why);
/* A watched descriptor whose handle is embedded: closing does not free. */
int daemon_watch(struct daemon *d, uv_poll_t *handle, int fd, uv_poll_cb call, void *data);

/* ---- data_path.c ---- */

/* Binds the host's sockets, makes the workers and gives them the TUN.  Before the privileges are
 * dropped. */
int daemon_data_path_open(struct daemon *d, char *err, size_t size);
/* A flow that was there before; before the start. */
void daemon_data_path_flow(struct daemon *d, instant now, const struct forward_flow *flow);
/* From here on packets flow. */
int daemon_data_path_start(struct daemon *d, char *err, size_t size);
void daemon_data_path_stop(struct daemon *d); /* closes the TUN       */
void daemon_data_path_free(struct daemon *d); /* after the host       */
void daemon_data_path_advance(struct daemon *d, instant now);
instant daemon_data_path_deadline(const struct daemon *d);
void daemon_data_path_send(struct daemon *d, instant now, const struct host_out *out);
void daemon_data_path_capture(struct daemon *d, const struct host_out *out);
void daemon_data_path_inject(struct daemon *d, const struct host_out *out);
void daemon_data_path_add_drops(const struct daemon *d, struct drop_counters *sum);
void daemon_data_path_describe(const struct daemon *d, struct text *json);

/* ---- flows.c ---- */

/* Tells the data path which flows programs have already; before its start. */
void daemon_flows_tell(struct daemon *d, instant now);
/* Does a program have a connection to this address? */
bool daemon_flows_use(const struct ip_address *address);

/* ---- dns_socket.c, dns_upstream.c ---- */

int daemon_dns_start(struct daemon *d, char *err, size_t size);
void daemon_dns_stop(struct daemon *d);
void daemon_dns_reply(struct daemon *d, const struct host_out *out);

int daemon_upstream_start(struct daemon *d);
void daemon_upstream_stop(struct daemon *d);
void daemon_upstream_send(struct daemon *d, instant now, const struct host_out *out);

/* ---- control_socket.c ---- */

/* Of a connection: is it root's, this process's user's, or `starter`'s? */
bool daemon_control_may_change(uv_pipe_t *pipe, uid_t starter);
/* Makes a control socket ourselves, where the helper does not.  A socket that nobody listens on any
 * more is replaced. */
int daemon_control_bind(const char *path, const char *group, int *ret_fd, char *err, size_t size);
int daemon_control_start(struct daemon *d, char *err, size_t size);
void daemon_control_stop(struct daemon *d);
void daemon_control_send(struct daemon *d, const struct host_out *out);
/* The connection ends once everything before has left. */
void daemon_control_end(struct daemon *d, uint64_t client);
/* Has every byte for clients left? */
bool daemon_control_idle(const struct daemon *d);

/* ---- underlay.c ---- */

/* Watches for suspend and for changes of addresses and routes.  A system without either is not an
 * error. */
void daemon_underlay_start(struct daemon *d);
void daemon_underlay_stop(struct daemon *d);
/* Called with every wake-up. */
void daemon_underlay_check(struct daemon *d, instant now);

/* ---- devices.c ---- */

/* TUN, DNS listeners and control socket by the helper; nothing is left when it fails and
 * helper_stop() follows. */
int daemon_devices_by_helper(struct daemon *d, char *err, size_t size);
/* The same by a child in namespaces of its own that will run the program. */
int daemon_devices_by_child(struct daemon *d, char *err, size_t size);
/* Finds the resolvers that questions for foreign names, and for the underlay's own, go to. */
int daemon_devices_upstreams(struct daemon *d, char *err, size_t size);
void daemon_devices_init(struct daemon_devices *devices);
void daemon_devices_close(struct daemon_devices *devices); /* what nobody took over */

/* ---- confine.c ---- */

/* Seccomp and landlock; nothing is opened after it but what confine.c names. */
void daemon_confine(struct daemon *d);
void daemon_confine_describe(const struct daemon *d, struct text *json);

/* ---- reload.c ---- */

/* Reads the configuration again; NULL when it worked, else what is wrong (in `err`). */
const char *daemon_reload(struct daemon *d, instant now, char *err, size_t size);

#endif
