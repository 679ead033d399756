/* The TUN and what belongs to it in the kernel.
 *
 * Order matters.  The `unreachable` routes come first: from then on a packet to a handle has no
 * other way out of the machine, whatever dies when.  Then the nft table, and last the TUN's own
 * routes, which win over the unreachable ones by their metric. Device, addresses and routes vanish
 * with the daemon's descriptors; the other two are in the journal. */
#include "helper/act.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "capture/linux/tun.h"
#include "linux/nft.h"
#include "linux/ranges.h"
#include "linux/rtnl.h"
#include "linux/tun_net.h"

static void route_describe(const struct linux_route *route, char *out, size_t size)
{
    char prefix[LINUX_PREFIX_TEXT], name[IF_NAMESIZE] = "";
    if (route->index)
        if_indextoname(route->index, name);
    snprintf(out, size, "%s%s%s", linux_prefix_format(&route->prefix, prefix),
             name[0] ? " dev " : "", name);
}

static int pool_check(struct linux_rtnl *n, const struct ip_prefix *pool,
                      struct helper_reply *reply)
{
    struct linux_route route;
    char text[LINUX_PREFIX_TEXT], found[LINUX_PREFIX_TEXT + 32];
    int r = linux_route_clash(n, pool, 0, &route);
    if (r < 0)
        return linux_rtnl_error(n, r, "read the routes that overlap",
                                linux_prefix_format(pool, text), reply->text, sizeof reply->text);
    if (r == 0)
        return 0;
    route_describe(&route, found, sizeof found);
    snprintf(
        reply->text, sizeof reply->text,
        "the pool %s overlaps the route %s of this machine; set another pool in the configuration",
        linux_prefix_format(pool, text), found);
    return -EADDRINUSE;
}

/* What routes do not show. */
static enum helper_range use_find(const struct ip_prefix *p, const char *tun, char *text,
                                  size_t size)
{
    struct if_nameindex *all = if_nameindex();
    bool taken = false;
    for (const struct if_nameindex *i = all; i && i->if_index && !taken; i++)
        taken = strcmp(i->if_name, tun) && linux_ranges_of_interface(i->if_name, p, text, size);
    if (all)
        if_freenameindex(all);
    if (taken)
        return HELPER_RANGE_TAKEN;
    char *rules;
    if (linux_nft_list(&rules, NULL, 0) < 0)
        return HELPER_RANGE_FREE;
    bool named = linux_ranges_of_rules(rules, p, text, size);
    free(rules);
    return named ? HELPER_RANGE_NAMED : HELPER_RANGE_FREE;
}

int act_route_check(struct act *a, const struct helper_route_request *q, struct helper_reply *reply)
{
    struct linux_rtnl *n;
    struct linux_route route;
    char text[LINUX_PREFIX_TEXT];
    int r = linux_rtnl_new(&n);
    if (r < 0) {
        snprintf(reply->text, sizeof reply->text, "cannot open rtnetlink: %s", strerror(-r));
        return r;
    }
    r = linux_route_clash(n, &q->prefix, q->tun_name[0] ? if_nametoindex(q->tun_name) : 0, &route);
    if (r < 0)
        linux_rtnl_error(n, r, "read the routes that overlap",
                         linux_prefix_format(&q->prefix, text), reply->text, sizeof reply->text);
    reply->route.use = r == 1 ? HELPER_RANGE_CLASH : HELPER_RANGE_FREE;
    if (r == 1)
        route_describe(&route, reply->text, sizeof reply->text);
    else if (r == 0 && !q->only_routes)
        reply->route.use = use_find(&q->prefix, q->tun_name, reply->text, sizeof reply->text);
    linux_rtnl_free(n);
    return r < 0 ? r : 0;
}

static int unreachable_add(struct act *a, struct linux_rtnl *n, const struct ip_prefix *pool,
                           struct helper_reply *reply)
{
    struct linux_route route = {
        .prefix = *pool, .type = LINUX_ROUTE_UNREACHABLE, .metric = JOURNAL_LAST_METRIC};
    char text[LINUX_PREFIX_TEXT];
    linux_prefix_format(pool, text);
    int r = journal_add(a->journal, JOURNAL_UNREACHABLE, text, reply->text, sizeof reply->text);
    if (r < 0)
        return r;
    r = linux_route_add(n, &route);
    if (r == -EEXIST) /* left behind by a daemon that died: ours from now on */
        return 0;
    return r < 0 ? linux_rtnl_error(n, r, "add the unreachable route of", text, reply->text,
                                    sizeof reply->text)
                 : 0;
}

