#include "control/control.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "control/request.h"

/* Clients and their unanswered requests in a fixed table, outputs in a queue that is pulled.  Bytes
 * are collected to lines here; what a line says is request.c's business.  A request is known by the
 * pair (client, serial), so an answer that comes after its client has gone finds nothing. */

struct pending {
    uint64_t serial;
    json_t *id; /* to repeat in replies, or NULL */
};

struct client {
    bool used;
    uint64_t number;
    enum control_level level;
    instant last; /* whole line or reply */
    char *line;
    size_t line_size, line_room;
    struct pending pending[CONTROL_PENDING_MAX];
    unsigned pending_count;
};

struct output {
    struct control_out out;
    char *bytes;
    json_t *args;
    struct output *next;
};

struct control_server {
    struct client clients[CONTROL_CLIENTS_MAX];
    uint64_t serial;
    struct output *first, *last;
    struct output *pulled; /* the one that the caller looks at */
};

struct control_server *control_new(struct entropy *entropy)
{
    json_object_seed(entropy_u32(entropy) | 1); /* 0 would make it look for randomness itself */
    return base_calloc(1, sizeof(struct control_server));
}

static void output_free(struct output *o)
{
    if (!o)
        return;
    json_decref(o->args);
    free(o->bytes);
    free(o);
}

static struct output *output_add(struct control_server *s, enum control_out_kind kind,
                                 uint64_t client)
{
    struct output *o = base_calloc(1, sizeof *o);
    o->out.kind = kind;
    o->out.client = client;
    if (s->last)
        s->last->next = o;
    else
        s->first = o;
    s->last = o;
    return o;
}

bool control_output(struct control_server *s, struct control_out *ret)
{
    output_free(s->pulled);
    s->pulled = s->first;
    if (!s->pulled)
        return false;
    s->first = s->pulled->next;
    if (!s->first)
        s->last = NULL;
    *ret = s->pulled->out;
    return true;
}

static struct client *client_find(struct control_server *s, uint64_t number)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (s->clients[i].used && s->clients[i].number == number)
            return &s->clients[i];
    }
    return NULL;
}

/* Sends an object as one line; takes it. */
static void send_object(struct control_server *s, uint64_t client, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(object);
    require(text);
    struct output *o = output_add(s, CONTROL_OUT_SEND, client);
    size_t size = strlen(text);
    o->bytes = base_realloc(text, size + 2);
    memcpy(o->bytes + size, "\n", 2);
    o->out.bytes = o->bytes;
    o->out.size = size + 1;
}

static json_t *reply_new(json_t *id)
{
    json_t *reply = json_object();
    require(reply);
    if (id)
        json_object_set(reply, "id", id);
    return reply;
}

/* A text that may hold bytes that are not UTF-8 (a file's contents quoted in a message). */
static json_t *text_new(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char escaped[512];
    struct text t;
    text_begin(&t, escaped, sizeof escaped);
    text_add_escaped(&t, text, strlen(text));
    return json_string(escaped);
}

static void send_error(struct control_server *s, uint64_t client, json_t *id,
                       enum control_error code, const char *message, const char *hint)
{
    json_t *reply = reply_new(id), *error = json_object();
    json_object_set_new(error, "code", json_string(control_error_name(code)));
    json_object_set_new(error, "message", text_new(message));
    if (hint && hint[0])
        json_object_set_new(error, "hint", text_new(hint));
    json_object_set_new(reply, "error", error);
    send_object(s, client, reply);
}

static void client_remove(struct control_server *s, struct client *c)
{
    for (unsigned i = 0; i < c->pending_count; i++) {
        struct output *o = output_add(s, CONTROL_OUT_CANCEL, c->number);
        o->out.serial = c->pending[i].serial;
        json_decref(c->pending[i].id);
    }
    free(c->line);
    *c = (struct client){0};
}

static void client_close(struct control_server *s, struct client *c)
{
    uint64_t number = c->number;
    client_remove(s, c);
    output_add(s, CONTROL_OUT_CLOSE, number);
}

void control_free(struct control_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        client_remove(s, &s->clients[i]);
    struct control_out out;
    while (control_output(s, &out))
        continue;
    free(s);
}

void control_connect(struct control_server *s, instant now, uint64_t client,
                     enum control_level level)
{
    if (client_find(s, client))
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (s->clients[i].used)
            continue;
        s->clients[i] =
            (struct client){.used = true, .number = client, .level = level, .last = now};
        return;
    }
    send_error(s, client, NULL, CONTROL_ERROR_BUSY, "too many programs are connected already",
               "close some of them, or try again later");
    output_add(s, CONTROL_OUT_CLOSE, client);
}

