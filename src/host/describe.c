/* Listings for the control socket: the objects of doc/protocol/control.md. */
#include "host/host_internal.h"

#include <stdio.h>
#include <string.h>

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *address_or_null(const struct ip_address *a)
{
    char text[ADDRESS_TEXT];
    return a->family ? json_string(ip_address_format(a, text)) : json_null();
}

static json_t *seconds_since(const struct host *h, instant at)
{
    return at ? json_integer((h->now - at) / SECOND) : json_null();
}

static json_t *prefix_text(const struct ip_prefix *p)
{
    char text[ADDRESS_TEXT], whole[ADDRESS_TEXT + 8];
    if (!p->ip.family)
        return json_null();
    snprintf(whole, sizeof whole, "%s/%u", ip_address_format(&p->ip, text), p->length);
    return json_string(whole);
}

static json_t *key_text(const uint8_t *key)
{
    char text[CRYPTO_KEY_TEXT];
    return key ? json_string(crypto_key_format(key, text)) : json_null();
}

/* The form by which peers see an identity key. */
static json_t *seen_text(const uint8_t ed25519[32])
{
    uint8_t key[32];
    return crypto_ed25519_to_x25519_public(ed25519, key) ? key_text(key) : json_null();
}

/* ---- paths ---- */

static json_t *via_list(const char *chain)
{
    struct name_chain c;
    const char *reason;
    json_t *list = json_array();
    if (name_chain_parse(chain, &c, &reason))
        for (unsigned i = 0; i + 1 < c.count; i++)
            json_array_append_new(list, json_string(c.hop[i].text));
    return list;
}

json_t *describe_tunnel_facts(struct host *h, unsigned instance, uint32_t tunnel)
{
    const struct overlay *m = h->overlay[instance].module;
    struct overlay_fact fact;
    json_t *facts = json_object();
    for (unsigned i = 0;
         m->class->tunnel_fact && m->class->tunnel_fact(m, h->now, tunnel, i, &fact); i++)
        json_object_set_new(facts, fact.name,
                            fact.kind == OVERLAY_FACT_TEXT     ? json_string(fact.text)
                            : fact.kind == OVERLAY_FACT_NUMBER ? json_integer(fact.number)
                                                               : json_null());
    return facts;
}

static json_t *tunnel_object(struct host *h, const struct path_info *i)
{
    char remote[ENDPOINT_TEXT], recipe[ENDPOINT_TEXT + 32];
    if (!i->remote.ip.family)
        return json_null();
    endpoint_format(&i->remote, remote);
    snprintf(recipe, sizeof recipe, "send udp %s", remote);
    return json_pack("{s:s, s:n, s:s, s:s, s:i, s:i, s:o}", "instance",
                     h->overlay[i->instance].config->instance, "local", "remote", remote, "recipe",
                     recipe, "overhead", RECORD_OVERHEAD, "mtu", (int)i->record_mtu, "facts",
                     describe_tunnel_facts(h, i->instance, i->tunnel));
}

static const struct handle *handle_of(struct host *h, const struct path_info *i)
{
    struct overlay_name name = {0};
    if (!i->key)
        return NULL;
    memcpy(name.text, i->name, strlen(i->name) + 1);
    return handle_by_peer(h->handles, &name, i->key);
}

static const char *mtu_known(const struct path_info *i)
{
    if (i->mtu_searching)
        return "searching";
    return i->mtu_known == PATH_MTU_CONFIRMED ? "confirmed"
           : i->mtu_known == PATH_MTU_TOLD    ? "told"
                                              : "assumed";
}

