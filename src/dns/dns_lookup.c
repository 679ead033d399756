/* Own lookups of underlay names: A and AAAA side by side, over when both are.
 *
 * They never come back to ourselves: a name of ours is refused, and so is an answer that points
 * into the pools. */
#include "dns/dns_engine.h"

#include <string.h>

#include "dns/dns_walk.h"

static void lookup_forget(struct dns *dns, struct dns_lookup *lookup)
{
    HASH_DELETE(hh, dns->lookups, lookup);
    dns->lookup_count--;
}

/* Over: the output takes the lookup. */
static void lookup_finish(struct dns *dns, struct dns_lookup *lookup)
{
    if (lookup->count == 0 && !lookup->error)
        lookup->error = "the name has no address";
    dns_item_queue(dns, DNS_OUT_RESOLVED)->lookup = lookup;
}

static void lookup_refuse(struct dns *dns, uint64_t id, const char *error)
{
    struct dns_lookup *lookup = base_calloc(1, sizeof *lookup);
    lookup->id = id;
    lookup->error = error;
    lookup_finish(dns, lookup);
}

void dns_lookup(struct dns *dns, instant now, uint64_t id, const char *name)
{
    struct dns_lookup *lookup;
    struct dns_name parsed;
    HASH_FIND(hh, dns->lookups, &id, sizeof id, lookup);
    dns->count[DNS_COUNTER_LOOKUPS]++;
    if (lookup || dns->lookup_count >= dns->settings.lookups_max)
        lookup_refuse(dns, id, "too many lookups of underlay names at once");
    else if (!dns_name_from_text(&parsed, name) || parsed.labels == 0)
        lookup_refuse(dns, id, "not a DNS name");
    else if (dns_where_is(dns, &parsed).place != DNS_PLACE_FOREIGN)
        lookup_refuse(dns, id, "an overlay name, where a name of the underlay is needed");
    else if (dns->settings.upstream_count == 0)
        lookup_refuse(dns, id, "there is no upstream DNS server");
    else {
        lookup = base_calloc(1, sizeof *lookup);
        lookup->id = id;
        lookup->name = parsed;
        lookup->ttl = UINT32_MAX;
        HASH_ADD(hh, dns->lookups, id, sizeof lookup->id, lookup);
        dns->lookup_count++;
        lookup->forward[0] = dns_forward_lookup(dns, now, lookup, DNS_TYPE_A, false);
        lookup->forward[1] = dns_forward_lookup(dns, now, lookup, DNS_TYPE_AAAA, false);
    }
}

void dns_lookup_cancel(struct dns *dns, uint64_t id)
{
    struct dns_lookup *lookup;
    HASH_FIND(hh, dns->lookups, &id, sizeof id, lookup);
    if (!lookup)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (lookup->forward[i])
            dns_forward_end(dns, lookup->forward[i]);
    lookup_forget(dns, lookup);
    free(lookup);
}

void dns_lookup_clear(struct dns *dns)
{
    struct dns_lookup *lookup, *next;
    HASH_ITER(hh, dns->lookups, lookup, next)
    {
        lookup_forget(dns, lookup);
        free(lookup);
    }
}

static void addresses_take(struct dns_lookup *lookup, uint16_t type, struct dns_walk *walk)
{
    struct dns_record record;
    while (dns_walk_next(walk, &record)) {
        if (record.section != 0 || record.type != type || record.class != DNS_CLASS_IN ||
            lookup->count == DNS_ADDRESSES_MAX)
            continue;
        lookup->addresses[lookup->count++] = dns_record_address(&record);
        uint32_t ttl = record.ttl >> 31 ? 0 : record.ttl; /* RFC 2181 section 8 */
        if (ttl < lookup->ttl)
            lookup->ttl = ttl;
    }
}

static const char *rcode_error(uint8_t rcode)
{
    switch (rcode) {
    case DNS_RCODE_OK:
        return NULL;
    case DNS_RCODE_NXDOMAIN:
        return "there is no such name";
    default:
        return "the upstream DNS servers refused or failed";
    }
}

void dns_lookup_reply(struct dns *dns, instant now, struct dns_forward *f, struct dns_walk *walk,
                      const char *error)
{
    struct dns_lookup *lookup = f->lookup;
    uint16_t type = f->type;
    unsigned which = type == DNS_TYPE_AAAA;
    bool again = walk && walk->truncated && !f->tcp;
    if (walk && !again) {
        error = rcode_error(walk->rcode);
        addresses_take(lookup, type, walk);
    }
    dns_forward_end(dns, f);
    lookup->forward[which] = again ? dns_forward_lookup(dns, now, lookup, type, true) : NULL;
    if (again)
        return;
    if (error)
        lookup->error = error;
    if (!lookup->forward[0] && !lookup->forward[1]) {
        lookup_forget(dns, lookup);
        lookup_finish(dns, lookup);
    }
}
