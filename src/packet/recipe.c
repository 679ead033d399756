#include "packet/recipe.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "packet/field.h"

/* The only interpreter of recipes and peels.
 *
 * A recipe is checked when it is built and once more whole before publication (recipe_valid); the
 * worker then follows it with no check but those that depend on the packet: room, length fields,
 * hop counts.
 *
 * A peel is chosen by looking before touching: steps up to the first that changes bytes or asks
 * somebody (open, steer) are tried on the packet as it lies, so a peel that does not fit leaves the
 * packet whole for the next one.  From there on there is no way back, and what does not hold drops
 * the packet. */

/* Seals together may add this much: they grow into the tailroom, or into what prepends leave of the
 * headroom. */
#define SEAL_OVERHEAD_MAX PACKET_TAILROOM

void recipe_begin(struct recipe *r)
{
    memset(r, 0, sizeof *r);
    r->bytes_at = offsetof(struct recipe, bytes);
    r->keepalive = INSTANT_NEVER;
}

/* The next free step; NULL when the recipe is full or already ends in a send. */
static struct recipe_step *next_step(struct recipe *r)
{
    if (r->count >= RECIPE_STEPS)
        return NULL;
    if (r->count && r->step[r->count - 1].verb == RECIPE_SEND)
        return NULL;
    return &r->step[r->count];
}

static bool patch_valid(const struct recipe_patch *patch, uint16_t size)
{
    switch (patch->kind) {
    case PATCH_NONE:
        return true;
    case PATCH_LENGTH16:
        return patch->at + 2 <= size && patch->from <= size;
    case PATCH_SEQUENCE16:
        return patch->at + 2 <= size && patch->sequence;
    case PATCH_SEQUENCE32:
        return patch->at + 4 <= size && patch->sequence;
    case PATCH_TTL:
        return !size || (patch->at < size && patch->from < ARRIVAL_VIA);
    }
    return false;
}

bool recipe_add_prepend(struct recipe *r, const void *bytes, uint16_t size,
                        const struct recipe_patch *patches, unsigned patch_count)
{
    struct recipe_step *step = next_step(r);
    if (!step || size > RECIPE_BYTES - r->bytes_used)
        return false;
    if (patch_count > sizeof step->prepend.patch / sizeof *step->prepend.patch)
        return false;
    for (unsigned i = 0; i < patch_count; i++) {
        if (!patch_valid(&patches[i], size))
            return false;
    }
    *step = (struct recipe_step){.verb = RECIPE_PREPEND,
                                 .prepend = {.offset = r->bytes_used, .size = size}};
    for (unsigned i = 0; i < patch_count; i++)
        step->prepend.patch[i] = patches[i];
    if (size)
        memcpy(r->bytes + r->bytes_used, bytes, size);
    r->bytes_used += size;
    r->overhead += size;
    r->count++;
    return true;
}

bool recipe_add_seal(struct recipe *r, struct recipe_seal *state, uint16_t overhead)
{
    struct recipe_step *step = next_step(r);
    unsigned seals = (unsigned)(r->overhead - r->bytes_used) + overhead;
    if (!step || !state || !state->seal || seals > SEAL_OVERHEAD_MAX)
        return false;
    *step = (struct recipe_step){.verb = RECIPE_SEAL, .seal = {.state = state}};
    r->overhead += overhead;
    r->count++;
    return true;
}

bool recipe_add_send(struct recipe *r, uint16_t socket, const struct endpoint *local,
                     const struct endpoint *remote, uint8_t tos)
{
    struct recipe_step *step = next_step(r);
    if (!step || !remote || (tos & 3))
        return false;
    *step = (struct recipe_step){.verb = RECIPE_SEND,
                                 .send = {.socket = socket, .remote = *remote, .tos = tos}};
    if (local)
        step->send.local = *local;
    if (step->send.local.ip.family && step->send.local.ip.family != remote->ip.family)
        return false;
    r->count++;
    return true;
}

static bool prepend_valid(const struct recipe *r, const struct recipe_step *step, unsigned *bytes)
{
    if (step->prepend.offset != *bytes || step->prepend.size > RECIPE_BYTES - *bytes)
        return false;
    *bytes += step->prepend.size;
    return patch_valid(&step->prepend.patch[0], step->prepend.size) &&
           patch_valid(&step->prepend.patch[1], step->prepend.size);
}

