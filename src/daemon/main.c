/* ocalad: the start, in this order.
 *
 *    1  command line, configuration, the keys and secrets it names: before anything is changed on
 *       this machine, so a mistake ends here, with status 78
 *    2  helper_start() forks; the parent stays privileged.  Before threads, and before anything
 *       that it need not know
 *    3  state folder: its lock tells whether another ocalad runs; key, journals, pools
 *    4  TUN, DNS listeners, control socket: by the helper, or (--run) by the child in its own
 *       namespaces
 *    5  host_new(): pure computing; it says which sockets are wanted
 *    6  sockets and workers: before the drop, since a port may need privilege
 *    7  privileges dropped, sandbox: nothing above has looked at a byte from the network
 *    8  loop; workers start, control socket and DNS are served
 *    9  resolv.conf: last, when questions are answered
 *   10  READY
 *
 * The end is the same backwards: programs are sent to their old resolvers, peers are told (CLOSE),
 * the TUN goes, the helper undoes the rest. */
#include "daemon/daemon.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "linux/drop.h"
#include "linux/files.h"

#define CONFIG_STANDARD "/etc/ocala/ocala.yaml"
#define FILES_WANTED    4096

/* ---- 1: configuration ---- */

static char *join(const char *folder, const char *rest)
{
    size_t size = strlen(folder) + strlen(rest) + 1;
    char *path = base_calloc(1, size);
    snprintf(path, size, "%s%s", folder, rest);
    return path;
}

/* $variable/rest, or ~/home_part/rest; NULL without a home. */
static char *user_folder(const char *variable, const char *home_part, const char *rest)
{
    const char *folder = getenv(variable), *home = getenv("HOME");
    if (folder && *folder == '/')
        return join(folder, rest);
    if (!home || *home != '/')
        return NULL;
    char *base = join(home, home_part), *path = join(base, rest);
    free(base);
    return path;
}

static char *find_config(const struct daemon_options *o)
{
    if (o->config)
        return base_strdup(o->config);
    char *mine = o->run ? user_folder("XDG_CONFIG_HOME", "/.config", "/ocala/ocala.yaml") : NULL;
    if (mine && !access(mine, F_OK))
        return mine;
    free(mine);
    return base_strdup(CONFIG_STANDARD);
}

static char *find_folder(const struct daemon *d, const struct config_text *configured,
                         const char *variable, const char *home_part, const char *rest)
{
    char *mine = NULL;
    if (d->options->run && !configured->where.line)
        mine = user_folder(variable, home_part, rest);
    return mine ? mine : base_strdup(configured->text);
}

static int read_settings(struct daemon *d, char *err, size_t size)
{
    d->config_file = find_config(d->options);
    int error = daemon_settings_read(d->config_file, NULL, &d->settings, err, size);
    if (error == -ENOENT && !d->options->config && access(d->config_file, F_OK)) {
        size_t length = strlen(err);
        snprintf(err + length, size - length, "; write one, or name another with --config");
    }
    if (error)
        return error;
    const struct config *c = d->settings.config;
    if (c->i3_server.on)
        error = daemon_i3_configured(&c->i3_server, &d->i3_settings, err, size);
    if (error)
        return daemon_settings_at(c, c->i3_server.secret.where, error, err, size);
    d->state_folder = find_folder(d, &c->state, "XDG_STATE_HOME", "/.local/state", "/ocala");
    d->runtime_folder = d->options->run && !c->runtime.where.line && !getenv("XDG_RUNTIME_DIR")
                            ? base_strdup(d->state_folder)
                            : find_folder(d, &c->runtime, "XDG_RUNTIME_DIR", "/.cache", "/ocala");
    return 0;
}

static int check_only(struct daemon *d)
{
    char err[DAEMON_ERROR_TEXT], *path = join(d->state_folder, "/key.pem");
    uint8_t seed[32];
    int error = 0;
    if (d->settings.needs_key && !access(path, F_OK))
        error = daemon_key_read(path, NULL, seed, err, sizeof err);
    crypto_wipe(seed, sizeof seed);
    free(path);
    if (error)
        daemon_log(LOG_ERR, "%s", err);
    else
        printf("%s: the configuration is right\n", d->config_file);
    return error ? EXIT_CONFIG : EXIT_OK;
}

