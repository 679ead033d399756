#include "toy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_HELPER_GONE 9
#define EXIT_TEST_GONE   10

struct answer {
    int result;
    pid_t pid;
    char text[TOY_TEXT];
};

static volatile sig_atomic_t asked_to_end;

bool toy_world_make(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    if (mount("tmpfs", TOY_FOLDER, "tmpfs", 0, "mode=0755") < 0)
        return false;
    mkdir(TOY_FOLDER "/etc", 0755);
    mkdir(TOY_CONFIG, 0755);
    /* So that a daemon whose helper was killed is waited for here. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    toy_shell("ip link set lo up");
    return access("/dev/net/tun", F_OK) == 0;
}

static int do_tun(struct helper *h, const char *name, char *text)
{
    struct helper_tun_request q = {.mtu = 1400, .queues = 2};
    static struct helper_tun tun; /* open until the daemon ends */
    snprintf(q.name, sizeof q.name, "%s", name);
    ip_address_parse("198.18.0.1", &q.address4);
    ip_prefix_parse("198.18.0.0/15", &q.pool4);
    ip_address_parse("fd12:3456:789a::1", &q.address6);
    ip_prefix_parse("fd12:3456:789a::/48", &q.pool6);
    int r = helper_tun_open(h, &q, &tun, text, TOY_TEXT);
    if (r == 0)
        snprintf(text, TOY_TEXT, "%s %u queues%s%s", tun.name, tun.queues, tun.v6 ? " v6" : "",
                 tun.checksum_offload ? " checksum" : "");
    return r;
}

static void list(const struct helper_upstreams *u, char *text)
{
    char one[ENDPOINT_TEXT];
    text[0] = '\0';
    for (unsigned i = 0; i < u->count; i++)
        snprintf(text + strlen(text), TOY_TEXT - strlen(text), "%s ",
                 endpoint_format(&u->server[i], one));
}

static int do_listen(struct helper *h, const char *transport, const char *where, char *text)
{
    struct helper_listen_request q = {.transport =
                                          strcmp(transport, "tcp") == 0 ? HELPER_TCP : HELPER_UDP,
                                      .buffer_size = 1 << 20};
    int fd;
    if (!endpoint_parse(where, 53, &q.local))
        return -EINVAL;
    int r = helper_listen(h, &q, &fd, text, TOY_TEXT);
    if (r == 0)
        snprintf(text, TOY_TEXT, "nonblock %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    return r;
}

static int do_check(struct helper *h, const char *prefix, char *text)
{
    struct ip_prefix p;
    enum helper_range use;
    if (!ip_prefix_parse(prefix, &p))
        return -EINVAL;
    int r = helper_route_check(h, &p, NULL, true, &use, text, TOY_TEXT);
    return r < 0 ? r : use == HELPER_RANGE_CLASH;
}

static int do_one(struct helper *h, char *word[3], char *text)
{
    struct helper_upstreams up;
    struct helper_dns_request dns = {.mode = HELPER_DNS_RESOLVCONF};
    int fd, r;
    if (strcmp(word[0], "tun") == 0)
        return do_tun(h, word[1], text);
    if (strcmp(word[0], "check") == 0)
        return do_check(h, word[1], text);
    if (strcmp(word[0], "listen") == 0)
        return do_listen(h, word[1], word[2], text);
    if (strcmp(word[0], "undns") == 0)
        return helper_dns_unset(h, text, TOY_TEXT);
    if (strcmp(word[0], "control") == 0)
        return helper_control_listen(h, &fd, text, TOY_TEXT);
    if (strcmp(word[0], "file") == 0) {
        r = helper_file_open(h, word[1], &fd, text, TOY_TEXT);
        ssize_t n = r == 0 ? read(fd, text, TOY_TEXT - 1) : 0;
        text[n > 0 ? n : (ssize_t)strlen(text)] = '\0';
        return r;
    }
    if (strcmp(word[0], "dns") == 0)
        r = endpoint_parse(word[1], 53, &dns.listen) ? helper_dns_set(h, &dns, &up, text, TOY_TEXT)
                                                     : -EINVAL;
    else
        r = helper_dns_upstreams(h, &up, text, TOY_TEXT);
    if (r == 0)
        list(&up, text);
    return r;
}

static void on_term(int number)
{
    asked_to_end = 1;
}

_Noreturn static void daemon_run(struct helper *h, int fd)
{
    struct answer a = {.pid = getpid()};
    struct sigaction action = {.sa_handler = on_term};
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    /* It is let in by ppoll() only, so that it cannot come between the look at the flag and the
     * wait. */
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &action, NULL);
    send(fd, &a, sizeof a, 0);
    for (;;) {
        struct pollfd watch[2] = {{.fd = fd, .events = POLLIN},
                                  {.fd = helper_fd(h), .events = POLLIN}};
        int n = ppoll(watch, 2, NULL, &none);
        if (asked_to_end) {
            helper_stop(h);
            _exit(0);
        }
        if (n < 0)
            continue;
        if (watch[1].revents)
            _exit(EXIT_HELPER_GONE);
        char line[TOY_TEXT] = "", *rest = line, *word[3];
        if (recv(fd, line, sizeof line - 1, 0) <= 0)
            _exit(EXIT_TEST_GONE);
        for (int i = 0; i < 3; i++) {
            word[i] = strsep(&rest, " ");
            word[i] = word[i] ? word[i] : line + strlen(line);
        }
        memset(a.text, 0, sizeof a.text);
        bool stop = strcmp(word[0], "stop") == 0;
        a.result = stop ? helper_stop(h) : do_one(h, word, a.text);
        send(fd, &a, sizeof a, 0);
        if (stop)
            _exit(0);
    }
}

