/* The door of the engine: which way each question goes.
 *
 *   malformed ........................ FORMERR, NOTIMP, BADVERS, REFUSED, or dropped
 *   inside a pool's reverse tree ..... dns_question.c, DNS_OUT_PTR; never forwarded
 *   under a type or the suffix ....... A and AAAA: dns_question.c, DNS_OUT_RESOLVE; other types
 *                                      are answered here
 *   everything else .................. dns_forward.c
 *
 * Outputs wait in one queue in the order in which they came up.  An output that a later event made
 * pointless (a question that was answered before its RESOLVE was pulled) is left out when its turn
 * comes. */
#include "dns/dns_engine.h"

#include <stdio.h>
#include <string.h>

#include "dns/dns_reverse.h"

static const struct {
    const char *name, *text;
} counters[DNS_COUNTER_COUNT] = {
#define COUNTER_ROW(id, name, text) [DNS_COUNTER_##id] = {name, text},
    DNS_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};

const char *dns_counter_name(enum dns_counter counter)
{
    return (unsigned)counter < DNS_COUNTER_COUNT ? counters[counter].name : "unknown";
}

const char *dns_counter_text(enum dns_counter counter)
{
    return (unsigned)counter < DNS_COUNTER_COUNT ? counters[counter].text : "unknown";
}

void dns_settings_init(struct dns_settings *settings)
{
    *settings = (struct dns_settings){
        .answer_ttl = 5,
        .negative_ttl = 5,
        /* Below the 5 s after which the C library's resolver gives up: the words must come in time.
         */
        .answer_timeout = 4500 * MILLISECOND,
        .upstream_timeout = 1200 * MILLISECOND,
        .upstream_tries = 3,
        .questions_max = 1024,
        .askers_max = 4096,
        .askers_user_max = 1024,
        .foreign_max = 1024,
        .lookups_max = 256,
    };
}

static const char *settings_refuse(const struct dns_settings *s, struct dns_name *suffix)
{
    const char *reason;
    if (s->type_count > DNS_TYPES_MAX)
        return "too many overlay types for DNS";
    for (unsigned i = 0; i < s->type_count; i++)
        if (!s->types[i] || strchr(s->types[i], '.') || !labels_valid(s->types[i], &reason))
            return "an overlay type must be one label of letters, digits and hyphens";
    if (s->suffix && (!labels_valid(s->suffix, &reason) || !dns_name_from_text(suffix, s->suffix)))
        return "the DNS suffix must be labels of letters, digits and hyphens with dots between";
    if (s->upstream_count > DNS_SERVERS_MAX)
        return "too many upstream DNS servers";
    /* Identifiers of messages are 16 bits and drawn at random among the free ones. */
    if (s->foreign_max + 2ull * s->lookups_max > 16384)
        return "the limits of foreign questions and lookups together are above 16384";
    for (unsigned i = 0; i < 2; i++)
        if (s->pool[i].ip.family != 0 && s->pool[i].length > (s->pool[i].ip.family == 4 ? 32 : 128))
            return "a handle pool's length is larger than its address";
    return NULL;
}

/* Keeps copies of the texts in one allocation. */
static bool settings_take(struct dns *dns, const struct dns_settings *s, const char **ret_reason)
{
    struct dns_name suffix;
    const char *reason = settings_refuse(s, &suffix);
    if (reason) {
        *ret_reason = reason;
        return false;
    }
    size_t size = s->suffix ? strlen(s->suffix) + 1 : 0;
    for (unsigned i = 0; i < s->type_count; i++)
        size += strlen(s->types[i]) + 1;
    char *texts = base_calloc(1, size + 1), *at = texts;
    dns->settings = *s;
    for (unsigned i = 0; i < s->type_count; i++) {
        dns->settings.types[i] = at;
        at = stpcpy(at, s->types[i]) + 1;
    }
    if (s->suffix) {
        dns->settings.suffix = strcpy(at, s->suffix);
        dns->suffix = suffix;
    }
    dns->has_suffix = s->suffix != NULL;
    free(dns->texts);
    dns->texts = texts;
    dns->preferred = 0;
    return true;
}

