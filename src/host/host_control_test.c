/* The control socket's replies hold what doc/protocol/control.md says, whole and of the right kind,
 * and the commands do what they say. */
#include "host/host_fixture.h"

#define BETA  "beta.east.ip"
#define GAMMA "gamma.west.ip"

struct bench {
    struct lan *lan;
    struct machine *alpha, *beta, *gate, *gamma;
};

static int set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    b->lan = lan_new();
    b->alpha = lan_machine(b->lan, alpha_yaml);
    b->beta = lan_machine(b->lan, beta_yaml);
    b->gate = lan_machine(b->lan, gate_yaml);
    b->gamma = lan_machine(b->lan, gamma_yaml);
    machine_address(b->alpha, BETA, LDNS_RR_TYPE_A);
    machine_address(b->alpha, GAMMA, LDNS_RR_TYPE_A);
    lan_settle(b->lan);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    lan_free(b->lan);
    free(b);
    return 0;
}

/* ---- kinds ---- */

/* Kinds: s text, i integer, b boolean, a list, o object; a second letter n: or null. */
struct field {
    const char *name, *kind;
};

static bool is_kind(const json_t *v, char kind)
{
    switch (kind) {
    case 's':
        return json_is_string(v);
    case 'i':
        return json_is_integer(v);
    case 'b':
        return json_is_boolean(v);
    case 'a':
        return json_is_array(v);
    case 'o':
        return json_is_object(v);
    default:
        return json_is_null(v);
    }
}

/* Exactly these fields. */
static void check_fields(const char *what, json_t *object, const struct field *fields,
                         unsigned count, unsigned more)
{
    if (!json_is_object(object))
        fail_msg("%s: no object", what);
    for (unsigned i = 0; i < count; i++) {
        const json_t *v = json_object_get(object, fields[i].name);
        if (!v)
            fail_msg("%s: %s is missing", what, fields[i].name);
        if (!is_kind(v, fields[i].kind[0]) && !(fields[i].kind[1] && json_is_null(v)))
            fail_msg("%s: %s is not of kind %s", what, fields[i].name, fields[i].kind);
    }
    if (json_object_size(object) != count + more) {
        char *text = json_dumps(object, 0);
        fail_msg("%s has %zu fields, not %u: %s", what, json_object_size(object), count + more,
                 text);
    }
}
#define COUNT(list)                 (sizeof(list) / sizeof *(list))
#define CHECK(what, object, fields) check_fields(what, object, fields, COUNT(fields), 0)

static void check_list(const char *what, json_t *list, const struct field *fields, unsigned count,
                       size_t expected)
{
    if (!json_is_array(list) || json_array_size(list) != expected)
        fail_msg("%s: %zu, not %zu", what, json_array_size(list), expected);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) check_fields(what, item, fields, count, 0);
}
#define CHECK_LIST(what, list, fields, expected)                                                   \
    check_list(what, list, fields, COUNT(fields), expected)

#define PATH_FIELDS                                                                                \
    {"name", "s"}, {"key", "sn"}, {"state", "s"}, {"role", "s"}, {"identity", "s"},                \
        {"chain", "s"}, {"via", "a"}, {"current", "b"}, {"handle4", "sn"}, {"handle6", "sn"},      \
        {"mtu", "i"}, {"record_mtu", "i"}, {"mtu_known", "s"}, {"mtu_confirmed_s", "in"},          \
        {"lanes", "i"}, {"epoch", "i"}, {"rekeys", "i"}, {"cipher", "s"}, {"records_in", "i"},     \
        {"records_out", "i"}, {"bytes_in", "i"}, {"bytes_out", "i"}, {"rtt_us", "in"},             \
        {"age_s", "i"}, {"idle_s", "i"},                                                           \
    {                                                                                              \
        "tunnel", "on"                                                                             \
    }

static const struct field path_fields[] = {PATH_FIELDS};
static const struct field link_fields[] = {
    PATH_FIELDS, {"instance", "s"}, {"loss_permille", "in"}, {"keepalive_s", "i"}};
static const struct field tunnel_fields[] = {{"instance", "s"}, {"local", "sn"},   {"remote", "s"},
                                             {"recipe", "s"},   {"overhead", "i"}, {"mtu", "i"},
                                             {"facts", "o"}};
