/* Overlay type `ip`: the underlay itself is the overlay.  Members are UDP endpoints, from the
 * configuration or from ordinary DNS, and records travel in plain UDP datagrams with nothing around
 * them.
 *
 * It is the smallest module that keeps the whole contract, and meant to be copied.  The parts every
 * module has:
 *
 *   - tunnels, in a hash by the caller's number, each in one of three states (below);
 *   - one queue of tunnels that have something to say.  A tunnel keeps *what* it wants to say as
 *     flags, and the output is made when it is pulled.  So a tunnel says at most one thing of a kind,
 *     always the latest, and closing a tunnel takes back what was not pulled yet;
 *   - a deadline that is the earliest `due` of all tunnels.
 *
 *      tunnel_open --> LOOKING --------------> UP <---------------- tunnel_accept
 *                         |     address known   |  suspect: next address, next place, or look the
 *                         |                     |  name up again
 *                         |                     |  moved: a sealed record came from elsewhere
 *                         v                     v
 *                       ENDED (said FAILED)   tunnel_close
 *
 * A tunnel of this type never goes down by itself: UDP does not tell.  The path engine notices
 * silence and calls tunnel_suspect.  What tunnel_accept and tunnel_moved are told was proven by the
 * caller with a sealed record; answer() serves strangers and keeps no state. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "overlay/ip/ip_module.h"

#define IP_ROUNDS    3             /* through all places of a member before giving up     */
#define IP_RETRY     SECOND        /* between rounds, doubled each time              */
#define IP_KEEPALIVE (25 * SECOND) /* most NATs keep a UDP mapping 30 s       */
#define IP_MTU       1500
#define IP_OVERHEAD4 28 /* IPv4 and UDP header */
#define IP_OVERHEAD6 48

static struct ip *ip_of(struct overlay *o)
{
    return (struct ip *)o;
}

/* ---- settings ---- */

static bool mtu_parse(const char *value, uint16_t *ret)
{
    uint32_t mtu;
    if (!overlay_option_number(value, 1280, UINT16_MAX, &mtu))
        return false;
    *ret = (uint16_t)mtu;
    return true;
}

static bool mtu_valid(const char *value)
{
    uint16_t mtu;
    return mtu_parse(value, &mtu);
}

static const struct overlay_schema ip_schema[] = {
    {"mtu", "a number from 1280 to 65535", "MTU of the underlay; 1500 unless given", mtu_valid},
    {NULL, NULL, NULL, NULL}};

static uint16_t settings_mtu(const struct overlay_settings *s)
{
    uint16_t mtu = IP_MTU;
    for (unsigned i = 0; i < s->option_count; i++)
        if (!strcmp(s->options[i].key, "mtu"))
            mtu_parse(s->options[i].value, &mtu);
    return mtu;
}

static int ip_init(struct overlay *o, instant now, const char **ret_reason)
{
    struct ip *ip = ip_of(o);
    ip->due = INSTANT_NEVER;
    ip->mtu = settings_mtu(&o->settings);
    return ip_members_read(&o->settings, &ip->members, ret_reason);
}

static void ip_done(struct overlay *o)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t, *later;
    HASH_ITER(hh, ip->tunnels, t, later)
    {
        HASH_DEL(ip->tunnels, t);
        free(t);
    }
    ip_members_done(&ip->members);
}

/* ---- tunnels ---- */

struct ip_tunnel *ip_tunnel_find(const struct ip *ip, uint32_t id)
{
    struct ip_tunnel *t;
    HASH_FIND(hh, ip->tunnels, &id, sizeof id, t);
    return t;
}

/* NULL when the number is in use: the caller's mistake, which costs it nothing but the answer. */
static struct ip_tunnel *tunnel_new(struct ip *ip, uint32_t id, const char *host)
{
    if (!expect(!ip_tunnel_find(ip, id) && strlen(host) < NAME_TEXT))
        return NULL;
    struct ip_tunnel *t = base_calloc(1, sizeof *t);
    t->id = id;
    t->due = INSTANT_NEVER;
    strcpy(t->host, host);
    HASH_ADD(hh, ip->tunnels, id, sizeof t->id, t);
    return t;
}