struct dns *dns_new(const struct dns_settings *settings, struct entropy *entropy,
                    const char **ret_reason)
{
    struct dns *dns = base_calloc(1, sizeof *dns);
    dns->entropy = entropy;
    if (settings_take(dns, settings, ret_reason))
        return dns;
    free(dns);
    return NULL;
}

bool dns_reload(struct dns *dns, instant now, const struct dns_settings *settings,
                const char **ret_reason)
{
    if (!settings_take(dns, settings, ret_reason))
        return false;
    dns_forward_restart(dns, now);
    return true;
}

static void item_free(struct dns_item *item)
{
    if (!item)
        return;
    free(item->bytes);
    free(item->lookup);
    free(item);
}

void dns_free(struct dns *dns)
{
    if (!dns)
        return;
    dns_question_clear(dns);
    dns_forward_clear(dns);
    dns_lookup_clear(dns);
    struct dns_item *item, *next;
    DL_FOREACH_SAFE(dns->queue, item, next)
    item_free(item);
    item_free(dns->pulled);
    free(dns->texts);
    free(dns);
}

struct dns_item *dns_item_queue(struct dns *dns, enum dns_out_kind kind)
{
    struct dns_item *item = base_calloc(1, sizeof *item);
    item->kind = kind;
    DL_APPEND(dns->queue, item);
    return item;
}

void dns_bytes_queue(struct dns *dns, const struct dns_client *client, uint8_t *bytes, size_t size)
{
    struct dns_item *item = dns_item_queue(dns, DNS_OUT_REPLY);
    item->client = *client;
    item->bytes = bytes;
    item->size = size;
    dns->count[DNS_COUNTER_REPLIES]++;
}

void dns_reply_queue(struct dns *dns, const struct dns_client *client, const struct dns_ask *ask,
                     const struct dns_content *content)
{
    struct dns_content full = *content;
    full.negative_ttl = dns->settings.negative_ttl;
    bool truncated;
    size_t size;
    uint8_t *bytes = dns_message_reply(ask, &full, client->tcp ? DNS_MESSAGE_MAX : ask->udp_limit,
                                       &size, &truncated);
    if (!expect(bytes != NULL))
        return;
    dns->count[DNS_COUNTER_TRUNCATED] += truncated;
    dns->count[DNS_COUNTER_NXDOMAIN] += content->rcode == DNS_RCODE_NXDOMAIN;
    dns->count[DNS_COUNTER_SERVFAIL] += content->rcode == DNS_RCODE_SERVFAIL;
    dns_bytes_queue(dns, client, bytes, size);
}

void dns_trouble_queue(struct dns *dns, const struct dns_client *client, const struct dns_ask *ask,
                       bool authoritative, uint16_t ede, const char *text)
{
    dns_reply_queue(dns, client, ask,
                    &(struct dns_content){.rcode = DNS_RCODE_SERVFAIL,
                                          .authoritative = authoritative,
                                          .ede = true,
                                          .ede_code = ede,
                                          .ede_text = text});
}

static bool type_claimed(const struct dns *dns, const struct dns_name *name, unsigned labels)
{
    for (unsigned i = 0; labels && i < dns->settings.type_count; i++)
        if (dns_name_label_is(name, labels - 1, dns->settings.types[i]))
            return true;
    return false;
}

struct dns_where dns_where_is(const struct dns *dns, const struct dns_name *name)
{
    struct dns_where where = {.place = DNS_PLACE_FOREIGN};
    if (dns->has_suffix && dns_name_ends_with(name, &dns->suffix)) {
        where.place = DNS_PLACE_OVERLAY;
        where.zone_labels = dns->suffix.labels;
        where.labels = name->labels - dns->suffix.labels;
        where.claimed = type_claimed(dns, name, where.labels);
    } else if (type_claimed(dns, name, name->labels)) {
        where.place = DNS_PLACE_OVERLAY;
        where.zone_labels = 1;
        where.labels = name->labels == 1 ? 0 : name->labels;
        where.claimed = true;
    } else {
        where.reverse = (uint8_t)dns_reverse_parse(name, dns->settings.pool, &where.address,
                                                   &where.zone_labels);
        if (where.reverse != DNS_REVERSE_FOREIGN)
            where.place = DNS_PLACE_REVERSE;
    }
    return where;
}

