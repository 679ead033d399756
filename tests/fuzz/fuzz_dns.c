/* DNS messages: of programs, and of upstream servers.
 *
 * The first byte says who speaks and under which settings; the rest is the message.  Upstream
 * messages get the identifier that is waited for: without it nothing would be reached.  Checked for
 * every input: one reply per question that is not dropped, within its size; no address of the pools
 * in a foreign answer (read back with ldns); nothing left at the end. */
#include "tests/fuzz/fuzz.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "dns/dns.h"

enum speaker { SPEAKER_PROGRAM, SPEAKER_SERVER, SPEAKER_SERVER_LOOKUP, SPEAKER_COUNT };

struct run {
    struct dns *dns;
    instant now;
    enum speaker speaker;
    const uint8_t *data;
    size_t size;
    const struct dns_settings *settings;
    bool tcp;
    unsigned replies, resolved;
    bool from_server; /* the reply is the server's message */
};

static void count_up(struct entropy *self, void *out, size_t size)
{
    static uint8_t next;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = next++;
}

static struct entropy counting = {.fill = count_up};

static bool in_pools(const struct dns_settings *s, const struct ip_address *ip)
{
    return ip_prefix_holds(&s->pool[0], ip) || ip_prefix_holds(&s->pool[1], ip);
}

static void check_no_pool(const struct run *run, const uint8_t *bytes, size_t size)
{
    ldns_pkt *pkt;
    if (ldns_wire2pkt(&pkt, bytes, size) != LDNS_STATUS_OK)
        return;
    ldns_rr_list *all = ldns_pkt_all_noquestion(pkt);
    for (size_t i = 0; i < ldns_rr_list_rr_count(all); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(all, i);
        ldns_rr_type type = ldns_rr_get_type(rr);
        if ((type != LDNS_RR_TYPE_A && type != LDNS_RR_TYPE_AAAA) || ldns_rr_rd_count(rr) != 1)
            continue;
        struct ip_address ip = {.family = type == LDNS_RR_TYPE_A ? 4 : 6};
        memcpy(ip.bytes, ldns_rdf_data(ldns_rr_rdf(rr, 0)), ldns_rdf_size(ldns_rr_rdf(rr, 0)));
        require(!in_pools(run->settings, &ip));
    }
    ldns_rr_list_deep_free(all);
    ldns_pkt_free(pkt);
}

static void on_reply(struct run *run, const struct dns_out *out)
{
    run->replies++;
    require(out->reply.client.id == 7);
    require(out->reply.size >= 12 && out->reply.bytes[2] & 0x80);
    if (run->speaker == SPEAKER_PROGRAM) {
        require(memcmp(out->reply.bytes, run->data, 2) == 0);
        require(out->reply.size <= (run->tcp           ? DNS_MESSAGE_MAX
                                    : run->from_server ? run->size
                                                       : DNS_UDP_MAX));
    } else {
        require(out->reply.bytes[0] == 0x55 && out->reply.bytes[1] == 0x66);
        check_no_pool(run, out->reply.bytes, out->reply.size);
    }
}

static void on_upstream(struct run *run, const struct dns_out *out)
{
    const uint8_t *from = run->speaker == SPEAKER_PROGRAM ? out->upstream.bytes : run->data;
    size_t size = run->speaker == SPEAKER_PROGRAM ? out->upstream.size : run->size;
    uint8_t *message = malloc(size ? size : 1);
    require(message);
    memcpy(message, from, size);
    if (size >= 2)
        memcpy(message, out->upstream.bytes, 2);
    if (run->speaker == SPEAKER_PROGRAM)
        message[2] |= 0x80; /* a server that echoes */
    run->from_server = run->speaker == SPEAKER_PROGRAM;
    dns_upstream_reply(run->dns, run->now, out->upstream.server, message, size);
    free(message);
}