static const struct field transit_fields[] = {{"from", "s"},  {"to", "s"},      {"target", "sn"},
                                              {"state", "s"}, {"records", "i"}, {"bytes", "i"},
                                              {"age_s", "i"}, {"idle_s", "i"}};
static const struct field handle_fields[] = {
    {"name", "s"},  {"key", "sn"},  {"way", "sn"},   {"ipv4", "sn"},  {"ipv6", "sn"},
    {"state", "s"}, {"user", "in"}, {"age_s", "in"}, {"idle_s", "i"}, {"rest_s", "in"}};
static const struct field overlay_fields[] = {{"instance", "s"}, {"type", "s"},    {"name", "s"},
                                              {"key", "s"},      {"seen", "s"},    {"trust", "s"},
                                              {"state", "s"},    {"reason", "sn"}, {"listen", "a"},
                                              {"members", "a"},  {"module", "o"}};
static const struct field member_fields[] = {
    {"name", "s"}, {"at", "a"}, {"pinned", "b"}, {"link", "sn"}};
static const struct field drop_fields[] = {{"name", "s"}, {"text", "s"}, {"packets", "i"}};
static const struct field key_fields[] = {
    {"name", "s"}, {"key", "s"}, {"pin", "sn"}, {"how", "s"}, {"voucher", "sn"}};
static const struct field host_fields[] = {
    {"name", "s"},    {"version", "s"}, {"pid", "i"},  {"state", "s"},  {"uptime_s", "i"},
    {"workers", "i"}, {"key", "s"},     {"seen", "s"}, {"config", "s"}, {"config_age_s", "i"},
    {"gateway", "b"}, {"tun", "o"},     {"dns", "o"},  {"pools", "o"},  {"under_load", "b"}};
static const struct field tun_fields[] = {
    {"name", "s"}, {"mtu", "i"}, {"address4", "sn"}, {"address6", "sn"}};
static const struct field dns_fields[] = {{"mode", "s"},      {"listen", "sn"},  {"suffix", "sn"},
                                          {"questions", "i"}, {"answered", "i"}, {"forwarded", "i"},
                                          {"refused", "i"}};
static const struct field pool_fields[] = {
    {"ipv4", "sn"}, {"ipv6", "sn"}, {"used", "i"}, {"resting", "i"}, {"per_user", "i"}};

static json_t *ask(struct machine *m, const char *command)
{
    char request[256];
    snprintf(request, sizeof request, "{\"command\": \"%s\"}", command);
    return machine_control(m, false, request);
}

static json_t *ask_name(struct machine *m, const char *command, const char *name)
{
    char request[512];
    snprintf(request, sizeof request, "{\"command\": \"%s\", \"args\": {\"name\": \"%s\"}}",
             command, name);
    return machine_control(m, true, request);
}

/* The item whose field has this text. */
static json_t *find(json_t *list, const char *field, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *have = json_string_value(json_object_get(item, field));
        if (have && !strcmp(have, text))
            return item;
    }
    fail_msg("nothing has %s %s", field, text);
    return NULL;
}

static const char *text_of(json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    if (!text)
        fail_msg("%s is no text", field);
    return text;
}

static void check_error(json_t *reply, const char *code, const char *words)
{
    json_t *error = json_object_get(reply, "error");
    assert_string_equal(text_of(error, "code"), code);
    if (!strstr(text_of(error, "message"), words))
        fail_msg("%s", text_of(error, "message"));
    json_decref(reply);
}

/* ---- listings ---- */

static void status_is_whole(void **state)
{
    struct bench *b = *state;
    static const struct field fields[] = {{"host", "o"},  {"overlays", "a"}, {"links", "a"},
                                          {"paths", "a"}, {"transits", "a"}, {"handles", "a"},
                                          {"drops", "a"}};
    json_t *r = ask(b->alpha, "status"), *host = json_object_get(r, "host");
    CHECK("status", r, fields);
    CHECK("host", host, host_fields);
    CHECK("tun", json_object_get(host, "tun"), tun_fields);
    CHECK("dns", json_object_get(host, "dns"), dns_fields);
    CHECK("pools", json_object_get(host, "pools"), pool_fields);
    CHECK_LIST("overlays", json_object_get(r, "overlays"), overlay_fields, 1);
    CHECK_LIST("links", json_object_get(r, "links"), link_fields, 2);
    CHECK_LIST("paths", json_object_get(r, "paths"), path_fields, 1);
    CHECK_LIST("transits", json_object_get(r, "transits"), transit_fields, 0);
    CHECK_LIST("handles", json_object_get(r, "handles"), handle_fields, 3);
    assert_string_equal(text_of(host, "name"), "alpha");
    assert_string_equal(text_of(host, "state"), "running");
    assert_int_equal(json_integer_value(json_object_get(host, "pid")), 42);
    assert_true(json_is_false(json_object_get(host, "gateway")));
    assert_string_equal(text_of(json_object_get(host, "tun"), "address4"), TUN4);
    assert_string_equal(text_of(json_object_get(host, "pools"), "ipv4"), "198.18.0.0/15");
    json_decref(r);
}