/* ---- 2, 3: helper and state ---- */

static void helper_says(const char *line)
{
    daemon_log_as("helper", LOG_NOTICE, "helper: %s", line);
}

static int start_helper(struct daemon *d, char *err, size_t size)
{
    char path[PATH_MAX];
    if (!realpath(d->config_file, path))
        snprintf(path, sizeof path, "%s", d->config_file);
    struct helper_options options = {.runtime_dir = d->runtime_folder,
                                     .state_dir = d->state_folder,
                                     .config_dir = dirname(path),
                                     .say = helper_says};
    return helper_start(&options, &d->helper, err, size);
}

static int open_state(struct daemon *d, char *err, size_t size)
{
    uint8_t seed[32];
    int error = daemon_state_open(d->state_folder, d->config_file, &d->state, err, size);
    if (!error && d->settings.needs_key) {
        error = daemon_state_key(d->state, &d->entropy, seed, err, size);
        if (!error)
            daemon_settings_own_key(&d->settings, seed);
        crypto_wipe(seed, sizeof seed);
    }
    if (error)
        return error;
    d->journal = daemon_journal_new(d->state);
    return daemon_pools_choose(d->settings.config, d->state, d->helper, &d->entropy, &d->pools, err,
                               size);
}

/* ---- 5: the host ---- */

static void owner_add_drops(void *self, struct drop_counters *sum)
{
    daemon_data_path_add_drops(self, sum);
}

static const char *owner_status(void *self)
{
    struct daemon *d = self;
    struct text t;
    char at[ENDPOINT_TEXT];
    text_begin(&t, d->status_text, sizeof d->status_text);
    text_add(&t, "{\"pid\": %d, \"workers\": %u, \"state_folder\": \"%s\", \"control\": \"%s\", ",
             (int)getpid(), d->threads ? d->workers : 0, d->state_folder, d->devices.control_path);
    text_add(&t, "\"config_age_s\": %lld, \"uptime_s\": %lld, ",
             (long long)((clock_now() - d->config_read) / SECOND),
             (long long)((clock_now() - d->started) / SECOND));
    text_add(&t, "\"dns_listen\": \"%s\", \"upstreams\": [",
             endpoint_format(&d->devices.dns_listen, at));
    for (unsigned i = 0; i < d->upstream_count; i++)
        text_add(&t, "%s\"%s\"", i ? ", " : "", endpoint_format(&d->upstream[i], at));
    text_add(&t, "], \"dns\": {");
    daemon_dns_mode_describe(d, true, &t);
    text_add(&t, "}, ");
    daemon_confine_describe(d, &t);
    text_add(&t, ", ");
    daemon_log_describe(&t);
    text_add(&t, ", ");
    daemon_data_path_describe(d, &t);
    text_add(&t, "}");
    return t.cut ? NULL : d->status_text;
}

static const char *owner_dns(void *self)
{
    struct daemon *d = self;
    struct text t;
    text_begin(&t, d->status_text, sizeof d->status_text);
    text_add(&t, "{");
    daemon_dns_mode_describe(d, false, &t);
    text_add(&t, "}");
    return t.cut ? NULL : d->status_text;
}

static const char *owner_i3(void *self)
{
    struct daemon *d = self;
    struct text t;
    if (!d->i3)
        return NULL;
    if (!d->i3_text)
        d->i3_text = base_calloc(1, DAEMON_I3_TEXT);
    text_begin(&t, d->i3_text, DAEMON_I3_TEXT);
    daemon_i3_describe(d->i3, &t);
    return t.cut ? NULL : d->i3_text;
}

static void owner_add_metrics(void *self,
                              void (*add)(void *context, const char *name, uint64_t value),
                              void *context)
{
    const struct daemon *d = self;
    if (d->i3)
        daemon_i3_metrics(d->i3, add, context);
}

