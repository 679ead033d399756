/* IP packets: reading them, and every change that the data path makes to one.
 *
 * The first byte says what else is known of the packet (open checksum, outer ECN bits, a low MTU).
 * Sums that were right must be right after every change; they are computed here in a plain way of
 * its own. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "packet/icmp.h"
#include "packet/translate.h"

static struct packet *packet, *answer;

static unsigned word(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static unsigned long plain_sum(unsigned long sum, const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? at[i] : (unsigned)at[i] << 8;
    return sum;
}

/* A correct sum over data that holds its own complement is all ones. */
static bool sum_is_right(unsigned long sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return sum == 0xFFFF;
}

static bool header_sum_is_right(const uint8_t *bytes, const struct ip_view *v)
{
    return v->version == 6 || sum_is_right(plain_sum(0, bytes, v->header_size));
}

/* Of TCP, UDP with a sum, and ICMPv6, in a whole packet. */
static bool transport_sum_is_right(const uint8_t *bytes, const struct ip_view *v)
{
    if (v->fragment || (v->protocol != 6 && v->protocol != 17 && v->protocol != 58))
        return false;
    size_t at = v->version == 4 ? 12 : 8, address = v->version == 4 ? 4 : 16;
    size_t length = v->total - v->transport;
    if (v->protocol == 17 &&
        (length < 8 || !word(bytes + v->transport + 6) || word(bytes + v->transport + 4) != length))
        return false;
    unsigned long sum = plain_sum(0, bytes + at, 2 * address);
    sum += v->protocol + (length >> 16) + (length & 0xFFFF);
    return sum_is_right(plain_sum(sum, bytes + v->transport, length));
}

static void check_view(const struct ip_view *v, size_t size)
{
    require(v->version == 4 || v->version == 6);
    require(v->total <= size);
    require(v->header_size >= 20 && v->header_size <= v->transport && v->transport <= v->total);
    require(v->source.family == v->version && v->destination.family == v->version);
    require(v->first_fragment || !v->has_ports);
}

/* The packet again, as it was. */
static void restart(const uint8_t *data, size_t size, bool open)
{
    require(packet_fill(packet, data, size));
    memset(&packet->offload, 0, sizeof packet->offload);
    if (open)
        ip_offload_find(packet->data, packet->size, &packet->offload);
}

static void try_translate(const uint8_t *data, size_t size, bool open, const struct ip_view *v)
{
    static const struct ip_address from[2] = {{4, {198, 18, 0, 1}}, {6, {0xfd, 1, 2, 3, [15] = 1}}};
    static const struct ip_address to[2] = {{4, {198, 19, 255, 254}},
                                            {6, {0xfd, 9, 0xff, 0xff, [15] = 0xfe}}};
    unsigned other = v->version == 4, same = v->version == 6;
    struct ip_view after;
    enum drop_reason reason = DROP_COUNT;
    restart(data, size, open);
    require(!ip_translate(packet, v, &from[other], &to[other]));
    require(packet->size == size && memcmp(packet->data, data, size) == 0);
    bool header = header_sum_is_right(data, v), transport = transport_sum_is_right(data, v);
    if (!ip_translate(packet, v, &from[same], &to[same])) {
        require(memcmp(packet->data, data, size) == 0);
        return;
    }
    require(packet->size == size);
    require(ip_parse(packet->data, packet->size, &after, &reason));
    require(ip_address_equal(&after.source, &from[same]));
    require(ip_address_equal(&after.destination, &to[same]));
    require(after.transport == v->transport && after.total == v->total);
    require(after.source_port == v->source_port && after.protocol == v->protocol);
    require(!header || header_sum_is_right(packet->data, &after));
    require(!transport || packet->offload.needs_checksum ||
            transport_sum_is_right(packet->data, &after));
    if (packet->offload.needs_checksum) {
        require(ip_complete_checksum(packet));
        require(!packet->offload.needs_checksum);
    }
}

static void try_changes(const uint8_t *data, size_t size, uint8_t choice, const struct ip_view *v)
{
    struct ip_view after;
    enum drop_reason reason;
    bool header = header_sum_is_right(data, v), transport = transport_sum_is_right(data, v), drop;
    uint8_t ecn = v->ecn;
    restart(data, size, false);
    require(ip_decrement_ttl(packet, v) == (v->ttl > 1));
    ip_ecn_decapsulate(v->ecn, choice & 3, &ecn, &drop);
    ip_set_ecn(packet, v, ecn);
    ip_clamp_mss(packet, v, choice & 0x80 ? 1280 : 576);
    require(ip_parse(packet->data, packet->size, &after, &reason));
    require(after.ttl == (v->ttl > 1 ? v->ttl - 1 : v->ttl));
    require(after.ecn == ecn);
    require(!header || header_sum_is_right(packet->data, &after));
    require(!transport || transport_sum_is_right(packet->data, &after));
}

static void try_icmp(const uint8_t *data, size_t size, const struct ip_view *v)
{
    static const struct ip_address from[2] = {{4, {198, 18, 0, 1}}, {6, {0xfd, 1, 2, 3, [15] = 1}}};
    struct ip_view quoted;
    restart(data, size, false);
    if (ip_quoted(packet, v, &quoted)) {
        require(v->is_icmp_error);
        require(v->transport + 8 + quoted.total <= v->total);
    }
    for (unsigned kind = 0; kind < ICMP_ERROR_COUNT; kind++) {
        struct ip_view built;
        enum drop_reason reason;
        size_t made =
            icmp_error(answer, (enum icmp_error)kind, data, size, &from[v->version == 6], 1280);
        require(made == answer->size);
        if (!made)
            continue;
        require(!v->is_icmp_error && v->first_fragment);
        require(made <= (v->version == 4 ? 576 : 1280));
        require(ip_parse(answer->data, answer->size, &built, &reason));
        require(built.is_icmp_error && built.total == made);
        require(ip_address_equal(&built.destination, &v->source));
        require(header_sum_is_right(answer->data, &built));
        require(ip_quoted(answer, &built, &quoted));
        require(ip_address_equal(&quoted.source, &v->source));
        require(ip_address_equal(&quoted.destination, &v->destination));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_pool *pool;
    struct ip_view v;
    enum drop_reason reason = DROP_COUNT;
    if (!pool) {
        pool = packet_pool_new(2);
        packet = packet_take(pool);
        answer = packet_take(pool);
    }
    if (!size || size > PACKET_SIZE)
        return 0;
    uint8_t choice = *data++;
    size--;
    if (!ip_parse(data, size, &v, &reason)) {
        require(reason < DROP_COUNT);
        return 0;
    }
    check_view(&v, size);
    ip_stays_on_link(&v);
    try_translate(data, size, choice & 4, &v);
    try_changes(data, size, choice, &v);
    try_icmp(data, size, &v);
    return 0;
}
