/* Messages to upstream servers, for programs and for own lookups.
 *
 * A program's message goes out as it came, with a fresh random id; the answer comes back as it is,
 * with the program's id and the program's spelling of the name.  What an answer must show to be
 * taken: an id under way, a server that this message was sent to, and the question.  A server that
 * says SERVFAIL, REFUSED or NOTIMP is passed over while there are others, as the C library does.
 * The server that answered last is asked first. */
#include "dns/dns_engine.h"

#include <string.h>

#include "dns/dns_walk.h"

static void done_queue(struct dns *dns, const struct dns_forward *f)
{
    if (f->asked)
        dns_item_queue(dns, DNS_OUT_UPSTREAM_DONE)->id = f->upstream;
}

void dns_forward_end(struct dns *dns, struct dns_forward *f)
{
    done_queue(dns, f);
    HASH_DELETE(by_id, dns->forwards_by_id, f);
    HASH_DELETE(by_upstream, dns->forwards_by_upstream, f);
    DL_DELETE(dns->forwards, f);
    if (!f->lookup) {
        DL_DELETE2(dns->foreign, f, age_prev, age_next);
        dns->foreign_count--;
    }
    free(f->bytes);
    free(f);
}

void dns_forward_clear(struct dns *dns)
{
    while (dns->forwards)
        dns_forward_end(dns, dns->forwards);
}

static void forward_send(struct dns *dns, instant now, struct dns_forward *f)
{
    f->asked |= 1u << f->server;
    f->tries++;
    DL_DELETE(dns->forwards, f);
    DL_APPEND(dns->forwards, f);
    f->deadline = instant_after(now, dns->settings.upstream_timeout);
    struct dns_item *item = dns_item_queue(dns, DNS_OUT_UPSTREAM);
    item->id = f->upstream;
    item->server = f->server;
    item->tcp = f->tcp;
    item->bytes = base_calloc(1, f->size);
    item->size = f->size;
    memcpy(item->bytes, f->bytes, f->size);
    dns->count[DNS_COUNTER_UPSTREAM_SENT]++;
}

static void forward_fail(struct dns *dns, instant now, struct dns_forward *f, uint16_t ede,
                         const char *text)
{
    if (f->lookup)
        dns_lookup_reply(dns, now, f, NULL, text);
    else {
        dns_trouble_queue(dns, &f->client, &f->ask, false, ede, text);
        dns_forward_end(dns, f);
    }
}

/* The next server, or failure with `text` when all had their turn. */
static void forward_next(struct dns *dns, instant now, struct dns_forward *f, uint16_t ede,
                         const char *text)
{
    unsigned servers = dns->settings.upstream_count;
    unsigned tries =
        dns->settings.upstream_tries > servers ? dns->settings.upstream_tries : servers;
    if (f->tries >= tries) {
        forward_fail(dns, now, f, ede, text);
        return;
    }
    f->server = (f->server + 1) % servers;
    forward_send(dns, now, f);
}

/* Takes over `bytes`. */
static struct dns_forward *forward_new(struct dns *dns, instant now, uint8_t *bytes, size_t size,
                                       bool tcp)
{
    struct dns_forward *f = base_calloc(1, sizeof *f), *other;
    do {
        f->id = (uint16_t)entropy_u32(dns->entropy);
        HASH_FIND(by_id, dns->forwards_by_id, &f->id, sizeof f->id, other);
    } while (other);
    f->upstream = ++dns->last_id;
    f->bytes = bytes;
    f->size = size;
    f->tcp = tcp;
    f->server = dns->preferred;
    struct writer w = writer_over(bytes, size);
    write_u16(&w, f->id);
    HASH_ADD(by_id, dns->forwards_by_id, id, sizeof f->id, f);
    HASH_ADD(by_upstream, dns->forwards_by_upstream, upstream, sizeof f->upstream, f);
    DL_APPEND(dns->forwards, f);
    return f;
}