static const char *owner_log_set(void *self, const char *setting)
{
    const char *fault = daemon_log_set(setting);
    if (!fault)
        daemon_log(LOG_NOTICE, "the log's level was set: %s", setting);
    return fault;
}

static bool owner_address_in_use(void *self, const struct ip_address *address)
{
    return daemon_flows_use(address);
}

static int make_host(struct daemon *d, char *err, size_t size)
{
    struct host_settings s = {.config = d->settings.config,
                              .keys = d->settings.keys,
                              .tun4 = daemon_pool_own(&d->pools.v4),
                              .pool4 = d->pools.v4,
                              .tun_mtu = (uint16_t)d->settings.config->tun.mtu,
                              .workers = d->workers,
                              .library = d->options->generic_aead ? AEAD_GENERIC : AEAD_FASTEST,
                              .upstreams = d->upstream_count,
                              .only_overlay_names = d->options->run != NULL,
                              .entropy = &d->entropy,
                              .wall = clock_wall()};
    char *journal[HOST_FILES] = {NULL};
    int error = 0;
    if (d->devices.v6) {
        s.tun6 = daemon_pool_own(&d->pools.v6);
        s.pool6 = d->pools.v6;
    }
    for (int i = 0; i < HOST_FILES && !error; i++) {
        error = daemon_state_journal_load(d->state, i, &journal[i], &s.file[i].size, err, size);
        s.file[i].bytes = (uint8_t *)journal[i];
    }
    if (!error) {
        s.epoch = d->epoch = epoch_new(d->workers);
        d->host = host_new(&s, clock_now(), err, size);
        error = d->host ? 0 : -EINVAL;
    }
    for (int i = 0; i < HOST_FILES; i++) {
        size_t good = d->host ? host_file_good(d->host, i) : 0;
        if (!error && good < s.file[i].size) {
            daemon_log(LOG_WARNING, "the last %zu bytes of the journal '%s' are damaged: left out",
                       s.file[i].size - good, daemon_state_journal(i));
            error = daemon_state_journal_cut(d->state, i, good, err, size);
        }
        free(journal[i]);
    }
    struct host_owner owner = {.self = d,
                               .add_drops = owner_add_drops,
                               .log_set = owner_log_set,
                               .status = owner_status,
                               .dns = owner_dns,
                               .i3 = owner_i3,
                               .add_metrics = owner_add_metrics};
    /* The programs of --run are in a namespace of their own, where nothing can be asked. */
    if (d->helper)
        owner.address_in_use = owner_address_in_use;
    if (!error)
        host_set_owner(d->host, &owner);
    return error;
}

static void choose_workers(struct daemon *d)
{
    cpu_set_t set;
    unsigned cores = sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)CPU_COUNT(&set);
    unsigned wanted = d->settings.config->workers;
    if (!wanted)
        wanted = cores <= 2 ? 1 : cores - 1; /* one core is left to control and to programs */
    d->workers = wanted < FORWARD_WORKERS_MAX ? wanted : FORWARD_WORKERS_MAX;
    if (d->options->run)
        d->workers = 1;
    d->threads = d->workers > 1;
}

/* ---- 8 to 10 ---- */

static int serve(struct daemon *d, char *err, size_t size)
{
    int error = daemon_loop_start(d, err, size);
    if (!error)
        error = daemon_upstream_start(d);
    if (!error)
        error = daemon_dns_start(d, err, size);
    if (!error)
        error = daemon_control_start(d, err, size);
    if (!error) {
        daemon_flows_tell(d, clock_now());
        error = daemon_data_path_start(d, err, size);
    }
    if (error)
        return error;
    daemon_underlay_start(d);
    error = d->i3 ? daemon_i3_start(d->i3, &d->loop) : 0;
    if (error) {
        snprintf(err, size, "cannot serve i3: %s", uv_strerror(error));
        return error;
    }
    return daemon_dns_mode_start(d, err, size);
}