static json_t *path_object(struct host *h, const struct path_info *i)
{
    const struct handle *record = handle_of(h, i);
    const struct ip_address none = {0};
    instant last = i->heard > i->sent ? i->heard : i->sent;
    const char *state = !strcmp(i->state, "up") ? "open" : i->state;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:b}", "name",
                  i->name[0] ? i->name : i->chain, "state", state, "role",
                  i->initiator ? "initiator" : "responder", "identity", i->identity, "mtu",
                  i->record_mtu ? (int)forward_inner_mtu(i->record_mtu) : 0, "lanes", (int)i->lanes,
                  "epoch", (int)i->epoch, "records_in", (json_int_t)i->records_in, "records_out",
                  (json_int_t)i->records_out, "bytes_in", (json_int_t)i->bytes_in, "bytes_out",
                  (json_int_t)i->bytes_out, "rekeys", (json_int_t)i->rekeys, "current", i->current);
    json_object_set_new(o, "record_mtu", json_integer(i->record_mtu));
    json_object_set_new(o, "mtu_known", json_string(mtu_known(i)));
    json_object_set_new(o, "mtu_confirmed_s",
                        i->mtu_confirmed ? seconds_since(h, i->mtu_confirmed) : json_null());
    json_object_set_new(o, "key", key_text(i->key));
    json_object_set_new(o, "chain", json_string(i->chain));
    json_object_set_new(o, "via", via_list(i->chain));
    json_object_set_new(o, "handle4", address_or_null(record ? &record->v4 : &none));
    json_object_set_new(o, "handle6", address_or_null(record ? &record->v6 : &none));
    json_object_set_new(o, "cipher",
                        text_or_null(!strcmp(i->aead, "aes-256-gcm") ? "AES-256-GCM"
                                     : i->aead[0]                    ? "ChaCha20-Poly1305"
                                                                     : NULL));
    json_object_set_new(o, "rtt_us", i->rtt ? json_integer(i->rtt / MICROSECOND) : json_null());
    json_object_set_new(o, "age_s", seconds_since(h, i->since));
    json_object_set_new(o, "idle_s", seconds_since(h, last));
    json_object_set_new(o, "tunnel", tunnel_object(h, i));
    return o;
}

struct listing {
    struct host *h;
    json_t *paths, *links, *transits, *keys;
};

static void look_path(void *context, const struct path_info *i)
{
    struct listing *l = context;
    json_t *o = path_object(l->h, i);
    if (!i->one_hop) {
        json_array_append_new(l->paths, o);
        return;
    }
    json_object_set_new(o, "instance", json_string(l->h->overlay[i->instance].config->instance));
    json_t *loss =
        json_object_get(json_object_get(json_object_get(o, "tunnel"), "facts"), "loss_permille");
    json_object_set(o, "loss_permille", loss ? loss : json_null());
    json_object_set_new(o, "keepalive_s", json_integer(l->h->config->timers.keepalive / SECOND));
    json_array_append_new(l->links, o);
}

static void look_transit(void *context, const struct path_transit_info *i)
{
    struct listing *l = context;
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I}", "from", i->from, "to", i->to, "state",
                          i->accepted ? "open" : "opening", "records", (json_int_t)i->records,
                          "bytes", (json_int_t)i->bytes);
    json_object_set_new(o, "target", text_or_null(i->target));
    json_object_set_new(o, "age_s", seconds_since(l->h, i->since));
    json_object_set_new(o, "idle_s", seconds_since(l->h, i->idle_since));
    json_array_append_new(l->transits, o);
}

static struct listing list_paths(struct host *h)
{
    struct listing l = {
        .h = h, .paths = json_array(), .links = json_array(), .transits = json_array()};
    path_each(h->path, look_path, &l);
    path_each_transit(h->path, look_transit, &l);
    return l;
}

json_t *describe_paths(struct host *h)
{
    struct listing l = list_paths(h);
    json_array_extend(l.links, l.paths); /* a link is a path of one hop */
    json_decref(l.paths);
    return json_pack("{s:o, s:o}", "paths", l.links, "transits", l.transits);
}

/* ---- handles ---- */

