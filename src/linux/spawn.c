/* Input, output and complaints are memory files, so that neither side can block on the other. */
#include "linux/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define SEARCH                                                                                     \
    "PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin"
#define EXIT_NO_PROGRAM  127
#define EXIT_NOT_STARTED 126
#define OUTPUT_MAX       (8 << 20)

struct files {
    int input, output, complaints;
};

static int memory_file(const char *content)
{
    int fd = memfd_create("ocala", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t size = strlen(content);
    if (size && (write(fd, content, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)) {
        int r = errno ? -errno : -EIO;
        close(fd);
        return r;
    }
    return fd;
}

_Noreturn static void become(const char *const argv[], const struct files *f)
{
    char *environment[] = {(char[]){SEARCH}, (char[]){"LC_ALL=C"}, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(f->input, 0) < 0 || dup2(f->output, 1) < 0 || dup2(f->complaints, 2) < 0)
        _exit(EXIT_NOT_STARTED);
    /* execvp looks in the PATH of this process, so that is set first. */
    environ = environment;
    execvp(argv[0], (char *const *)argv);
    _exit(errno == ENOENT ? EXIT_NO_PROGRAM : EXIT_NOT_STARTED);
}

static void read_first_line(int fd, char out[LINUX_SPAWN_SAID])
{
    ssize_t n = pread(fd, out, LINUX_SPAWN_SAID - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static char *read_all(int fd)
{
    struct stat st;
    size_t size = fstat(fd, &st) == 0 && st.st_size > 0 ? (size_t)st.st_size : 0;
    if (size > OUTPUT_MAX)
        size = OUTPUT_MAX;
    char *text = base_calloc(1, size + 1);
    ssize_t n = size ? pread(fd, text, size, 0) : 0;
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the end of the process; ends it itself when that takes too long. */
static int await(pid_t pid, unsigned limit_ms, int *ret_status)
{
    int64_t until = clock_ms() + limit_ms;
    int n = 1, fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    while (fd >= 0) {
        int64_t left = until - clock_ms();
        n = left > 0 ? poll(&watch, 1, (int)left) : 0;
        if (n >= 0 || errno != EINTR)
            break;
    }
    if (n == 0)
        kill(pid, SIGKILL);
    if (fd >= 0)
        close(fd);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    return n == 0 ? -ETIMEDOUT : 0;
}

static int result(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM ? -ENOPKG : -EREMOTEIO;
}

int linux_spawn(const char *const argv[], const char *input, unsigned limit_ms, char **ret_output,
                char said[LINUX_SPAWN_SAID])
{
    struct files f = {memory_file(input ? input : ""), memory_file(""), memory_file("")};
    int status = 0;
    int r = f.input < 0 ? f.input : f.output < 0 ? f.output : f.complaints < 0 ? f.complaints : 0;
    said[0] = '\0';
    pid_t pid = r < 0 ? -1 : fork();
    if (pid == 0)
        become(argv, &f);
    if (pid > 0) {
        r = await(pid, limit_ms, &status);
        r = r < 0 ? r : result(status);
        read_first_line(f.complaints, said);
    } else if (r == 0) {
        r = -errno;
    }
    if (ret_output)
        *ret_output = pid > 0 ? read_all(f.output) : base_calloc(1, 1);
    for (unsigned i = 0; i < 3; i++) {
        int fd = (const int[]){f.input, f.output, f.complaints}[i];
        if (fd >= 0)
            close(fd);
    }
    return r;
}