static int announce(struct daemon *d, char *err, size_t size)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    daemon_pump(d);
    if (d->options->ready_file) {
        int error = linux_file_write(d->options->ready_file, text, (size_t)length, 0644, err, size);
        if (error)
            return error;
    }
    daemon_notify("READY=1");
    daemon_log(LOG_NOTICE, "running as %s; control socket %s", d->settings.config->name,
               d->devices.control_path);
    d->ready = true;
    return d->options->run ? run_child_go(&d->child) : 0;
}

static void prepare_process(bool run)
{
    struct rlimit files;
    if (run)
        run_signals_ignore();
    signal(SIGPIPE, SIG_IGN);
    umask(027);
    if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < FILES_WANTED) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int start(struct daemon *d, char *err, size_t size)
{
    bool run = d->options->run;
    int error = run ? 0 : start_helper(d, err, size);
    if (error)
        return error;
    if (!run)
        daemon_log_begin(d->options->log_level, NULL);
    choose_workers(d);
    error = open_state(d, err, size);
    if (!error)
        daemon_dns_mode_choose(d);
    if (!error)
        error =
            run ? daemon_devices_by_child(d, err, size) : daemon_devices_by_helper(d, err, size);
    /* Only now, because the program of --run keeps what the caller gave it. */
    prepare_process(run);
    if (!error)
        error = daemon_devices_upstreams(d, err, size);
    if (!error)
        error = make_host(d, err, size);
    if (!error)
        error = daemon_data_path_open(d, err, size);
    if (!error && d->settings.config->i3_server.on)
        error = daemon_i3_open(&d->i3_settings, &d->entropy, &d->i3, err, size);
    if (!error)
        error = linux_drop("ocala", err, size);
    if (!error)
        daemon_confine(d);
    if (!error)
        error = serve(d, err, size);
    return error ? error : announce(d, err, size);
}

/* ---- the end ---- */

static void end(struct daemon *d)
{
    daemon_dns_stop(d);
    daemon_upstream_stop(d);
    daemon_control_stop(d);
    daemon_underlay_stop(d);
    daemon_dns_mode_stop(d);
    daemon_data_path_stop(d);
    daemon_i3_stop(d->i3);
    daemon_loop_done(d);
    daemon_i3_free(d->i3);
    free(d->i3_text);
    crypto_wipe(&d->i3_settings, sizeof d->i3_settings);
    host_free(d->host); /* retires lanes, whose pieces belong to the workers' pools */
    if (d->epoch)
        epoch_free(d->epoch);
    daemon_data_path_free(d);
    daemon_devices_close(&d->devices);
    daemon_journal_free(d->journal);
    run_child_done(&d->child);
    if (d->ready && d->options->ready_file)
        unlink(d->options->ready_file);
    if (d->helper && helper_stop(d->helper))
        daemon_log(LOG_ERR, "the helper could not undo everything; the next start tries again");
    helper_free(d->helper);
    daemon_state_close(d->state);
    daemon_settings_done(&d->settings);
    free(d->config_file);
    free(d->state_folder);
    free(d->runtime_folder);
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct daemon_options options;
    char err[DAEMON_ERROR_TEXT] = "it could not start";
    if (argc > 1 && !strcmp(argv[1], "--i3-server"))
        return daemon_i3_main(argc - 1, argv + 1);
    int status = daemon_options_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    if (options.log_level < 0)
        options.log_level = options.run ? LOG_WARNING : LOG_NOTICE;
    daemon_log_begin(options.log_level, options.run ? "ocala" : "ocalad");
    d.options = &options;
    d.started = d.config_read = clock_now();
    entropy_system(&d.entropy);
    daemon_devices_init(&d.devices);
    if (read_settings(&d, err, sizeof err)) {
        daemon_log(LOG_ERR, "%s", err);
        end(&d);
        return EXIT_CONFIG;
    }
    if (options.check) {
        status = check_only(&d);
        end(&d);
        return status;
    }
    if (start(&d, err, sizeof err)) {
        daemon_log(LOG_ERR, "%s", err);
        daemon_stop(&d, EXIT_FAILED, NULL);
    }
    if (d.clock)
        daemon_loop_run(&d);
    end(&d);
    return d.status;
}
