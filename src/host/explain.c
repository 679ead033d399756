/* `ocala explain`: how a name is reached, step by step, or where it stops, why, and what to do. */
#include "host/host_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct story {
    struct host *h;
    json_t *steps;
    bool failed;
};

/* ok: 1 yes, 0 no, -1 not reached.  `detail` is taken (NULL: empty). */
static void step(struct story *s, const char *what, int ok, json_t *detail, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static void step(struct story *s, const char *what, int ok, json_t *detail, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->failed |= ok == 0;
    json_array_append_new(s->steps, json_pack("{s:s, s:s, s:o, s:o}", "what", what, "text", text,
                                              "ok", ok < 0 ? json_null() : json_boolean(ok),
                                              "detail", detail ? detail : json_object()));
}

static json_t *finish(struct story *s, const struct name_chain *asked, const char *verdict,
                      const char *todo)
{
    char text[CHAIN_MAX * (NAME_TEXT + 5)];
    json_t *o =
        json_pack("{s:s, s:o, s:b, s:s}", "name", name_chain_format(asked, text, sizeof text),
                  "steps", s->steps, "ok", !s->failed, "verdict", verdict);
    json_object_set_new(o, "todo", todo ? json_string(todo) : json_null());
    return o;
}

static void say_route(struct story *s, const struct name_chain *asked, const struct name_chain *way)
{
    json_t *via = json_array();
    char text[CHAIN_MAX * (NAME_TEXT + 5)] = "";
    for (unsigned i = 0; i + 1 < way->count; i++) {
        json_array_append_new(via, json_string(way->hop[i].text));
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%s", i ? ", then " : "", way->hop[i].text);
    }
    if (way->count == asked->count && way->count == 1)
        step(s, "rule", 1, NULL, "no gateway needed: this host is in %s",
             overlay_name_instance(&way->hop[0]));
    else
        step(s, "rule", 1, json_pack("{s:O}", "via", via), "%s by way of %s",
             way->count == asked->count ? "the name says:" : "a rule (or the way it came) says:",
             text);
    json_decref(via);
}

static void say_overlay(struct story *s, const struct name_chain *way)
{
    const char *instance = overlay_name_instance(&way->hop[0]);
    for (unsigned i = 0; i < s->h->overlay_count; i++) {
        const struct host_overlay *o = &s->h->overlay[i];
        if (!strcmp(o->config->instance, instance))
            step(s, "overlay", 1, NULL, "%s, where this host is %s; trust: %s", instance,
                 o->config->self.text, o->config->trust == CONFIG_TRUST_PIN ? "pin" : "psk");
    }
}

/* The link to the first hop: tunnel, round trip. */
static void say_link(struct story *s, const struct name_chain *way)
{
    uint32_t slot;
    struct path_info i;
    char remote[ENDPOINT_TEXT] = "nowhere", about[400] = "", rtt[32] = "not measured yet";
    struct text t;

    if (!path_find(s->h->path, way->hop[0].text, NULL, &slot) || !path_info(s->h->path, slot, &i) ||
        !i.one_hop) {
        step(s, "link", 0, NULL, "no link to %s", way->hop[0].text);
        return;
    }
    const struct overlay *m = s->h->overlay[i.instance].module;
    text_begin(&t, about, sizeof about);
    if (m->class->describe_tunnel)
        m->class->describe_tunnel(m, i.tunnel, &t);
    if (i.remote.ip.family)
        endpoint_format(&i.remote, remote);
    if (i.rtt)
        snprintf(rtt, sizeof rtt, "%.2f ms", (double)i.rtt / (double)MILLISECOND);
    json_t *detail = describe_tunnel_facts(s->h, i.instance, i.tunnel);
    json_object_set_new(detail, "remote", json_string(remote));
    step(s, "tunnel", 1, detail, "%s", about[0] ? about : remote);
    step(s, "link", 1, json_pack("{s:I}", "rtt_us", (json_int_t)(i.rtt / MICROSECOND)),
         "%s at %s, round trip %s, %s", i.name, remote, rtt, i.identity);
}

static void mtu_text(const struct story *s, const struct path_info *i, char *out, size_t size)
{
    unsigned mtu = forward_inner_mtu(i->record_mtu), record = i->record_mtu;
    if (i->mtu_searching)
        snprintf(out, size, "MTU %u (records of %u bytes; being measured)", mtu, record);
    else if (i->mtu_known == PATH_MTU_CONFIRMED && i->mtu_confirmed)
        snprintf(out, size, "MTU %u (records of %u bytes; confirmed %lld s ago)", mtu, record,
                 (long long)((s->h->now - i->mtu_confirmed) / SECOND));
    else
        snprintf(out, size, "MTU %u (records of %u bytes; %s)", mtu, record,
                 i->mtu_known == PATH_MTU_CONFIRMED ? "confirmed"
                 : i->mtu_known == PATH_MTU_TOLD    ? "more was refused on the way"
                                                    : "not measured yet");
}

static void say_path(struct story *s, const struct path_info *i)
{
    char key[CRYPTO_KEY_TEXT], rtt[32] = "not measured yet", mtu[96];
    mtu_text(s, i, mtu, sizeof mtu);
    if (i->rtt)
        snprintf(rtt, sizeof rtt, "%.2f ms", (double)i->rtt / (double)MILLISECOND);
    step(s, "path", 1,
         json_pack("{s:i, s:i, s:I, s:I}", "lanes", (int)i->lanes, "epoch", (int)i->epoch,
                   "records_in", (json_int_t)i->records_in, "records_out",
                   (json_int_t)i->records_out),
         "%s for %lld s, %u hop%s, %s, %s, round trip %s, %llu records in, %llu out",
         !strcmp(i->state, "up") ? "open" : i->state, (long long)((s->h->now - i->since) / SECOND),
         i->travelled, i->travelled == 1 ? "" : "s", i->aead, mtu, rtt,
         (unsigned long long)i->records_in, (unsigned long long)i->records_out);
    step(s, "identity", 1, json_pack("{s:s}", "key", crypto_key_format(i->key, key)), "%s",
         i->identity);
}

static void say_handle(struct story *s, const struct path_info *i)
{
    struct overlay_name name = {0};
    char v4[ADDRESS_TEXT] = "", v6[ADDRESS_TEXT] = "";
    memcpy(name.text, i->name, strlen(i->name) + 1);
    const struct handle *record = handle_by_peer(s->h->handles, &name, i->key);
    if (!record) {
        step(s, "handle", 0, NULL, "no handle address: the pool is empty or the user has too many");
        return;
    }
    if (record->v4.family)
        ip_address_format(&record->v4, v4);
    if (record->v6.family)
        ip_address_format(&record->v6, v6);
    step(s, "handle", 1, json_pack("{s:s, s:s}", "ipv4", v4, "ipv6", v6), "%s%s%s", v4,
         v6[0] ? " and " : "", v6);
}

static const char *what_to_do(const char *reason)
{
    static const struct {
        const char *word, *todo;
    } hints[] = {
        {"secret mismatch", "give both hosts the same network secret file, then try again"},
        {"another key",
         "if the host was set up anew: ocala key forget NAME; else somebody claims its name"},
        {"identity was refused",
         "was this host set up anew? then over there: ocala key forget, with this host's name; if "
         "not, another host has its name: give one of them another `name`"},
        {"not in", "add the instance under `overlays:`, or a rule with a gateway under `rules:`"},
        {"nobody we believe",
         "list the gateway under `believe:` for that instance, or pin the key under `pins:`"},
        {"does not forward", "the gateway needs a line under `forward:` (from, to)"},
        {"no answer", "is ocalad running there, is the address right, does a firewall stop UDP?"},
        {"no member", "add the host and its address under `members:`"},
    };
    for (unsigned i = 0; reason && i < sizeof hints / sizeof *hints; i++)
        if (strstr(reason, hints[i].word))
            return hints[i].todo;
    return NULL;
}

json_t *explain_name(struct host *h, const struct name_chain *asked, const char *failure)
{
    struct story s = {.h = h, .steps = json_array()};
    const struct overlay_name *target = &asked->hop[asked->count - 1];
    char host[NAME_TEXT], reason[256], verdict[NAME_TEXT + 64];
    struct name_chain way;
    uint32_t slot;
    struct path_info info;

    step(&s, "name", 1, NULL, "%s in instance %s", overlay_name_host(target, host),
         overlay_name_instance(target));
    for (unsigned i = 0; i < h->config->overlay_count; i++)
        if (asked->count == 1 && overlay_name_equal(target, &h->config->overlays[i].self)) {
            step(&s, "overlay", 1, NULL, "this host itself");
            return finish(&s, asked, "That is this host: nothing leaves the machine.", NULL);
        }
    snprintf(verdict, sizeof verdict, "%s cannot be reached.", target->text);
    if (!host_route(h, asked, &way, reason, sizeof reason)) {
        step(&s, "rule", 0, NULL, "%s", reason);
        return finish(&s, asked, verdict, what_to_do(reason));
    }
    say_route(&s, asked, &way);
    say_overlay(&s, &way);
    bool stands = path_find(h->path, target->text, NULL, &slot) && path_info(h->path, slot, &info);
    if (way.count > 1 || stands)
        say_link(&s, &way);
    if (!stands) {
        step(&s, "path", 0, NULL, "%s", failure ? failure : "no path");
        return finish(&s, asked, verdict, what_to_do(failure));
    }
    say_path(&s, &info);
    say_handle(&s, &info);
    snprintf(verdict, sizeof verdict, "%s can be reached.", target->text);
    return finish(&s, asked, verdict, NULL);
}
