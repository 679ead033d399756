/* Records of ours that the kernel refused: larger than the interface by which they should have left.
 *
 * By then the packet inside is sealed, and whose it was has forgotten it.  But it was sealed with keys of ours, so it can
 * be opened again, and takes its way once more from where a program gave it, now that less is known to fit: in pieces, or
 * with the error that a router would send (forward_capture.c).  What is no whole packet of a program is lost, and counted;
 * so is what would only be refused again. */
#include "path/path_internal.h"

#include "packet/ip.h"
#include "packet/translate.h"
#include "record/record.h"

/* A record inside of a datagram to a neighbour. */
struct refused {
    struct path *path;
    const uint8_t *record;
    size_t size;
    struct record_header header;
};

static bool find_in(const struct path_engine *e, const struct neighbour *n, const uint8_t *bytes,
                    size_t size, struct refused *ret)
{
    size_t front;
    if (!recipe_has_front(path_neighbour_recipe(n), &front) || front >= size ||
        !record_read_header(bytes + front, size - front, &ret->header))
        return false;
    uint32_t label = ret->header.label & ~(uint32_t)0xF;
    struct path *p = e->path_by_label[label_bucket(label)];
    while (p && (p->label_out != label || p->first != n))
        p = p->label_next;
    *ret = (struct refused){
        .path = p, .record = bytes + front, .size = size - front, .header = ret->header};
    return p != NULL;
}

static bool find(struct path_engine *e, const struct endpoint *remote, const uint8_t *bytes,
                 size_t size, struct refused *ret)
{
    struct hash_walk walk = {0};
    for (struct neighbour *n; (n = path_neighbour_each(e, &walk));) {
        const struct recipe *r = path_neighbour_recipe(n);
        if (r && endpoint_equal(&recipe_target(r)->send.remote, remote) &&
            find_in(e, n, bytes, size, ret))
            return true;
    }
    return false;
}

/* A whole packet, which will go another way than the last time? */
static bool worth_it(const struct refused *x)
{
    const struct path *p = x->path;
    uint16_t tunnel = path_neighbour_tunnel_mtu(p->first);
    uint16_t fits = p->record_mtu < tunnel ? p->record_mtu : tunnel;
    unsigned kind = x->header.flags & RECORD_KIND_MASK;
    return p->fwd && LABEL_LANE(x->header.label) && x->header.epoch == p->keys.epoch &&
           !(x->header.flags & (RECORD_MORE | RECORD_REST)) &&
           (kind == RECORD_KIND_IPV4 || kind == RECORD_KIND_IPV6) && x->size > fits;
}

static bool open_own(struct path_engine *e, const struct refused *x, struct packet *p)
{
    uint8_t key[32];
    enum drop_reason reason;
    if (x->size > PACKET_SIZE)
        return false;
    record_lane_key(x->path->keys.send, (uint8_t)LABEL_LANE(x->header.label), x->header.epoch, key);
    struct record_opener *o = record_opener_new(e->library, x->path->aead, key, true, 0);
    bool ok = o && record_open_to(o, x->record, x->size, &x->header, p->data, &p->size, &reason);
    record_opener_free(o);
    crypto_wipe(key, sizeof key);
    return ok;
}

/* As it was when a program gave it. */
static bool restore(const struct refused *x, struct packet *p)
{
    struct ip_view v;
    enum drop_reason reason;
    if (!ip_parse(p->data, p->size, &v, &reason))
        return false;
    ip_restore_ttl(p, &v);
    return !(x->header.flags & RECORD_OPEN_CHECKSUM) ||
           ip_offload_find(p->data, p->size, &p->offload);
}

void path_refused(struct path_engine *e, const struct endpoint *remote, const uint8_t *bytes,
                  size_t size)
{
    struct refused x;
    struct packet *p = packet_take(e->pool);
    if (p && find(e, remote, bytes, size, &x) && worth_it(&x) && open_own(e, &x, p) &&
        restore(&x, p)) {
        path_out_add(e, PATH_OUT_AGAIN)->offload = p->offload;
        path_out_bytes(e, p->data, p->size);
    } else {
        drop_count(&e->drops, DROP_OVERSIZED);
    }
    packet_give_back(p);
}
