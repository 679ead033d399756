/* Every range for addresses that mean nothing outside is used by somebody.  The default,
 * 198.18.0.0/15, is for benchmarks (RFC 2544) and taken by several proxies; 100.64.0.0/10 belongs
 * to providers and most mesh VPNs, 240.0.0.0/4 is refused by some network stacks, and low private
 * ranges are where containers, offices and homes live.  So on a clash the list goes on with halves
 * of the default and then with corners that others left alone. */
#include "daemon/pools.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "helper/helper.h"

static const char *const alternatives[] = {"198.18.0.0/15",  "198.19.0.0/16", "198.18.0.0/16",
                                           "100.80.0.0/12",  "10.198.0.0/16", "10.119.0.0/16",
                                           "172.31.128.0/17"};

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->length == b->length && ip_address_equal(&a->ip, &b->ip);
}

static const char *prefix_text(const struct ip_prefix *p, char out[ADDRESS_TEXT + 4])
{
    char ip[ADDRESS_TEXT];
    snprintf(out, ADDRESS_TEXT + 4, "%s/%u", ip_address_format(&p->ip, ip), p->length);
    return out;
}

static int look(const struct config *c, struct helper *helper, const struct ip_prefix *p,
                enum helper_range *ret, char *err, size_t size)
{
    *ret = HELPER_RANGE_FREE;
    return helper ? helper_route_check(helper, p, c->tun.name, false, ret, err, size) : 0;
}

static int refuse(const struct config *c, const struct ip_prefix *p, const char *with, char *err,
                  size_t size)
{
    char text[ADDRESS_TEXT + 4];
    struct config_error e = {.file = c->file, .where = c->handles.where};
    snprintf(e.text, sizeof e.text,
             "the handle pool %s overlaps a route of this machine (%.200s); choose another range "
             "under `handles`",
             prefix_text(p, text), with);
    config_error_format(&e, err, size);
    return -EADDRINUSE;
}

/* A range that the configuration names: taken unless that cannot work. */
static int take_fixed(const struct config *c, struct helper *helper, const struct ip_prefix *p,
                      char *err, size_t size)
{
    enum helper_range use;
    char with[512] = "", text[ADDRESS_TEXT + 4];
    int error = look(c, helper, p, &use, with, sizeof with);
    if (error)
        snprintf(err, size, "%s", with);
    else if (use == HELPER_RANGE_CLASH)
        error = refuse(c, p, with, err, size);
    else if (use == HELPER_RANGE_TAKEN)
        daemon_log(LOG_WARNING, "handles come from %s as configured, but %s", prefix_text(p, text),
                   with);
    return error;
}

/* The best of the candidates, of equals the first.  The one of before is the first, and stays when
 * it is only named in rules: another range means other addresses for all names. */
static int choose_best(const struct config *c, struct helper *helper,
                       const struct ip_prefix *candidate, unsigned count, bool kept,
                       struct ip_prefix *ret, char *err, size_t size)
{
    enum helper_range best = HELPER_RANGE_CLASH;
    char with[512] = "", text[ADDRESS_TEXT + 4];
    for (unsigned i = 0; i < count && best > HELPER_RANGE_FREE; i++) {
        enum helper_range use;
        int error = look(c, helper, &candidate[i], &use, with, sizeof with);
        if (error) {
            snprintf(err, size, "%s", with);
            return error;
        }
        if (i == 0 && kept && use == HELPER_RANGE_NAMED)
            use = HELPER_RANGE_FREE;
        if (use)
            daemon_log(LOG_NOTICE, "handles %s come from %s: %s",
                       use == HELPER_RANGE_CLASH ? "cannot" : "should not",
                       prefix_text(&candidate[i], text), with);
        if (use < best) {
            best = use;
            *ret = candidate[i];
        }
    }
    return best < HELPER_RANGE_CLASH ? 0 : refuse(c, &candidate[count - 1], with, err, size);
}

static int choose4(const struct config *c, const struct ip_prefix *before, struct helper *helper,
                   struct ip_prefix *ret, char *err, size_t size)
{
    struct ip_prefix standard, candidate[1 + sizeof alternatives / sizeof *alternatives];
    unsigned count = 0;
    require(ip_prefix_parse(alternatives[0], &standard));
    if (!prefix_equal(&c->handles.ipv4, &standard)) {
        *ret = c->handles.ipv4;
        return take_fixed(c, helper, ret, err, size);
    }
    if (before->ip.family)
        candidate[count++] = *before;
    for (size_t i = 0; i < sizeof alternatives / sizeof *alternatives; i++)
        require(ip_prefix_parse(alternatives[i], &candidate[count++]));
    return choose_best(c, helper, candidate, count, before->ip.family, ret, err, size);
}

static struct ip_prefix random_ula(struct entropy *entropy)
{
    struct ip_prefix p = {.ip = {.family = 6, .bytes = {0xFD}}, .length = 48};
    entropy_fill(entropy, p.ip.bytes + 1, 5);
    return p;
}

int daemon_pools_choose(const struct config *config, struct daemon_state *state,
                        struct helper *helper, struct entropy *entropy, struct daemon_pools *ret,
                        char *err, size_t size)
{
    struct daemon_pools before = {0}, now = {0};
    bool kept = daemon_state_pools_load(state, &before);
    int error = choose4(config, &before.v4, helper, &now.v4, err, size);
    if (error)
        return error;
    if (config->handles.ipv6.ip.family)
        now.v6 = config->handles.ipv6;
    else
        now.v6 = kept ? before.v6 : random_ula(entropy);
    char with[512];
    enum helper_range use;
    error = look(config, helper, &now.v6, &use, with, sizeof with);
    if (error) {
        snprintf(err, size, "%s", with);
        return error;
    }
    if (use == HELPER_RANGE_CLASH && config->handles.ipv6.ip.family)
        return refuse(config, &now.v6, with, err, size);
    if (use == HELPER_RANGE_CLASH)
        now.v6 = random_ula(entropy);
    if (!kept || !prefix_equal(&before.v4, &now.v4) || !prefix_equal(&before.v6, &now.v6))
        error = daemon_state_pools_save(state, &now, err, size);
    else
        error = 0;
    *ret = now;
    return error;
}

void daemon_pools_check(struct daemon *d)
{
    const struct ip_prefix *pool[] = {&d->pools.v4, d->devices.v6 ? &d->pools.v6 : NULL};
    char with[128], text[ADDRESS_TEXT + 4], clash[sizeof d->pool_clash] = "";
    for (unsigned i = 0; i < 2 && d->helper && !clash[0]; i++) {
        enum helper_range use;
        if (!pool[i] || helper_route_check(d->helper, pool[i], d->devices.tun_name, true, &use,
                                           with, sizeof with))
            continue;
        if (use == HELPER_RANGE_CLASH)
            snprintf(clash, sizeof clash,
                     "the range %s of overlay addresses is used by somebody else now: %s",
                     prefix_text(pool[i], text), with);
    }
    if (strcmp(clash, d->pool_clash) != 0 && clash[0])
        daemon_log(LOG_WARNING, "%s; the next start of ocalad takes another range", clash);
    else if (d->pool_clash[0] && !clash[0])
        daemon_log(LOG_NOTICE, "the range of overlay addresses is ours alone again");
    memcpy(d->pool_clash, clash, sizeof clash);
}

struct ip_address daemon_pool_own(const struct ip_prefix *pool)
{
    struct ip_address own = pool->ip;
    own.bytes[own.family == 4 ? 3 : 15] |= 1;
    return own;
}