static json_t *handle_object(struct host *h, const struct handle *record)
{
    const struct host_handle *hh = host_handle_find(h, record->id);
    bool used = hh && atomic_load(&hh->fwd->path);
    bool resting = record->state == HANDLE_QUARANTINED;
    int64_t idle = h->wall - record->last_used_wall;
    int64_t rest = h->config->timers.quarantine / SECOND - idle;
    instant packet = hh ? atomic_load_explicit(&hh->fwd->used, memory_order_relaxed) : 0;

    if (packet && (h->now - packet) / SECOND < idle)
        idle = (h->now - packet) / SECOND;
    json_t *o = json_pack("{s:s, s:s, s:I}", "name", record->name.text, "state",
                          resting ? "resting"
                          : used  ? "used"
                                  : "kept",
                          "idle_s", (json_int_t)(idle > 0 ? idle : 0));
    int64_t age = h->wall - record->taken_wall;
    json_object_set_new(o, "age_s",
                        record->taken_wall ? json_integer(age > 0 ? age : 0) : json_null());
    json_object_set_new(o, "key", key_text(record->key));
    json_object_set_new(o, "ipv4", address_or_null(&record->v4));
    json_object_set_new(o, "ipv6", address_or_null(&record->v6));
    json_object_set_new(o, "way", text_or_null(record->way));
    json_object_set_new(o, "user",
                        record->owner_user == HANDLE_NO_USER ? json_null()
                                                             : json_integer(record->owner_user));
    json_object_set_new(o, "rest_s", resting ? json_integer(rest > 0 ? rest : 0) : json_null());
    return o;
}

json_t *describe_handles(struct host *h)
{
    unsigned pass = 0;
    const struct handle *record;
    json_t *list = json_array();
    while ((record = handle_next(h->handles, &pass)))
        json_array_append_new(list, handle_object(h, record));
    return json_pack("{s:o}", "handles", list);
}

/* ---- overlays ---- */

static json_t *member_object(struct host *h, const struct config_member *m,
                             const struct overlay_member *at)
{
    uint32_t slot;
    struct path_info info;
    bool linked = path_find(h->path, m->name.text, NULL, &slot) &&
                  path_info(h->path, slot, &info) && info.one_hop;
    json_t *places = json_array(), *o;
    for (unsigned i = 0; i < at->at_count; i++)
        json_array_append_new(places, json_string(at->at[i]));
    o = json_pack("{s:s, s:o, s:b}", "name", m->name.text, "at", places, "pinned", m->has_key);
    json_object_set_new(o, "link",
                        linked ? json_string(!strcmp(info.state, "up") ? "open" : info.state)
                               : json_null());
    return o;
}

static json_t *overlay_object(struct host *h, unsigned index)
{
    const struct host_overlay *o = &h->overlay[index];
    char about[512], listen[ENDPOINT_TEXT];
    struct text t;
    json_t *members = json_array(), *endpoints = json_array();

    for (unsigned i = 0; i < o->config->member_count; i++)
        json_array_append_new(members, member_object(h, &o->config->members[i], &o->members[i]));
    for (unsigned i = 0; i < o->config->listen_count; i++)
        json_array_append_new(endpoints,
                              json_string(endpoint_format(&o->config->listen[i], listen)));
    text_begin(&t, about, sizeof about);
    if (o->module->class->describe)
        o->module->class->describe(o->module, &t);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:n, s:o, s:o, s:{s:s, s:s}}", "instance",
                     o->config->instance, "type", o->config->type, "name", o->config->self.text,
                     "key", key_text(h->public_key[index]), "seen", seen_text(h->public_key[index]),
                     "trust", o->config->trust == CONFIG_TRUST_PIN ? "pin" : "psk", "state", "up",
                     "reason", "listen", endpoints, "members", members, "module", "promise",
                     o->module->class->promise, "text", about);
}

static json_t *overlay_list(struct host *h)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < h->overlay_count; i++)
        json_array_append_new(list, overlay_object(h, i));
    return list;
}

json_t *describe_overlays(struct host *h)
{
    struct listing l = list_paths(h);
    json_decref(l.paths);
    json_decref(l.transits);
    return json_pack("{s:o, s:o}", "overlays", overlay_list(h), "links", l.links);
}

/* ---- keys ---- */

