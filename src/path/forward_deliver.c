#include <string.h>

#include "packet/icmp.h"
#include "packet/ip.h"
#include "packet/translate.h"
#include "path/forward_internal.h"

/* From an opened record to the programs.
 *
 * The peer is authenticated, but what it says is not believed: the packet is parsed strictly, its
 * addresses are overwritten (they mean nothing here), an ICMP error must quote a flow that is
 * known, and a flow that the peer starts must be allowed by the policy.
 *
 * Flows are remembered by peer (its handle), not by path, because a path that is opened anew must
 * not stop a download.  Two tables, so that a peer cannot push out what programs here have started:
 *
 *   ours    started by a program here: answers pass
 *   theirs  started by the peer; each is noted twice: under the peer alone, so that answers of a
 *           program here do not turn it into one of ours, and under peer and policy, which says
 * that this policy was asked.  A new policy is another key, so it is asked again. */

struct inner {
    struct forward *f;
    instant now;
    struct fwd_path *path;
    struct packet *p;
    struct ip_view view;
};

/* ---- flows ---- */

/* A number for the peer: handles are unique and keep to the peer.  The IPv6 pool's addresses are
 * random in their last bytes. */
static uint32_t handle_number(const struct ip_address *handle4, const struct ip_address *handle6)
{
    struct reader r = reader_over(handle4->family ? handle4->bytes : handle6->bytes + 12, 4);
    return read_u32(&r);
}

static uint32_t peer_number(const struct fwd_path *path)
{
    return handle_number(&path->handle4, &path->handle6);
}

/* A number for the peer under this policy, from what the policy says: a policy that is published
 * again unchanged asks nothing anew.  Policies have few lines, and only flows that the peer started
 * come here. */
static uint32_t policy_number(uint32_t peer, const struct fwd_policy *policy)
{
    const uint64_t prime = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t value = (peer ^ (uint64_t)policy->everything << 32) * prime;
    for (unsigned i = 0; i < policy->count; i++) {
        const struct fwd_allow *line = &policy->allow[i];
        value ^= (uint64_t)line->protocol << 32 | (uint32_t)line->low << 16 | line->high;
        value = (value ^ value >> 29) * prime;
    }
    return (uint32_t)(value >> 32) ^ peer;
}

void forward_flow_sent(struct forward *f, instant now, const struct fwd_path *path,
                       const struct ip_view *v)
{
    if (!v->first_fragment || v->is_icmp_error)
        return;
    struct flow_key key = flow_key_of(v, true, peer_number(path));
    if (!flow_seen(f->theirs, &key, now))
        flow_note(f->ours, &key, now);
}

void forward_flow_known(struct forward *f, instant now, const struct forward_flow *flow)
{
    struct flow_key key = {.protocol = flow->protocol,
                           .local_port = flow->local_port,
                           .remote_port = flow->remote_port,
                           .path = handle_number(&flow->handle4, &flow->handle6)};
    flow_note(flow->ours ? f->ours : f->theirs, &key, now);
}

static bool quotes_our_flow(struct inner *x)
{
    struct ip_view quoted;
    if (!ip_quoted(x->p, &x->view, &quoted) || !quoted.first_fragment)
        return false;
    struct flow_key key = flow_key_of(&quoted, true, peer_number(x->path));
    return flow_seen(x->f->ours, &key, x->now) || flow_seen(x->f->theirs, &key, x->now);
}

/* ---- policy ---- */

static bool line_allows(const struct fwd_allow *line, const struct ip_view *v)
{
    if (line->protocol && line->protocol != v->protocol)
        return false;
    if (v->protocol == IP_ICMP || v->protocol == IP_ICMP6)
        return true;
    if (!v->has_ports) /* no ports to compare: only a line for all of them */
        return line->low == 0 && line->high == UINT16_MAX;
    return v->destination_port >= line->low && v->destination_port <= line->high;
}

static bool policy_allows(const struct fwd_policy *policy, const struct ip_view *v)
{
    if (policy->everything)
        return true;
    for (unsigned i = 0; i < policy->count; i++) {
        if (line_allows(&policy->allow[i], v))
            return true;
    }
    return false;
}

static bool admitted(struct inner *x)
{
    struct forward *f = x->f;
    const struct fwd_policy *policy = atomic_load_explicit(&x->path->policy, memory_order_acquire);
    /* Other fragments are worth nothing without the first, which was asked for its ports. */
    if (!x->view.first_fragment)
        return true;
    uint32_t peer = peer_number(x->path);
    struct flow_key key = flow_key_of(&x->view, false, peer);
    if (flow_seen(f->ours, &key, x->now))
        return true;
    if (!policy)
        return false;
    struct flow_key asked = key;
    asked.path = policy_number(peer, policy);
    if (!flow_seen(f->theirs, &asked, x->now)) {
        if (!policy_allows(policy, &x->view))
            return false;
        flow_note(f->theirs, &asked, x->now);
    }
    flow_note(f->theirs, &key, x->now);
    return true;
}