_Noreturn static void ocalad_run(int fd, void (*before)(void))
{
    struct helper_options options = {.runtime_dir = TOY_RUN,
                                     .state_dir = TOY_STATE,
                                     .config_dir = TOY_CONFIG,
                                     .resolvconf_path = TOY_RESOLV};
    struct answer a = {.pid = 0};
    struct helper *h;
    if (before)
        before();
    a.result = helper_start(&options, &h, a.text, sizeof a.text);
    if (a.result < 0) {
        send(fd, &a, sizeof a, 0);
        _exit(1);
    }
    daemon_run(h, fd);
}

int toy_start(struct toy *t, void (*before)(void), char text[TOY_TEXT])
{
    int pair[2];
    struct answer a;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    fflush(NULL);
    t->helper = fork();
    if (t->helper == 0) {
        close(pair[0]);
        ocalad_run(pair[1], before);
    }
    close(pair[1]);
    t->fd = pair[0];
    if (recv(t->fd, &a, sizeof a, 0) != (ssize_t)sizeof a)
        abort();
    t->daemon = a.pid;
    memcpy(text, a.text, TOY_TEXT);
    if (a.result < 0) {
        close(t->fd);
        toy_wait(t->helper);
    }
    return a.result;
}

int toy_ask(struct toy *t, char text[TOY_TEXT], const char *format, ...)
{
    char line[TOY_TEXT];
    struct answer a;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (send(t->fd, line, strlen(line), MSG_NOSIGNAL) < 0 ||
        recv(t->fd, &a, sizeof a, 0) != (ssize_t)sizeof a)
        return -EPIPE;
    memcpy(text, a.text, TOY_TEXT);
    return a.result;
}

int toy_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void toy_stop(struct toy *t)
{
    char text[TOY_TEXT];
    toy_ask(t, text, "stop");
    toy_wait(t->helper);
    close(t->fd);
}

const char *toy_shell(const char *format, ...)
{
    static char out[16384];
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(out, 1, sizeof out - 1, pipe) : 0;
    out[n] = '\0';
    if (pipe)
        pclose(pipe);
    return out;
}

bool toy_shell_has(const char *command, const char *text)
{
    return strstr(toy_shell("%s", command), text) != NULL;
}
