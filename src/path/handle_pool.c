/* Drawing addresses from the pools.
 *
 * Random, so that an address says nothing about when or for whom it was given and a stale one is
 * unlikely to hit another host.  In IPv4 some addresses are left out in every /24 (.0 and .255),
 * because old programs and filters take them for network and broadcast addresses. */
#include "path/handle_table.h"

#include <string.h>

#define DRAWS 64 /* random draws before the pool is searched from a random place on */

#define V4_SHORTEST 8
#define V4_LONGEST  30
#define V6_SHORTEST 8
#define V6_LONGEST  112

const char *handle_pool_refuse(const struct handle_settings *s)
{
    if (s->keep_out_count > HANDLE_KEEP_OUT_MAX)
        return "too many addresses to keep out of the handle pools";
    if (s->v4.ip.family == 0 && s->v6.ip.family == 0)
        return "there is no handle pool";
    if (s->v4.ip.family != 0 &&
        (s->v4.ip.family != 4 || s->v4.length < V4_SHORTEST || s->v4.length > V4_LONGEST))
        return "the IPv4 handle pool must be an IPv4 prefix with a length from 8 to 30";
    if (s->v6.ip.family != 0 &&
        (s->v6.ip.family != 6 || s->v6.length < V6_SHORTEST || s->v6.length > V6_LONGEST))
        return "the IPv6 handle pool must be an IPv6 prefix with a length from 8 to 112";
    return NULL;
}

bool handle_address_allowed(const struct handle_table *table, const struct ip_address *ip)
{
    const struct handle_settings *s = &table->settings;
    if (!handle_pool_holds(table, ip))
        return false;
    for (unsigned i = 0; i < s->keep_out_count; i++)
        if (ip_address_equal(ip, &s->keep_out[i]))
            return false;
    return true;
}

/* Address number `n` of the IPv4 pool. */
static struct ip_address v4_number(const struct ip_prefix *pool, uint32_t n)
{
    const uint8_t *b = pool->ip.bytes;
    uint32_t base = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    uint32_t mask = UINT32_MAX << (32 - pool->length), whole = (base & mask) | n;
    struct ip_address ip = {.family = 4};
    for (unsigned i = 0; i < 4; i++)
        ip.bytes[i] = (uint8_t)(whole >> (24 - 8 * i));
    return ip;
}

static bool v4_free(const struct handle_table *table, uint32_t n, struct ip_address *ret)
{
    const struct ip_prefix *pool = &table->settings.v4;
    uint32_t size = UINT32_C(1) << (32 - pool->length);
    struct ip_address ip = v4_number(pool, n);
    bool end = n == 0 || n == size - 1 || ip.bytes[3] == 0 || ip.bytes[3] == 255;
    if (end || !handle_address_allowed(table, &ip) || handle_entry_at(table, &ip))
        return false;
    *ret = ip;
    return true;
}

static bool v4_draw(struct handle_table *table, struct ip_address *ret)
{
    uint32_t size = UINT32_C(1) << (32 - table->settings.v4.length);
    if (table->v4_full)
        return false;
    for (unsigned i = 0; i < DRAWS; i++)
        if (v4_free(table, entropy_below(table->entropy, size), ret))
            return true;
    uint32_t start = entropy_below(table->entropy, size);
    for (uint32_t i = 0; i < size; i++)
        if (v4_free(table, (start + i) & (size - 1), ret))
            return true;
    table->v4_full = true;
    return false;
}

static bool v6_draw(struct handle_table *table, struct ip_address *ret)
{
    const struct ip_prefix *pool = &table->settings.v6;
    /* At least 2^16 addresses: a pool that is so full that all draws fail is as good as empty. */
    for (unsigned i = 0; i < DRAWS; i++) {
        uint8_t random[16];
        entropy_fill(table->entropy, random, sizeof random);
        struct ip_address ip = {.family = 6};
        uint8_t host = 0; /* all-zero host bits are the routers' anycast address */
        for (unsigned k = 0; k < 16; k++) {
            unsigned fixed = pool->length > 8 * k ? pool->length - 8 * k : 0;
            uint8_t mask = fixed >= 8 ? 0xff : (uint8_t)(0xff << (8 - fixed));
            uint8_t bits = random[k] & (uint8_t)~mask;
            ip.bytes[k] = (pool->ip.bytes[k] & mask) | bits;
            if (k >= 8)
                host |= bits;
        }
        if (host && handle_address_allowed(table, &ip) && !handle_entry_at(table, &ip)) {
            *ret = ip;
            return true;
        }
    }
    return false;
}

bool handle_pool_draw(struct handle_table *table, struct ip_address *ret_v4,
                      struct ip_address *ret_v6)
{
    struct ip_address v4 = {0}, v6 = {0};
    if (table->settings.v4.ip.family && !v4_draw(table, &v4))
        return false;
    if (table->settings.v6.ip.family && !v6_draw(table, &v6))
        return false;
    *ret_v4 = v4;
    *ret_v6 = v6;
    return true;
}
