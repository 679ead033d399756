/* Packets of i3: what is accepted lies inside the datagram, is written again, and then reads the
 * same. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "i3/i3_wire.h"

static void check_inside(const struct i3_packet *p, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    require(p->depth <= I3_STACK_MAX && p->option_count <= I3_OPTIONS_MAX);
    require(!p->depth ||
            ((const uint8_t *)p->stack >= data && (const uint8_t *)(p->stack + p->depth) <= end));
    require(p->payload >= data && p->payload + p->payload_size == end);
    for (unsigned i = 0; i < p->option_count; i++) {
        const struct i3_option *o = &p->option[i];
        const struct i3_address *a = o->type == I3_SENDER ? &o->sender : &o->trigger.target;
        if (o->type == I3_NOT_PRESENT || o->type == I3_REQUEST_FOR_CACHE ||
            o->type == I3_LOG_PACKET || o->type == I3_APPEND_TIME || a->type != I3_TO_STACK)
            continue;
        require(a->depth && a->depth <= I3_STACK_MAX);
        require((const uint8_t *)a->stack >= data && (const uint8_t *)(a->stack + a->depth) <= end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct i3_packet p, again;
    static uint8_t out[65536 + 64], twice[sizeof out];
    struct i3_ping ping;
    if (size > 65536)
        return 0;
    if (i3_ping_parse(data, size, &ping))
        require(size == I3_PING_SIZE);
    if (i3_packet_parse(data, size, &p) != I3_FINE)
        return 0;
    check_inside(&p, data, size);
    size_t written = i3_packet_write(&p, out, sizeof out);
    require(written == size);
    require(i3_packet_parse(out, written, &again) == I3_FINE);
    require(again.option_count == p.option_count && again.payload_size == p.payload_size);
    require(i3_packet_write(&again, twice, sizeof twice) == written);
    require(!memcmp(out, twice, written));
    return 0;
}
