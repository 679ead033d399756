#include "packet/segment.h"
#include "path/forward_internal.h"

/* From a super-packet of a program to runs of records.
 *
 * Each packet that is cut off is sealed straight from the super-packet into the run, one record
 * behind the other, all of equal size but the last, and what the recipe puts before a record is
 * written there: nothing is copied, and the kernel takes the run in one piece.  Where the recipe
 * does more than that, where a transform wants to see each, or where even one packet does not fit a
 * record, the packets go their ways alone; the socket's side joins again what it can. */

/* What is left of a super-packet cannot go. */
static void drop_rest(struct outgoing *x, struct segment_cut *cut, enum drop_reason reason)
{
    for (unsigned left = segment_left(cut); left; left--)
        forward_drop_on(x->f, x->path, NULL, reason);
}

static uint8_t flags_of(const struct outgoing *x)
{
    uint8_t flags = x->view.version == 4 ? RECORD_KIND_IPV4 : RECORD_KIND_IPV6;
    return x->f->settings.seal_checksums_open ? flags | RECORD_OPEN_CHECKSUM : flags;
}

/* Fills `run` with at most `most` records.  False: the key is spent. */
static bool fill_run(struct outgoing *x, struct segment_cut *cut, struct packet *run, size_t front,
                     unsigned most)
{
    uint8_t flags = flags_of(x);
    uint32_t label = x->path->label_out | x->lane->index;
    size_t text = 0, size;
    unsigned count = 0;
    bool sealed = true;
    while (count < most && segment_left(cut)) {
        uint8_t *packet = segment_next(cut, &size);
        if (!(flags & RECORD_OPEN_CHECKSUM))
            segment_complete(cut, packet, size);
        uint8_t *to = run->data + run->size + front;
        size_t record = record_seal_to(x->sealer, packet, size, flags, label, to);
        sealed = record > 0;
        if (!sealed) {
            forward_drop_on(x->f, x->path, NULL, DROP_KEY_SPENT);
            break;
        }
        recipe_write_front(x->recipe, to, record);
        if (!count)
            run->run = (uint16_t)(front + record);
        run->size += front + record;
        text += size;
        count++;
    }
    if (count < 2)
        run->run = 0;
    if (count)
        forward_record_count(x->lane, x->now, count, text);
    return sealed;
}

static void send_runs(struct outgoing *x, struct segment_cut *cut, size_t front, unsigned most)
{
    bool sealed = true;
    while (sealed && segment_left(cut)) {
        struct packet *run = packet_take(x->f->pool);
        if (!run) {
            drop_rest(x, cut, DROP_NO_BUFFER);
            return;
        }
        sealed = fill_run(x, cut, run, front, most);
        if (run->size)
            forward_send_ready(x->f, x->recipe, x->view.ecn, x->lane->index, run);
        else
            packet_give_back(run);
    }
    drop_rest(x, cut, DROP_KEY_SPENT);
}

static void send_each(struct outgoing *x, struct segment_cut *cut)
{
    size_t size;
    while (segment_left(cut)) {
        struct outgoing one = *x;
        one.p = packet_take(x->f->pool);
        if (!one.p) {
            drop_rest(x, cut, DROP_NO_BUFFER);
            return;
        }
        uint8_t *packet = segment_next(cut, &size);
        packet_fill(one.p, packet, size);
        segment_offload(cut, &one.p->offload);
        forward_send_packet(&one);
    }
}

void forward_send_super(struct outgoing *x)
{
    struct segment_cut cut;
    if (!segment_begin(&cut, x->p, &x->view, x->segment)) {
        forward_drop_on(x->f, x->path, x->p, DROP_BAD_HEADER);
        return;
    }
    size_t record = cut.header_size + cut.payload + RECORD_OVERHEAD, front;
    bool has_front = recipe_has_front(x->recipe, &front);
    size_t most = PACKET_RUN_SIZE / (front + record);
    if (has_front && record <= x->limit && most)
        send_runs(x, &cut, front, most < PACKET_RUN ? (unsigned)most : PACKET_RUN);
    else
        send_each(x, &cut);
    packet_give_back(x->p);
}