static void paths_are_whole(void **state)
{
    struct bench *b = *state;
    json_t *r = ask(b->alpha, "path"), *paths = json_object_get(r, "paths");
    json_t *link = find(paths, "name", BETA), *path = find(paths, "name", GAMMA);
    CHECK("link", link, link_fields);
    CHECK("path", path, path_fields);
    CHECK("tunnel", json_object_get(path, "tunnel"), tunnel_fields);
    assert_string_equal(text_of(path, "state"), "open");
    assert_string_equal(text_of(path, "role"), "initiator");
    assert_string_equal(text_of(path, "identity"), "vouched for by gate.east.ip");
    assert_string_equal(text_of(path, "chain"), GAMMA ".via.gate.east.ip");
    assert_string_equal(json_string_value(json_array_get(json_object_get(path, "via"), 0)),
                        "gate.east.ip");
    assert_int_equal(json_array_size(json_object_get(link, "via")), 0);
    assert_true(json_integer_value(json_object_get(path, "mtu")) >= 1280);
    assert_string_equal(text_of(json_object_get(link, "tunnel"), "remote"), "10.0.0.2:7400");
    assert_string_equal(text_of(link, "instance"), "east.ip");
    json_decref(r);

    r = ask(b->gate, "path");
    CHECK_LIST("transits", json_object_get(r, "transits"), transit_fields, 1);
    json_t *transit = json_array_get(json_object_get(r, "transits"), 0);
    assert_string_equal(text_of(transit, "from"), "alpha.east.ip");
    assert_string_equal(text_of(transit, "to"), GAMMA);
    assert_string_equal(text_of(transit, "target"), GAMMA);
    assert_string_equal(text_of(transit, "state"), "open");
    json_decref(r);
    r = ask(b->gate, "status");
    assert_true(json_is_true(json_object_get(json_object_get(r, "host"), "gateway")));
    json_decref(r);
}

static void handles_are_whole(void **state)
{
    struct bench *b = *state;
    json_t *r = ask(b->alpha, "handle"), *handles = json_object_get(r, "handles");
    CHECK_LIST("handles", handles, handle_fields, 3);
    json_t *h = find(handles, "name", GAMMA);
    assert_string_equal(text_of(h, "state"), "used");
    assert_string_equal(text_of(h, "way"), GAMMA ".via.gate.east.ip");
    assert_int_equal(json_integer_value(json_object_get(h, "user")), USER);
    assert_true(json_is_null(json_object_get(find(handles, "name", "gate.east.ip"), "user")));
    json_decref(r);

    lan_run(b->lan, 2 * HOUR);
    r = ask(b->alpha, "handle");
    h = find(json_object_get(r, "handles"), "name", GAMMA);
    assert_string_equal(text_of(h, "state"), "kept");
    assert_true(json_integer_value(json_object_get(h, "idle_s")) > 3600);
    assert_in_range(json_integer_value(json_object_get(h, "age_s")), 7200, 7300);
    assert_true(json_is_null(json_object_get(h, "rest_s")));
    json_decref(r);

    lan_run(b->lan, 26 * HOUR);
    r = ask(b->alpha, "handle");
    h = find(json_object_get(r, "handles"), "name", GAMMA);
    assert_string_equal(text_of(h, "state"), "resting");
    assert_in_range(json_integer_value(json_object_get(h, "rest_s")), 1, 24 * 3600);
    json_decref(r);
}

