#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/control.h"
#include "tests/support/seeded.h"

#define ROOT   1
#define READER 2

/* A server with a client of each level, 1 second into time. */
static struct control_server *server_new(void)
{
    struct seeded seeded;
    seeded_init(&seeded, 1);
    struct control_server *s = control_new(&seeded.entropy);
    control_connect(s, SECOND, ROOT, CONTROL_CHANGE);
    control_connect(s, SECOND, READER, CONTROL_READ);
    return s;
}

static void feed(struct control_server *s, uint64_t client, const char *line)
{
    control_input(s, SECOND, client, line, strlen(line));
    control_input(s, SECOND, client, "\n", 1);
}

static void assert_quiet(struct control_server *s)
{
    struct control_out out;
    if (control_output(s, &out))
        fail_msg("unexpected output %d: %s", out.kind, out.bytes ? out.bytes : "");
}

static void assert_sent(struct control_server *s, uint64_t client, const char *line)
{
    struct control_out out;
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_SEND);
    assert_int_equal(out.client, client);
    assert_int_equal(out.bytes[out.size - 1], '\n');
    assert_int_equal(strlen(out.bytes), out.size);
    char copy[2048];
    snprintf(copy, sizeof copy, "%.*s", (int)out.size - 1, out.bytes);
    assert_string_equal(copy, line);
}

static void assert_closed(struct control_server *s, uint64_t client)
{
    struct control_out out;
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_CLOSE);
    assert_int_equal(out.client, client);
}

/* The next output is this request with these arguments; its serial. */
static uint64_t assert_request(struct control_server *s, uint64_t client,
                               enum control_command command, const char *args)
{
    struct control_out out;
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_REQUEST);
    assert_int_equal(out.client, client);
    assert_int_equal(out.command, command);
    assert_int_equal(out.level, client == ROOT ? CONTROL_CHANGE : CONTROL_READ);
    char *text = json_dumps(out.args, JSON_COMPACT);
    assert_string_equal(text, args);
    free(text);
    return out.serial;
}

/* An error reply with this code whose text (message and hint) holds `says`. */
static void assert_error(struct control_server *s, uint64_t client, const char *code,
                         const char *says)
{
    struct control_out out;
    char expected[64];
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_SEND);
    assert_int_equal(out.client, client);
    snprintf(expected, sizeof expected, "\"error\":{\"code\":\"%s\",\"message\":", code);
    if (!strstr(out.bytes, expected) || !strstr(out.bytes, says))
        fail_msg("expected %s \"%s\", got %s", code, says, out.bytes);
    json_t *reply = json_loads(out.bytes, 0, NULL);
    assert_non_null(reply);
    json_decref(reply);
}

static void assert_refused(const char *line, const char *code, const char *says)
{
    struct control_server *s = server_new();
    feed(s, READER, line);
    assert_error(s, READER, code, says);
    assert_quiet(s);
    control_free(s);
}

static void requests_come_out_whole(void **state)
{
    struct control_server *s = server_new();
    feed(s, READER, "{\"command\":\"status\"}");
    assert_request(s, READER, CONTROL_STATUS, "{}");
    feed(s, READER, "{\"command\":\"ping\",\"args\":{\"name\":\"Beta.West.IP.\"}}");
    assert_request(s, READER, CONTROL_PING, "{\"name\":\"beta.west.ip\",\"count\":4}");
    feed(s, READER,
         " {\"id\":7,\"args\":{\"count\":1000,\"name\":\"a.b.c.via.d.e.f\"},\"command\":\"ping\"}"
         "\r");
    assert_request(s, READER, CONTROL_PING, "{\"name\":\"a.b.c.via.d.e.f\",\"count\":1000}");
    feed(s, ROOT, "{\"command\":\"key.forget\",\"args\":{\"name\":\"a.b.c\"}}");
    assert_request(s, ROOT, CONTROL_KEY_FORGET, "{\"name\":\"a.b.c\"}");
    feed(s, ROOT, "{\"command\":\"stop\",\"args\":{}}");
    assert_request(s, ROOT, CONTROL_STOP, "{}");
    assert_quiet(s);
    control_free(s);
}