static void nft_rules(struct text *t, const struct helper_tun_request *q, const char *unless)
{
    char pool[LINUX_PREFIX_TEXT];
    text_add(t, "    %s { \"%s\", \"lo\" } accept\n", unless, q->name);
    linux_prefix_format(&q->pool4, pool);
    text_add(t, "    ip saddr %s counter drop\n    ip daddr %s counter drop\n", pool, pool);
    if (q->pool6.ip.family == 6) {
        linux_prefix_format(&q->pool6, pool);
        text_add(t, "    ip6 saddr %s counter drop\n    ip6 daddr %s counter drop\n", pool, pool);
    }
    text_add(t, "  }\n");
}

/* Handle addresses mean something between the programs and the TUN only.  Arriving from elsewhere
 * they are forged; leaving by another interface (a program bound to it, a machine routed through
 * us) they are lost and would show what was meant for the overlay. */
static int nft_add(struct act *a, const struct helper_tun_request *q, struct helper_reply *reply)
{
    char script[2048], table[HELPER_NAME_SIZE + 8];
    struct text t;
    snprintf(table, sizeof table, "ocala_%s", q->name);
    text_begin(&t, script, sizeof script);
    text_add(&t, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table);
    /* Before connection tracking and NAT, so that nothing has touched the addresses yet. */
    text_add(&t,
             "  chain arriving {\n    type filter hook prerouting priority -310; policy accept;\n");
    nft_rules(&t, q, "iifname");
    text_add(&t,
             "  chain leaving {\n    type filter hook postrouting priority -310; policy accept;\n");
    nft_rules(&t, q, "oifname");
    text_add(&t, "}\n");
    int r = journal_add(a->journal, JOURNAL_NFT, table, reply->text, sizeof reply->text);
    if (r < 0)
        return r;
    return linux_nft_run(script, reply->text, sizeof reply->text);
}

static int tun_surround(struct act *a, struct linux_rtnl *n, const struct helper_tun_request *q,
                        unsigned index, struct helper_reply *reply)
{
    /* An empty script: is there an nft at all?  To be known before anything is changed. */
    int r = linux_nft_run("", reply->text, sizeof reply->text);
    if (r == 0)
        r = unreachable_add(a, n, &q->pool4, reply);
    if (r == 0 && q->pool6.ip.family == 6) {
        r = unreachable_add(a, n, &q->pool6, reply);
        if (r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
            r = 0;
    }
    if (r == 0)
        r = nft_add(a, q, reply);
    if (r < 0)
        return r;
    struct linux_tun_net net = {.name = q->name,
                                .index = index,
                                .mtu = q->mtu,
                                .address4 = q->address4,
                                .pool4 = q->pool4,
                                .address6 = q->address6,
                                .pool6 = q->pool6};
    return linux_tun_net_raise(n, &net, &reply->tun.v6, reply->text, sizeof reply->text);
}

int act_tun_open(struct act *a, const struct helper_tun_request *q, struct helper_reply *reply,
                 int *fds)
{
    struct linux_rtnl *n;
    struct tun_device device = {.queues = 0};
    unsigned mark = journal_mark(a->journal);
    int r = linux_rtnl_new(&n);
    if (r < 0) {
        snprintf(reply->text, sizeof reply->text, "cannot open rtnetlink: %s", strerror(-r));
        return r;
    }
    r = pool_check(n, &q->pool4, reply);
    if (r == 0 && q->pool6.ip.family == 6)
        r = pool_check(n, &q->pool6, reply);
    if (r == 0)
        r = tun_open(q->name, q->queues, &device, reply->text, sizeof reply->text);
    if (r == 0)
        r = tun_surround(a, n, q, if_nametoindex(device.name), reply);
    linux_rtnl_free(n);
    if (r < 0) {
        tun_close(&device);
        journal_undo_since(a->journal, mark);
        return r;
    }
    reply->text[0] = '\0';
    memcpy(reply->tun.name, device.name, sizeof reply->tun.name);
    reply->tun.index = if_nametoindex(device.name);
    reply->tun.checksum_offload = device.checksum_offload;
    reply->fds = device.queues;
    memcpy(fds, device.fd, device.queues * sizeof *fds);
    return 0;
}
