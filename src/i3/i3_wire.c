#include "i3/i3_wire.h"

#include <string.h>

#include "base/cursor.h"

/* Options have no length of their own: who does not know a type cannot go on behind it.  So an
 * unknown type ends the packet, here as with the original. */

#define BUCKET_SIZE                                                                                \
    13 /* unit, depth, rate, peak: the peak is written as the rate and not looked at */

static const char *const fault_names[][2] = {[I3_FINE] = {"fine", "a packet of i3"},
#define FAULT_NAME(id, name, text) [I3_FAULT_##id] = {name, text},
                                             I3_FAULTS(FAULT_NAME)
#undef FAULT_NAME
};

const char *i3_fault_name(enum i3_fault fault)
{
    return fault < I3_FAULT_COUNT ? fault_names[fault][0] : "unknown";
}

const char *i3_fault_text(enum i3_fault fault)
{
    return fault < I3_FAULT_COUNT ? fault_names[fault][1] : "unknown";
}

const char *i3_option_name(uint8_t type)
{
    switch (type) {
#define OPTION_NAME(id, value, name)                                                               \
    case value:                                                                                    \
        return name;
        I3_OPTION_TYPES(OPTION_NAME)
#undef OPTION_NAME
    }
    return "unknown";
}

/* `count` identifiers in place: an identifier is bytes only, so any address suits it. */
static const struct i3_id *read_stack(struct reader *r, unsigned count)
{
    _Static_assert(sizeof(struct i3_id) == I3_ID && _Alignof(struct i3_id) == 1, "lies in packets");
    return (const struct i3_id *)read_bytes(r, (size_t)count * I3_ID);
}

static enum i3_fault read_address(struct reader *r, struct i3_address *ret)
{
    uint8_t type = read_u8(r);
    memset(ret, 0, sizeof *ret);
    ret->type = type;
    switch (type) {
    case I3_TO_STACK:
        ret->depth = read_u8(r) & 15;
        if (!r->failed && !ret->depth)
            return I3_FAULT_ADDRESS;
        ret->stack = read_stack(r, ret->depth);
        break;
    case I3_TO_IPV4:
    case I3_TO_IPV6:
        ret->at.ip.family = type == I3_TO_IPV4 ? 4 : 6;
        read_copy(r, ret->at.ip.bytes, type == I3_TO_IPV4 ? 4 : 16);
        ret->at.port = read_u16(r);
        break;
    default:
        return r->failed ? I3_FAULT_SHORT : I3_FAULT_ADDRESS;
    }
    return r->failed ? I3_FAULT_SHORT : I3_FINE;
}

static enum i3_fault read_trigger(struct reader *r, struct i3_trigger *t)
{
    t->flags = read_u8(r);
    read_copy(r, t->id.bytes, I3_ID);
    t->prefix = read_u16(r);
    read_copy(r, t->nonce, I3_NONCE);
    memset(&t->limit, 0, sizeof t->limit);
    memset(t->key, 0, I3_KEY);
    enum i3_fault fault = read_address(r, &t->target);
    if (fault || t->target.type == I3_TO_STACK)
        return fault;
    read_copy(r, t->key, I3_KEY);
    if (t->flags & I3_TRIGGER_LIMITED) {
        t->limit.unit = read_u8(r);
        t->limit.depth = read_u32(r);
        t->limit.rate = read_u32(r);
        read_u32(r);
    }
    return r->failed ? I3_FAULT_SHORT : I3_FINE;
}

bool i3_option_has_trigger(uint8_t type)
{
    switch (type) {
    case I3_INSERT:
    case I3_CHALLENGE:
    case I3_ACK:
    case I3_REMOVE:
    case I3_CACHE_ADDRESS:
    case I3_FORCE_CACHE_ADDRESS:
    case I3_CONSTRAINT_FAILED:
    case I3_ROUTE_BROKEN:
        return true;
    }
    return false;
}

static enum i3_fault read_option(struct reader *r, struct i3_option *ret)
{
    ret->type = read_u8(r);
    if (i3_option_has_trigger(ret->type))
        return read_trigger(r, &ret->trigger);
    switch (ret->type) {
    case I3_SENDER:
        return read_address(r, &ret->sender);
    case I3_NOT_PRESENT:
        read_copy(r, ret->id.bytes, I3_ID);
        return r->failed ? I3_FAULT_SHORT : I3_FINE;
    case I3_REQUEST_FOR_CACHE:
    case I3_LOG_PACKET:
    case I3_APPEND_TIME:
        return I3_FINE;
    }
    return I3_FAULT_OPTION;
}

