#include "tests/support/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long opening(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd;
}

static long making(int family, int type)
{
    int fd = socket(family, type, 0);
    if (fd >= 0)
        close(fd);
    return fd;
}

static long listening(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&any, sizeof any);
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return r;
}

static long mapping(int protection)
{
    void *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        munmap(p, 4096);
    return p == MAP_FAILED ? -1 : 0;
}

static long looking(void)
{
    char a[8], b[8];
    struct iovec local = {a, sizeof a}, remote = {b, sizeof b};
    return process_vm_readv(getppid(), &local, 1, &remote, 1, 0);
}

static long forking(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long running(void)
{
    char *argv[] = {(char[]){"true"}, NULL}, *none[] = {NULL};
    return execve("/bin/true", argv, none);
}

int attempt(const char *name, const char *path)
{
    long r;
    errno = 0;
    if (!strcmp(name, "read"))
        r = opening(path, O_RDONLY);
    else if (!strcmp(name, "write"))
        r = opening(path, O_WRONLY | O_CREAT);
    else if (!strcmp(name, "remove"))
        r = unlink(path);
    else if (!strcmp(name, "packet-socket"))
        r = making(AF_PACKET, SOCK_RAW);
    else if (!strcmp(name, "udp-socket"))
        r = making(AF_INET, SOCK_DGRAM);
    else if (!strcmp(name, "listen-tcp"))
        r = listening();
    else if (!strcmp(name, "code"))
        r = mapping(PROT_READ | PROT_EXEC);
    else if (!strcmp(name, "memory"))
        r = mapping(PROT_READ | PROT_WRITE);
    else if (!strcmp(name, "look-inside"))
        r = looking();
    else if (!strcmp(name, "trace"))
        r = ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    else if (!strcmp(name, "fork"))
        r = forking();
    else if (!strcmp(name, "run"))
        r = running();
    else if (!strcmp(name, "namespace"))
        r = unshare(CLONE_NEWUTS);
    else if (!strcmp(name, "root"))
        r = syscall(SYS_chroot, "/");
    else if (!strcmp(name, "become-root"))
        r = syscall(SYS_setuid, 0);
    else if (!strcmp(name, "ring"))
        r = syscall(SYS_io_uring_setup, 1, NULL);
    else
        return -1;
    return r < 0 ? errno : 0;
}
