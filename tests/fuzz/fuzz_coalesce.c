/* Packets that may or may not follow each other:
 *
 *   size (16) | that many bytes | ...
 *
 * Each is put behind the one before if it fits, else begins a new super-packet if it may.  What was
 * built, cut up again, must be the packets that went in, but for what carries nothing: the sums
 * that are written anew, and the id of IPv4 packets that are not to be fragmented. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "packet/coalesce.h"
#include "packet/segment.h"
#include "packet/translate.h"

#define PACKETS_MAX 80

struct story {
    struct packet_pool *pool;
    struct coalesce built;
    struct reader taken[PACKETS_MAX]; /* what is in there, in order */
    unsigned count;
};

static void forget(uint8_t *bytes, const struct ip_view *v)
{
    size_t sum = v->transport + (v->protocol == IP_TCP ? (size_t)TCP_SUM : (size_t)UDP_SUM);
    memset(bytes + sum, 0, 2);
    if (v->version != 4)
        return;
    memset(bytes + IP4_SUM, 0, 2);
    if (v->dont_fragment)
        memset(bytes + IP4_ID, 0, 2);
}

static void require_same(const uint8_t *cut, size_t size, const struct reader *taken)
{
    static uint8_t a[PACKET_SIZE], b[PACKET_SIZE];
    struct ip_view v;
    enum drop_reason reason;
    require(size == reader_left(taken));
    memcpy(a, cut, size);
    memcpy(b, taken->at, size);
    require(ip_parse(b, size, &v, &reason) && v.total == size);
    forget(a, &v);
    forget(b, &v);
    require(!memcmp(a, b, size));
}

static void finish(struct story *s)
{
    struct segment_cut cut;
    struct ip_view v;
    enum drop_reason reason;
    size_t size;
    if (!s->built.packet)
        return;
    struct packet *p = coalesce_end(&s->built);
    require(ip_parse(p->data, p->size, &v, &reason) && v.total == p->size);
    require((s->count > 1) == (p->offload.gso != PACKET_GSO_NONE));
    if (s->count == 1) {
        require_same(p->data, p->size, &s->taken[0]);
    } else {
        require(segment_begin(&cut, p, &v, p->offload.gso_size));
        require(segment_left(&cut) == s->count);
        for (unsigned i = 0; i < s->count; i++) {
            uint8_t *bytes = segment_next(&cut, &size);
            require(bytes);
            require_same(bytes, size, &s->taken[i]);
        }
    }
    packet_give_back(p);
    s->count = 0;
}

static void begin(struct story *s, const struct reader *r)
{
    uint8_t header[COALESCE_HEADER_MAX];
    struct ip_view v;
    enum drop_reason reason;
    size_t size = reader_left(r);
    struct packet *p = packet_take(s->pool);
    require(p && packet_fill(p, r->at, size));
    memcpy(header, p->data, size < sizeof header ? size : sizeof header);
    if (!ip_parse(p->data, p->size, &v, &reason) || v.total != p->size ||
        !ip_offload_find(p->data, p->size, &p->offload) || !coalesce_may_begin(header, &v)) {
        packet_give_back(p);
        return;
    }
    require(ip_translate(p, &v, &v.source, &v.destination)); /* writes the open sum */
    coalesce_begin(&s->built, p, &v, header);
    require(coalesce_same_flow(&s->built, &v));
    s->taken[s->count++] = *r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story s = {.pool = packet_pool_new(2)};
    struct reader r = reader_over(data, size);
    while (reader_left(&r)) {
        size_t wanted = read_u16(&r);
        if (r.failed)
            break;
        if (wanted > reader_left(&r))
            wanted = reader_left(&r);
        struct reader one = reader_over(read_bytes(&r, wanted), wanted);
        if (s.count && s.count < PACKETS_MAX && coalesce_fits(&s.built, one.at, wanted)) {
            coalesce_copy(&s.built, one.at, wanted);
            s.taken[s.count++] = one;
            continue;
        }
        finish(&s);
        if (wanted)
            begin(&s, &one);
    }
    finish(&s);
    packet_pool_free(s.pool);
    return 0;
}
