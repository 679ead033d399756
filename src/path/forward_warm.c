#include <endian.h>
#include <string.h>

#include "path/forward_internal.h"

/* Fetches what the packets of a batch will need, for all of them side by side.
 *
 * From a label or an address to a key leads a chain of pointers, each on a cache line that nothing
 * else names.  With more paths in use than the caches hold, a packet would wait for memory at every
 * step; here all packets of the batch take the first step, then all the second, and the waiting
 * overlaps.  A batch of few paths finds everything in the caches, and pays one comparison for each
 * packet.
 *
 * Nothing is decided here: what is not as expected is passed by. */

#define WARM_MOST  64
#define WARM_LEAST 4 /* paths in a batch: fewer stay in the caches by themselves */
#define LINE       64

static void fetch(const void *at, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        __builtin_prefetch((const uint8_t *)at + (size_t)i * LINE);
}

static unsigned lines_of(size_t size)
{
    return (unsigned)((size + LINE - 1) / LINE);
}

/* The data lane of a path that has only one. */
static struct lane *only_lane(const struct fwd_path *path)
{
    return path->lanes == 2 ? fwd_path_lane(path, 1) : NULL;
}

/* ---- received ---- */

struct arriving {
    struct record_header header;
    struct fwd_path *path;
    struct lane *lane;
    struct lane_opener *opener;
};

static unsigned look_received(struct packet **batch, unsigned count, struct arriving *ret)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && n < WARM_MOST; i++) {
        const struct packet *p = batch[i];
        if (p->run || !record_read_header(p->data, p->size, &ret[n].header) ||
            !LABEL_LANE(ret[n].header.label) ||
            (n && ret[n].header.label == ret[n - 1].header.label))
            continue;
        n++;
    }
    return n;
}

void forward_warm_received(struct forward *f, struct packet **batch, unsigned count)
{
    struct arriving a[WARM_MOST];
    unsigned n = count < WARM_LEAST ? 0 : look_received(batch, count, a);
    if (n < WARM_LEAST)
        return;
    for (unsigned i = 0; i < n; i++)
        fwd_label_fetch(f->tables, LABEL_SLOT(a[i].header.label));
    for (unsigned i = 0; i < n; i++) {
        const struct fwd_label *label = fwd_label_find(f->tables, LABEL_SLOT(a[i].header.label));
        a[i].path = (struct fwd_path *)label; /* or a transit: its label stands first, too */
        if (label)
            fetch(label, lines_of(offsetof(struct fwd_path, lane[2])));
    }
    for (unsigned i = 0; i < n; i++) {
        bool end = a[i].path && a[i].path->label.path == a[i].path &&
                   LABEL_LANE(a[i].header.label) < a[i].path->lanes;
        a[i].lane = end ? fwd_path_lane(a[i].path, LABEL_LANE(a[i].header.label)) : NULL;
        if (a[i].lane)
            fetch(a[i].lane, lines_of(sizeof *a[i].lane));
    }
    for (unsigned i = 0; i < n; i++) {
        a[i].opener =
            a[i].lane ? atomic_load_explicit(&a[i].lane->opener[a[i].header.epoch % LANE_OPENERS],
                                             memory_order_acquire)
                      : NULL;
        if (a[i].opener)
            fetch(a[i].opener, 1);
    }
    for (unsigned i = 0; i < n; i++)
        if (a[i].opener)
            fetch(a[i].opener->opener, 1);
    for (unsigned i = 0; i < n; i++)
        if (a[i].opener)
            record_opener_fetch(a[i].opener->opener, a[i].header.counter);
}

/* ---- captured ---- */

struct leaving {
    struct ip_address to;
    const struct fwd_handle *handle;
    struct fwd_path *path;
    struct lane *lane;
    struct record_sealer *sealer;
};

static bool destination(const struct packet *p, struct ip_address *ret)
{
    memset(ret, 0, sizeof *ret);
    unsigned version = p->size < 40 ? 0 : p->data[0] >> 4;
    if (version == 4)
        memcpy(ret->bytes, p->data + 16, 4);
    else if (version == 6)
        memcpy(ret->bytes, p->data + 24, 16);
    ret->family = (uint8_t)version;
    return version == 4 || version == 6;
}

static unsigned look_captured(struct packet **batch, unsigned count, struct leaving *ret)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && n < WARM_MOST; i++)
        if (destination(batch[i], &ret[n].to) &&
            !(n && ip_address_equal(&ret[n].to, &ret[n - 1].to)))
            n++;
    return n;
}

void forward_warm_captured(struct forward *f, struct packet **batch, unsigned count)
{
    struct leaving l[WARM_MOST];
    unsigned n = count < WARM_LEAST ? 0 : look_captured(batch, count, l);
    if (n < WARM_LEAST)
        return;
    for (unsigned i = 0; i < n; i++)
        fwd_handle_fetch(f->tables, &l[i].to, false);
    for (unsigned i = 0; i < n; i++)
        fwd_handle_fetch(f->tables, &l[i].to, true);
    for (unsigned i = 0; i < n; i++) {
        l[i].handle = fwd_handle_find(f->tables, &l[i].to);
        l[i].path =
            l[i].handle ? atomic_load_explicit(&l[i].handle->path, memory_order_acquire) : NULL;
        if (l[i].path)
            fetch(l[i].path, lines_of(offsetof(struct fwd_path, lane[2])));
    }
    for (unsigned i = 0; i < n; i++) {
        l[i].lane = l[i].path ? only_lane(l[i].path) : NULL;
        if (l[i].lane)
            fetch(l[i].lane, lines_of(sizeof *l[i].lane));
    }
    for (unsigned i = 0; i < n; i++) {
        l[i].sealer =
            l[i].lane ? atomic_load_explicit(&l[i].lane->sealer, memory_order_acquire) : NULL;
        if (l[i].sealer)
            fetch(l[i].sealer, 1);
    }
    for (unsigned i = 0; i < n; i++)
        if (l[i].sealer)
            record_sealer_fetch(l[i].sealer);
}