static void pull(struct run *run)
{
    struct dns_out out;
    struct dns_result result = {
        .kind = DNS_RESULT_ADDRESSES, .v4 = {4, {198, 18, 0, 7}}, .v6 = {0}};
    while (dns_output(run->dns, &out)) {
        switch (out.kind) {
        case DNS_OUT_REPLY:
            on_reply(run, &out);
            break;
        case DNS_OUT_RESOLVE:
            require(out.resolve.chain.count >= 1 && out.resolve.chain.count <= CHAIN_MAX);
            dns_answer(run->dns, run->now, out.resolve.question, &result);
            break;
        case DNS_OUT_PTR:
            require(in_pools(run->settings, &out.ptr.address));
            result = (struct dns_result){.kind = DNS_RESULT_NAME, .name = "web.west.ip"};
            dns_answer(run->dns, run->now, out.ptr.question, &result);
            break;
        case DNS_OUT_UPSTREAM:
            require(!run->settings->only_overlay &&
                    out.upstream.server < run->settings->upstream_count);
            on_upstream(run, &out);
            break;
        case DNS_OUT_UPSTREAM_DONE:
            break;
        case DNS_OUT_RESOLVED:
            run->resolved++;
            require(out.resolved.count <= DNS_ADDRESSES_MAX);
            require((out.resolved.count == 0) == (out.resolved.error != NULL));
            for (unsigned i = 0; i < out.resolved.count; i++)
                require(!in_pools(run->settings, &out.resolved.addresses[i]));
        }
    }
}

static void settings_choose(struct dns_settings *s, uint8_t choice)
{
    dns_settings_init(s);
    s->types[s->type_count++] = "ip";
    s->types[s->type_count++] = "ron";
    s->pool[0] = (struct ip_prefix){.ip = {4, {198, 18}}, .length = 15};
    s->pool[1] = (struct ip_prefix){.ip = {6, {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a}}, .length = 48};
    s->upstream_count = 2;
    s->suffix = choice & 0x10 ? "ov.example.org" : NULL;
    s->only_overlay = choice & 0x20 && (choice & 3) % SPEAKER_COUNT == SPEAKER_PROGRAM;
}

static void speak(struct run *run, bool stranger)
{
    static const uint8_t asked[] = {0x55, 0x66, 1,   0,   0,   1,   0,   0,   0,   0,   0,
                                    0,    3,    'w', 'w', 'w', 7,   'e', 'x', 'a', 'm', 'p',
                                    'l',  'e',  3,   'c', 'o', 'm', 0,   0,   1,   0,   1};
    struct dns_client client = {.id = 7, .tcp = run->tcp, .stranger = stranger};
    if (run->speaker == SPEAKER_PROGRAM)
        dns_query(run->dns, run->now, &client, run->data, run->size);
    else if (run->speaker == SPEAKER_SERVER)
        dns_query(run->dns, run->now, &(struct dns_client){.id = 7, .tcp = run->tcp}, asked,
                  sizeof asked);
    else
        dns_lookup(run->dns, run->now, 9, "www.example.com");
    pull(run);
    for (instant at; (at = dns_deadline(run->dns)) != INSTANT_NEVER;) {
        run->now = at;
        dns_advance(run->dns, at);
        pull(run);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > DNS_MESSAGE_MAX)
        return 0;
    uint8_t choice = data[0];
    struct dns_settings settings;
    settings_choose(&settings, choice);
    struct run run = {.speaker = (choice & 3) % SPEAKER_COUNT,
                      .data = data + 1,
                      .size = size - 1,
                      .settings = &settings,
                      .tcp = (choice & 4) != 0};
    const char *reason;
    run.dns = dns_new(&settings, &counting, &reason);
    require(run.dns);
    speak(&run, (choice & 8) != 0);

    struct dns_stats stats;
    dns_describe(run.dns, &stats);
    require(stats.questions + stats.askers + stats.foreign + stats.lookups == 0);
    unsigned dropped =
        drop_read(&stats.drops, DROP_TRUNCATED) + drop_read(&stats.drops, DROP_GARBAGE) > 0;
    require(run.replies + dropped == (run.speaker != SPEAKER_SERVER_LOOKUP));
    require(run.resolved == (run.speaker == SPEAKER_SERVER_LOOKUP));
    dns_free(run.dns);
    return 0;
}
