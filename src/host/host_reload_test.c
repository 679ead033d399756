/* What a new configuration does to a host that has paths, and what it says about it. */
#include "host/host_fixture.h"

#define A     LDNS_RR_TYPE_A
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

static void check_list(const json_t *reply, const char *name, const char *expected)
{
    char text[512] = "";
    size_t i;
    json_t *item, *list = json_object_get(reply, name);
    if (!json_is_array(list))
        fail_msg("no list '%s': %s", name, json_dumps(reply, 0));
    json_array_foreach(list, i, item) snprintf(text + strlen(text), sizeof text - strlen(text),
                                               "%s%s", i ? ", " : "", json_string_value(item));
    assert_string_equal(text, expected);
}

static void reload(struct machine *m, const char *yaml, const char *changed, const char *restart)
{
    m->reload_yaml = yaml;
    json_t *r = machine_control(m, true, "{\"command\": \"reload\"}");
    check_list(r, "changed", changed);
    check_list(r, "restart", restart);
    json_decref(r);
}

static bool has_path(struct machine *m, const char *name)
{
    uint32_t path;
    return path_find(m->host->path, name, NULL, &path);
}

/* Whether a datagram to that port reaches the program behind `to`. */
static bool reaches(struct machine *from, const char *address, uint16_t port, struct machine *to)
{
    unsigned before = to->captured_count;
    machine_send(from, address, IP_UDP, port);
    lan_settle(from->lan);
    return to->captured_count > before;
}

#define ALPHA_HEAD                                                                                 \
    "name: alpha\n"                                                                                \
    "overlays:\n"                                                                                  \
    "  - instance: east.ip\n"                                                                      \
    "    listen: 10.0.0.1:7400\n"
#define ALPHA_MEMBERS                                                                              \
    "    members:\n"                                                                               \
    "      - {name: beta, at: 10.0.0.2:7400}\n"                                                    \
    "      - {name: gate, at: 10.0.0.3:7400}\n"                                                    \
    "      - {name: nobody, at: 10.0.0.9:7400}\n"                                                  \
    "      - {name: byname, at: byname.example.org:7400}\n"
#define ALPHA_RULES                                                                                \
    "rules:\n"                                                                                     \
    "  - {names: '*.west.ip', via: gate.east.ip}\n"
#define ALPHA_BELIEVE                                                                              \
    "believe:\n"                                                                                   \
    "  - {gateway: gate.east.ip, instances: [west.ip]}\n"
#define ALPHA ALPHA_HEAD "    secret: s\n" ALPHA_MEMBERS

static void the_same_again_changes_nothing(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    reload(b->alpha, alpha_yaml, "", "");
    reload(b->alpha, alpha_yaml, "", "");
    assert_true(reaches(b->alpha, to, 7, b->beta));
    assert_string_equal(machine_address(b->alpha, BETA, A), to);
}

static void policy(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, GAMMA, A));
    assert_true(reaches(b->alpha, to, 7, b->gamma));
    reload(b->gamma,
           "name: gamma\n"
           "overlays:\n"
           "  - {instance: west.ip, listen: 10.0.0.4:7401, secret: s}\n"
           "believe:\n"
           "  - {gateway: gate.west.ip, instances: [east.ip]}\n"
           "policy:\n"
           "  - {peer: '*.east.ip', allow: [icmp, udp/8]}\n",
           "policy", "");
    assert_false(reaches(b->alpha, to, 7, b->gamma)); /* the flow that was admitted before */
    assert_true(reaches(b->alpha, to, 8, b->gamma));
    assert_int_equal(machine_drops(b->gamma, DROP_POLICY), 1);
    assert_true(machine_said(b->gamma, "changed: policy"));
}

static void rules(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    reload(b->alpha, ALPHA, "rules, believe", "");
    assert_int_equal(machine_ask(b->alpha, GAMMA, A)->rcode, LDNS_RCODE_NXDOMAIN);
    assert_string_equal(machine_address(b->alpha, BETA, A), to);
    reload(b->alpha, alpha_yaml, "rules, believe", "");
    machine_address(b->alpha, GAMMA, A);
}

static void who_is_not_believed_any_more(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, GAMMA, A));
    lan_settle(b->lan);
    reload(b->alpha, ALPHA ALPHA_RULES, "believe", "");
    assert_false(has_path(b->alpha, GAMMA));
    lan_settle(b->lan);
    assert_false(has_path(b->gamma, "alpha.east.ip"));
    struct reply *r = machine_ask(b->alpha, GAMMA, A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "believe"));
    reload(b->alpha, alpha_yaml, "believe", "");
    assert_string_equal(machine_address(b->alpha, GAMMA, A), to);
}