bool recipe_valid(const struct recipe *r)
{
    unsigned bytes = 0;
    if (!r->count || r->count > RECIPE_STEPS || r->keepalive <= 0 ||
        r->bytes_at != offsetof(struct recipe, bytes))
        return false;
    for (unsigned i = 0; i < r->count; i++) {
        const struct recipe_step *step = &r->step[i];
        if ((step->verb == RECIPE_SEND) != (i == r->count - 1u))
            return false;
        if (step->verb == RECIPE_PREPEND && !prepend_valid(r, step, &bytes))
            return false;
        if (step->verb == RECIPE_SEAL && (!step->seal.state || !step->seal.state->seal))
            return false;
        if (step->verb > RECIPE_SEND)
            return false;
    }
    const struct transform *t = r->transform;
    if (t && !(t->input && t->advance && t->deadline && t->output))
        return false;
    return bytes == r->bytes_used && r->overhead >= bytes &&
           r->overhead - bytes <= SEAL_OVERHEAD_MAX;
}

static const uint8_t *bytes_of(const struct recipe *r)
{
    return (const uint8_t *)r + r->bytes_at;
}

static size_t packed_head(const struct recipe *r)
{
    return offsetof(struct recipe, step) + r->count * sizeof r->step[0];
}

struct recipe *recipe_pack(const struct recipe *r)
{
    size_t head = packed_head(r);
    struct recipe *ret = base_calloc(1, head + r->bytes_used);
    memcpy(ret, r, head);
    memcpy((uint8_t *)ret + head, bytes_of(r), r->bytes_used);
    ret->bytes_at = (uint16_t)head;
    return ret;
}

void recipe_unpack(struct recipe *ret, const struct recipe *r)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret, r, packed_head(r));
    memcpy(ret->bytes, bytes_of(r), r->bytes_used);
    ret->bytes_at = offsetof(struct recipe, bytes);
}

const struct recipe_step *recipe_target(const struct recipe *r)
{
    return r->count ? &r->step[r->count - 1] : NULL;
}

bool recipe_has_state(const struct recipe *r)
{
    if (r->transform)
        return true;
    for (unsigned i = 0; i + 1 < r->count; i++) {
        const struct recipe_step *step = &r->step[i];
        if (step->verb == RECIPE_SEAL)
            return true;
        for (unsigned j = 0; step->verb == RECIPE_PREPEND && j < 2; j++) {
            if (step->prepend.patch[j].sequence)
                return true;
        }
    }
    return false;
}

static bool apply_ttl(const struct recipe_patch *patch, struct packet *p,
                      enum drop_reason *ret_reason)
{
    if (patch->from >= p->arrival.via_size) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    uint8_t ttl = p->arrival.via[patch->from];
    if (ttl <= 1) {
        *ret_reason = DROP_HOP_LIMIT;
        return false;
    }
    p->data[patch->at] = ttl - 1;
    return true;
}

/* An empty prepend changes a header that stays on: of each datagram, when it is a run. */
static bool count_down(const struct recipe_patch *patch, struct packet *p,
                       enum drop_reason *ret_reason)
{
    size_t stride = p->run ? p->run : p->size;
    for (size_t at = 0; at == 0 || at < p->size; at += stride) {
        if (at + patch->at >= p->size) {
            *ret_reason = DROP_TRUNCATED;
            return false;
        }
        uint8_t *ttl = p->data + at + patch->at;
        if (*ttl <= 1) {
            *ret_reason = DROP_HOP_LIMIT;
            return false;
        }
        --*ttl;
    }
    return true;
}

/* Changes the prepend that now stands at the packet's front. */
static bool apply_patch(const struct recipe_patch *patch, bool in_place, struct packet *p,
                        enum drop_reason *ret_reason)
{
    long length;
    switch (patch->kind) {
    case PATCH_LENGTH16:
        length = (long)p->size - patch->from + patch->add;
        if (length < 0 || length > UINT16_MAX) {
            *ret_reason = DROP_OVERSIZED;
            return false;
        }
        field_set_u16(p->data + patch->at, (uint16_t)length);
        break;
    case PATCH_SEQUENCE16:
        field_set_u16(p->data + patch->at, (uint16_t)(*patch->sequence)++);
        break;
    case PATCH_SEQUENCE32:
        field_set_u16(p->data + patch->at, (uint16_t)(*patch->sequence >> 16));
        field_set_u16(p->data + patch->at + 2, (uint16_t)(*patch->sequence)++);
        break;
    case PATCH_TTL:
        return in_place ? count_down(patch, p, ret_reason) : apply_ttl(patch, p, ret_reason);
    }
    return true;
}

static bool run_prepend(const struct recipe *r, const struct recipe_step *step, struct packet *p,
                        enum drop_reason *ret_reason)
{
    size_t size = step->prepend.size;
    if (!packet_push(p, size)) {
        *ret_reason = DROP_OVERSIZED;
        return false;
    }
    memcpy(p->data, bytes_of(r) + step->prepend.offset, size);
    for (unsigned i = 0; i < 2; i++) {
        if (!apply_patch(&step->prepend.patch[i], !size, p, ret_reason))
            return false;
    }
    return true;
}