static void lines_may_come_in_any_pieces(void **state)
{
    static const char text[] = "\n{\"command\":\"path\"}\n \t\r\n{\"command\":\"drops\"}\n";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct control_server *s = server_new();
        control_input(s, SECOND, READER, text, cut);
        control_input(s, SECOND, READER, text + cut, sizeof text - 1 - cut);
        assert_request(s, READER, CONTROL_PATH, "{}");
        assert_request(s, READER, CONTROL_DROPS, "{}");
        assert_quiet(s);
        control_free(s);
    }
    struct control_server *s = server_new();
    for (size_t i = 0; i < sizeof text - 1; i++)
        control_input(s, SECOND, READER, text + i, 1);
    assert_request(s, READER, CONTROL_PATH, "{}");
    assert_request(s, READER, CONTROL_DROPS, "{}");
    control_free(s);
}

static void replies_carry_the_id(void **state)
{
    struct control_server *s = server_new();
    feed(s, READER, "{\"command\":\"version\",\"id\":\"x\\u00e9\"}");
    uint64_t serial = assert_request(s, READER, CONTROL_VERSION, "{}");
    control_reply(s, SECOND, READER, serial, json_pack("{s:s}", "version", "1"), false);
    assert_sent(s, READER, "{\"id\":\"x\\u00E9\",\"result\":{\"version\":\"1\"}}");
    feed(s, READER, "{\"command\":\"version\",\"id\":-5}");
    serial = assert_request(s, READER, CONTROL_VERSION, "{}");
    control_fail(s, SECOND, READER, serial, CONTROL_ERROR_FAILED, "it broke", "mend it");
    assert_sent(
        s, READER,
        "{\"id\":-5,\"error\":{\"code\":\"failed\",\"message\":\"it broke\",\"hint\":\"mend "
        "it\"}}");
    feed(s, READER, "{\"command\":\"version\"}");
    serial = assert_request(s, READER, CONTROL_VERSION, "{}");
    control_fail(s, SECOND, READER, serial, CONTROL_ERROR_NOT_FOUND, "odd \xff byte", NULL);
    assert_sent(s, READER, "{\"error\":{\"code\":\"not-found\",\"message\":\"odd \\\\xff byte\"}}");
    assert_quiet(s);
    control_free(s);
}

static void streams_end_once(void **state)
{
    struct control_server *s = server_new();
    feed(s, READER, "{\"command\":\"ping\",\"args\":{\"name\":\"a.b.c\",\"count\":2},\"id\":1}");
    uint64_t serial = assert_request(s, READER, CONTROL_PING, "{\"name\":\"a.b.c\",\"count\":2}");
    control_reply(s, SECOND, READER, serial, json_pack("{s:i}", "sequence", 1), true);
    assert_sent(s, READER, "{\"id\":1,\"result\":{\"sequence\":1},\"more\":true}");
    control_reply(s, SECOND, READER, serial, json_pack("{s:i}", "sent", 1), false);
    assert_sent(s, READER, "{\"id\":1,\"result\":{\"sent\":1}}");
    /* After the last one the serial means nothing. */
    control_reply(s, SECOND, READER, serial, json_pack("{s:i}", "sent", 2), false);
    control_fail(s, SECOND, READER, serial, CONTROL_ERROR_FAILED, "late", NULL);
    assert_quiet(s);
    control_free(s);
}

static void answers_reach_only_who_asked(void **state)
{
    struct control_server *s = server_new();
    feed(s, READER, "{\"command\":\"status\"}");
    uint64_t serial = assert_request(s, READER, CONTROL_STATUS, "{}");
    control_reply(s, SECOND, ROOT, serial, json_object(), false);
    assert_quiet(s);
    control_reply(s, SECOND, READER, serial, NULL, false);
    assert_sent(s, READER, "{\"result\":{}}");
    control_free(s);
}