void dns_forward_start(struct dns *dns, instant now, const struct dns_client *client,
                       const struct dns_ask *ask, const void *bytes, size_t size)
{
    if (dns->settings.upstream_count == 0 || dns->settings.foreign_max == 0) {
        dns_trouble_queue(dns, client, ask, false, DNS_EDE_NO_REACHABLE_AUTHORITY,
                          "there is no upstream DNS server for names that are not overlay names");
        return;
    }
    if (dns->foreign_count >= dns->settings.foreign_max) {
        dns->count[DNS_COUNTER_EVICTED]++;
        forward_fail(
            dns, now, dns->foreign, DNS_EDE_NOT_READY,
            "too many foreign names are being resolved at once; the oldest question gave way");
    }
    dns->count[DNS_COUNTER_FOREIGN]++;
    uint8_t *copy = base_calloc(1, size);
    memcpy(copy, bytes, size);
    struct dns_forward *f = forward_new(dns, now, copy, size, client->tcp);
    f->client = *client;
    f->ask = *ask;
    f->name = ask->name;
    f->type = ask->type;
    f->class = ask->class;
    DL_APPEND2(dns->foreign, f, age_prev, age_next);
    dns->foreign_count++;
    forward_send(dns, now, f);
}

struct dns_forward *dns_forward_lookup(struct dns *dns, instant now, struct dns_lookup *lookup,
                                       uint16_t type, bool tcp)
{
    size_t size;
    uint8_t *bytes = dns_message_question(&lookup->name, type, 0, &size);
    require(bytes);
    struct dns_forward *f = forward_new(dns, now, bytes, size, tcp);
    f->lookup = lookup;
    f->name = lookup->name;
    f->type = type;
    f->class = DNS_CLASS_IN;
    forward_send(dns, now, f);
    return f;
}

void dns_forward_restart(struct dns *dns, instant now)
{
    /* Not yet sent, and server indices mean something else now. */
    struct dns_item *item, *next;
    DL_FOREACH_SAFE(dns->queue, item, next)
    if (item->kind == DNS_OUT_UPSTREAM) {
        DL_DELETE(dns->queue, item);
        free(item->bytes);
        free(item);
    }
    unsigned count = 0;
    struct dns_forward *f;
    DL_COUNT(dns->forwards, f, count);
    /* Each turn takes the first one to the end of the list, or off it. */
    for (; count; count--) {
        f = dns->forwards;
        if (dns->settings.upstream_count == 0 || (!f->lookup && dns->settings.only_overlay)) {
            forward_fail(
                dns, now, f, DNS_EDE_NOT_READY,
                "the upstream DNS servers were taken away while the question was under way");
            continue;
        }
        f->asked = 0;
        f->tries = 0;
        f->server = 0;
        forward_send(dns, now, f);
    }
}

void dns_forward_advance(struct dns *dns, instant now)
{
    while (dns->forwards && dns->forwards->deadline <= now) {
        dns->count[DNS_COUNTER_UPSTREAM_TIMEOUT]++;
        forward_next(dns, now, dns->forwards, DNS_EDE_NO_REACHABLE_AUTHORITY,
                     "no upstream DNS server answered in time");
    }
}

void dns_upstream_failed(struct dns *dns, instant now, uint64_t upstream, unsigned server)
{
    struct dns_forward *f;
    HASH_FIND(by_upstream, dns->forwards_by_upstream, &upstream, sizeof upstream, f);
    /* A server that was given up already says nothing new. */
    if (f && f->server == server)
        forward_next(dns, now, f, DNS_EDE_NETWORK_ERROR,
                     "the upstream DNS servers cannot be reached");
}

/* The forward that a message answers, or NULL. */
static struct dns_forward *forward_match(struct dns *dns, unsigned server,
                                         const struct dns_walk *walk)
{
    struct dns_forward *f;
    HASH_FIND(by_id, dns->forwards_by_id, &walk->id, sizeof walk->id, f);
    if (!f || !walk->response || server >= DNS_SERVERS_MAX || !(f->asked & 1u << server))
        return NULL;
    /* Servers that did not understand the message may leave the question out. */
    if (!walk->question)
        return walk->rcode != DNS_RCODE_OK && walk->rcode != DNS_RCODE_NXDOMAIN ? f : NULL;
    bool same =
        walk->type == f->type && walk->class == f->class && dns_name_equal(&walk->name, &f->name);
    return same ? f : NULL;
}

