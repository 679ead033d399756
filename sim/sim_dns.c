#include "sim/sim_dns.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/text.h"

#define DNS_RESPONSE  0x8000
#define DNS_RECURSION 0x0100
#define DNS_OPT       41
#define DNS_EDE       15
#define DNS_POINTERS  16 /* compression pointers that are followed */

static bool write_name(struct writer *w, const char *name)
{
    while (*name) {
        size_t length = strcspn(name, ".");
        if (!length || length > 63)
            return false;
        write_u8(w, (uint8_t)length);
        write_bytes(w, name, length);
        name += length + (name[length] == '.');
    }
    write_u8(w, 0);
    return true;
}

size_t sim_dns_write(uint16_t id, const char *name, enum sim_dns_type type, uint8_t *out,
                     size_t room)
{
    static const uint8_t opt[] = {0, 0, DNS_OPT, SIM_DNS_MAX >> 8, SIM_DNS_MAX & 255, 0, 0, 0,
                                  0, 0, 0};
    static const uint8_t counts[] = {0, 1, 0, 0, 0, 0, 0, 1}; /* a question, and OPT */
    struct writer w = writer_over(out, room);
    write_u32(&w, (uint32_t)id << 16 | DNS_RECURSION);
    write_bytes(&w, counts, sizeof counts);
    if (!write_name(&w, name))
        return 0;
    write_u32(&w, (uint32_t)type << 16 | 1);
    write_bytes(&w, opt, sizeof opt);
    return w.failed ? 0 : writer_size(&w);
}

const char *sim_dns_reverse(const struct ip_address *ip, char *out)
{
    struct text t;
    text_begin(&t, out, NAME_TEXT);
    if (ip->family == 4) {
        text_add(&t, "%u.%u.%u.%u.in-addr.arpa", ip->bytes[3], ip->bytes[2], ip->bytes[1],
                 ip->bytes[0]);
        return out;
    }
    for (unsigned i = 16; i-- > 0;)
        text_add(&t, "%x.%x.", ip->bytes[i] & 15, ip->bytes[i] >> 4);
    text_add(&t, "ip6.arpa");
    return out;
}

/* Reads a name that may be compressed; text without a final dot. */
static void read_name(struct reader *r, const uint8_t *start, char out[NAME_TEXT])
{
    struct reader away, *at = r;
    struct text t;
    text_begin(&t, out, NAME_TEXT);
    for (unsigned jumps = 0; jumps <= DNS_POINTERS;) {
        uint8_t length = read_u8(at);
        if (length >= 0xC0) {
            size_t offset = (size_t)(length & 0x3F) << 8 | read_u8(at);
            if (offset >= (size_t)(r->end - start))
                break;
            away = reader_over(start + offset, (size_t)(r->end - start) - offset);
            at = &away;
            jumps++;
            continue;
        }
        const uint8_t *label = length ? read_bytes(at, length) : NULL;
        if (!label) {
            r->failed |= length != 0 || at->failed;
            return;
        }
        text_add(&t, "%s%.*s", t.length ? "." : "", length, (const char *)label);
    }
    r->failed = true;
}

/* Extended DNS Error among the options of OPT. */
static void read_options(const uint8_t *data, size_t size, struct sim_answer *ret)
{
    struct reader r = reader_over(data, size);
    while (!r.failed && reader_left(&r)) {
        uint16_t code = read_u16(&r), length = read_u16(&r);
        const uint8_t *option = read_bytes(&r, length);
        if (!option || code != DNS_EDE || length < 2)
            continue;
        snprintf(ret->text, sizeof ret->text, "%.*s", length - 2, (const char *)option + 2);
    }
}

static void read_record(struct reader *r, const uint8_t *start, struct sim_answer *ret)
{
    char name[NAME_TEXT];
    read_name(r, start, name);
    uint16_t type = read_u16(r);
    read_u16(r);
    read_u32(r);
    uint16_t size = read_u16(r);
    struct reader inside = *r;
    const uint8_t *data = read_bytes(r, size);
    if (!data)
        return;
    if ((type == SIM_DNS_A && size == 4) || (type == SIM_DNS_AAAA && size == 16)) {
        ret->ip.family = size == 4 ? 4 : 6;
        memcpy(ret->ip.bytes, data, size);
    } else if (type == SIM_DNS_PTR) {
        read_name(&inside, start, ret->name);
        r->failed |= inside.failed;
    } else if (type == DNS_OPT) {
        read_options(data, size, ret);
    }
}

bool sim_dns_read(uint16_t id, const uint8_t *bytes, size_t size, struct sim_answer *ret)
{
    struct reader r = reader_over(bytes, size);
    char name[NAME_TEXT];
    *ret = (struct sim_answer){0};
    bool ours = read_u16(&r) == id;
    uint16_t flags = read_u16(&r);
    unsigned questions = read_u16(&r), records = read_u16(&r);
    records += read_u16(&r);
    records += read_u16(&r);
    ret->rcode = flags & 15;
    while (questions-- && !r.failed) {
        read_name(&r, bytes, name);
        read_u32(&r);
    }
    while (records-- && !r.failed)
        read_record(&r, bytes, ret);
    return ours && (flags & DNS_RESPONSE) && !r.failed;
}
