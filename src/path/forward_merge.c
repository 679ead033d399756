#include <string.h>

#include "path/forward_internal.h"

/* Packets of a batch that follow each other in a flow leave as one super-packet.
 *
 * A few flows are built at the same time.  The next record of a run most often goes on where the
 * last one went, so it is opened right behind that one's payload: its header falls on payload that
 * is there already, which is saved and put back, and its own payload lies where it belongs.
 *
 * Nothing overtakes inside a flow: before a packet that was not added goes out, what was built of
 * its flow does.  At the end of the batch everything does. */

static void drop_item(struct merge_list *l, unsigned index)
{
    l->count--;
    memmove(&l->item[index], &l->item[index + 1], (l->count - index) * sizeof l->item[0]);
    if (l->last > index)
        l->last--;
}

static void give_out(struct forward *f, unsigned index)
{
    forward_emit(f, FORWARD_CAPTURE, coalesce_end(&f->merges.item[index].build));
    drop_item(&f->merges, index);
}

void forward_merge_end(struct forward *f)
{
    for (unsigned i = 0; i < f->merges.count; i++)
        forward_emit(f, FORWARD_CAPTURE, coalesce_end(&f->merges.item[i].build));
    f->merges.count = f->merges.last = 0;
}

struct merge *forward_merge_expect(struct forward *f, const struct fwd_path *path, uint8_t flags,
                                   uint8_t ecn, size_t record_size)
{
    struct merge_list *l = &f->merges;
    if (l->last >= l->count)
        return NULL;
    struct merge *m = &l->item[l->last];
    const struct coalesce *c = &m->build;
    size_t least = RECORD_OVERHEAD + (size_t)c->header_size, most = least + c->segment;
    if (m->path != path || m->flags != flags || m->ecn != ecn)
        return NULL;
    if (record_size <= least || record_size > most)
        return NULL;
    return packet_tailroom(c->packet) >= c->segment ? m : NULL;
}

static void added(struct forward *f, unsigned index)
{
    f->merges.last = index;
    if (f->merges.item[index].build.full)
        give_out(f, index);
}

bool forward_merge_take(struct forward *f, struct merge *m, uint8_t *bytes, size_t size,
                        const uint8_t *saved)
{
    if (!coalesce_fits(&m->build, bytes, size))
        return false;
    coalesce_add(&m->build, bytes, size);
    memcpy(bytes, saved, m->build.header_size);
    added(f, (unsigned)(m - f->merges.item));
    return true;
}

bool forward_merge_add(struct forward *f, const struct fwd_path *path, uint8_t flags,
                       struct packet *p)
{
    for (unsigned i = 0; i < f->merges.count; i++) {
        struct merge *m = &f->merges.item[i];
        if (m->path != path || m->flags != flags || m->ecn != p->arrival.ecn ||
            !coalesce_fits(&m->build, p->data, p->size))
            continue;
        coalesce_copy(&m->build, p->data, p->size);
        packet_give_back(p);
        added(f, i);
        return true;
    }
    return false;
}

static void make_way(struct forward *f, const struct fwd_path *path, const struct ip_view *v)
{
    for (unsigned i = 0; i < f->merges.count;) {
        struct merge *m = &f->merges.item[i];
        if (m->path == path && coalesce_same_flow(&m->build, v))
            give_out(f, i);
        else
            i++;
    }
}

void forward_merge_give(struct forward *f, const struct fwd_path *path, uint8_t flags,
                        const struct ip_view *v, const uint8_t *header, struct packet *p)
{
    struct merge_list *l = &f->merges;
    make_way(f, path, v);
    bool wanted = v->protocol == IP_TCP ? f->settings.merge_tcp : f->settings.merge_udp;
    if (!header || !wanted || !coalesce_may_begin(header, v)) {
        forward_emit(f, FORWARD_CAPTURE, p);
        return;
    }
    if (l->count == MERGES)
        give_out(f, 0);
    struct merge *m = &l->item[l->count];
    m->path = path;
    m->flags = flags;
    m->ecn = p->arrival.ecn;
    coalesce_begin(&m->build, p, v, header);
    l->last = l->count++;
    if (m->build.full)
        give_out(f, l->last);
}