/* The answer goes back to the program as it is. */
static void forward_pass(struct dns *dns, struct dns_forward *f, const struct dns_walk *walk,
                         const void *bytes, size_t size)
{
    uint8_t *copy = base_calloc(1, size);
    memcpy(copy, bytes, size);
    struct writer w = writer_over(copy, size);
    write_u16(&w, f->ask.id);
    if (walk->question && walk->in_place) {
        write_room(&w, DNS_HEADER - 2);
        write_bytes(&w, f->name.bytes, f->name.size);
    }
    dns_bytes_queue(dns, &f->client, copy, size);
    dns_forward_end(dns, f);
}

enum verdict { VERDICT_FINE, VERDICT_REBINDING, VERDICT_MALFORMED };

/* Walks a copy: the caller may walk again. */
static enum verdict answer_check(const struct dns *dns, struct dns_walk walk)
{
    struct dns_record record;
    while (dns_walk_next(&walk, &record))
        if (dns_record_holds_pool(&record, dns->settings.pool))
            return VERDICT_REBINDING;
    return walk.r.failed ? VERDICT_MALFORMED : VERDICT_FINE;
}

/* A server cut its message inside a record and said so: the program gets the header and the
 * question, and asks again over TCP. */
static void truncated_queue(struct dns *dns, struct dns_forward *f)
{
    size_t size;
    bool truncated;
    uint8_t *bytes = dns_message_reply(&f->ask, &(struct dns_content){0}, 0, &size, &truncated);
    if (expect(bytes != NULL))
        dns_bytes_queue(dns, &f->client, bytes, size);
    dns_forward_end(dns, f);
}

static bool others_left(const struct dns *dns, const struct dns_forward *f)
{
    return f->asked != (1u << dns->settings.upstream_count) - 1;
}

void dns_upstream_reply(struct dns *dns, instant now, unsigned server, const void *bytes,
                        size_t size)
{
    struct dns_walk walk;
    if (!dns_walk_start(&walk, bytes, size)) {
        dns->count[DNS_COUNTER_UPSTREAM_BAD]++;
        return;
    }
    struct dns_forward *f = forward_match(dns, server, &walk);
    if (!f) {
        dns->count[DNS_COUNTER_UPSTREAM_STRAY]++;
        return;
    }
    bool unwilling = walk.rcode == DNS_RCODE_SERVFAIL || walk.rcode == DNS_RCODE_REFUSED ||
                     walk.rcode == DNS_RCODE_NOTIMP;
    if (unwilling && others_left(dns, f)) {
        if (server == f->server)
            forward_next(dns, now, f, DNS_EDE_NETWORK_ERROR,
                         "no upstream DNS server gave an answer");
        return;
    }
    enum verdict verdict = answer_check(dns, walk);
    dns->count[DNS_COUNTER_UPSTREAM_BAD] += verdict == VERDICT_MALFORMED;
    if (verdict == VERDICT_REBINDING) {
        dns->count[DNS_COUNTER_REBINDING]++;
        forward_fail(dns, now, f, DNS_EDE_BLOCKED,
                     "rebinding: the foreign answer holds an address of the overlay pools");
    } else if (verdict == VERDICT_MALFORMED && walk.truncated && !f->lookup && !f->tcp) {
        truncated_queue(dns, f);
    } else if (verdict == VERDICT_MALFORMED && (f->tcp || !walk.truncated)) {
        forward_next(dns, now, f, DNS_EDE_INVALID_DATA,
                     "the upstream DNS server's answer is malformed");
    } else {
        dns->preferred = server < dns->settings.upstream_count ? server : 0;
        if (f->lookup)
            dns_lookup_reply(dns, now, f, &walk, NULL);
        else
            forward_pass(dns, f, &walk, bytes, size);
    }
}
