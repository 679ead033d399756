/* Becoming the machine's resolver, on request, in one of three ways; each is in the journal before
 * it is done.
 *
 * Intercepting is DNAT in an output hook.  What the daemon itself asks carries a mark and passes;
 * the daemon has no privilege to set one, so its sockets are made here.  The mark has none of the
 * bits that Kubernetes, Calico, Cilium and Tailscale test.  Where the resolver that we ask is a
 * program of this machine (dnsmasq, unbound), its own questions must reach its servers, or they go
 * round in a circle: then only what is sent to this machine is intercepted. */
#include "helper/act.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "linux/nft.h"
#include "linux/resolvconf.h"
#include "linux/resolved.h"
#include "linux/resolver.h"

#define MARK 0x3535

_Static_assert(sizeof(((struct linux_resolvconf_found *)0)->writer) == HELPER_WRITER_SIZE &&
                   sizeof(((struct linux_resolver_file *)0)->writer) == HELPER_WRITER_SIZE &&
                   RESOLVCONF_PATH == HELPER_PATH_SIZE,
               "copied as they are");

static int set_resolvconf(struct act *a, const struct helper_dns_request *q,
                          struct helper_reply *reply)
{
    struct linux_resolvconf_found found;
    unsigned mark = journal_mark(a->journal);
    int r = journal_add(a->journal, JOURNAL_RESOLVCONF, a->resolvconf_path, reply->text,
                        sizeof reply->text);
    if (r < 0)
        return r;
    r = linux_resolvconf_set(a->resolvconf_path, a->runtime_dir, &q->listen.ip,
                             reply->upstreams.server, HELPER_UPSTREAMS_MAX, &found, reply->text,
                             sizeof reply->text);
    if (r < 0) {
        /* It leaves the file as it was. */
        journal_drop_since(a->journal, mark);
        return r;
    }
    struct helper_upstreams *u = &reply->upstreams;
    u->count = (uint32_t)r;
    u->changed = found.changed;
    u->found = u->ours = true;
    memcpy(u->writer, found.writer, sizeof u->writer);
    memcpy(u->target, found.target, sizeof u->target);
    return 0;
}

static int set_resolved(struct act *a, const struct helper_dns_request *q,
                        struct helper_reply *reply)
{
    struct linux_resolved r = {.link = q->tun_name,
                               .server = q->listen,
                               .domains = q->domains,
                               .pool4 = q->pool4,
                               .pool6 = q->pool6};
    if (!linux_resolved_runs()) {
        snprintf(reply->text, sizeof reply->text,
                 "systemd-resolved does not run; start it, or set another dns mode");
        return -EHOSTDOWN;
    }
    unsigned mark = journal_mark(a->journal);
    int error =
        journal_add(a->journal, JOURNAL_RESOLVED, q->tun_name, reply->text, sizeof reply->text);
    if (!error)
        error = linux_resolved_set(&r, reply->text, sizeof reply->text);
    if (error)
        journal_undo_since(a->journal, mark);
    return error;
}

static void lead(struct text *t, const struct endpoint *to, bool local_only)
{
    char at[ENDPOINT_TEXT], ip[ADDRESS_TEXT], which[64];
    bool v4 = to->ip.family == 4;
    const char *family = v4 ? "ip" : "ip6";
    endpoint_format(to, at);
    if (to->port == 53)
        text_add(t, "    %s daddr %s accept\n", family, ip_address_format(&to->ip, ip));
    if (local_only)
        snprintf(which, sizeof which, v4 ? "ip daddr 127.0.0.0/8" : "ip6 daddr ::1");
    else
        snprintf(which, sizeof which, "meta nfproto %s", v4 ? "ipv4" : "ipv6");
    text_add(t, "    %s udp dport 53 counter dnat %s to %s\n", which, family, at);
    text_add(t, "    %s tcp dport 53 counter dnat %s to %s\n", which, family, at);
}