/* NODATA, or NXDOMAIN with words, of a zone of ours. */
static void negative_queue(struct dns *dns, const struct dns_asker *from, uint16_t rcode,
                           const char *text)
{
    dns_reply_queue(dns, &from->client, &from->ask,
                    &(struct dns_content){.rcode = rcode,
                                          .authoritative = true,
                                          .zone_labels = from->zone_labels,
                                          .ede = text != NULL,
                                          .ede_text = text});
}

static void query_overlay(struct dns *dns, instant now, const struct dns_asker *from,
                          const struct dns_where *where)
{
    const struct dns_ask *ask = &from->ask;
    dns->count[DNS_COUNTER_OVERLAY]++;
    if (ask->type == DNS_TYPE_SOA && where->labels == 0) {
        dns_reply_queue(dns, &from->client, ask,
                        &(struct dns_content){
                            .authoritative = true, .soa = true, .zone_labels = from->zone_labels});
        return;
    }
    if (where->labels && !where->claimed) {
        negative_queue(dns, from, DNS_RCODE_NXDOMAIN,
                       "the name does not end in the type of an overlay");
        return;
    }
    /* `type` and `instance.type` exist but are no hosts; NXDOMAIN there would deny everything below
     * (RFC 8020). */
    if (where->labels < 3 || (ask->type != DNS_TYPE_A && ask->type != DNS_TYPE_AAAA)) {
        negative_queue(dns, from, DNS_RCODE_OK, NULL);
        return;
    }
    char text[NAME_TEXT];
    struct name_chain chain;
    const char *reason = "a label holds a character that overlay names do not have";
    if (!dns_name_text(&ask->name, where->labels, text) ||
        !name_chain_parse(text, &chain, &reason)) {
        negative_queue(dns, from, DNS_RCODE_NXDOMAIN, reason);
        return;
    }
    name_chain_format(&chain, text, sizeof text);
    dns_question_ask(dns, now, from, from->client.stranger ? DNS_QUESTION_LOOK : DNS_QUESTION_START,
                     text, NULL);
}

static void query_reverse(struct dns *dns, instant now, const struct dns_asker *from,
                          const struct dns_where *where)
{
    dns->count[DNS_COUNTER_REVERSE]++;
    if (where->reverse == DNS_REVERSE_NONE) {
        negative_queue(dns, from, DNS_RCODE_NXDOMAIN, NULL);
    } else if (where->reverse == DNS_REVERSE_ABOVE || from->ask.type != DNS_TYPE_PTR) {
        negative_queue(dns, from, DNS_RCODE_OK, NULL);
    } else {
        char text[ADDRESS_TEXT];
        dns_question_ask(dns, now, from, DNS_QUESTION_PTR, ip_address_format(&where->address, text),
                         &where->address);
    }
}

/* Foreign names are for this machine's programs, and only where there is a way for them. */
static const char *foreign_refuse(const struct dns *dns, const struct dns_client *client,
                                  uint16_t *ret_ede)
{
    if (client->stranger) {
        *ret_ede = DNS_EDE_PROHIBITED;
        return "foreign names are resolved only for programs of this machine";
    }
    *ret_ede = DNS_EDE_NOT_SUPPORTED;
    return dns->settings.only_overlay ? "only overlay names are reachable here" : NULL;
}

static void query_foreign(struct dns *dns, instant now, const struct dns_asker *from,
                          const void *bytes, size_t size)
{
    uint16_t ede;
    const char *refused = foreign_refuse(dns, &from->client, &ede);
    if (!refused) {
        dns_forward_start(dns, now, &from->client, &from->ask, bytes, size);
        return;
    }
    dns->count[DNS_COUNTER_FOREIGN_REFUSED]++;
    dns_reply_queue(
        dns, &from->client, &from->ask,
        &(struct dns_content){
            .rcode = DNS_RCODE_REFUSED, .ede = true, .ede_code = ede, .ede_text = refused});
}