/* What the peer's program gets to hear instead of silence: the error that the kernel here would send had it refused the
 * packet, which takes the way of anything that this machine sends to the peer. */
static void say_prohibited(struct inner *x)
{
    struct forward *f = x->f;
    if (!forward_bucket_take(&f->icmp, FORWARD_ICMP_A_SECOND, x->now))
        return;
    struct packet *error = packet_take(f->pool);
    if (!error) {
        drop_count(&f->drops, DROP_NO_BUFFER);
        return;
    }
    const struct ip_address *from = fwd_tun_address(f->tables, x->view.version);
    if (icmp_error(error, ICMP_ERROR_UNREACHABLE_ADMIN, x->p->data, x->p->size, from, 0))
        forward_capture_one(f, x->now, error);
    else
        packet_give_back(error);
}

/* ---- the packet ---- */

static bool kind_fits(uint8_t flags, const struct packet *p, enum drop_reason *ret_reason)
{
    unsigned version = p->size ? p->data[0] >> 4 : 0;
    switch (flags & RECORD_KIND_MASK) {
    case RECORD_KIND_CONTROL:
        *ret_reason = DROP_BAD_MESSAGE;
        return false;
    case RECORD_KIND_IPV4:
        *ret_reason = DROP_NOT_IP;
        return version == 4;
    case RECORD_KIND_IPV6:
        *ret_reason = DROP_NOT_IP;
        return version == 6;
    default: /* this end has a TUN */
        *ret_reason = DROP_NOT_IP;
        return false;
    }
}

/* False: *ret_reason. */
static bool take_ecn(struct inner *x, enum drop_reason *ret_reason)
{
    uint8_t ecn;
    bool congested;
    ip_ecn_decapsulate(x->view.ecn, x->p->arrival.ecn, &ecn, &congested);
    if (congested) {
        *ret_reason = DROP_CONGESTED;
        return false;
    }
    if (ecn != x->view.ecn)
        ip_set_ecn(x->p, &x->view, ecn);
    return true;
}

/* From the peer's handle to our TUN.  False: *ret_reason. */
static bool address_it(struct inner *x, uint8_t flags, enum drop_reason *ret_reason)
{
    struct packet *p = x->p;
    const struct ip_view *v = &x->view;
    const struct ip_address *source = v->version == 4 ? &x->path->handle4 : &x->path->handle6;
    if (!source->family) {
        *ret_reason = DROP_NO_PATH;
        return false;
    }
    *ret_reason = DROP_BAD_HEADER;
    if ((flags & RECORD_OPEN_CHECKSUM) && !ip_offload_find(p->data, p->size, &p->offload))
        return false;
    return ip_translate(p, v, source, fwd_tun_address(x->f->tables, v->version));
}

static bool prepare(struct inner *x, uint8_t flags, enum drop_reason *ret_reason)
{
    struct packet *p = x->p;
    const struct ip_view *v = &x->view;
    if (!kind_fits(flags, p, ret_reason) || !ip_parse(p->data, p->size, &x->view, ret_reason))
        return false;
    p->size = v->total;
    if (ip_stays_on_link(v)) {
        *ret_reason = DROP_MULTICAST;
        return false;
    }
    if (!take_ecn(x, ret_reason))
        return false;
    if (v->is_icmp_error && !quotes_our_flow(x)) {
        *ret_reason = DROP_ICMP_FOREIGN;
        return false;
    }
    bool refused = !v->is_icmp_error && !admitted(x);
    if (!address_it(x, flags, ret_reason))
        return false;
    if (refused) {
        *ret_reason = DROP_POLICY;
        say_prohibited(x);
    }
    return !refused;
}

void forward_deliver(struct forward *f, instant now, struct fwd_path *path, uint8_t flags,
                     struct packet *p)
{
    struct inner x = {.f = f, .now = now, .path = path, .p = p};
    uint8_t header[COALESCE_HEADER_MAX];
    enum drop_reason reason;
    bool merge = (flags & RECORD_OPEN_CHECKSUM) && !(flags & (RECORD_MORE | RECORD_REST)) &&
                 (f->settings.merge_tcp || f->settings.merge_udp);
    if (merge && forward_merge_add(f, path, flags, p))
        return;
    if (merge)
        memcpy(header, p->data, p->size < sizeof header ? p->size : sizeof header);
    p->offload = (struct packet_offload){0};
    if (prepare(&x, flags, &reason))
        forward_merge_give(f, path, flags, &x.view, merge ? header : NULL, p);
    else
        forward_drop_on(f, path, p, reason);
}