static void overlays_are_whole(void **state)
{
    struct bench *b = *state;
    static const struct field module_fields[] = {{"promise", "s"}, {"text", "s"}};
    json_t *r = ask(b->gate, "overlay");
    CHECK_LIST("overlays", json_object_get(r, "overlays"), overlay_fields, 2);
    CHECK_LIST("links", json_object_get(r, "links"), link_fields, 2);
    json_t *o = find(json_object_get(r, "overlays"), "instance", "west.ip");
    assert_string_equal(text_of(o, "type"), "ip");
    assert_string_equal(text_of(o, "name"), "gate.west.ip");
    assert_string_equal(text_of(o, "trust"), "psk");
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "listen"), 0)),
                        "10.0.0.3:7401");
    CHECK("module", json_object_get(o, "module"), module_fields);
    CHECK_LIST("members", json_object_get(o, "members"), member_fields, 1);
    json_t *m = find(json_object_get(o, "members"), "name", GAMMA);
    assert_string_equal(text_of(m, "link"), "open");
    assert_string_equal(json_string_value(json_array_get(json_object_get(m, "at"), 0)),
                        "10.0.0.4:7401");
    json_decref(r);
}

static void keys_are_whole(void **state)
{
    struct bench *b = *state;
    json_t *r = ask(b->alpha, "key"), *keys = json_object_get(r, "keys");
    CHECK_LIST("keys", keys, key_fields, 3);
    assert_string_equal(text_of(find(keys, "name", BETA), "how"), "first use");
    assert_string_equal(text_of(find(keys, "name", GAMMA), "how"), "vouched");
    assert_string_equal(text_of(find(keys, "name", GAMMA), "voucher"), "gate.east.ip");
    json_decref(r);
}

static void numbers_are_whole(void **state)
{
    struct bench *b = *state;
    machine_send(b->alpha, "198.18.9.9", IP_UDP, 7);
    json_t *r = ask(b->alpha, "drops"), *drops = json_object_get(r, "drops");
    CHECK_LIST("drops", drops, drop_fields, DROP_COUNT);
    json_t *unknown = find(drops, "name", drop_name(DROP_UNKNOWN_HANDLE));
    assert_int_equal(json_integer_value(json_object_get(unknown, "packets")), 1);
    json_decref(r);
    /* status: those above zero only */
    r = ask(b->alpha, "status");
    CHECK_LIST("drops", json_object_get(r, "drops"), drop_fields, 1);
    json_decref(r);

    r = ask(b->alpha, "metrics");
    const char *name;
    json_t *value, *metrics = json_object_get(r, "metrics");
    assert_true(json_object_size(metrics) > DROP_COUNT + DNS_COUNTER_COUNT);
    json_object_foreach(metrics, name, value) assert_true(json_is_integer(value));
    assert_int_equal(json_integer_value(json_object_get(metrics, "handle.handles")), 3);
    assert_int_equal(json_integer_value(json_object_get(metrics, "dns.overlay")), 2);
    json_decref(r);
}

static void small_ones(void **state)
{
    struct bench *b = *state;
    static const struct field version_fields[] = {
        {"name", "s"}, {"version", "s"}, {"protocol", "i"}};
    static const struct field config_fields[] = {{"file", "s"}, {"text", "s"}};
    json_t *r = ask(b->alpha, "version");
    CHECK("version", r, version_fields);
    assert_string_equal(text_of(r, "name"), "ocalad");
    json_decref(r);
    r = ask(b->alpha, "config");
    CHECK("config", r, config_fields);
    assert_non_null(strstr(text_of(r, "text"), "give_up"));
    json_decref(r);
}

/* ---- explain ---- */

static const struct field explanation_fields[] = {
    {"name", "s"}, {"steps", "a"}, {"ok", "b"}, {"verdict", "s"}, {"todo", "sn"}};
static const struct field step_fields[] = {
    {"what", "s"}, {"text", "s"}, {"ok", "bn"}, {"detail", "o"}};

static json_t *explain(struct machine *m, const char *name, bool ok, const char *last)
{
    json_t *r = ask_name(m, "explain", name), *steps = json_object_get(r, "steps");
    CHECK("explanation", r, explanation_fields);
    CHECK_LIST("steps", steps, step_fields, json_array_size(steps));
    assert_int_equal(json_is_true(json_object_get(r, "ok")), ok);
    assert_string_equal(text_of(r, "name"), name);
    json_t *step = json_array_get(steps, json_array_size(steps) - 1);
    assert_string_equal(text_of(step, "what"), last);
    return r;
}