static void pins(void **state)
{
    struct bench *b = *state;
    machine_address(b->alpha, BETA, A);
    lan_settle(b->lan);
    reload(b->alpha,
           ALPHA ALPHA_RULES ALPHA_BELIEVE
           "pins: [{name: beta.east.ip, key: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}]\n",
           "pins", "");
    assert_false(has_path(b->alpha, BETA));
    assert_non_null(strstr(machine_ask(b->alpha, BETA, A)->words, "pinned"));
    reload(b->alpha, alpha_yaml, "pins", "");
    machine_address(b->alpha, BETA, A);
}

/* trust: pin knows only who is written down, so whoever is left out is out. */
static void trust(void **state)
{
    struct bench *b = *state;
    machine_address(b->alpha, BETA, A);
    reload(b->alpha,
           ALPHA_HEAD "    trust: pin\n    secret: s\n"
                      "    members: [{name: gate, at: '10.0.0.3:7400', key: "
                      "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}]\n",
           "rules, believe, east.ip trust, east.ip members", "");
    assert_false(has_path(b->alpha, BETA));
    lan_settle(b->lan);
    assert_false(has_path(b->beta, "alpha.east.ip"));
}

static void forward_lines(void **state)
{
    struct bench *b = *state;
    struct path_count count;
    char to[64];
    strcpy(to, machine_address(b->alpha, GAMMA, A));
    assert_true(reaches(b->alpha, to, 7, b->gamma));
    reload(b->gate,
           "name: gate\n"
           "overlays:\n"
           "  - {instance: east.ip, listen: 10.0.0.3:7400, secret: s}\n"
           "  - {instance: west.ip, listen: 10.0.0.3:7401, secret: s,\n"
           "     members: [{name: gamma, at: '10.0.0.4:7401'}]}\n",
           "forward", "");
    path_count(b->gate->host->path, &count);
    assert_int_equal(count.transits, 0);
    assert_false(reaches(b->alpha, to, 7, b->gamma));
}

static void members(void **state)
{
    struct bench *b = *state;
    static const char yaml[] =
        ALPHA_HEAD "    secret: s\n"
                   "    members:\n"
                   "      - {name: beta, at: 10.0.0.2:7400}\n"
                   "      - {name: gate, at: [10.0.0.9:7400, 10.0.0.3:7400]}\n"
                   "    options: {mtu: 1400}\n" ALPHA_RULES ALPHA_BELIEVE;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    reload(b->alpha, yaml, "east.ip members, east.ip options", "");
    assert_true(reaches(b->alpha, to, 7, b->beta));
    assert_int_equal(machine_ask(b->alpha, "nobody.east.ip", A)->rcode, LDNS_RCODE_NXDOMAIN);
    machine_address(b->alpha, GAMMA, A); /* gate answers at its second place */
    reload(b->alpha, yaml, "", "");      /* and nobody points into what was freed */
    reload(b->alpha, alpha_yaml, "east.ip members, east.ip options", "");
    json_t *r = machine_control(b->alpha, false, "{\"command\": \"overlay\"}");
    json_t *overlay = json_array_get(json_object_get(r, "overlays"), 0);
    assert_int_equal(json_array_size(json_object_get(overlay, "members")), 4);
    json_decref(r);
    assert_true(reaches(b->alpha, to, 7, b->beta));
}

static void secrets(void **state)
{
    struct bench *b = *state;
    static const char other[] =
        "name: beta\noverlays:\n  - {instance: east.ip, listen: 10.0.0.2:7400, secret: t}\n";
    static const char both[] =
        "name: beta\noverlays:\n  - {instance: east.ip, listen: 10.0.0.2:7400, secrets: [t, s]}\n";
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    reload(b->beta, both, "east.ip secret", ""); /* before CONFIRM is there: the old one is good */
    lan_settle(b->lan);
    reload(b->beta, other, "east.ip secret", "");
    assert_true(reaches(b->alpha, to, 7, b->beta)); /* what stands was proven */
    json_decref(machine_control(
        b->alpha, true, "{\"command\": \"path.close\", \"args\": {\"name\": \"" BETA "\"}}"));
    lan_settle(b->lan);
    struct reply *r = machine_ask(b->alpha, BETA, A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "secret mismatch"));
    reload(b->beta, both, "east.ip secret", "");
    lan_run(b->lan, 3 * SECOND);
    assert_string_equal(machine_address(b->alpha, BETA, A), to);
    reload(b->alpha, ALPHA_HEAD "    secret: t\n" ALPHA_MEMBERS ALPHA_RULES ALPHA_BELIEVE,
           "east.ip secret", "");
    json_decref(machine_control(
        b->alpha, true, "{\"command\": \"path.close\", \"args\": {\"name\": \"" BETA "\"}}"));
    assert_string_equal(machine_address(b->alpha, BETA, A), to);
}