static void a_lost_client_cancels_its_requests(void **state)
{
    struct control_server *s = server_new();
    struct control_out out;
    feed(s, READER, "{\"command\":\"status\"}");
    feed(s, READER, "{\"command\":\"path\"}");
    uint64_t first = assert_request(s, READER, CONTROL_STATUS, "{}");
    uint64_t second = assert_request(s, READER, CONTROL_PATH, "{}");
    control_disconnect(s, SECOND, READER);
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_CANCEL);
    assert_int_equal(out.serial, first);
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_CANCEL);
    assert_int_equal(out.serial, second);
    control_reply(s, SECOND, READER, first, json_object(), false);
    feed(s, READER, "{\"command\":\"status\"}");
    control_disconnect(s, SECOND, READER);
    assert_quiet(s);
    control_free(s);
}

static void bad_json_is_refused(void **state)
{
    assert_refused("hello", "bad-json", "column");
    assert_refused("{\"command\":\"status\"", "bad-json", "column");
    assert_refused("{\"command\":\"status\"} x", "bad-json", "column");
    assert_refused("{\"command\":\"status\",\"command\":\"stop\"}", "bad-json", "duplicate");
    assert_refused("{\"command\":\"\xff\"}", "bad-json", "");
    assert_refused("{\"command\":\"a\\u0000b\"}", "bad-json", "");
    assert_refused("[[[[[[[[[1]]]]]]]]]", "bad-json", "nested more than 8 deep");
    assert_refused("{\"a\":\"\\\"[[[[[[[[[[\"}", "bad-request", "no field 'a'");
    assert_refused("[1]", "bad-request", "a request is an object");
    assert_refused("5", "bad-json", "");
}

static void bad_requests_are_refused(void **state)
{
    assert_refused("{}", "bad-request", "'command' is missing");
    assert_refused("{\"command\":5}", "bad-request", "'command' is missing");
    assert_refused("{\"command\":\"status\",\"arg\":{}}", "bad-request", "no field 'arg'");
    assert_refused("{\"command\":\"status\",\"id\":1.5}", "bad-request", "'id' must be");
    assert_refused("{\"command\":\"status\",\"id\":{}}", "bad-request", "'id' must be");
    assert_refused("{\"command\":\"status\",\"args\":[]}", "bad-request", "'args' must be");
    assert_refused("{\"command\":\"statu\"}", "unknown-command", "commands: status, explain, ");
    assert_refused("{\"command\":\"\"}", "unknown-command", "no command ''");
    assert_refused("{\"command\":\"status\",\"args\":{\"x\":1}}", "unknown-argument",
                   "it takes none");
    assert_refused("{\"command\":\"ping\",\"args\":{\"nam\":\"a.b.c\"}}", "unknown-argument",
                   "arguments: name, count");
    assert_refused("{\"command\":\"ping\"}", "missing-argument",
                   "'ping' needs the argument 'name'");
    assert_refused("{\"command\":\"ping\",\"args\":{\"name\":5}}", "bad-argument", "not a text");
    assert_refused("{\"command\":\"ping\",\"args\":{\"name\":\"beta\"}}", "bad-argument",
                   "'beta' is not an overlay name: ");
    assert_refused("{\"command\":\"ping\",\"args\":{\"name\":\"a.b.c\",\"count\":0}}",
                   "bad-argument", "'count' must be an integer from 1 to 1000");
    assert_refused("{\"command\":\"ping\",\"args\":{\"name\":\"a.b.c\",\"count\":\"1\"}}",
                   "bad-argument", "'count'");
    assert_refused("{\"command\":\"ping\",\"args\":{\"name\":\"a.b.c\",\"count\":1e3}}",
                   "bad-argument", "'count'");
    assert_refused("{\"command\":\"nope\",\"id\":3}", "unknown-command", "{\"id\":3,\"error\"");
}

static void readers_do_not_change(void **state)
{
    assert_refused("{\"command\":\"stop\"}", "denied", "may only read");
    assert_refused("{\"command\":\"reload\"}", "denied", "run it as one of them");
    assert_refused("{\"command\":\"key.forget\",\"args\":{\"name\":\"a.b.c\"}}", "denied", "");
    assert_refused("{\"command\":\"path.close\",\"args\":{\"name\":\"a.b.c\"}}", "denied", "");
    struct control_server *s = server_new();
    feed(s, ROOT, "{\"command\":\"key.forget\",\"args\":{\"name\":\"a.b.c.via.d.e.f\"}}");
    assert_error(s, ROOT, "bad-argument", "without via");
    control_free(s);
}