static void tunnel_say(struct ip *ip, struct ip_tunnel *t, unsigned what)
{
    if (!t->says)
        DL_APPEND(ip->queue, t);
    t->says |= what;
}

static void tunnel_unsay(struct ip *ip, struct ip_tunnel *t, unsigned what)
{
    if (t->says && !(t->says & ~what))
        DL_DELETE(ip->queue, t);
    t->says &= ~what;
}

static void tunnel_forget_lookup(struct ip *ip, struct ip_tunnel *t)
{
    t->lookup = 0; /* an answer that still comes finds nobody */
    tunnel_unsay(ip, t, IP_SAY_LOOKUP);
}

static void tunnel_use(struct ip *ip, struct ip_tunnel *t, const struct endpoint *local,
                       const struct endpoint *remote)
{
    bool changed = !endpoint_equal(&t->remote, remote) || !endpoint_equal(&t->local, local);
    t->local = *local;
    t->remote = *remote;
    t->due = INSTANT_NEVER;
    if (t->state == IP_STATE_LOOKING) {
        t->state = IP_STATE_UP;
        tunnel_say(ip, t, IP_SAY_UP);
    } else if (changed && !(t->says & IP_SAY_UP)) {
        tunnel_say(ip, t, IP_SAY_RECIPE);
    }
}

static void tunnel_use_address(struct ip *ip, struct ip_tunnel *t,
                               const struct overlay_place *place)
{
    struct endpoint remote = {.ip = t->address[t->address_used], .port = place->endpoint.port};
    tunnel_use(ip, t, &(struct endpoint){0}, &remote);
}

static void tunnel_fail(struct ip *ip, struct ip_tunnel *t)
{
    t->state = IP_STATE_ENDED;
    t->due = INSTANT_NEVER;
    tunnel_say(ip, t, IP_SAY_FAILED);
}

/* Takes the place that t->place names: an address is used at once, a name is looked up (again). */
static void tunnel_try(struct ip *ip, struct ip_tunnel *t, const struct ip_member *m)
{
    const struct overlay_place *place = &m->places[t->place];
    t->address_count = t->address_used = 0;
    if (!*place->name) {
        tunnel_use(ip, t, &(struct endpoint){0}, &place->endpoint);
        return;
    }
    t->lookup = ++ip->last_lookup ? ip->last_lookup : ++ip->last_lookup;
    tunnel_say(ip, t, IP_SAY_LOOKUP);
}

static void tunnel_try_next(struct ip *ip, struct ip_tunnel *t, const struct ip_member *m)
{
    t->place = (t->place + 1) % m->place_count;
    tunnel_try(ip, t, m);
}

static void ip_tunnel_open(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = tunnel_new(ip, tunnel, host);
    if (!t)
        return;
    const struct ip_member *m = ip_members_find(&ip->members, host);
    struct text reason;
    text_begin(&reason, t->reason, sizeof t->reason);
    if (!m) {
        text_add(
            &reason,
            "no member '%s' in the config of %s: add `- name: %s, at: HOST:PORT` under members",
            host, o->settings.instance, host);
        t->unknown_host = true;
        tunnel_fail(ip, t);
    } else if (!m->place_count) {
        text_add(&reason,
                 "member '%s' of %s has no `at` in the config and has not dialled in: add `at: "
                 "HOST:PORT` to it, or wait for it",
                 host, o->settings.instance);
        tunnel_fail(ip, t);
    } else {
        tunnel_try(ip, t, m);
    }
}

static bool arrival_usable(const struct arrival *from)
{
    const struct ip_address *local = &from->local.ip, *remote = &from->remote.ip;
    return remote->family && from->remote.port &&
           (!local->family || local->family == remote->family);
}