/* A handshake that is under way goes on with the new secret by itself. */
static void a_secret_in_the_middle_of_a_handshake(void **state)
{
    struct bench *b = *state;
    uint64_t id;
    reload(b->beta,
           "name: beta\noverlays:\n  - {instance: east.ip, listen: 10.0.0.2:7400, secret: t}\n",
           "east.ip secret", "");
    id = machine_ask_now(b->alpha, BETA, A, USER);
    lan_settle(b->lan);
    assert_false(b->alpha->reply[id % 64].came);
    reload(b->alpha, ALPHA_HEAD "    secret: t\n" ALPHA_MEMBERS ALPHA_RULES ALPHA_BELIEVE,
           "east.ip secret", "");
    lan_run(b->lan, SECOND);
    assert_true(b->alpha->reply[id % 64].address[0]);
}

static void dns_and_handles(void **state)
{
    struct bench *b = *state;
    reload(b->alpha,
           ALPHA ALPHA_RULES ALPHA_BELIEVE
           "dns: {ttl: 5, suffix: ov.example.org}\nhandles: {per_user: 1}\n"
           "timers: {quarantine: 1h, keepalive: 10s}\n",
           "dns.ttl, dns.suffix, handles.per_user, timers.keepalive, timers.quarantine", "");
    machine_address(b->alpha, BETA ".ov.example.org", A);
    assert_int_equal(machine_ask(b->alpha, GAMMA, A)->rcode, LDNS_RCODE_SERVFAIL);
    reload(b->alpha, alpha_yaml,
           "dns.suffix, dns.ttl, handles.per_user, timers.keepalive, timers.quarantine", "");
    machine_address(b->alpha, GAMMA, A);
}

/* What cannot change is named, keeps its value, and does not hold up the rest. */
static void what_needs_a_restart(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *yaml, *changed, *restart;
    } rows[] = {
        {"name: beta\noverlays:\n"
         "  - {instance: west.ip, listen: 10.0.0.2:7401, secret: s}\n"
         "  - {instance: east.ip, listen: 10.0.0.2:7400, secret: s}\n",
         "", "overlays: west.ip comes"},
        {"name: beta\noverlays:\n  - {instance: west.ip, listen: 10.0.0.2:7400, secret: s}\n", "",
         "overlays: east.ip leaves, overlays: west.ip comes"},
        {"name: beth\noverlays:\n  - {instance: east.ip, secret: s,\n"
         "     listen: 10.0.0.2:7409}\n",
         "", "name, east.ip name, east.ip listen"},
        {"name: beta\ntun: {mtu: 1300}\npolicy: [{peer: '*', allow: [udp/8]}]\noverlays:\n"
         "  - {instance: east.ip, listen: 10.0.0.2:7400, secret: s}\n",
         "policy", "tun.mtu"},
        {"name: beta\nhandles: {ipv4: 10.99.0.0/16}\noverlays:\n"
         "  - {instance: east.ip, listen: 10.0.0.2:7400, secret: s, key: other}\n",
         "policy", "handles.ipv4, east.ip key"},
    };
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        reload(b->beta, rows[i].yaml, rows[i].changed, rows[i].restart);
        assert_true(reaches(b->alpha, to, i == 3 ? 8 : 7, b->beta));
        json_t *r = machine_control(b->beta, false, "{\"command\": \"config\"}");
        assert_non_null(strstr(json_string_value(json_object_get(r, "text")), "'beta.east.ip'"));
        json_decref(r);
    }
    assert_true(machine_said(b->beta, "takes effect only after a restart: handles.ipv4"));
}

static void a_bad_option_changes_nothing(void **state)
{
    struct bench *b = *state;
    b->beta->reload_yaml = "name: beta\npolicy: [{peer: '*', allow: []}]\noverlays:\n"
                           "  - {instance: east.ip, listen: 10.0.0.2:7400, secret: s,\n"
                           "     options: {mtu: many}}\n";
    json_t *r = machine_control(b->beta, true, "{\"command\": \"reload\"}");
    json_t *error = json_object_get(r, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "failed");
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "mtu"));
    json_decref(r);
    assert_true(reaches(b->alpha, machine_address(b->alpha, BETA, A), 7, b->beta));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_same_again_changes_nothing),
        CASE(policy),
        CASE(rules),
        CASE(who_is_not_believed_any_more),
        CASE(pins),
        CASE(trust),
        CASE(forward_lines),
        CASE(members),
        CASE(secrets),
        CASE(a_secret_in_the_middle_of_a_handshake),
        CASE(dns_and_handles),
        CASE(what_needs_a_restart),
        CASE(a_bad_option_changes_nothing),
    };
    return cmocka_run_group_tests_name("host_reload", tests, NULL, NULL);
}
