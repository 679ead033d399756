/* Sockets and files, on request. */
#include "helper/act.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128
#define GROUP   "ocala" /* whose members may ask the control socket */

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static socklen_t address_fill(const struct endpoint *e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (e->ip.family == 4) {
        struct sockaddr_in *a = (struct sockaddr_in *)out;
        a->sin_family = AF_INET;
        a->sin_port = htons(e->port);
        memcpy(&a->sin_addr, e->ip.bytes, 4);
        return sizeof *a;
    }
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(e->port);
    a->sin6_scope_id = e->scope;
    memcpy(&a->sin6_addr, e->ip.bytes, 16);
    return sizeof *a;
}

static int option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int options_set(int fd, const struct helper_listen_request *q)
{
    bool v6 = q->local.ip.family == 6;
    int r = v6 ? option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
    if (r == 0 && q->flags & HELPER_LISTEN_REUSEADDR)
        r = option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && q->flags & HELPER_LISTEN_REUSEPORT)
        r = option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && q->flags & HELPER_LISTEN_FREEBIND)
        r = v6 ? option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
               : option(fd, IPPROTO_IP, IP_FREEBIND, 1);
    if (q->buffer_size) {
        /* Larger buffers are a wish: without CAP_NET_ADMIN the system's limit holds. */
        if (option(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)q->buffer_size) < 0)
            option(fd, SOL_SOCKET, SO_RCVBUF, (int)q->buffer_size);
        if (option(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)q->buffer_size) < 0)
            option(fd, SOL_SOCKET, SO_SNDBUF, (int)q->buffer_size);
    }
    return r;
}

static int listen_error(int r, const struct helper_listen_request *q, struct helper_reply *reply)
{
    char where[ENDPOINT_TEXT];
    const char *kind = q->transport == HELPER_TCP ? "TCP" : "UDP";
    endpoint_format(&q->local, where);
    const char *rest;
    switch (r) {
    case -EADDRINUSE:
        rest = q->transport == HELPER_TCP
                   ? "the port is taken by another program (ss -ltnp shows which); stop it or set "
                     "another address or port"
                   : "the port is taken by another program (ss -lunp shows which); stop it or set "
                     "another address or port";
        break;
    case -EADDRNOTAVAIL:
        rest = "this is not an address of this machine";
        break;
    case -EACCES:
    case -EPERM:
        rest = "a port below 1024 needs root (CAP_NET_BIND_SERVICE)";
        break;
    case -EAFNOSUPPORT:
        rest = "this kind of address is switched off on this machine";
        break;
    default:
        rest = strerror(-r);
    }
    snprintf(reply->text, sizeof reply->text, "cannot listen on %s %s: %s", kind, where, rest);
    return r;
}

int act_listen(struct act *a, const struct helper_listen_request *q, struct helper_reply *reply,
               int *fds)
{
    struct sockaddr_storage address;
    socklen_t length = address_fill(&q->local, &address);
    int type =
        (q->transport == HELPER_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = socket(address.ss_family, type, 0);
    if (fd < 0)
        return listen_error(-errno, q, reply);
    int r = options_set(fd, q);
    if (r == 0 && bind(fd, (const struct sockaddr *)&address, length) < 0)
        r = -errno;
    if (r == 0 && q->transport == HELPER_TCP && listen(fd, BACKLOG) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return listen_error(r, q, reply);
    }
    fds[reply->fds++] = fd;
    return 0;
}

static int control_bind(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* What is there is a left-over: this runtime directory is locked by us. */
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    mode_t before = umask(0177);
    int r = bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    umask(before);
    if (r < 0)
        return r;
    const struct group *group = getgrnam(GROUP);
    if (group && chown(path, geteuid(), group->gr_gid) == 0)
        r = chmod(path, 0660) < 0 ? -errno : 0;
    if (r == 0 && listen(fd, BACKLOG) < 0)
        r = -errno;
    return r;
}

int act_control_listen(struct act *a, struct helper_reply *reply, int *fds)
{
    char path[HELPER_PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/control.sock", a->runtime_dir);
    if (length < 0 || (size_t)length >= sizeof path) {
        snprintf(reply->text, sizeof reply->text, "the path of %s is too long", a->runtime_dir);
        return -ENAMETOOLONG;
    }
    int r = journal_add(a->journal, JOURNAL_SOCKET, path, reply->text, sizeof reply->text);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    r = fd < 0 ? -errno : control_bind(fd, path);
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        snprintf(reply->text, sizeof reply->text, "cannot open the control socket %s: %s", path,
                 strerror(-r));
        return r;
    }
    memcpy(reply->control.path, path, sizeof path);
    fds[reply->fds++] = fd;
    return 0;
}

/* Below the configuration's directory and nowhere else, links included. */
static int open_below(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) == 0 && path[length] == '/')
        path += length + 1;
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    int r = fd < 0 ? -errno : fd;
    close(dir);
    return r;
}

int act_file_open(struct act *a, const char *path, struct helper_reply *reply, int *fds)
{
    struct stat st;
    int fd = a->config_dir ? open_below(a->config_dir, path) : -EXDEV;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -EINVAL;
    }
    if (fd == -EXDEV)
        snprintf(reply->text, sizeof reply->text,
                 "cannot open %s: only files below the configuration's directory are opened while "
                 "ocalad runs; move it there or restart ocalad",
                 path);
    else if (fd < 0)
        snprintf(reply->text, sizeof reply->text, "cannot open %s: %s", path, strerror(-fd));
    if (fd < 0)
        return fd;
    fds[reply->fds++] = fd;
    return 0;
}