/* Places after the last one, so that the first suspicion tries the first. */
static void tunnel_before_first(struct ip *ip, struct ip_tunnel *t)
{
    const struct ip_member *m = ip_members_find(&ip->members, t->host);
    t->place = m && m->place_count ? m->place_count - 1 : 0;
    t->address_count = t->address_used = 0;
}

static void ip_tunnel_accept(struct overlay *o, instant now, uint32_t tunnel, const char *host,
                             const struct arrival *from)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = tunnel_new(ip, tunnel, host);
    if (!t)
        return;
    tunnel_before_first(ip, t);
    if (arrival_usable(from)) {
        tunnel_use(ip, t, &from->local, &from->remote);
        return;
    }
    struct text reason;
    text_begin(&reason, t->reason, sizeof t->reason);
    text_add(&reason, "'%s' came without a UDP endpoint to answer to", host);
    tunnel_fail(ip, t);
}

static void ip_tunnel_moved(struct overlay *o, instant now, uint32_t tunnel,
                            const struct arrival *from)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = ip_tunnel_find(ip, tunnel);
    if (!t || t->state != IP_STATE_UP || !arrival_usable(from))
        return;
    bool same_local = !t->local.ip.family || endpoint_equal(&t->local, &from->local);
    if (same_local && endpoint_equal(&t->remote, &from->remote))
        return;
    tunnel_forget_lookup(ip, t);
    tunnel_before_first(ip, t);
    tunnel_use(ip, t, &from->local, &from->remote);
}

static void ip_tunnel_close(struct overlay *o, instant now, uint32_t tunnel)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = ip_tunnel_find(ip, tunnel);
    if (!t)
        return;
    tunnel_unsay(ip, t, ~0u);
    HASH_DEL(ip->tunnels, t);
    free(t);
}

static void ip_tunnel_suspect(struct overlay *o, instant now, uint32_t tunnel)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = ip_tunnel_find(ip, tunnel);
    if (!t || t->state != IP_STATE_UP || t->lookup)
        return;
    const struct ip_member *m = ip_members_find(&ip->members, t->host);
    if (!m || !m->place_count) {
        /* Only the neighbour knows where it is; our own address may have changed, though. */
        tunnel_use(ip, t, &(struct endpoint){0}, &t->remote);
    } else if (t->address_used + 1 < t->address_count) {
        t->address_used++;
        tunnel_use_address(ip, t, &m->places[t->place]);
    } else {
        tunnel_try_next(ip, t, m);
    }
}

/* An address of ours may be gone: the kernel chooses again. */
static void ip_underlay_changed(struct overlay *o, instant now)
{
    struct ip *ip = ip_of(o);
    for (struct ip_tunnel *t = ip->tunnels; t; t = t->hh.next)
        if (t->state == IP_STATE_UP)
            tunnel_use(ip, t, &(struct endpoint){0}, &t->remote);
}

/* ---- names of the underlay ---- */

/* The place could not be found.  While the tunnel is up nothing is lost: the next suspicion tries
 * the next place. */
static void place_failed(struct ip *ip, instant now, struct ip_tunnel *t, const struct ip_member *m,
                         bool none, const char *why)
{
    if (t->state != IP_STATE_LOOKING)
        return;
    t->maybe = t->maybe || !none;
    struct text reason;
    text_begin(&reason, t->reason, sizeof t->reason);
    text_add(&reason, "the address of '%s', %s, %s: ", t->host, m->places[t->place].name,
             none ? "does not exist" : "could not be looked up");
    text_add_escaped(&reason, why, strlen(why));
    text_add(&reason, "; check `at` of this member of %s", ip->overlay.settings.instance);
    if (t->place + 1 < m->place_count) {
        tunnel_try_next(ip, t, m);
        return;
    }
    if (!t->maybe || ++t->round == IP_ROUNDS) {
        tunnel_fail(ip, t);
        return;
    }
    t->maybe = false;
    t->due = instant_after(now, IP_RETRY << (t->round - 1));
    ip->due = instant_min(ip->due, t->due);
}

