#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/field.h"
#include "control/control.h"

/* One connection for one request: send the line, read reply lines until the one without "more". */

#define REPLY_MAX   (64u << 20)
#define PATIENCE_MS 30000 /* longest silence: a path may have to be set up first */

struct connection {
    int fd;
    char *bytes;
    size_t used, room, line; /* `line`: bytes of the line that was returned last */
};

static int fail_connect(const struct cli *cli, int error)
{
    cli_complain("cannot reach the daemon at %s: %s", cli->socket, strerror(error));
    if (error == ENOENT || error == ECONNREFUSED)
        fputs("Start it with `systemctl start ocalad` (or `ocalad` as root), or say where its "
              "socket is\nwith --socket PATH.\n",
              stderr);
    else if (error == EACCES || error == EPERM)
        fputs("Only root and group `ocala` may ask it: use sudo, or run `usermod -aG ocala USER` "
              "and log in again.\n",
              stderr);
    return CLI_FAILED;
}

static int dial(const struct cli *cli, struct connection *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(cli->socket) >= sizeof address.sun_path)
        return fail_connect(cli, ENAMETOOLONG);
    memcpy(address.sun_path, cli->socket, strlen(cli->socket));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fail_connect(cli, errno);
    return CLI_OK;
}

static int send_request(const struct cli *cli, struct connection *c, const char *command,
                        json_t *args)
{
    json_t *request = json_pack("{s:s}", "command", command);
    if (args)
        json_object_set(request, "args", args);
    char *text = json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(request);
    require(text);
    size_t size = strlen(text);
    text[size++] = '\n'; /* in the place of the NUL */
    for (size_t at = 0; at < size;) {
        ssize_t n = send(c->fd, text + at, size - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            cli_complain("cannot ask the daemon at %s: %s", cli->socket, strerror(errno));
            free(text);
            return CLI_FAILED;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    free(text);
    return CLI_OK;
}

/* More bytes into the buffer. */
static int receive(const struct cli *cli, struct connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->used == c->room) {
        c->room = c->room ? 2 * c->room : 4096;
        c->bytes = base_realloc(c->bytes, c->room);
    }
    int ready = poll(&p, 1, PATIENCE_MS);
    if (ready < 0 && errno == EINTR)
        return CLI_OK;
    if (!ready) {
        cli_complain("the daemon at %s has not answered for %d seconds", cli->socket,
                     PATIENCE_MS / 1000);
        return CLI_FAILED;
    }
    ssize_t n = read(c->fd, c->bytes + c->used, c->room - c->used);
    if (n < 0 && errno == EINTR)
        return CLI_OK;
    if (n <= 0 || c->used > REPLY_MAX) {
        cli_complain("the daemon at %s %s", cli->socket,
                     n < 0   ? strerror(errno)
                     : n > 0 ? "sent more than can be a reply"
                             : "closed the connection without an answer; its log says why");
        return CLI_FAILED;
    }
    c->used += (size_t)n;
    return CLI_OK;
}

/* The next line's object. */
static int read_reply(const struct cli *cli, struct connection *c, json_t **ret)
{
    char *end;
    if (c->line)
        memmove(c->bytes, c->bytes + c->line, c->used - c->line);
    c->used -= c->line;
    c->line = 0;
    while (!(end = c->used ? memchr(c->bytes, '\n', c->used) : NULL)) {
        int status = receive(cli, c);
        if (status)
            return status;
    }
    c->line = (size_t)(end - c->bytes) + 1;
    *ret = json_loadb(c->bytes, c->line - 1, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*ret))
        return CLI_OK;
    json_decref(*ret);
    cli_complain("what answers at %s does not speak the control protocol", cli->socket);
    return CLI_FAILED;
}

/* Says what an error reply says; the exit status that goes with its code. */
static int fail_reply(const struct cli *cli, const json_t *error)
{
    static const enum control_error misuse[] = {
        CONTROL_ERROR_UNKNOWN_COMMAND, CONTROL_ERROR_MISSING_ARGUMENT,
        CONTROL_ERROR_UNKNOWN_ARGUMENT, CONTROL_ERROR_BAD_ARGUMENT};
    char code[FIELD_TEXT], text[FIELD_TEXT];
    field_text(error, "code", code);
    fprintf(stderr, "ocala: %s: ", cli->command->name);
    field_put(field_text(error, "message", text), stderr);
    fputc('\n', stderr);
    if (json_object_get(error, "hint")) {
        field_put(field_text(error, "hint", text), stderr);
        fputc('\n', stderr);
    }
    for (unsigned i = 0; i < sizeof misuse / sizeof misuse[0]; i++) {
        if (!strcmp(code, control_error_name(misuse[i])))
            return CLI_USAGE;
    }
    return CLI_FAILED;
}

static int take_replies(struct cli *cli, struct connection *c,
                        void (*each)(struct cli *cli, const json_t *result), json_t **ret)
{
    for (;;) {
        json_t *reply;
        int status = read_reply(cli, c, &reply);
        if (status)
            return status;
        const json_t *error = json_object_get(reply, "error");
        json_t *result = json_object_get(reply, "result");
        bool more = field_is_true(reply, "more");
        if (error || !result) {
            status = fail_reply(cli, error);
            json_decref(reply);
            return status;
        }
        if (!more)
            *ret = json_incref(result);
        else if (each)
            each(cli, result);
        json_decref(reply);
        if (!more)
            return CLI_OK;
    }
}

int cli_ask_stream(struct cli *cli, const char *command, json_t *args,
                   void (*each)(struct cli *cli, const json_t *result), json_t **ret)
{
    struct connection c = {.fd = -1};
    int status = dial(cli, &c);
    if (!status)
        status = send_request(cli, &c, command, args);
    if (!status)
        status = take_replies(cli, &c, each, ret);
    json_decref(args);
    free(c.bytes);
    if (c.fd >= 0)
        close(c.fd);
    return status;
}

int cli_ask(struct cli *cli, const char *command, json_t *args, json_t **ret)
{
    return cli_ask_stream(cli, command, args, NULL, ret);
}

bool cli_print_json(const struct cli *cli, const json_t *result)
{
    if (!cli->json)
        return false;
    json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    return true;
}
