/* What the host says about names: the reply to `dns`, and the domains that are ours. */
#include "host/host_internal.h"

#include <string.h>

void host_dns_domains(const struct host *h, struct text *out)
{
    struct dns_settings s;
    host_dns_settings(h, &s);
    for (unsigned i = 0; i < s.type_count; i++)
        text_add(out, "%s%s", i ? " " : "", s.types[i]);
    if (s.suffix)
        text_add(out, " %s", s.suffix);
}

bool host_upstreams(struct host *h, instant now, unsigned count)
{
    struct dns_settings s;
    const char *reason = NULL;
    h->now = now;
    h->upstreams = count;
    host_dns_settings(h, &s);
    bool good = dns_reload(h->dns, now, &s, &reason);
    host_pump(h);
    return good;
}

static json_t *prefix_text(const struct ip_prefix *p)
{
    char ip[ADDRESS_TEXT];
    return p->ip.family ? json_sprintf("%s/%u", ip_address_format(&p->ip, ip), p->length)
                        : json_null();
}

json_t *describe_dns(struct host *h)
{
    struct dns_settings settings;
    struct dns_stats stats;
    host_dns_settings(h, &settings);
    dns_describe(h->dns, &stats);
    json_t *domains = json_array(), *counters = json_object(), *pools = json_array();
    for (unsigned i = 0; i < settings.type_count; i++)
        json_array_append_new(domains, json_string(settings.types[i]));
    for (enum dns_counter i = 0; i < DNS_COUNTER_COUNT; i++)
        json_object_set_new(counters, dns_counter_name(i),
                            json_integer((json_int_t)stats.count[i]));
    for (unsigned i = 0; i < 2; i++)
        if (settings.pool[i].ip.family)
            json_array_append_new(pools, prefix_text(&settings.pool[i]));
    json_t *own = json_array();
    for (unsigned i = 0; i < h->config->overlay_count; i++)
        json_array_append_new(own, json_string(h->config->overlays[i].self.text));
    json_t *o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:i}", "configured",
                          config_dns_mode_word(h->config->dns.mode), "domains", domains, "pools",
                          pools, "own_names", own, "counters", counters, "under_way",
                          (int)(stats.questions + stats.foreign + stats.lookups));
    json_object_set_new(o, "suffix", settings.suffix ? json_string(settings.suffix) : json_null());
    json_t *more = h->owner.dns ? json_loads(h->owner.dns(h->owner.self), 0, NULL) : NULL;
    if (more)
        json_object_update_recursive(o, more);
    json_decref(more);
    return o;
}