static void ip_resolved(struct overlay *o, instant now, uint32_t lookup,
                        const struct ip_address *addresses, unsigned count, bool none,
                        const char *reason)
{
    struct ip *ip = ip_of(o);
    struct ip_tunnel *t = ip->tunnels;
    while (t && (!lookup || t->lookup != lookup))
        t = t->hh.next;
    if (!t)
        return; /* closed, moved or asked again since */
    tunnel_forget_lookup(ip, t);
    const struct ip_member *m = ip_members_find(&ip->members, t->host);
    if (!m || t->place >= m->place_count)
        return;
    if (!count) {
        place_failed(ip, now, t, m, none, reason ? reason : "no address");
        return;
    }
    t->address_count = count < IP_ADDRESSES_MAX ? count : IP_ADDRESSES_MAX;
    memcpy(t->address, addresses, t->address_count * sizeof *addresses);
    /* Asked again because the address in use is silent: go on behind it, if it is still there. */
    t->address_used = 0;
    for (unsigned i = 0; t->state == IP_STATE_UP && i < t->address_count; i++)
        if (ip_address_equal(&t->address[i], &t->remote.ip))
            t->address_used = (i + 1) % t->address_count;
    tunnel_use_address(ip, t, &m->places[t->place]);
}

static void ip_advance(struct overlay *o, instant now)
{
    struct ip *ip = ip_of(o);
    if (now < ip->due)
        return;
    ip->due = INSTANT_NEVER;
    for (struct ip_tunnel *t = ip->tunnels; t; t = t->hh.next) {
        if (t->due <= now) {
            t->due = INSTANT_NEVER;
            t->place = 0;
            tunnel_try(ip, t, ip_members_find(&ip->members, t->host));
        }
        ip->due = instant_min(ip->due, t->due);
    }
}

static instant ip_deadline(const struct overlay *o)
{
    return ((const struct ip *)o)->due;
}

/* ---- reload ---- */

/* A tunnel follows its member: to the first of the new places when they changed; a tunnel whose
 * member is gone stays as it is, because who may be a neighbour is decided by its key, not here. */
static void tunnel_reload(struct ip *ip, struct ip_tunnel *t, const struct ip_member *before)
{
    const struct ip_member *m = ip_members_find(&ip->members, t->host);
    if (t->state == IP_STATE_ENDED || (m && before && ip_member_equal(m, before)))
        return;
    tunnel_forget_lookup(ip, t);
    t->place = t->round = t->address_count = t->address_used = 0;
    t->due = INSTANT_NEVER;
    if (m && m->place_count) {
        tunnel_try(ip, t, m);
    } else if (t->state == IP_STATE_LOOKING) {
        struct text reason;
        text_begin(&reason, t->reason, sizeof t->reason);
        text_add(&reason, "'%s' is no longer a member with an `at` in the config of %s", t->host,
                 ip->overlay.settings.instance);
        tunnel_fail(ip, t);
    }
}

static int ip_reload(struct overlay *o, instant now, const struct overlay_settings *old,
                     const char **ret_reason)
{
    struct ip *ip = ip_of(o);
    struct ip_members members, before = ip->members;
    int error = ip_members_read(&o->settings, &members, ret_reason);
    if (error)
        return error;
    ip->members = members;
    uint16_t mtu = settings_mtu(&o->settings);
    bool other_recipes = mtu != ip->mtu || o->settings.keepalive != old->keepalive;
    ip->mtu = mtu;
    for (struct ip_tunnel *t = ip->tunnels; t; t = t->hh.next) {
        tunnel_reload(ip, t, ip_members_find(&before, t->host));
        if (other_recipes && t->state == IP_STATE_UP && !(t->says & IP_SAY_UP))
            tunnel_say(ip, t, IP_SAY_RECIPE);
    }
    ip_members_done(&before);
    return 0;
}

/* ---- outputs ---- */

