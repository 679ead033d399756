/* Sealing and opening of records; the wire format is in doc/protocol/record.md.
 *
 * A sealer is a key and a counter.  The counter is taken before the library is called, so that no
 * failure can lead to the same counter twice; another thread may read it (for "rekey is due").
 * Beside it the tags of the last records are kept, because a PATH_ERROR carries no key: quoting a
 * tag that was sent lately is the proof that its sender saw the record.  Who judges it may be
 * another thread too: it reads a tag whole, or one that is being replaced and fits nothing.
 *
 * An opener is a key and a replay window.  The window is asked first, since that is cheap, and told
 * last, since only a record that authenticates may move it. */
#include "record/record.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

struct record_sealer {
    struct aead *aead;
    uint64_t counter; /* next to be used; written by the owning thread, read by any */
    uint64_t first;   /* counter of the first record of this sealer */
    uint8_t epoch;
    /* By counter % RECORD_REMEMBERED; any thread may look (relaxed). */
    uint64_t tags[RECORD_REMEMBERED][2];
};

struct record_opener {
    struct aead *aead;
    struct replay replay;
};

bool record_read_header(const uint8_t *bytes, size_t size, struct record_header *ret)
{
    if (size < RECORD_OVERHEAD)
        return false;
    struct reader r = reader_over(bytes, size);
    if (read_u8(&r) != WIRE_RECORD)
        return false;
    ret->flags = read_u8(&r);
    ret->hops = read_u8(&r);
    ret->epoch = read_u8(&r);
    ret->label = read_u32(&r);
    ret->counter = read_u64(&r);
    return true;
}

/* The header has a fixed size and its room was asked for by the caller: no cursor is needed to
 * write it.  Stores of whole words, since this is done for each packet. */
static void put32(uint8_t *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(out, &value, sizeof value);
}

static void put64(uint8_t *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, sizeof value);
}

/* The header as bytes; with hops and label zero it is the associated data. */
static void write_header(uint8_t *out, uint8_t flags, uint8_t hops, uint8_t epoch, uint32_t label,
                         uint64_t counter)
{
    out[0] = WIRE_RECORD;
    out[1] = flags;
    out[2] = hops;
    out[3] = epoch;
    put32(out + 4, label);
    put64(out + 8, counter);
}

static void make_nonce(uint8_t out[12], uint64_t counter)
{
    memset(out, 0, 4);
    put64(out + 4, counter);
}

void record_swap_label(uint8_t *record, uint32_t label)
{
    record[2]--;
    put32(record + 4, label);
}

struct record_sealer *record_sealer_new(struct aead_library *l, enum crypto_aead aead,
                                        const uint8_t key[32], uint8_t epoch, uint64_t counter)
{
    struct record_sealer *s = base_calloc(1, sizeof *s);
    s->aead = aead_new(l, aead, key, true);
    if (!s->aead) {
        free(s);
        return NULL;
    }
    s->epoch = epoch;
    s->counter = s->first = counter;
    return s;
}

void record_sealer_free(struct record_sealer *s)
{
    if (!s)
        return;
    aead_free(s->aead);
    free(s);
}

uint64_t record_sealer_counter(const struct record_sealer *s)
{
    return __atomic_load_n(&s->counter, __ATOMIC_RELAXED);
}

uint8_t record_sealer_epoch(const struct record_sealer *s)
{
    return s->epoch;
}

size_t record_seal(struct record_sealer *s, uint8_t *record, size_t size, uint8_t flags,
                   uint32_t label)
{
    return record_seal_to(s, record + RECORD_HEADER, size, flags, label, record);
}

static void keep_tag(uint64_t kept[2], const uint8_t *tag)
{
    uint64_t words[2];
    memcpy(words, tag, sizeof words);
    __atomic_store_n(&kept[0], words[0], __ATOMIC_RELAXED);
    __atomic_store_n(&kept[1], words[1], __ATOMIC_RELAXED);
}

