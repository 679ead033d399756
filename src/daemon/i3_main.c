/* `ocalad --i3-server`: a server of i3 and nothing else.  No TUN, no DNS, no helper: sockets are bound, privileges
 * dropped, the process locks itself in, and then the first byte from the network is looked at. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utlist.h>

#include "base/check.h"
#include "control/control.h"
#include "daemon/daemon.h"
#include "daemon/i3_options.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "linux/drop.h"
#include "linux/files.h"
#include "linux/sandbox.h"

#define READ_SIZE 4096

/* A connection of `ocala`. */
struct asker {
    struct program *program;
    uint64_t id;
    uv_pipe_t pipe;
    struct asker *prev, *next;
};

struct program {
    struct i3_options options;
    struct entropy entropy;
    struct daemon_i3 *i3;
    uv_loop_t loop;
    uv_signal_t on_term, on_int;
    uv_pipe_t listener;
    int control_fd;
    struct control_server *control;
    struct asker *askers;
    uint64_t last_id;
    char read[READ_SIZE];
    char description[DAEMON_I3_TEXT];
};

static void stop(struct program *p)
{
    daemon_log(LOG_NOTICE, "the i3 server ends");
    uv_stop(&p->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    stop(handle->data);
}

/* ---- the control socket: the daemon's protocol, for what there is here ---- */

static void on_asker_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void asker_close(struct asker *a)
{
    if (uv_is_closing((uv_handle_t *)&a->pipe))
        return;
    DL_DELETE(a->program->askers, a);
    uv_close((uv_handle_t *)&a->pipe, on_asker_closed);
}

static struct asker *asker_find(struct program *p, uint64_t id)
{
    struct asker *a;
    DL_FOREACH(p->askers, a)
    if (a->id == id)
        return a;
    return NULL;
}

static void add_metric(void *context, const char *name, uint64_t value)
{
    json_object_set_new(context, name, json_integer((json_int_t)value));
}

static json_t *metrics(const struct program *p)
{
    json_t *all = json_object();
    daemon_i3_metrics(p->i3, add_metric, all);
    return json_pack("{s:o}", "metrics", all);
}

static void answer(struct program *p, const struct control_out *o)
{
    struct text t;
    text_begin(&t, p->description, sizeof p->description);
    switch (o->command) {
    case CONTROL_I3:
        daemon_i3_describe(p->i3, &t);
        control_reply(p->control, clock_now(), o->client, o->serial,
                      json_loads(p->description, 0, NULL), false);
        break;
    case CONTROL_METRICS:
        control_reply(p->control, clock_now(), o->client, o->serial, metrics(p), false);
        break;
    case CONTROL_VERSION:
        control_reply(p->control, clock_now(), o->client, o->serial,
                      json_pack("{s:s, s:s}", "name", "ocala i3-server", "version", OCALA_VERSION),
                      false);
        break;
    case CONTROL_STOP:
        control_reply(p->control, clock_now(), o->client, o->serial, json_object(), false);
        stop(p);
        break;
    default:
        control_fail(p->control, clock_now(), o->client, o->serial, CONTROL_ERROR_FAILED,
                     "this is a server of i3 and no daemon",
                     "it knows i3, metrics, version and stop");
    }
}

static void on_written(uv_write_t *write, int status)
{
    free(write);
}

static void send_to(struct asker *a, const struct control_out *o)
{
    uv_write_t *write = base_calloc(1, sizeof *write + o->size);
    memcpy(write + 1, o->bytes, o->size);
    uv_buf_t buffer = uv_buf_init((char *)(write + 1), (unsigned)o->size);
    if (uv_write(write, (uv_stream_t *)&a->pipe, &buffer, 1, on_written))
        free(write);
}

static void control_pump(struct program *p)
{
    struct control_out o;
    while (control_output(p->control, &o)) {
        struct asker *a = asker_find(p, o.client);
        if (o.kind == CONTROL_OUT_REQUEST)
            answer(p, &o);
        else if (o.kind == CONTROL_OUT_SEND && a)
            send_to(a, &o);
        else if (o.kind == CONTROL_OUT_CLOSE && a)
            asker_close(a);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct asker *a = handle->data;
    *ret = uv_buf_init(a->program->read, READ_SIZE);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct asker *a = stream->data;
    struct program *p = a->program;
    if (n < 0) {
        control_disconnect(p->control, clock_now(), a->id);
        asker_close(a);
    } else if (n > 0) {
        control_input(p->control, clock_now(), a->id, buffer->base, (size_t)n);
    }
    control_pump(p);
}

static void on_asker(uv_stream_t *server, int status)
{
    struct program *p = server->data;
    struct asker *a = base_calloc(1, sizeof *a);
    a->program = p;
    a->id = ++p->last_id;
    uv_pipe_init(&p->loop, &a->pipe, 0);
    a->pipe.data = a;
    DL_APPEND(p->askers, a);
    if (status || uv_accept(server, (uv_stream_t *)&a->pipe) ||
        uv_read_start((uv_stream_t *)&a->pipe, on_room, on_bytes)) {
        asker_close(a);
        return;
    }
    bool may_change = daemon_control_may_change(&a->pipe, getuid());
    control_connect(p->control, clock_now(), a->id, may_change ? CONTROL_CHANGE : CONTROL_READ);
    control_pump(p);
}

static int control_start(struct program *p)
{
    if (p->control_fd < 0)
        return 0;
    p->control = control_new(&p->entropy);
    uv_pipe_init(&p->loop, &p->listener, 0);
    p->listener.data = p;
    int error = uv_pipe_open(&p->listener, p->control_fd);
    return error ? error : uv_listen((uv_stream_t *)&p->listener, 16, on_asker);
}

/* ---- life ---- */

/* What is still to be removed at the end lies in these folders. */
static void confine(const struct program *p)
{
    struct linux_sandbox in_force;
    struct linux_sandbox_path path[4];
    char *folder[2] = {NULL, NULL};
    unsigned count = 0;
    if (p->options.no_sandbox)
        return;
    if (p->options.control)
        path[count++] = (struct linux_sandbox_path){
            dirname(folder[0] = base_strdup(p->options.control)), LINUX_SANDBOX_REMOVE};
    if (p->options.ready_file)
        path[count++] = (struct linux_sandbox_path){
            dirname(folder[1] = base_strdup(p->options.ready_file)), LINUX_SANDBOX_WRITE};
    path[count++] =
        (struct linux_sandbox_path){"/proc/sys/vm/overcommit_memory", LINUX_SANDBOX_READ};
    path[count++] = (struct linux_sandbox_path){"/dev/null", LINUX_SANDBOX_READ};
    linux_sandbox_daemon(path, count, &in_force);
    if (!in_force.seccomp)
        daemon_log(LOG_NOTICE, "system calls are not restricted (%s)", in_force.seccomp_why);
    if (!in_force.landlock)
        daemon_log(LOG_NOTICE, "access to files is not restricted (%s)", in_force.landlock_why);
    free(folder[0]);
    free(folder[1]);
}

static int open_all(struct program *p, char *err, size_t size)
{
    int error = daemon_i3_open(&p->options.settings, &p->entropy, &p->i3, err, size);
    if (!error && p->options.control)
        error = daemon_control_bind(p->options.control, "ocala", &p->control_fd, err, size);
    if (!error)
        error = linux_drop("ocala", err, size);
    if (!error)
        confine(p);
    return error;
}

static int serve(struct program *p, char *err, size_t size)
{
    char at[ENDPOINT_TEXT], pid[16];
    uv_loop_init(&p->loop);
    uv_signal_init(&p->loop, &p->on_term);
    uv_signal_init(&p->loop, &p->on_int);
    p->on_term.data = p->on_int.data = p;
    uv_signal_start(&p->on_term, on_signal, SIGTERM);
    uv_signal_start(&p->on_int, on_signal, SIGINT);
    int error = daemon_i3_start(p->i3, &p->loop);
    if (!error)
        error = control_start(p);
    if (error) {
        snprintf(err, size, "cannot serve: %s", uv_strerror(error));
        return error;
    }
    if (p->options.ready_file) {
        int length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        error = linux_file_write(p->options.ready_file, pid, (size_t)length, 0644, err, size);
        if (error)
            return error;
    }
    daemon_notify("READY=1");
    daemon_log(LOG_NOTICE, "i3 server at %s", endpoint_format(&p->options.settings.at, at));
    return uv_run(&p->loop, UV_RUN_DEFAULT);
}

static void end(struct program *p)
{
    struct asker *a, *later;
    daemon_i3_stop(p->i3);
    DL_FOREACH_SAFE(p->askers, a, later)
    asker_close(a);
    if (p->control)
        uv_close((uv_handle_t *)&p->listener, NULL);
    uv_close((uv_handle_t *)&p->on_term, NULL);
    uv_close((uv_handle_t *)&p->on_int, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    control_free(p->control);
    if (p->options.control)
        unlink(p->options.control);
    if (p->options.ready_file)
        unlink(p->options.ready_file);
}

int daemon_i3_main(int argc, char **argv)
{
    static struct program p;
    char err[DAEMON_ERROR_TEXT] = "it could not start";
    int status = i3_options_parse(argc, argv, &p.options);
    if (status >= 0)
        return status;
    daemon_log_begin(p.options.log_level, "ocala i3-server");
    entropy_system(&p.entropy);
    p.control_fd = -1;
    signal(SIGPIPE, SIG_IGN);
    umask(027);
    if (open_all(&p, err, sizeof err)) {
        daemon_log(LOG_ERR, "%s", err);
        daemon_i3_free(p.i3);
        return EXIT_FAILED;
    }
    int error = serve(&p, err, sizeof err);
    if (error < 0)
        daemon_log(LOG_ERR, "%s", err);
    end(&p);
    daemon_i3_free(p.i3);
    return error < 0 ? EXIT_FAILED : EXIT_OK;
}
