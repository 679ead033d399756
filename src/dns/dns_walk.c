/* Upstream messages are passed on as they are, so they are walked rather than parsed into structs:
 * an exotic record must not make an answer unusable.  What is checked is what a program's own
 * parser depends on as well: the boundaries of names and records.  A compression pointer must point
 * before the name it is part of, so that every chain of pointers ends. */
#include "dns/dns_walk.h"

#include <string.h>

#include "dns/dns_message.h"

#define POINTER 0xc0

/* One name, expanded into `out` (of DNS_NAME_MAX bytes); returns its expanded size, 0 and `failed`
 * when malformed. */
static size_t name_read(struct dns_walk *walk, uint8_t *out, bool *ret_compressed)
{
    struct reader *r = &walk->r;
    struct reader at = *r; /* follows pointers; `r` stays behind the first one */
    size_t lowest = (size_t)(r->at - walk->start);
    struct writer w = writer_over(out, DNS_NAME_MAX);
    bool jumped = false;
    for (;;) {
        uint8_t length = read_u8(&at);
        if ((length & POINTER) == POINTER) {
            size_t target = (size_t)(length & ~POINTER) << 8 | read_u8(&at);
            if (!jumped && !at.failed)
                *r = at;
            jumped = true;
            if (at.failed || target >= lowest)
                goto malformed;
            lowest = target;
            at.at = walk->start + target;
            continue;
        }
        if (at.failed || length > DNS_LABEL_MAX)
            goto malformed;
        const uint8_t *label = read_bytes(&at, length);
        if (!label)
            goto malformed;
        write_u8(&w, length);
        write_bytes(&w, label, length);
        if (w.failed)
            goto malformed;
        if (length == 0)
            break;
    }
    if (!jumped)
        *r = at;
    *ret_compressed = jumped;
    return writer_size(&w);
malformed:
    r->failed = true;
    return 0;
}

bool dns_walk_start(struct dns_walk *walk, const void *bytes, size_t size)
{
    *walk = (struct dns_walk){.start = bytes, .r = reader_over(bytes, size)};
    struct reader *r = &walk->r;
    walk->id = read_u16(r);
    uint16_t flags = read_u16(r), questions = read_u16(r);
    walk->response = flags & 0x8000;
    walk->truncated = flags & 0x0200;
    walk->rcode = flags & 15;
    for (unsigned i = 0; i < 3; i++)
        walk->left[i] = read_u16(r);
    if (r->failed || questions > 1)
        return false;
    walk->question = questions == 1;
    if (!walk->question)
        return true;
    uint8_t name[DNS_NAME_MAX];
    bool compressed = false;
    size_t name_size = name_read(walk, name, &compressed);
    walk->type = read_u16(r);
    walk->class = read_u16(r);
    walk->in_place = !compressed;
    return !r->failed && dns_name_set(&walk->name, name, name_size);
}

bool dns_walk_next(struct dns_walk *walk, struct dns_record *ret)
{
    unsigned section = 0;
    while (section < 3 && walk->left[section] == 0)
        section++;
    if (section == 3 || walk->r.failed)
        return false;
    walk->left[section]--;
    uint8_t name[DNS_NAME_MAX];
    bool compressed = false;
    name_read(walk, name, &compressed);
    struct reader *r = &walk->r;
    struct dns_record record = {.section = section};
    record.type = read_u16(r);
    record.class = read_u16(r);
    record.ttl = read_u32(r);
    record.size = read_u16(r);
    record.data = read_bytes(r, record.size);
    if ((record.type == DNS_TYPE_A && record.class == DNS_CLASS_IN && record.size != 4) ||
        (record.type == DNS_TYPE_AAAA && record.class == DNS_CLASS_IN && record.size != 16))
        r->failed = true;
    if (r->failed)
        return false;
    *ret = record;
    return true;
}

struct ip_address dns_record_address(const struct dns_record *record)
{
    struct ip_address ip = {0};
    if (record->type == DNS_TYPE_A && record->size == 4)
        ip.family = 4;
    else if (record->type == DNS_TYPE_AAAA && record->size == 16)
        ip.family = 6;
    if (ip.family)
        memcpy(ip.bytes, record->data, record->size);
    return ip;
}

bool dns_pool_holds(const struct ip_prefix pool[2], const struct ip_address *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct ip_address v4 = {.family = 4};
    bool is_mapped = ip->family == 6 && memcmp(ip->bytes, mapped, sizeof mapped) == 0;
    if (is_mapped)
        memcpy(v4.bytes, ip->bytes + sizeof mapped, 4);
    for (unsigned i = 0; i < 2; i++)
        if (pool[i].ip.family &&
            (ip_prefix_holds(&pool[i], ip) || (is_mapped && ip_prefix_holds(&pool[i], &v4))))
            return true;
    return false;
}

/* RFC 9460 section 2.2: priority, target name, then parameters; 4 and 6 are lists of addresses. */
static bool hints_hold_pool(const struct dns_record *record, const struct ip_prefix pool[2])
{
    struct reader r = reader_over(record->data, record->size);
    read_u16(&r);
    for (uint8_t length; (length = read_u8(&r)) != 0;)
        read_bytes(&r, length);
    while (!r.failed && reader_left(&r)) {
        uint16_t key = read_u16(&r), size = read_u16(&r);
        const uint8_t *value = read_bytes(&r, size);
        size_t each = key == 4 ? 4 : key == 6 ? 16 : 0;
        for (size_t at = 0; value && each && at + each <= size; at += each) {
            struct ip_address ip = {.family = (uint8_t)key};
            memcpy(ip.bytes, value + at, each);
            if (dns_pool_holds(pool, &ip))
                return true;
        }
    }
    return false;
}

bool dns_record_holds_pool(const struct dns_record *record, const struct ip_prefix pool[2])
{
    if (record->type == DNS_TYPE_SVCB || record->type == DNS_TYPE_HTTPS)
        return hints_hold_pool(record, pool);
    struct ip_address ip = dns_record_address(record);
    return ip.family && dns_pool_holds(pool, &ip);
}