static enum i3_fault read_options(struct reader *r, struct i3_packet *ret)
{
    uint16_t length = read_u16(r);
    if (r->failed)
        return I3_FAULT_SHORT;
    if (length < 2)
        return I3_FAULT_LENGTH;
    struct reader list = reader_over(r->at, (size_t)length - 2);
    if (!read_bytes(r, (size_t)length - 2))
        return I3_FAULT_LENGTH;
    while (reader_left(&list)) {
        if (ret->option_count == I3_OPTIONS_MAX)
            return I3_FAULT_OPTION_COUNT;
        enum i3_fault fault = read_option(&list, &ret->option[ret->option_count]);
        /* The datagram was long enough for the list, so a short option is a lie of the list's
         * length. */
        if (fault)
            return fault == I3_FAULT_SHORT ? I3_FAULT_LENGTH : fault;
        ret->option_count++;
    }
    return I3_FINE;
}

enum i3_fault i3_packet_parse(const void *bytes, size_t size, struct i3_packet *ret)
{
    struct reader r = reader_over(bytes, size);
    uint8_t version = read_u8(&r), flags = read_u8(&r), depth = read_u8(&r);
    if (r.failed)
        return I3_FAULT_SHORT;
    if (version != I3_VERSION)
        return I3_FAULT_VERSION;
    if (flags & 0x80)
        return I3_FAULT_FLAGS;
    if (depth > I3_STACK_MAX)
        return I3_FAULT_DEPTH;
    ret->flags = flags & (I3_DATA | I3_OPTIONS | I3_FIRST_HOP);
    ret->depth = depth;
    ret->option_count = 0;
    ret->stack = read_stack(&r, depth);
    if (r.failed)
        return I3_FAULT_SHORT;
    enum i3_fault fault = flags & I3_OPTIONS ? read_options(&r, ret) : I3_FINE;
    if (fault)
        return fault;
    ret->payload = r.at;
    ret->payload_size = reader_left(&r);
    return I3_FINE;
}

/* A writer that is told something it cannot say fails as one without room does. */
static void refuse(struct writer *w)
{
    w->failed = true;
}

static void write_address(struct writer *w, const struct i3_address *a)
{
    write_u8(w, a->type);
    switch (a->type) {
    case I3_TO_STACK:
        if (!a->depth || a->depth > I3_STACK_MAX)
            refuse(w);
        write_u8(w, a->depth);
        write_bytes(w, a->stack, (size_t)a->depth * I3_ID);
        break;
    case I3_TO_IPV4:
    case I3_TO_IPV6:
        if (a->at.ip.family != (a->type == I3_TO_IPV4 ? 4 : 6))
            refuse(w);
        write_bytes(w, a->at.ip.bytes, a->type == I3_TO_IPV4 ? 4 : 16);
        write_u16(w, a->at.port);
        break;
    default:
        refuse(w);
    }
}

static void write_trigger(struct writer *w, const struct i3_trigger *t)
{
    write_u8(w, t->flags);
    write_bytes(w, t->id.bytes, I3_ID);
    write_u16(w, t->prefix);
    write_bytes(w, t->nonce, I3_NONCE);
    write_address(w, &t->target);
    if (t->target.type == I3_TO_STACK)
        return;
    write_bytes(w, t->key, I3_KEY);
    if (t->flags & I3_TRIGGER_LIMITED) {
        _Static_assert(BUCKET_SIZE == 1 + 3 * 4, "as it is written here");
        write_u8(w, t->limit.unit);
        write_u32(w, t->limit.depth);
        write_u32(w, t->limit.rate);
        write_u32(w, t->limit.rate);
    }
}