void control_disconnect(struct control_server *s, instant now, uint64_t client)
{
    struct client *c = client_find(s, client);
    if (c)
        client_remove(s, c);
}

static void request_add(struct control_server *s, struct client *c, struct control_request *r)
{
    uint64_t serial = ++s->serial;
    c->pending[c->pending_count++] = (struct pending){serial, json_incref(r->id)};
    struct output *o = output_add(s, CONTROL_OUT_REQUEST, c->number);
    o->out.serial = serial;
    o->out.command = r->command;
    o->out.level = c->level;
    o->args = json_incref(r->args);
    o->out.args = o->args;
}

static void line_take(struct control_server *s, instant now, struct client *c)
{
    struct control_request r;
    size_t blank = 0;
    while (blank < c->line_size && memchr(" \t\r", c->line[blank], 3))
        blank++;
    c->last = now;
    if (blank == c->line_size)
        return;
    if (!control_request_read(c->line, c->line_size, c->level, &r))
        send_error(s, c->number, r.id, r.code, r.message, r.hint);
    else if (c->pending_count == CONTROL_PENDING_MAX)
        send_error(s, c->number, r.id, CONTROL_ERROR_BUSY,
                   "too many requests of this client have no answer yet",
                   "wait for the replies before sending more");
    else
        request_add(s, c, &r);
    control_request_done(&r);
}

/* False when the line is too long. */
static bool line_append(struct client *c, const char *bytes, size_t size)
{
    if (size > CONTROL_LINE_MAX - c->line_size)
        return false;
    if (c->line_size + size > c->line_room) {
        size_t room = c->line_room ? 2 * c->line_room : 256;
        while (room < c->line_size + size)
            room *= 2;
        c->line = base_realloc(c->line, room);
        c->line_room = room;
    }
    if (size)
        memcpy(c->line + c->line_size, bytes, size);
    c->line_size += size;
    return true;
}

void control_input(struct control_server *s, instant now, uint64_t client, const void *bytes,
                   size_t size)
{
    struct client *c = client_find(s, client);
    const char *at = bytes;
    while (c && size) {
        const char *end = memchr(at, '\n', size);
        size_t piece = end ? (size_t)(end - at) : size;
        if (!line_append(c, at, piece)) {
            send_error(s, client, NULL, CONTROL_ERROR_TOO_LONG,
                       "a request is longer than 65536 bytes", NULL);
            client_close(s, c);
            return;
        }
        if (!end)
            return;
        line_take(s, now, c);
        c->line_size = 0;
        at = end + 1;
        size -= piece + 1;
    }
}

instant control_deadline(const struct control_server *s)
{
    instant deadline = INSTANT_NEVER;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *c = &s->clients[i];
        if (c->used && !c->pending_count)
            deadline = instant_min(deadline, instant_after(c->last, CONTROL_IDLE));
    }
    return deadline;
}

void control_advance(struct control_server *s, instant now)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];
        if (c->used && !c->pending_count && instant_after(c->last, CONTROL_IDLE) <= now)
            client_close(s, c);
    }
}

/* The request if it still waits; its client in *ret_client. */
static struct pending *pending_find(struct control_server *s, uint64_t client, uint64_t serial,
                                    struct client **ret_client)
{
    struct client *c = client_find(s, client);
    for (unsigned i = 0; c && i < c->pending_count; i++) {
        if (c->pending[i].serial == serial) {
            *ret_client = c;
            return &c->pending[i];
        }
    }
    return NULL;
}

static void pending_done(struct client *c, struct pending *p)
{
    json_decref(p->id);
    *p = c->pending[--c->pending_count];
}

void control_reply(struct control_server *s, instant now, uint64_t client, uint64_t serial,
                   json_t *result, bool more)
{
    struct client *c;
    struct pending *p = pending_find(s, client, serial, &c);
    if (!p) {
        json_decref(result);
        return;
    }
    json_t *reply = reply_new(p->id);
    json_object_set_new(reply, "result", result ? result : json_object());
    if (more)
        json_object_set_new(reply, "more", json_true());
    send_object(s, client, reply);
    c->last = now;
    if (!more)
        pending_done(c, p);
}

void control_fail(struct control_server *s, instant now, uint64_t client, uint64_t serial,
                  enum control_error code, const char *message, const char *hint)
{
    struct client *c;
    struct pending *p = pending_find(s, client, serial, &c);
    if (!p)
        return;
    send_error(s, client, p->id, code, message, hint);
    c->last = now;
    pending_done(c, p);
}