void dns_query(struct dns *dns, instant now, const struct dns_client *client, const void *bytes,
               size_t size)
{
    struct dns_asker from = {.client = *client};
    uint16_t rcode;
    dns->count[DNS_COUNTER_QUESTIONS]++;
    switch (dns_message_parse(bytes, size, &from.ask, &rcode)) {
    case DNS_PARSE_DROP:
        drop_count(&dns->drops, size < DNS_HEADER ? DROP_TRUNCATED : DROP_GARBAGE);
        return;
    case DNS_PARSE_ERROR:
        dns->count[DNS_COUNTER_MALFORMED]++;
        dns_reply_queue(dns, client, &from.ask, &(struct dns_content){.rcode = rcode});
        return;
    case DNS_PARSE_QUESTION:
        break;
    }
    struct dns_where where = dns_where_is(dns, &from.ask.name);
    from.zone_labels = where.zone_labels;
    if (where.place == DNS_PLACE_OVERLAY)
        query_overlay(dns, now, &from, &where);
    else if (where.place == DNS_PLACE_REVERSE && !client->stranger)
        query_reverse(dns, now, &from, &where);
    else
        query_foreign(dns, now, &from, bytes, size);
}

void dns_advance(struct dns *dns, instant now)
{
    dns_question_advance(dns, now);
    dns_forward_advance(dns, now);
}

instant dns_deadline(const struct dns *dns)
{
    instant at = INSTANT_NEVER;
    if (dns->questions)
        at = instant_min(at, dns->questions->deadline);
    if (dns->forwards)
        at = instant_min(at, dns->forwards->deadline);
    return at;
}

static void resolved_fill(const struct dns_item *item, struct dns_out *ret)
{
    const struct dns_lookup *lookup = item->lookup;
    ret->resolved.lookup = lookup->id;
    ret->resolved.count = lookup->count;
    memcpy(ret->resolved.addresses, lookup->addresses, sizeof lookup->addresses);
    ret->resolved.ttl = lookup->ttl;
    ret->resolved.error = lookup->count ? NULL : lookup->error;
}

static bool item_fill(struct dns *dns, const struct dns_item *item, struct dns_out *ret)
{
    ret->kind = item->kind;
    switch (item->kind) {
    case DNS_OUT_REPLY:
        ret->reply.client = item->client;
        ret->reply.bytes = item->bytes;
        ret->reply.size = item->size;
        return true;
    case DNS_OUT_RESOLVE:
    case DNS_OUT_PTR:
        return dns_question_pull(dns, item, ret);
    case DNS_OUT_UPSTREAM:
        ret->upstream.bytes = item->bytes;
        ret->upstream.size = item->size;
        ret->upstream.server = item->server;
        ret->upstream.tcp = item->tcp;
        ret->upstream.upstream = item->id;
        return true;
    case DNS_OUT_UPSTREAM_DONE:
        ret->upstream.upstream = item->id;
        return true;
    case DNS_OUT_RESOLVED:
        resolved_fill(item, ret);
        return true;
    }
    return false;
}

bool dns_output(struct dns *dns, struct dns_out *ret)
{
    while (dns->queue) {
        struct dns_item *item = dns->queue;
        DL_DELETE(dns->queue, item);
        item_free(dns->pulled);
        dns->pulled = item;
        memset(ret, 0, sizeof *ret);
        if (item_fill(dns, item, ret))
            return true;
    }
    return false;
}

void dns_describe(const struct dns *dns, struct dns_stats *ret)
{
    memcpy(ret->count, dns->count, sizeof ret->count);
    ret->questions = dns->question_count;
    ret->askers = dns->asker_count;
    ret->foreign = dns->foreign_count;
    ret->lookups = dns->lookup_count;
    ret->drops = dns->drops;
}
