/* What only the system can give, from one of two sources: the privileged helper, or (`--run`) a
 * child that made namespaces of its own. */
#include "daemon/daemon.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/log.h"
#include "linux/files.h"
#include "linux/resolvconf.h"

#define CONTROL_GROUP "ocala" /* the one the helper gives the socket to */

void daemon_devices_init(struct daemon_devices *v)
{
    *v = (struct daemon_devices){.control = -1};
    for (unsigned i = 0; i < HELPER_FDS_MAX; i++)
        v->tun[i] = -1;
    for (unsigned i = 0; i < DAEMON_DNS_MAX; i++)
        v->dns_udp[i] = v->dns_tcp[i] = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void daemon_devices_close(struct daemon_devices *v)
{
    for (unsigned i = 0; i < HELPER_FDS_MAX; i++)
        close_fd(&v->tun[i]);
    for (unsigned i = 0; i < DAEMON_DNS_MAX; i++) {
        close_fd(&v->dns_udp[i]);
        close_fd(&v->dns_tcp[i]);
    }
    close_fd(&v->control);
}

/* Puts the place in the configuration in front of what is in `err`. */
static int at(const struct daemon *d, struct config_where where, int error, char *err, size_t size)
{
    struct config_error e = {.file = d->settings.config->file, .where = where};
    if (!where.line)
        return error;
    snprintf(e.text, sizeof e.text, "%s", err);
    config_error_format(&e, err, size);
    return error;
}

static int open_tun(struct daemon *d, char *err, size_t size)
{
    struct daemon_devices *v = &d->devices;
    const struct config_tun *tun = &d->settings.config->tun;
    struct helper_tun_request request = {.address4 = daemon_pool_own(&d->pools.v4),
                                         .pool4 = d->pools.v4,
                                         .address6 = daemon_pool_own(&d->pools.v6),
                                         .pool6 = d->pools.v6,
                                         .mtu = tun->mtu,
                                         .queues = d->workers};
    struct helper_tun made;
    snprintf(request.name, sizeof request.name, "%s", tun->name);
    int error = helper_tun_open(d->helper, &request, &made, err, size);
    if ((error == -EPERM || error == -EACCES) && geteuid()) {
        size_t length = strlen(err);
        snprintf(err + length, size - length,
                 "; ocalad needs root for it (an ordinary user can use `ocala run`)");
    }
    if (error)
        return at(d, tun->where, error, err, size);
    memcpy(v->tun_name, made.name, sizeof v->tun_name);
    v->tun_index = made.index;
    v->queues = made.queues;
    v->v6 = made.v6;
    tun_offload_set(made.fd[0], &v->offload);
    for (unsigned i = 0; i < made.queues; i++)
        v->tun[i] = made.fd[i];
    return 0;
}

static int listen_dns(struct daemon *d, unsigned number, const struct endpoint *local, char *err,
                      size_t size)
{
    struct daemon_devices *v = &d->devices;
    struct helper_listen_request request = {
        .transport = HELPER_UDP, .flags = HELPER_LISTEN_FREEBIND, .local = *local};
    int error = helper_listen(d->helper, &request, &v->dns_udp[number], err, size);
    if (!error) {
        request.transport = HELPER_TCP;
        request.flags |= HELPER_LISTEN_REUSEADDR;
        error = helper_listen(d->helper, &request, &v->dns_tcp[number], err, size);
    }
    if (error)
        close_fd(&v->dns_udp[number]);
    return error;
}

/* Somebody (dnsmasq, unbound) may have the standard one: then another address, and where
 * resolv.conf need not point to us, another port. */
static int listen_elsewhere(struct daemon *d, char *err, size_t size)
{
    static const char *const places[] = {"127.0.11.1:53", "127.0.0.1:5354", "127.0.11.1:5354"};
    int error = -EADDRINUSE;
    for (unsigned i = 0; i < 3 && error == -EADDRINUSE; i++) {
        struct endpoint place;
        require(endpoint_parse(places[i], 0, &place));
        if (place.port != 53 && d->settings.config->dns.mode == CONFIG_DNS_RESOLVCONF)
            break;
        error = listen_dns(d, 0, &place, err, size);
        if (!error) {
            d->devices.dns_listen = place;
            daemon_dns_mode_port(d, place.port);
            daemon_log(LOG_NOTICE, "port 53 of 127.0.0.1 is taken: programs are answered at %s",
                       places[i]);
        }
    }
    return error;
}

static int open_dns(struct daemon *d, char *err, size_t size)
{
    struct daemon_devices *v = &d->devices;
    const struct config_dns *dns = &d->settings.config->dns;
    char ignored[HELPER_ERROR_TEXT];
    struct endpoint six;
    v->dns_listen = dns->listen;
    int error = listen_dns(d, 0, &dns->listen, err, size);
    if (error == -EADDRINUSE && !dns->listen_where.line &&
        listen_elsewhere(d, ignored, sizeof ignored) == 0)
        error = 0;
    if (error)
        return at(d, dns->listen_where.line ? dns->listen_where : dns->where, error, err, size);
    /* Questions over IPv6 cannot be led to an IPv4 address. */
    bool perhaps = dns->mode == CONFIG_DNS_AUTO || dns->mode == CONFIG_DNS_INTERCEPT;
    require(endpoint_parse("[::1]:53", 0, &six));
    six.port = v->dns_listen.port;
    if (perhaps && v->dns_listen.ip.family == 4 &&
        listen_dns(d, 1, &six, ignored, sizeof ignored) == 0)
        v->dns_listen6 = six;
    return 0;
}

static int open_control(struct daemon *d, char *err, size_t size)
{
    struct daemon_devices *v = &d->devices;
    const struct config *c = d->settings.config;
    char standard[STATE_PATH], folder[STATE_PATH];
    snprintf(standard, sizeof standard, "%s/control.sock", d->runtime_folder);
    snprintf(v->control_path, sizeof v->control_path, "%s",
             c->control.where.line || d->helper ? c->control.text : standard);
    if (d->helper && !strcmp(c->control.text, standard) && !strcmp(c->group, CONTROL_GROUP))
        return helper_control_listen(d->helper, &v->control, err, size);
    snprintf(folder, sizeof folder, "%s", v->control_path);
    int error = linux_folder_make(dirname(folder), 0755, geteuid(), getegid(), err, size);
    if (!error)
        error = daemon_control_bind(v->control_path, d->helper ? c->group : NULL, &v->control, err,
                                    size);
    v->control_ours = !error;
    return error ? at(d, c->control.where, error, err, size) : 0;
}

int daemon_devices_by_helper(struct daemon *d, char *err, size_t size)
{
    int error = open_tun(d, err, size);
    if (!error)
        error = open_dns(d, err, size);
    return error ? error : open_control(d, err, size);
}

int daemon_devices_by_child(struct daemon *d, char *err, size_t size)
{
    struct daemon_devices *v = &d->devices;
    struct run_request request = {.tun_name = d->settings.config->tun.name,
                                  .address4 = daemon_pool_own(&d->pools.v4),
                                  .pool4 = d->pools.v4,
                                  .address6 = daemon_pool_own(&d->pools.v6),
                                  .pool6 = d->pools.v6,
                                  .mtu = d->settings.config->tun.mtu,
                                  .argv = d->options->run};
    int error = run_child_start(&request, &d->child, err, size);
    if (error)
        return error;
    v->queues = 1;
    v->tun[0] = d->child.tun_fd;
    d->child.tun_fd = -1;
    tun_offload_set(v->tun[0], &v->offload);
    v->v6 = d->child.dns_fd[RUN_DNS_UDP6] >= 0;
    endpoint_parse("127.0.0.1:53", 0, &v->dns_listen);
    for (unsigned i = 0; i < RUN_DNS_COUNT; i++) {
        bool tcp = i == RUN_DNS_TCP4 || i == RUN_DNS_TCP6;
        *(tcp ? &v->dns_tcp[i] : &v->dns_udp[i]) = d->child.dns_fd[i];
        d->child.dns_fd[i] = -1;
    }
    /* Nobody can look at this daemon then, which is no reason not to run the program. */
    if (open_control(d, err, size))
        daemon_log(LOG_INFO, "%s", err);
    return 0;
}

int daemon_devices_upstreams(struct daemon *d, char *err, size_t size)
{
    const struct config_dns *dns = &d->settings.config->dns;
    struct helper_upstreams found = {0};
    if (dns->upstream_count) {
        for (unsigned i = 0; i < dns->upstream_count && i < DAEMON_UPSTREAMS_MAX; i++)
            d->upstream[d->upstream_count++] = dns->upstream[i];
        return 0;
    }
    if (!d->helper) {
        struct endpoint server[HELPER_UPSTREAMS_MAX];
        int count = linux_resolvconf_servers(RESOLVCONF_DEFAULT, NULL, server, HELPER_UPSTREAMS_MAX,
                                             err, size);
        for (int i = 0; i < count; i++)
            d->upstream[d->upstream_count++] = server[i];
        return 0; /* names of other hosts are not this program's business; members may have
                     addresses */
    }
    int error = helper_dns_upstreams(d->helper, &found, err, size);
    for (unsigned i = 0; !error && i < found.count; i++)
        if (!endpoint_equal(&found.server[i], &d->devices.dns_listen))
            d->upstream[d->upstream_count++] = found.server[i];
    return error;
}
