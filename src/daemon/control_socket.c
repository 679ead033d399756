/* The control socket: connections of `ocala` and others, whom the kernel tells us (SO_PEERCRED).
 * Who may connect is a matter of the socket file's mode and group; root and the user that the
 * daemon was started by, or runs as, may change things, all others only look.  Lines, JSON and
 * limits are the engine's business. */
#include "daemon/daemon.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "base/check.h"
#include "io/clock.h"
#include "linux/files.h"

#define BACKLOG     16
#define CLIENTS_MAX 80 /* a few more than the engine admits, so that it can say why not */
#define UNSENT_MAX  (8 << 20)
#define READ_SIZE   16384

struct client {
    struct daemon *daemon;
    uint64_t id;
    uv_pipe_t pipe;
    uv_shutdown_t shutdown;
    bool shutting;
    struct client *prev, *next;
};

struct daemon_control {
    uv_pipe_t server;
    bool listening;
    uid_t starter; /* who started the daemon */
    struct client *clients;
    unsigned client_count;
    uint64_t last_id;
    char buffer[READ_SIZE];
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void client_close(struct client *c)
{
    struct daemon_control *s = c->daemon->control;
    if (uv_is_closing((uv_handle_t *)&c->pipe))
        return;
    DL_DELETE(s->clients, c);
    s->client_count--;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static struct client *client_find(struct daemon_control *s, uint64_t id)
{
    struct client *c;
    DL_FOREACH(s->clients, c)
    if (c->id == id)
        return c;
    return NULL;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct client *c = handle->data;
    *ret = uv_buf_init(c->daemon->control->buffer, READ_SIZE);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    struct daemon *d = c->daemon;
    if (n < 0) {
        host_control_close(d->host, c->id);
        client_close(c);
    } else if (n > 0 && !c->shutting) {
        host_control_input(d->host, clock_now(), c->id, (const uint8_t *)buffer->base, (size_t)n);
    }
    daemon_pump(d);
}

bool daemon_control_may_change(uv_pipe_t *pipe, uid_t starter)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd;
    if (uv_fileno((uv_handle_t *)pipe, &fd) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || size != sizeof peer)
        return false;
    return peer.uid == 0 || peer.uid == geteuid() || peer.uid == starter;
}

static void on_client(uv_stream_t *server, int status)
{
    struct daemon *d = server->data;
    struct daemon_control *s = d->control;
    struct client *c = base_calloc(1, sizeof *c);
    c->daemon = d;
    c->id = ++s->last_id;
    uv_pipe_init(&d->loop, &c->pipe, 0);
    c->pipe.data = c;
    DL_APPEND(s->clients, c);
    s->client_count++;
    if (status || uv_accept(server, (uv_stream_t *)&c->pipe) || s->client_count > CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&c->pipe, on_room, on_bytes)) {
        client_close(c);
        return;
    }
    host_control_open(d->host, c->id, daemon_control_may_change(&c->pipe, s->starter));
    daemon_pump(d);
}

/* ---- what the host says ---- */

static void on_sent(uv_write_t *write, int status)
{
    free(write);
}

static void on_shut(uv_shutdown_t *shutdown, int status)
{
    client_close(shutdown->handle->data);
}

void daemon_control_end(struct daemon *d, uint64_t client)
{
    struct client *c = d->control ? client_find(d->control, client) : NULL;
    if (!c || c->shutting)
        return;
    c->shutting = true;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, on_shut))
        client_close(c);
}

void daemon_control_send(struct daemon *d, const struct host_out *out)
{
    struct client *c = d->control ? client_find(d->control, out->control_client) : NULL;
    if (!c || c->shutting)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) > UNSENT_MAX) {
        host_control_close(d->host, c->id); /* it does not read */
        client_close(c);
        return;
    }
    uv_write_t *write = base_calloc(1, sizeof *write + out->size);
    memcpy(write + 1, out->bytes, out->size);
    uv_buf_t buffer = uv_buf_init((char *)(write + 1), (unsigned)out->size);
    if (uv_write(write, (uv_stream_t *)&c->pipe, &buffer, 1, on_sent))
        free(write);
}

bool daemon_control_idle(const struct daemon *d)
{
    const struct client *c;
    if (!d->control)
        return true;
    DL_FOREACH(d->control->clients, c)
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe))
        return false;
    return true;
}

/* ---- life ---- */

/* Is somebody there?  A file that nobody listens on is left over from a crash. */
static bool is_alive(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive =
        fd >= 0 && (!connect(fd, (const struct sockaddr *)at, sizeof *at) || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return alive;
}

int daemon_control_bind(const char *path, const char *group, int *ret_fd, char *err, size_t size)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof at.sun_path)
        return linux_file_error(-ENAMETOOLONG, "cannot make the control socket", path, err, size);
    strcpy(at.sun_path, path);
    if (!lstat(path, &st) && !S_ISSOCK(st.st_mode)) {
        snprintf(err, size, "cannot make the control socket %s: something else is there", path);
        return -EEXIST;
    }
    if (is_alive(&at)) {
        snprintf(err, size, "another ocalad listens on the control socket %s", path);
        return -EADDRINUSE;
    }
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177); /* closed from its first moment; opened to the group below */
    int error =
        fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, BACKLOG) ? -errno : 0;
    umask(before);
    struct group *g = group ? getgrnam(group) : NULL;
    if (!error && g && lchown(path, (uid_t)-1, g->gr_gid) == 0 && chmod(path, 0660))
        error = -errno;
    if (!error) {
        *ret_fd = fd;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return linux_file_error(error, "cannot make the control socket", path, err, size);
}

int daemon_control_start(struct daemon *d, char *err, size_t size)
{
    struct daemon_control *s = d->control = base_calloc(1, sizeof *s);
    s->starter = getuid();
    if (d->devices.control < 0)
        return 0;
    uv_pipe_init(&d->loop, &s->server, 0);
    s->server.data = d;
    s->listening = true;
    int error = uv_pipe_open(&s->server, d->devices.control);
    if (!error) {
        d->devices.control = -1;
        error = uv_listen((uv_stream_t *)&s->server, BACKLOG, on_client);
    }
    if (error)
        snprintf(err, size, "cannot serve the control socket: %s", uv_strerror(error));
    return error;
}

void daemon_control_stop(struct daemon *d)
{
    struct client *c, *later;
    if (!d->control)
        return;
    DL_FOREACH_SAFE(d->control->clients, c, later)
    client_close(c);
    if (d->control->listening)
        uv_close((uv_handle_t *)&d->control->server, NULL);
    if (d->devices.control_ours)
        unlink(d->devices.control_path);
}