static void look_known(void *context, const struct path_known_info *i)
{
    static const char vouched[] = "vouched for by ";
    struct listing *l = context;
    bool is_vouched = !strncmp(i->how, vouched, sizeof vouched - 1);
    json_t *o = json_pack("{s:s, s:o, s:s}", "name", i->name, "key", key_text(i->key), "how",
                          is_vouched ? "vouched" : i->how);
    json_object_set_new(o, "pin", json_null());
    json_object_set_new(o, "voucher",
                        is_vouched ? json_string(i->how + sizeof vouched - 1) : json_null());
    json_array_append_new(l->keys, o);
}

static void add_pin(json_t *list, const char *name, const uint8_t ed25519[32])
{
    json_t *key = seen_text(ed25519);
    if (json_is_string(key))
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o, s:s, s:n}", "name", name, "key", key,
                                        "pin", key_text(ed25519), "how", "pinned", "voucher"));
    else
        json_decref(key);
}

json_t *describe_keys(struct host *h)
{
    struct listing l = {.h = h, .keys = json_array()};
    path_each_known(h->path, look_known, &l);
    for (unsigned i = 0; i < h->config->pin_count; i++)
        add_pin(l.keys, h->config->pins[i].name.text, h->config->pins[i].key);
    for (unsigned i = 0; i < h->config->overlay_count; i++)
        for (unsigned m = 0; m < h->config->overlays[i].member_count; m++)
            if (h->config->overlays[i].members[m].has_key)
                add_pin(l.keys, h->config->overlays[i].members[m].name.text,
                        h->config->overlays[i].members[m].key);
    return json_pack("{s:o}", "keys", l.keys);
}

/* ---- drops, metrics ---- */

static struct drop_counters all_drops(struct host *h)
{
    struct drop_counters sum = h->drops;
    struct dns_stats dns;
    const struct drop_counters *path = path_drops(h->path);
    dns_describe(h->dns, &dns);
    for (unsigned i = 0; i < DROP_COUNT; i++)
        sum.packets[i] += drop_read(path, i) + dns.drops.packets[i];
    if (h->owner.add_drops)
        h->owner.add_drops(h->owner.self, &sum);
    return sum;
}

json_t *describe_drops(struct host *h, bool all)
{
    struct drop_counters sum = all_drops(h);
    json_t *list = json_array();
    for (unsigned i = 0; i < DROP_COUNT; i++)
        if (all || sum.packets[i])
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:I}", "name", drop_name(i), "text",
                                            drop_text(i), "packets", (json_int_t)sum.packets[i]));
    return list;
}

/* Instances of one type are summed, as their drops are. */
static void add_module_metrics(const struct overlay *o, json_t *m)
{
    char name[96];
    for (unsigned i = 0; o->class->metrics && o->class->metrics[i].name; i++) {
        snprintf(name, sizeof name, "%s.%s", o->class->name, o->class->metrics[i].name);
        json_int_t value = (json_int_t)o->class->metric(o, i);
        json_object_set_new(m, name,
                            json_integer(json_integer_value(json_object_get(m, name)) + value));
    }
}

static void add_metric(void *context, const char *name, uint64_t value)
{
    json_object_set_new(context, name, json_integer((json_int_t)value));
}

json_t *describe_metrics(struct host *h)
{
    struct drop_counters sum = all_drops(h);
    struct dns_stats dns;
    struct path_count count;
    json_t *m = json_object();
    char name[96];

    dns_describe(h->dns, &dns);
    path_count(h->path, &count);
    for (unsigned i = 0; i < DROP_COUNT; i++) {
        snprintf(name, sizeof name, "drop.%s", drop_name(i));
        json_object_set_new(m, name, json_integer((json_int_t)sum.packets[i]));
    }
    for (unsigned i = 0; i < DNS_COUNTER_COUNT; i++) {
        snprintf(name, sizeof name, "dns.%s", dns_counter_name(i));
        json_object_set_new(m, name, json_integer((json_int_t)dns.count[i]));
    }
    for (unsigned i = 0; i < h->overlay_count; i++)
        add_module_metrics(h->overlay[i].module, m);
    json_object_set_new(m, "path.paths", json_integer(count.paths));
    json_object_set_new(m, "path.halves", json_integer(count.halves));
    json_object_set_new(m, "path.transits", json_integer(count.transits));
    json_object_set_new(m, "path.tunnels", json_integer(count.tunnels));
    json_object_set_new(m, "path.labels", json_integer(count.slots));
    json_object_set_new(m, "path.openings", json_integer(count.opens));
    json_object_set_new(m, "handle.handles", json_integer(handle_count(h->handles)));
    json_object_set_new(m, "host.waiting_packets", json_integer(h->waiting));
    if (h->owner.add_metrics)
        h->owner.add_metrics(h->owner.self, add_metric, m);
    return m;
}