static void a_line_too_long_ends_the_connection(void **state)
{
    struct control_server *s = server_new();
    static char line[CONTROL_LINE_MAX + 1];
    memset(line, ' ', sizeof line);
    memcpy(line, "{\"command\":\"path\"}", 18);
    /* The longest that is allowed... */
    control_input(s, SECOND, READER, line, CONTROL_LINE_MAX);
    control_input(s, SECOND, READER, "\n", 1);
    assert_request(s, READER, CONTROL_PATH, "{}");
    assert_quiet(s);
    /* ...and one byte more. */
    struct control_out out;
    control_input(s, SECOND, READER, line, CONTROL_LINE_MAX);
    assert_quiet(s);
    control_input(s, SECOND, READER, "  ", 2);
    assert_error(s, READER, "too-long", "65536");
    assert_true(control_output(s, &out));
    assert_int_equal(out.kind, CONTROL_OUT_CANCEL);
    assert_closed(s, READER);
    feed(s, READER, "{\"command\":\"path\"}");
    assert_quiet(s);
    control_free(s);
}

static void too_many_are_turned_away(void **state)
{
    struct control_server *s = server_new();
    for (unsigned i = 0; i < CONTROL_PENDING_MAX; i++) {
        feed(s, READER, "{\"command\":\"path\"}");
        assert_request(s, READER, CONTROL_PATH, "{}");
    }
    feed(s, READER, "{\"command\":\"path\",\"id\":9}");
    assert_error(s, READER, "busy", "\"id\":9");
    for (uint64_t client = 3; client <= CONTROL_CLIENTS_MAX; client++)
        control_connect(s, SECOND, client, CONTROL_READ);
    assert_quiet(s);
    control_connect(s, SECOND, 1000, CONTROL_READ);
    assert_error(s, 1000, "busy", "too many programs");
    assert_closed(s, 1000);
    control_disconnect(s, SECOND, ROOT);
    control_connect(s, SECOND, 1001, CONTROL_READ);
    assert_quiet(s);
    control_free(s);
}

static void idle_clients_are_closed(void **state)
{
    struct control_server *s = server_new();
    assert_int_equal(control_deadline(s), SECOND + CONTROL_IDLE);
    feed(s, ROOT, "{\"command\":\"path\"}");
    uint64_t serial = assert_request(s, ROOT, CONTROL_PATH, "{}");
    /* Half a line is no sign of life. */
    control_input(s, MINUTE, READER, "{", 1);
    control_advance(s, SECOND + CONTROL_IDLE - 1);
    assert_quiet(s);
    control_advance(s, SECOND + CONTROL_IDLE);
    assert_closed(s, READER);
    assert_int_equal(control_deadline(s), INSTANT_NEVER);
    control_reply(s, HOUR, ROOT, serial, json_object(), false);
    assert_sent(s, ROOT, "{\"result\":{}}");
    assert_int_equal(control_deadline(s), HOUR + CONTROL_IDLE);
    control_free(s);
}

static void tables_are_whole(void **state)
{
    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++) {
        assert_non_null(control_command_name((enum control_command)i));
        assert_non_null(control_command_arguments((enum control_command)i));
    }
    for (unsigned i = 0; i < CONTROL_ERROR_COUNT; i++)
        assert_non_null(control_error_name((enum control_error)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_out_whole),
        cmocka_unit_test(lines_may_come_in_any_pieces),
        cmocka_unit_test(replies_carry_the_id),
        cmocka_unit_test(streams_end_once),
        cmocka_unit_test(answers_reach_only_who_asked),
        cmocka_unit_test(a_lost_client_cancels_its_requests),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(readers_do_not_change),
        cmocka_unit_test(a_line_too_long_ends_the_connection),
        cmocka_unit_test(too_many_are_turned_away),
        cmocka_unit_test(idle_clients_are_closed),
        cmocka_unit_test(tables_are_whole),
    };
    return cmocka_run_group_tests_name("control_control", tests, NULL, NULL);
}