size_t record_seal_to(struct record_sealer *s, const uint8_t *text, size_t size, uint8_t flags,
                      uint32_t label, uint8_t *record)
{
    uint64_t counter = s->counter;
    if (counter >= RECORD_DEAD_AT)
        return 0;
    __atomic_store_n(&s->counter, counter + 1, __ATOMIC_RELAXED);

    /* The header without hops and label is what is authenticated; they are filled in afterwards. */
    uint8_t nonce[12];
    write_header(record, flags, 0, s->epoch, 0, counter);
    make_nonce(nonce, counter);
    uint8_t *sealed = record + RECORD_HEADER;
    if (!aead_seal(s->aead, nonce, record, RECORD_HEADER, text, size, sealed))
        return 0;
    record[2] = RECORD_HOPS;
    put32(record + 4, label);
    keep_tag(s->tags[counter % RECORD_REMEMBERED], sealed + size);
    return RECORD_OVERHEAD + size;
}

bool record_sealed_lately(const struct record_sealer *s, uint64_t counter,
                          const uint8_t tag[RECORD_TAG])
{
    uint64_t next = record_sealer_counter(s);
    if (counter < s->first || counter >= next || next - counter > RECORD_REMEMBERED)
        return false;
    const uint64_t *kept = s->tags[counter % RECORD_REMEMBERED];
    uint64_t seen[2] = {__atomic_load_n(&kept[0], __ATOMIC_RELAXED),
                        __atomic_load_n(&kept[1], __ATOMIC_RELAXED)};
    return crypto_equal(seen, tag, RECORD_TAG);
}

void record_sealer_fetch(const struct record_sealer *s)
{
    aead_fetch(s->aead);
    __builtin_prefetch(s->tags[record_sealer_counter(s) % RECORD_REMEMBERED], 1);
}

void record_opener_fetch(const struct record_opener *o, uint64_t counter)
{
    aead_fetch(o->aead);
    replay_fetch(&o->replay, counter);
}

struct record_opener *record_opener_new(struct aead_library *l, enum crypto_aead aead,
                                        const uint8_t key[32], bool fresh, uint64_t floor)
{
    struct record_opener *o = base_calloc(1, sizeof *o);
    o->aead = aead_new(l, aead, key, false);
    if (!o->aead) {
        free(o);
        return NULL;
    }
    replay_init(&o->replay, fresh, floor);
    return o;
}

void record_opener_free(struct record_opener *o)
{
    if (!o)
        return;
    aead_free(o->aead);
    free(o);
}

bool record_opener_highest(const struct record_opener *o, uint64_t *ret)
{
    if (o->replay.used)
        *ret = o->replay.highest;
    return o->replay.used;
}

bool record_open(struct record_opener *o, uint8_t *record, size_t size,
                 const struct record_header *h, size_t *ret_size, enum drop_reason *ret_reason)
{
    return record_open_to(o, record, size, h, record + RECORD_HEADER, ret_size, ret_reason);
}

bool record_open_to(struct record_opener *o, const uint8_t *record, size_t size,
                    const struct record_header *h, uint8_t *text, size_t *ret_size,
                    enum drop_reason *ret_reason)
{
    if (size < RECORD_OVERHEAD) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    if (!replay_fresh(&o->replay, h->counter)) {
        *ret_reason = DROP_REPLAYED;
        return false;
    }
    uint8_t ad[RECORD_HEADER], nonce[12];
    write_header(ad, h->flags, 0, h->epoch, 0, h->counter);
    make_nonce(nonce, h->counter);
    if (!aead_open(o->aead, nonce, ad, sizeof ad, record + RECORD_HEADER, size - RECORD_HEADER,
                   text)) {
        *ret_reason = DROP_BAD_TAG;
        return false;
    }
    replay_mark(&o->replay, h->counter);
    *ret_size = size - RECORD_OVERHEAD;
    return true;
}

void record_lane_key(const uint8_t direction_key[32], uint8_t lane, uint8_t epoch,
                     uint8_t ret_key[32])
{
    static const char text[] = "ocala lane";
    uint8_t info[sizeof text - 1 + 2];
    memcpy(info, text, sizeof text - 1);
    info[sizeof text - 1] = lane;
    info[sizeof text] = epoch;
    crypto_hkdf_expand(direction_key, info, sizeof info, ret_key, 32);
}