static bool any_is_local(const struct helper_reply *reply, const struct endpoint *us)
{
    static const struct ip_address one = {.family = 6, .bytes = {[15] = 1}};
    for (uint32_t i = 0; i < reply->upstreams.count; i++) {
        const struct ip_address *ip = &reply->upstreams.server[i].ip;
        if (ip_address_equal(ip, &us->ip))
            continue;
        if ((ip->family == 4 && ip->bytes[0] == 127) || ip_address_equal(ip, &one))
            return true;
    }
    return false;
}

static int set_intercept(struct act *a, const struct helper_dns_request *q,
                         struct helper_reply *reply)
{
    char script[1024], table[HELPER_NAME_SIZE + 16];
    struct text t;
    bool local_only = any_is_local(reply, &q->listen);
    snprintf(table, sizeof table, "ocala_dns_%s", q->tun_name);
    text_begin(&t, script, sizeof script);
    text_add(&t, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table);
    /* In front of everybody's own DNAT (-100): the first that matches decides. */
    text_add(&t,
             "  chain leaving {\n    type nat hook output priority -101; policy accept;\n"
             "    meta mark %#x accept\n",
             MARK);
    lead(&t, &q->listen, local_only);
    if (q->listen6.ip.family)
        lead(&t, &q->listen6, local_only);
    text_add(&t, "  }\n}\n");
    unsigned mark = journal_mark(a->journal);
    int r = journal_add(a->journal, JOURNAL_NFT, table, reply->text, sizeof reply->text);
    if (!r)
        r = linux_nft_run(script, reply->text, sizeof reply->text);
    if (r)
        journal_undo_since(a->journal, mark);
    return r;
}

int act_dns_set(struct act *a, const struct helper_dns_request *q, struct helper_reply *reply)
{
    if (q->mode == HELPER_DNS_RESOLVCONF)
        return set_resolvconf(a, q, reply);
    int r = act_dns_upstreams(a, reply);
    if (r == 0)
        r = q->mode == HELPER_DNS_RESOLVED ? set_resolved(a, q, reply) : set_intercept(a, q, reply);
    return r;
}

int act_dns_unset(struct act *a, struct helper_reply *reply)
{
    static const enum journal_kind kinds[] = {JOURNAL_RESOLVCONF, JOURNAL_RESOLVED};
    int result = journal_undo_named(a->journal, JOURNAL_NFT, "ocala_dns_");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int r = journal_undo_kind(a->journal, kinds[i]);
        result = r < 0 ? r : result;
    }
    if (result < 0)
        snprintf(reply->text, sizeof reply->text, "cannot restore the resolver: %s",
                 strerror(-result));
    return result;
}

int act_dns_upstreams(struct act *a, struct helper_reply *reply)
{
    int r = linux_resolvconf_servers_behind(a->resolvconf_path, NULL, reply->upstreams.server,
                                            HELPER_UPSTREAMS_MAX, reply->text, sizeof reply->text);
    if (r < 0)
        return r;
    struct helper_upstreams *u = &reply->upstreams;
    struct linux_resolver_file file;
    linux_resolver_look(a->resolvconf_path, &file);
    u->count = (uint32_t)r;
    u->found = file.found;
    u->ours = file.ours;
    u->stub = file.stub;
    u->resolved_runs = linux_resolved_runs();
    memcpy(u->writer, file.writer, sizeof u->writer);
    memcpy(u->target, file.link, sizeof u->target);
    return 0;
}

int act_dns_sockets(struct act *a, const struct helper_sockets_request *q,
                    struct helper_reply *reply, int *fds)
{
    int type = (q->transport == HELPER_TCP ? SOCK_STREAM : SOCK_DGRAM);
    for (uint32_t i = 0; i < q->count; i++) {
        int mark = MARK;
        int fd =
            socket(q->family == 4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) {
            int r = -errno;
            if (fd >= 0)
                close(fd);
            while (reply->fds)
                close(fds[--reply->fds]);
            snprintf(reply->text, sizeof reply->text, "cannot open a socket with a mark: %s",
                     strerror(-r));
            return r;
        }
        fds[reply->fds++] = fd;
    }
    return 0;
}