static bool make_recipe(const struct ip *ip, const struct endpoint *local,
                        const struct endpoint *remote, struct recipe *ret)
{
    const struct overlay_settings *s = &ip->overlay.settings;
    recipe_begin(ret);
    if (!recipe_add_send(ret, s->first_socket, local, remote, 0))
        return false;
    ret->mtu = (uint16_t)(ip->mtu - (remote->ip.family == 4 ? IP_OVERHEAD4 : IP_OVERHEAD6));
    /* Somebody whom we know only from what came in may be behind a NAT or a firewall that lets
     * nothing else back. */
    ret->ports_free = !local->ip.family;
    ret->from = *remote;
    ret->from_any_port = true;
    ret->keepalive = s->keepalive > 0 ? s->keepalive : IP_KEEPALIVE;
    return true;
}

static bool ip_answer(const struct overlay *o, const struct arrival *from, struct recipe *ret)
{
    if (!arrival_usable(from))
        return false;
    bool made = make_recipe((const struct ip *)o, &from->local, &from->remote, ret);
    ret->ports_free = false;
    return made;
}

static void output_lookup(struct ip *ip, struct ip_tunnel *t, struct overlay_out *ret)
{
    tunnel_unsay(ip, t, IP_SAY_LOOKUP);
    const struct ip_member *m = ip_members_find(&ip->members, t->host);
    ret->kind = OVERLAY_LOOKUP;
    ret->lookup = t->lookup;
    ret->name = m->places[t->place].name;
}

static bool ip_output(struct overlay *o, struct overlay_out *ret)
{
    struct ip *ip = ip_of(o);
    *ret = (struct overlay_out){0};
    if (!ip->peel_said) {
        ip->peel_said = true;
        peel_plain(&ip->peel);
        ret->kind = OVERLAY_PEEL;
        ret->socket = o->settings.first_socket;
        ret->peel = &ip->peel;
        return true;
    }
    struct ip_tunnel *t = ip->queue;
    if (!t)
        return false;
    ret->tunnel = t->id;
    if (t->says & IP_SAY_LOOKUP) {
        output_lookup(ip, t, ret);
    } else if (t->says & IP_SAY_FAILED) {
        tunnel_unsay(ip, t, IP_SAY_FAILED);
        ret->kind = OVERLAY_TUNNEL_FAILED;
        ret->reason = t->reason;
        ret->unknown_host = t->unknown_host;
    } else {
        ret->kind = t->says & IP_SAY_UP ? OVERLAY_TUNNEL_UP : OVERLAY_TUNNEL_RECIPE;
        tunnel_unsay(ip, t, IP_SAY_UP | IP_SAY_RECIPE);
        make_recipe(ip, &t->local, &t->remote, &ip->recipe);
        ret->recipe = &ip->recipe;
    }
    return true;
}

extern const struct overlay_class overlay_ip_class;
const struct overlay_class overlay_ip_class = {
    .abi = OVERLAY_ABI,
    .name = "ip",
    .promise = "plain UDP to endpoints from the config or DNS: nothing added, nothing hidden",
    .flags = OVERLAY_CARRIES_IP | OVERLAY_CARRIES_ETHERNET | OVERLAY_PORTS_FREE,
    .size = sizeof(struct ip),
    .sockets = 1,
    .schema = ip_schema,
    .init = ip_init,
    .reload = ip_reload,
    .done = ip_done,
    .tunnel_open = ip_tunnel_open,
    .tunnel_accept = ip_tunnel_accept,
    .tunnel_moved = ip_tunnel_moved,
    .tunnel_close = ip_tunnel_close,
    .answer = ip_answer,
    .tunnel_suspect = ip_tunnel_suspect,
    .underlay_changed = ip_underlay_changed,
    .advance = ip_advance,
    .deadline = ip_deadline,
    .output = ip_output,
    .resolved = ip_resolved,
    .knows = ip_knows,
    .describe = ip_describe,
    .describe_tunnel = ip_describe_tunnel,
};