static void explain_says_how(void **state)
{
    struct bench *b = *state;
    static const char *const whats[] = {"name", "rule", "overlay",  "tunnel",
                                        "link", "path", "identity", "handle"};
    json_t *r = explain(b->alpha, GAMMA, true, "handle"), *steps = json_object_get(r, "steps");
    for (unsigned i = 0; i < COUNT(whats); i++)
        assert_true(json_is_true(json_object_get(find(steps, "what", whats[i]), "ok")));
    assert_string_equal(text_of(r, "verdict"), GAMMA " can be reached.");
    assert_true(json_is_null(json_object_get(r, "todo")));
    assert_string_equal(text_of(find(steps, "what", "identity"), "text"),
                        "vouched for by gate.east.ip");
    json_decref(r);
    json_decref(explain(b->alpha, "alpha.east.ip", true, "overlay"));
    /* What does not stand yet is brought up first. */
    json_decref(ask_name(b->alpha, "path.close", BETA));
    json_decref(explain(b->alpha, BETA, true, "handle"));
}

static void explain_says_why_not(void **state)
{
    struct bench *b = *state;
    json_t *r = explain(b->alpha, "web.north.ip", false, "rule");
    assert_non_null(strstr(text_of(r, "todo"), "`overlays:`"));
    json_decref(r);
    r = explain(b->alpha, "nobody.east.ip", false, "path");
    assert_string_equal(text_of(r, "verdict"), "nobody.east.ip cannot be reached.");
    assert_non_null(strstr(text_of(r, "todo"), "is ocalad running there"));
    json_decref(r);
    r = explain(b->alpha, "other.west.ip", false, "path");
    json_decref(r);
    check_error(ask_name(b->alpha, "explain", "no name"), "bad-argument", "no name");
}

/* ---- ping ---- */

