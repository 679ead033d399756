#include "path/path_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/hex.h"

/* The test vectors of doc/protocol/link.md and path.md against the code.  `OCALA_PRINT=1` prints
 * what the documents should say. */

/* Randomness as the documents say: 32 bytes are an ephemeral key, anything else is one byte over
 * and over, the next one each time. */
struct fixed {
    struct entropy entropy;
    uint8_t ephemeral, other;
};

static void fixed_fill(struct entropy *self, void *out, size_t size)
{
    struct fixed *f = (struct fixed *)self;
    memset(out, size == 32 ? f->ephemeral : f->other++, size);
}

struct vectors {
    struct net net;
    struct trio trio;
    struct tape tape;
    struct fixed fixed[NET_BOXES];
    char *document;
};

static char *read_document(const char *name)
{
    char path[512];
    const char *vectors = getenv("OCALA_VECTORS");
    snprintf(path, sizeof path, "%s/../../doc/protocol/%s", vectors ? vectors : "tests/vectors",
             name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read", path);
    char *text = base_calloc(1, 1 << 20);
    size_t size = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    text[size] = 0;
    return text;
}

/* The hex behind a name at the start of an indented line, with the lines below that go on. */
static size_t documented(const char *document, const char *name, char *out, size_t room)
{
    char start[64];
    size_t used = 0;
    snprintf(start, sizeof start, "\n    %s  ", name);
    const char *at = strstr(document, start);
    if (!at)
        return 0;
    at += strlen(start);
    for (;;) {
        at += strspn(at, " ");
        size_t digits = strspn(at, "0123456789abcdef");
        if (used + digits >= room)
            return 0;
        memcpy(out + used, at, digits);
        used += digits;
        at += digits;
        if (at[0] != '\n' || strspn(at + 1, " ") < 12)
            break;
        at++;
    }
    out[used] = 0;
    return used;
}

static void compare(struct vectors *v, const char *name, const uint8_t *bytes, size_t size)
{
    static char text[8192], said[8192];
    hex_write(bytes, size, text);
    if (getenv("OCALA_PRINT")) {
        printf("    %-16s  ", name);
        for (size_t i = 0; i < 2 * size; i += 96)
            printf("%s%.96s\n", i ? "                      " : "", text + i);
        return;
    }
    if (!documented(v->document, name, said, sizeof said))
        fail_msg("the document says nothing of '%s'", name);
    assert_string_equal(said, text);
}

static void compare_keys(struct vectors *v, const char *which, const struct path *p)
{
    char name[64];
    for (unsigned lane = 0; lane < 2; lane++)
        for (unsigned receive = 0; receive < 2; receive++) {
            uint8_t key[32];
            record_lane_key(receive ? p->keys.receive : p->keys.send, (uint8_t)lane, 0, key);
            snprintf(name, sizeof name, "%s lane %u %s", which, lane, receive ? "back" : "there");
            compare(v, name, key, sizeof key);
        }
}

static void fix(struct vectors *v, struct box *b, uint8_t ephemeral, uint8_t other)
{
    struct fixed *f = &v->fixed[b->index];
    *f = (struct fixed){.entropy = {.fill = fixed_fill}, .ephemeral = ephemeral, .other = other};
    b->e->entropy = &f->entropy;
}

static void compare_sent(struct vectors *v, const char *name, const struct box *from, uint8_t type)
{
    int at = tape_find(&v->tape, from, type, 0);
    assert_true(at >= 0);
    compare(v, name, v->tape.item[at].bytes, v->tape.item[at].size);
}

/* ---- links ---- */

static void links(void **state)
{
    struct vectors v = {.document = getenv("OCALA_PRINT") ? NULL : read_document("link.md")};
    net_init(&v.net, 1);
    struct box *alpha = box_new(&v.net, "alpha", "east", NULL),
               *beta = box_new(&v.net, "beta", "east", NULL);
    tape_start(&v.tape, &v.net);
    box_key(alpha, 0, 0x01);
    box_key(beta, 0, 0x02);
    for (unsigned i = 0; i < 32; i++)
        alpha->keys[0].secret[0][i] = beta->keys[0].secret[0][i] = (uint8_t)i;
    for (unsigned ik = 0; ik < 2; ik++) {
        box_restart(alpha);
        box_restart(beta);
        fix(&v, alpha, ik ? 0x05 : 0x03, 0x11);
        fix(&v, beta, ik ? 0x06 : 0x04, 0x22);
        v.tape.count = 0;
        box_open(alpha, "beta.east.ip");
        net_run(&v.net, 100 * MILLISECOND);
        const struct path *p = box_path(alpha, "beta.east.ip");
        assert_non_null(p);
        const char *which = ik ? "IK" : "XX";
        char name[64];
        if (!ik) {
            compare(&v, "alpha static", alpha->e->instance[0].public_key, 32);
            compare(&v, "beta static", beta->e->instance[0].public_key, 32);
            compare(&v, "MAC key", alpha->e->instance[0].mac_key[0], 32);
        }
        snprintf(name, sizeof name, "%s OPEN", which);
        compare_sent(&v, name, alpha, WIRE_OPEN);
        snprintf(name, sizeof name, "%s id", which);
        compare(&v, name, p->id, HANDSHAKE_ID);
        snprintf(name, sizeof name, "%s ACCEPT", which);
        compare_sent(&v, name, beta, WIRE_ACCEPT);
        snprintf(name, sizeof name, "%s CONFIRM", which);
        compare_sent(&v, name, alpha, WIRE_CONFIRM);
        snprintf(name, sizeof name, "%s first record", which);
        compare_sent(&v, name, beta, WIRE_RECORD);
        compare_keys(&v, which, p);
    }
    tape_stop(&v.tape, &v.net);
    net_done(&v.net);
    free(v.document);
}

/* ---- paths ---- */

/* The message that a sealed record of lane 0 carries, opened with the receiver's keys. */
static size_t plaintext(const struct path *receiver, const uint8_t *record, size_t size,
                        uint8_t *out)
{
    struct record_header h;
    uint8_t key[32], copy[1600];
    size_t plain = 0;
    enum drop_reason reason;
    assert_true(record_read_header(record, size, &h));
    record_lane_key(receiver->keys.receive, 0, h.epoch, key);
    struct record_opener *o = record_opener_new(NULL, receiver->aead, key, true, 0);
    memcpy(copy, record, size);
    bool good = record_open(o, copy, size, &h, &plain, &reason);
    record_opener_free(o);
    if (!good)
        return 0;
    memcpy(out, copy + RECORD_HEADER, plain);
    return plain;
}

static void compare_message(struct vectors *v, const char *name, const struct box *from,
                            const struct path *receiver, uint8_t type)
{
    uint8_t text[1600];
    for (unsigned i = 0; i < v->tape.count; i++) {
        if (v->tape.item[i].from != from || v->tape.item[i].bytes[0] != WIRE_RECORD)
            continue;
        size_t size = plaintext(receiver, v->tape.item[i].bytes, v->tape.item[i].size, text);
        if (size && text[0] == type) {
            compare(v, name, text, size);
            return;
        }
    }
    fail_msg("%s was not sent", name);
}

static void paths(void **state)
{
    struct vectors v = {.document = getenv("OCALA_PRINT") ? NULL : read_document("path.md")};
    struct trio *t = &v.trio;
    trio_init(t, 1, NULL);
    box_key(t->alpha, 0, 0x01);
    box_key(t->beta, 0, 0x02);
    box_key(t->gate, 0, 0x07);
    box_key(t->gate, 1, 0x07);
    for (unsigned i = 0; i < 3; i++)
        box_restart(&t->net.box[i]);
    box_open(t->alpha, "gate.east.ip"); /* warm links */
    box_open(t->beta, "gate.west.ip");
    net_run(&t->net, SECOND);
    tape_start(&v.tape, &t->net);
    fix(&v, t->alpha, 0x03, 0x11);
    fix(&v, t->gate, 0x08, 0x33);
    fix(&v, t->beta, 0x04, 0x22);
    box_open(t->alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t->net, 100 * MILLISECOND);
    const struct path *p = box_path(t->alpha, "beta.west.ip");
    assert_non_null(p);
    const struct path *gates = box_path(t->gate, "alpha.east.ip"),
                      *betas = box_path(t->beta, "gate.west.ip"),
                      *gates_other = box_path(t->gate, "beta.west.ip"),
                      *alphas = box_path(t->alpha, "gate.east.ip");
    compare_message(&v, "OPEN to gate", t->alpha, gates, MESSAGE_OPEN);
    compare_message(&v, "OPEN to beta", t->gate, betas, MESSAGE_OPEN);
    compare_message(&v, "ACCEPT to gate", t->beta, gates_other, MESSAGE_ACCEPT);
    compare_message(&v, "ACCEPT to alpha", t->gate, alphas, MESSAGE_ACCEPT);
    compare_message(&v, "CONFIRM to gate", t->alpha, gates, MESSAGE_CONFIRM);
    compare_message(&v, "CONFIRM to beta", t->gate, betas, MESSAGE_CONFIRM);
    compare_keys(&v, "path", p);
    path_control_probe_sized(t->alpha->e, t->net.now, box_path(t->alpha, "beta.west.ip"),
                             0x9a3b5c7e, RECORD_OVERHEAD + 24);
    box_pump(t->alpha);
    net_run(&t->net, 100 * MILLISECOND);
    compare_message(&v, "PROBE", t->alpha, box_path(t->beta, "alpha.east.ip"), MESSAGE_PROBE);
    compare_message(&v, "PROBE_REPLY", t->beta, p, MESSAGE_PROBE_REPLY);
    tape_stop(&v.tape, &t->net);
    trio_done(t);
    free(v.document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests_name("path_vector", tests, NULL, NULL);
}