bool recipe_run(const struct recipe *r, struct packet *p, enum drop_reason *ret_reason)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct recipe_step *step = &r->step[i];
        if (step->verb == RECIPE_PREPEND) {
            if (!run_prepend(r, step, p, ret_reason))
                return false;
        } else if (step->verb == RECIPE_SEAL) {
            if (!step->seal.state->seal(step->seal.state, p, ret_reason))
                return false;
        }
    }
    return true;
}

bool recipe_has_front(const struct recipe *r, size_t *ret_size)
{
    *ret_size = 0;
    for (unsigned i = 0; i + 1 < r->count; i++) {
        const struct recipe_step *step = &r->step[i];
        if (step->verb != RECIPE_PREPEND || !step->prepend.size)
            return false;
        for (unsigned j = 0; j < 2; j++)
            if (step->prepend.patch[j].kind > PATCH_LENGTH16)
                return false;
        *ret_size += step->prepend.size;
    }
    return r->count && !r->transform;
}

void recipe_write_front(const struct recipe *r, uint8_t *record, size_t size)
{
    uint8_t *at = record, *end = record + size;
    for (unsigned i = 0; i + 1 < r->count; i++) {
        const struct recipe_step *step = &r->step[i];
        at -= step->prepend.size;
        memcpy(at, bytes_of(r) + step->prepend.offset, step->prepend.size);
        for (unsigned j = 0; j < 2; j++) {
            const struct recipe_patch *patch = &step->prepend.patch[j];
            if (patch->kind == PATCH_LENGTH16)
                field_set_u16(at + patch->at, (uint16_t)(end - at - patch->from + patch->add));
        }
    }
}

/* Does a strip fit the `size` bytes at `bytes`?  *ret_reason says why not. */
static bool strip_fits(const struct peel_step *step, const uint8_t *bytes, size_t size,
                       enum drop_reason *ret_reason)
{
    if (size < step->size) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    for (uint16_t i = 0; step->compare && i < step->size; i++) {
        uint8_t mask = step->mask ? step->mask[i] : 0xFF;
        if ((bytes[i] ^ step->compare[i]) & mask) {
            *ret_reason = DROP_GARBAGE;
            return false;
        }
    }
    return true;
}

static bool length_fits(const struct peel_step *step, const uint8_t *bytes, size_t size,
                        enum drop_reason *ret_reason)
{
    if (size < step->at + 2u) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    struct reader r = reader_over(bytes + step->at, 2);
    long length = (long)read_u16(&r) + step->add;
    if (length != (long)size) {
        *ret_reason = length > (long)size ? DROP_TRUNCATED : DROP_GARBAGE;
        return false;
    }
    return true;
}

/* Tries the steps that only look, without moving anything. */
static bool peel_fits(const struct peel *peel, const struct packet *p, enum drop_reason *ret_reason)
{
    const uint8_t *bytes = p->data;
    size_t size = p->size;
    for (unsigned i = 0; i < peel->count; i++) {
        const struct peel_step *step = &peel->step[i];
        if (step->verb == PEEL_STRIP) {
            if (!strip_fits(step, bytes, size, ret_reason))
                return false;
            bytes += step->size;
            size -= step->size;
        } else if (step->verb == PEEL_LENGTH16) {
            if (!length_fits(step, bytes, size, ret_reason))
                return false;
        } else {
            break;
        }
    }
    return true;
}

static void strip(const struct peel_step *step, struct packet *p)
{
    struct arrival *a = &p->arrival;
    if (step->keep) {
        size_t room = ARRIVAL_VIA - a->via_size;
        size_t kept = step->size < room ? step->size : room;
        memcpy(a->via + a->via_size, p->data, kept);
        a->via_size += (uint8_t)kept;
    }
    packet_pull(p, step->size);
}

static enum peel_result drop(enum drop_reason reason, enum drop_reason *ret_reason)
{
    *ret_reason = reason;
    return PEEL_DROP;
}

/* Asks the module; true when the peeling goes on, else *ret_result is the end of it. */
static bool steer(const struct peel_step *step, struct packet *p, enum peel_result *ret_result,
                  const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    const struct recipe *recipe = NULL;
    enum drop_reason reason = DROP_MODULE;
    switch (step->steer->decide(step->steer, p, &recipe, &reason)) {
    case STEER_DELIVER:
        return true;
    case STEER_PUNT:
        *ret_result = PEEL_IS_MODULES;
        return false;
    case STEER_FORWARD:
        if (!recipe) {
            *ret_result = drop(DROP_NO_TUNNEL, ret_reason);
        } else if (p->size < step->size) {
            *ret_result = drop(DROP_TRUNCATED, ret_reason);
        } else {
            strip(step, p);
            *ret_recipe = recipe;
            *ret_result = PEEL_FORWARD;
        }
        return false;
    case STEER_DROP:
        break;
    }
    *ret_result = drop(reason, ret_reason);
    return false;
}

