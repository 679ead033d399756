/* The control socket: bytes of a client in pieces.  Whatever comes in, each line that goes out is
 * one JSON object with either a result or an error, and each request can be answered once. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "control/control.h"

#define CLIENT 7

/* The engine wants randomness only for hash tables. */
static void fill(struct entropy *self, void *out, size_t size)
{
    memset(out, 5, size);
}

static void check_sent(const struct control_out *out)
{
    require(out->size > 1 && out->bytes[out->size - 1] == '\n');
    require(!memchr(out->bytes, '\n', out->size - 1));
    json_t *reply = json_loadb(out->bytes, out->size, JSON_REJECT_DUPLICATES, NULL);
    require(json_is_object(reply));
    require(!json_object_get(reply, "result") != !json_object_get(reply, "error"));
    json_decref(reply);
}

static void answer(struct control_server *s, instant now, const struct control_out *out)
{
    uint64_t serial = out->serial;
    require(out->command < CONTROL_COMMAND_COUNT && json_is_object(out->args));
    for (const struct control_argument *a = control_command_arguments(out->command); a->name; a++)
        require(json_object_get(out->args, a->name));
    switch (serial % 4) {
    case 0:
        control_reply(s, now, CLIENT, serial, json_incref(out->args), true);
        break;
    case 1:
        control_fail(s, now, CLIENT, serial, CONTROL_ERROR_FAILED, "no \xff", "hint");
        break;
    case 2:
        control_reply(s, now, CLIENT, serial, json_incref(out->args), false);
        break;
    default: /* stays open: cancelled at the end */
        break;
    }
}

/* False when the connection was closed. */
static bool drain(struct control_server *s, instant now, unsigned *cancelled)
{
    struct control_out out;
    bool open = true;
    while (control_output(s, &out)) {
        if (out.kind == CONTROL_OUT_SEND)
            check_sent(&out);
        else if (out.kind == CONTROL_OUT_REQUEST)
            answer(s, now, &out);
        else if (out.kind == CONTROL_OUT_CANCEL)
            ++*cancelled;
        else
            open = false;
    }
    return open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entropy entropy = {fill};
    struct control_server *s = control_new(&entropy);
    instant now = SECOND;
    unsigned cancelled = 0;
    if (!size) {
        control_free(s);
        return 0;
    }
    control_connect(s, now, CLIENT, data[0] & 1 ? CONTROL_CHANGE : CONTROL_READ);
    size_t piece = 1 + data[0] / 2;
    for (size_t at = 1; at < size; at += piece) {
        control_input(s, now, CLIENT, data + at, size - at < piece ? size - at : piece);
        if (!drain(s, now, &cancelled))
            break;
        now += MILLISECOND;
    }
    control_disconnect(s, now, CLIENT);
    drain(s, now, &cancelled);
    require(cancelled <= CONTROL_PENDING_MAX);
    require(control_deadline(s) == INSTANT_NEVER);
    control_free(s);
    return 0;
}