static void ping_measures(void **state)
{
    struct bench *b = *state;
    static const struct field summary_fields[] = {{"name", "s"},        {"sent", "i"},
                                                  {"received", "i"},    {"least_us", "in"},
                                                  {"average_us", "in"}, {"most_us", "in"}};
    static const struct field probe_fields[] = {{"sequence", "i"}, {"rtt_us", "in"}, {"lost", "b"}};
    json_t *r = machine_control(b->alpha, false,
                                "{\"command\": \"ping\", \"args\": {\"name\": \"" GAMMA
                                "\", \"count\": 3}}");
    CHECK("summary", r, summary_fields);
    assert_int_equal(json_integer_value(json_object_get(r, "sent")), 3);
    assert_int_equal(json_integer_value(json_object_get(r, "received")), 3);
    assert_int_equal(json_integer_value(json_object_get(r, "average_us")), 4000); /* 4 cables */
    json_decref(r);
    unsigned probes = 0;
    for (char *line = strtok(b->alpha->control, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *reply = json_loads(line, 0, NULL);
        if (json_is_true(json_object_get(reply, "more"))) {
            json_t *probe = json_object_get(reply, "result");
            CHECK("probe", probe, probe_fields);
            assert_int_equal(json_integer_value(json_object_get(probe, "sequence")), ++probes);
            assert_true(json_is_false(json_object_get(probe, "lost")));
        }
        json_decref(reply);
    }
    assert_int_equal(probes, 3);
}

static void ping_loses(void **state)
{
    struct bench *b = *state;
    b->beta->cut = true;
    json_t *r = machine_control(b->alpha, false,
                                "{\"command\": \"ping\", \"args\": {\"name\": \"" BETA
                                "\", \"count\": 2}}");
    assert_int_equal(json_integer_value(json_object_get(r, "sent")), 2);
    assert_int_equal(json_integer_value(json_object_get(r, "received")), 0);
    assert_true(json_is_null(json_object_get(r, "least_us")));
    json_decref(r);
    check_error(ask_name(b->alpha, "ping", "nobody.east.ip"), "failed", "no answer from nobody");
    check_error(ask_name(b->alpha, "ping", "alpha.east.ip"), "not-found", "this host itself");
    check_error(ask_name(b->alpha, "ping", "web.north.ip"), "not-found", "not in north.ip");
}

/* Who asked is gone: the host stops, whatever was under way. */
static void clients_that_leave(void **state)
{
    struct bench *b = *state;
    static const char *const requests[] = {
        "{\"command\": \"ping\", \"args\": {\"name\": \"" BETA "\", \"count\": 1000}}\n",
        "{\"command\": \"ping\", \"args\": {\"name\": \"nobody.east.ip\"}}\n",
        "{\"command\": \"explain\", \"args\": {\"name\": \"nobody.east.ip\"}}\n"};
    for (unsigned i = 0; i < COUNT(requests); i++) {
        host_control_open(b->alpha->host, 5000 + i, false);
        host_control_input(b->alpha->host, b->lan->now, 5000 + i, (const uint8_t *)requests[i],
                           strlen(requests[i]));
        machine_pump(b->alpha);
    }
    lan_run(b->lan, 3 * SECOND / 2);
    assert_int_equal(HASH_COUNT(b->alpha->host->wants), 3);
    b->alpha->control_size = 0;
    for (unsigned i = 0; i < COUNT(requests); i++)
        host_control_close(b->alpha->host, 5000 + i);
    machine_pump(b->alpha);
    assert_null(b->alpha->host->wants);
    lan_run(b->lan, 30 * SECOND);
    assert_int_equal(b->alpha->control_size, 0);
}

/* ---- changes ---- */

static void paths_are_closed(void **state)
{
    struct bench *b = *state;
    uint32_t path;
    json_t *r = ask_name(b->alpha, "path.close", GAMMA);
    assert_int_equal(json_integer_value(json_object_get(r, "closed")), 1);
    json_decref(r);
    lan_settle(b->lan);
    assert_false(path_find(b->alpha->host->path, GAMMA, NULL, &path));
    assert_false(path_find(b->gamma->host->path, "alpha.east.ip", NULL, &path));
    r = ask_name(b->alpha, "path.close", "web.north.ip");
    assert_int_equal(json_integer_value(json_object_get(r, "closed")), 0);
    json_decref(r);
}

static void keys_are_forgotten(void **state)
{
    struct bench *b = *state;
    json_t *r = ask_name(b->alpha, "key.forget", BETA);
    assert_int_equal(json_integer_value(json_object_get(r, "forgotten")), 1);
    json_decref(r);
    assert_true(machine_said(b->alpha, "the key bound to " BETA " was forgotten"));
    check_error(ask_name(b->alpha, "key.forget", BETA), "not-found", "no key is bound to " BETA);
    r = ask(b->alpha, "key");
    assert_int_equal(json_array_size(json_object_get(r, "keys")), 2);
    json_decref(r);
}

static void the_daemon_is_stopped(void **state)
{
    struct bench *b = *state;
    json_t *r = machine_control(b->alpha, true, "{\"command\": \"stop\"}");
    assert_true(json_is_true(json_object_get(r, "stopping")));
    json_decref(r);
    assert_true(b->alpha->stop_wanted);
}

static void readers_change_nothing(void **state)
{
    struct bench *b = *state;
    static const char *const requests[] = {
        "{\"command\": \"stop\"}", "{\"command\": \"reload\"}",
        "{\"command\": \"key.forget\", \"args\": {\"name\": \"" BETA "\"}}",
        "{\"command\": \"path.close\", \"args\": {\"name\": \"" BETA "\"}}"};
    for (unsigned i = 0; i < COUNT(requests); i++)
        check_error(machine_control(b->alpha, false, requests[i]), "denied", "");
    uint32_t path;
    assert_false(b->alpha->stop_wanted);
    assert_true(path_find(b->alpha->host->path, BETA, NULL, &path));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(status_is_whole),
        CASE(paths_are_whole),
        CASE(handles_are_whole),
        CASE(overlays_are_whole),
        CASE(keys_are_whole),
        CASE(numbers_are_whole),
        CASE(small_ones),
        CASE(explain_says_how),
        CASE(explain_says_why_not),
        CASE(ping_measures),
        CASE(ping_loses),
        CASE(clients_that_leave),
        CASE(paths_are_closed),
        CASE(keys_are_forgotten),
        CASE(the_daemon_is_stopped),
        CASE(readers_change_nothing),
    };
    return cmocka_run_group_tests_name("host_control", tests, NULL, NULL);
}