static enum peel_result follow_peel(const struct peel *peel, struct packet *p,
                                    const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    for (unsigned i = 0; i < peel->count; i++) {
        const struct peel_step *step = &peel->step[i];
        enum peel_result result;
        switch (step->verb) {
        case PEEL_STRIP:
            if (!strip_fits(step, p->data, p->size, ret_reason))
                return PEEL_DROP;
            strip(step, p);
            break;
        case PEEL_LENGTH16:
            if (!length_fits(step, p->data, p->size, ret_reason))
                return PEEL_DROP;
            break;
        case PEEL_OPEN:
            if (!step->state->open(step->state, p, ret_reason))
                return PEEL_DROP;
            break;
        case PEEL_STEER:
            if (!steer(step, p, &result, ret_recipe, ret_reason))
                return result;
            break;
        case PEEL_RECORD:
            return p->size ? PEEL_IS_RECORD : drop(DROP_TRUNCATED, ret_reason);
        case PEEL_PUNT:
            return PEEL_IS_MODULES;
        }
    }
    /* Steps that end nowhere: nobody wants these bytes. */
    return drop(DROP_GARBAGE, ret_reason);
}

enum peel_result peel_run(const struct peel_table *t, struct packet *p,
                          const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    p->arrival.via_size = 0;
    if (!p->size)
        return drop(DROP_TRUNCATED, ret_reason);
    uint8_t first = p->data[0];
    enum drop_reason reason = DROP_GARBAGE;
    for (unsigned i = 0; i < t->count; i++) {
        const struct peel *peel = &t->peel[i];
        if (first < peel->first_low || first > peel->first_high)
            continue;
        if (peel_fits(peel, p, &reason))
            return follow_peel(peel, p, ret_recipe, ret_reason);
    }
    return drop(reason, ret_reason);
}

/* The peel that a steer begins, for datagrams that all begin with the bytes that it looks at. */
static const struct peel *steered_peel(const struct peel_table *t, const struct packet *run)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct peel *peel = &t->peel[i];
        const struct peel_step *first = &peel->step[0];
        if (run->data[0] < peel->first_low || run->data[0] > peel->first_high)
            continue;
        if (!peel->count || first->verb != PEEL_STEER || !first->at || first->size)
            return NULL;
        for (size_t at = 0; at < run->size; at += run->run)
            if (run->size - at < first->at || memcmp(run->data, run->data + at, first->at) != 0)
                return NULL;
        return peel;
    }
    return NULL;
}

bool peel_steer_run(const struct peel_table *t, struct packet *run, size_t *ret_front,
                    enum peel_result *ret_result, const struct recipe **ret_recipe,
                    enum drop_reason *ret_reason)
{
    const struct peel *peel = steered_peel(t, run);
    if (!peel)
        return false;
    struct arrival before = run->arrival;
    uint8_t *data = run->data;
    size_t size = run->size;
    run->arrival.via_size = 0;
    *ret_result = follow_peel(peel, run, ret_recipe, ret_reason);
    *ret_front = (size_t)(run->data - data);
    run->data = data;
    run->size = size;
    if (*ret_result != PEEL_IS_MODULES &&
        (*ret_result != PEEL_IS_RECORD || *ret_front <= peel->step[0].at))
        return true;
    run->arrival = before; /* what is behind may not be alike */
    return false;
}

/* The bytes that a peel takes off before a record; false when it does not fit or does more than that. */
static bool look_under(const struct peel *peel, const uint8_t *bytes, size_t size,
                       size_t *ret_front)
{
    enum drop_reason reason;
    size_t front = 0;
    for (unsigned i = 0; i < peel->count; i++) {
        const struct peel_step *step = &peel->step[i];
        if (step->verb == PEEL_RECORD) {
            *ret_front = front;
            return front < size;
        }
        if (step->verb == PEEL_STRIP && strip_fits(step, bytes + front, size - front, &reason))
            front += step->size;
        else if (step->verb != PEEL_LENGTH16 ||
                 !length_fits(step, bytes + front, size - front, &reason))
            return false;
    }
    return false;
}

bool peel_look(const struct peel_table *t, const uint8_t *bytes, size_t size, size_t *ret_front)
{
    for (unsigned i = 0; size && i < t->count; i++) {
        const struct peel *peel = &t->peel[i];
        if (bytes[0] >= peel->first_low && bytes[0] <= peel->first_high &&
            look_under(peel, bytes, size, ret_front))
            return true;
    }
    return false;
}

void peel_plain(struct peel_table *ret)
{
    /* The range of first bytes that is ours (doc/protocol/record.md). */
    *ret = (struct peel_table){
        .count = 1,
        .peel =
            {{.first_low = 0xC0, .first_high = 0xDF, .count = 1, .step = {{.verb = PEEL_RECORD}}}},
    };
}