static void write_option(struct writer *w, const struct i3_option *o)
{
    write_u8(w, o->type);
    if (i3_option_has_trigger(o->type)) {
        write_trigger(w, &o->trigger);
        return;
    }
    switch (o->type) {
    case I3_SENDER:
        write_address(w, &o->sender);
        break;
    case I3_NOT_PRESENT:
        write_bytes(w, o->id.bytes, I3_ID);
        break;
    case I3_REQUEST_FOR_CACHE:
    case I3_LOG_PACKET:
    case I3_APPEND_TIME:
        break;
    default:
        refuse(w);
    }
}

size_t i3_packet_write(const struct i3_packet *p, void *out, size_t size)
{
    struct writer w = writer_over(out, size);
    if (p->depth > I3_STACK_MAX || p->option_count > I3_OPTIONS_MAX ||
        (p->option_count && !(p->flags & I3_OPTIONS)))
        return 0;
    write_u8(&w, I3_VERSION);
    write_u8(&w, p->flags);
    write_u8(&w, p->depth);
    write_bytes(&w, p->stack, (size_t)p->depth * I3_ID);
    if (p->flags & I3_OPTIONS) {
        uint8_t *length = write_room(&w, 2);
        for (unsigned i = 0; i < p->option_count; i++)
            write_option(&w, &p->option[i]);
        if (w.failed)
            return 0;
        size_t list = (size_t)(w.at - length);
        if (list > UINT16_MAX)
            return 0;
        struct writer back = writer_over(length, 2);
        write_u16(&back, (uint16_t)list);
    }
    write_bytes(&w, p->payload, p->payload_size);
    return w.failed ? 0 : writer_size(&w);
}

const struct i3_option *i3_packet_option(const struct i3_packet *p, enum i3_option_type type)
{
    for (unsigned i = 0; i < p->option_count; i++)
        if (p->option[i].type == type)
            return &p->option[i];
    return NULL;
}

struct i3_address i3_address_of(const struct endpoint *at)
{
    return (struct i3_address){.type = at->ip.family == 6 ? I3_TO_IPV6 : I3_TO_IPV4, .at = *at};
}

bool i3_address_equal(const struct i3_address *a, const struct i3_address *b)
{
    if (a->type != b->type || a->depth != b->depth)
        return false;
    return a->type == I3_TO_STACK ? !memcmp(a->stack, b->stack, (size_t)a->depth * I3_ID)
                                  : endpoint_equal(&a->at, &b->at);
}

bool i3_trigger_same(const struct i3_trigger *a, const struct i3_trigger *b)
{
    return i3_id_equal(&a->id, &b->id) && i3_address_equal(&a->target, &b->target);
}

/* Fourteen bytes that stray memory does not hold by chance, one reserved, and the abilities. */
static const uint8_t hello[I3_NONCE - 2] = {0xc5, 'o', 'c', 'a', 'l',  'a',  ' ',
                                            'i',  '3', ' ', '1', 0x9e, 0x0d, 0xb7};

void i3_hello_write(uint8_t abilities, uint8_t nonce[I3_NONCE])
{
    memcpy(nonce, hello, sizeof hello);
    nonce[I3_NONCE - 2] = 0;
    nonce[I3_NONCE - 1] = abilities;
}

uint8_t i3_hello_read(const uint8_t nonce[I3_NONCE])
{
    return memcmp(nonce, hello, sizeof hello) ? 0 : nonce[I3_NONCE - 1];
}

bool i3_ping_parse(const void *bytes, size_t size, struct i3_ping *ret)
{
    struct reader r = reader_over(bytes, size);
    uint8_t type = read_u8(&r);
    if (size != I3_PING_SIZE || (type != I3_PING_ASK && type != I3_PING_REPLY))
        return false;
    ret->is_reply = type == I3_PING_REPLY;
    ret->sequence = read_u16(&r);
    ret->time = read_u64(&r);
    ret->abilities = ret->is_reply ? i3_hello_read(read_bytes(&r, I3_NONCE)) : 0;
    return true;
}

void i3_ping_write(const struct i3_ping *p, uint8_t out[I3_PING_SIZE])
{
    struct writer w = writer_over(out, I3_PING_SIZE);
    memset(out, 0, I3_PING_SIZE);
    write_u8(&w, p->is_reply ? I3_PING_REPLY : I3_PING_ASK);
    write_u16(&w, p->sequence);
    write_u64(&w, p->time);
    if (p->is_reply && p->abilities)
        i3_hello_write(p->abilities, write_room(&w, I3_NONCE));
}