/* ---- status ---- */

static json_t *dns_object(struct host *h)
{
    struct dns_stats s;
    char listen[ENDPOINT_TEXT];
    dns_describe(h->dns, &s);
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:I, s:I}", "mode", config_dns_mode_word(h->config->dns.mode), "questions",
        (json_int_t)s.count[DNS_COUNTER_QUESTIONS], "answered",
        (json_int_t)s.count[DNS_COUNTER_REPLIES], "forwarded",
        (json_int_t)s.count[DNS_COUNTER_FOREIGN], "refused",
        (json_int_t)(s.count[DNS_COUNTER_FOREIGN_REFUSED] + s.count[DNS_COUNTER_REBINDING]));
    json_object_set_new(o, "listen",
                        h->config->dns.listen.ip.family
                            ? json_string(endpoint_format(&h->config->dns.listen, listen))
                            : json_null());
    json_object_set_new(o, "suffix", text_or_null(h->config->dns.suffix));
    return o;
}

static json_t *host_object(struct host *h)
{
    json_t *tun = json_pack("{s:s, s:i}", "name", h->config->tun.name, "mtu", (int)h->tun_mtu);
    unsigned pass = 0, used = 0, resting = 0;
    const struct handle *record;

    json_object_set_new(tun, "address4", address_or_null(&h->tun4));
    json_object_set_new(tun, "address6", address_or_null(&h->tun6));
    while ((record = handle_next(h->handles, &pass)))
        *(record->state == HANDLE_LIVE ? &used : &resting) += 1;
    json_t *pools = json_pack("{s:i, s:i, s:i}", "used", (int)used, "resting", (int)resting,
                              "per_user", (int)h->config->handles.per_user);
    json_object_set_new(pools, "ipv4", prefix_text(&h->pool4));
    json_object_set_new(pools, "ipv6", prefix_text(&h->pool6));
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:i, s:s, s:b}", "name", h->config->name, "version",
                          OCALA_VERSION, "state", h->stopping ? "stopping" : "running", "uptime_s",
                          (json_int_t)((h->now - h->started) / SECOND), "workers", (int)h->workers,
                          "config", h->config->file ? h->config->file : "", "gateway",
                          h->config->forward_count > 0);
    json_object_set_new(o, "key", key_text(h->public_key[0]));
    json_object_set_new(o, "seen", seen_text(h->public_key[0]));
    json_object_set_new(o, "pid", json_null());
    json_object_set_new(o, "under_load", json_boolean(path_is_under_load(h->path, h->now)));
    json_object_set_new(o, "config_age_s", json_null());
    json_object_set_new(o, "tun", tun);
    json_object_set_new(o, "dns", dns_object(h));
    json_object_set_new(o, "pools", pools);
    if (h->owner.status) {
        json_t *more = json_loads(h->owner.status(h->owner.self), 0, NULL);
        if (more)
            json_object_update_recursive(o, more);
        json_decref(more);
    }
    return o;
}

json_t *describe_status(struct host *h)
{
    struct listing l = list_paths(h);
    json_t *handles = describe_handles(h);
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:O, s:o}", "host", host_object(h), "overlays",
                          overlay_list(h), "links", l.links, "paths", l.paths, "transits",
                          l.transits, "handles", json_object_get(handles, "handles"), "drops",
                          describe_drops(h, false));
    json_decref(handles);
    return o;
}
