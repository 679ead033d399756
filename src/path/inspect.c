/* Looking at the path engine: what `status`, `path` and `explain` show, and the way a name is
 * reached. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>

static const char *state_name(const struct path *p)
{
    if (p->state == PATH_STATE_OPENING)
        return "opening";
    if (p->state == PATH_STATE_DRAINING)
        return "draining";
    return p->parked ? "parked" : "up";
}

static void fill(struct path_engine *e, const struct path *p, struct path_info *ret)
{
    const struct recipe *r = path_neighbour_recipe(p->first);
    *ret = (struct path_info){
        .path = p->slot,
        .name = p->peer ? p->peer->name : "",
        .self = e->instance[p->self].config->self.text,
        .key = p->peer ? p->peer->key : NULL,
        .state = state_name(p),
        .identity = p->peer ? p->peer->how : "",
        .chain = p->chain,
        .one_hop = p->one_hop,
        .initiator = p->initiator,
        .current = p->peer && p->peer->current == p,
        .lanes = p->fwd ? p->fwd->lanes - 1u : 0,
        .epoch = p->keys.epoch,
        .record_mtu = p->record_mtu,
        .mtu_known = p->mtu_known,
        .mtu_searching = p->work && p->work->mtu.search,
        .mtu_confirmed = p->work ? p->work->mtu.confirmed : 0,
        .aead = p->aead == CRYPTO_AES256GCM ? "aes-256-gcm"
                : p->aead                   ? "chacha20-poly1305"
                                            : "",
        .rekeys = p->rekeys,
        .rtt = p->rtt,
        .since = p->since,
        .heard = path_session_heard(p),
        .sent = path_session_sent(p),
        .tunnel = p->first->tunnel,
        .instance = p->instance,
        .travelled = p->hops,
    };
    if (r)
        ret->remote = recipe_target(r)->send.remote;
    path_session_count(p, ret);
}

void path_each(struct path_engine *e, void (*look)(void *context, const struct path_info *info),
               void *context)
{
    for (uint32_t i = 0; i < e->slot_range; i++)
        if (path_slot_path(e, i)) {
            struct path_info info;
            fill(e, path_slot_path(e, i), &info);
            look(context, &info);
        }
}

bool path_info(struct path_engine *e, uint32_t slot, struct path_info *ret)
{
    if (!path_slot_path(e, slot))
        return false;
    fill(e, path_slot_path(e, slot), ret);
    return true;
}

bool path_find(struct path_engine *e, const char *name, const uint8_t *key, uint32_t *ret_path)
{
    for (struct peer *peer = path_peer_by_name(e, name); peer; peer = peer->same_name)
        if (peer->current && (!key || !memcmp(peer->key, key, 32))) {
            *ret_path = peer->current->slot;
            return true;
        }
    return false;
}

struct fwd_path *path_forwarding(struct path_engine *e, uint32_t slot)
{
    return path_slot_path(e, slot) ? path_slot_path(e, slot)->fwd : NULL;
}

struct drop_counters *path_drops(struct path_engine *e)
{
    return &e->drops;
}

void path_count(const struct path_engine *e, struct path_count *ret)
{
    *ret = (struct path_count){
        .paths = e->paths,
        .halves = HASH_COUNT(e->halves),
        .transits = HASH_COUNT(e->transits),
        .tunnels = e->tunnels.count,
        .slots = e->slots_used,
        .opens = e->opening_count,
    };
}

/* ---- the way to a name ---- */

static const struct config_rule *rule_for(const struct path_engine *e,
                                          const struct overlay_name *name)
{
    for (unsigned i = 0; i < e->config->rule_count; i++) {
        const struct config_rule *r = &e->config->rules[i];
        bool itself = false;
        for (unsigned v = 0; v < r->via_count; v++)
            itself |= overlay_name_equal(&r->via[v], name);
        if (!itself && name_pattern_match(r->names, name))
            return r;
    }
    return NULL;
}

bool path_route(const struct path_engine *e, const struct name_chain *asked, struct name_chain *ret,
                char *reason, size_t reason_size)
{
    struct name_chain chain = *asked;
    for (unsigned turn = 0; turn < CHAIN_MAX; turn++) {
        const struct config_rule *r = rule_for(e, &chain.hop[0]);
        if (r) {
            if (chain.count + r->via_count > CHAIN_MAX) {
                snprintf(reason, reason_size, "the rules make a chain of more than %d hops",
                         CHAIN_MAX);
                return false;
            }
            memmove(&chain.hop[r->via_count], &chain.hop[0], chain.count * sizeof chain.hop[0]);
            memcpy(&chain.hop[0], r->via, r->via_count * sizeof chain.hop[0]);
            chain.count += r->via_count;
            continue;
        }
        if (path_engine_instance(e, overlay_name_instance(&chain.hop[0])) < 0) {
            snprintf(reason, reason_size,
                     "this host is not in %s: add it under `overlays:`, or a rule that names a "
                     "gateway (`rules:` names, via)",
                     overlay_name_instance(&chain.hop[0]));
            return false;
        }
        *ret = chain;
        return true;
    }
    snprintf(reason, reason_size, "the rules lead in a circle");
    return false;
}
