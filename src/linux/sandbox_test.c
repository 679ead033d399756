/* Each case confines a child of the test, which then tries what it must not do. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "linux/sandbox.h"
#include "tests/support/attempt.h"

#define DIED (-1000) /* minus the signal */

enum role { DAEMON, WORKER, HELPER };

static char folder[64], file[80];

struct job {
    const char *call, *path;
    int result;
};

static void *in_worker(void *argument)
{
    struct job *job = argument;
    linux_sandbox_worker();
    job->result = attempt(job->call, job->path);
    return NULL;
}

static int confined(enum role role, const char *call, const char *path)
{
    const struct linux_sandbox_path allowed[] = {{folder, LINUX_SANDBOX_WRITE},
                                                 {"/etc/hostname", LINUX_SANDBOX_READ},
                                                 {"/nowhere", LINUX_SANDBOX_READ}};
    struct linux_sandbox s;
    struct job job = {call, path, -1};
    pthread_t thread;
    if (role == HELPER)
        linux_sandbox_helper(&s);
    else
        linux_sandbox_daemon(allowed, 3, &s);
    if (role != WORKER)
        return attempt(call, path);
    if (pthread_create(&thread, NULL, in_worker, &job))
        return -2;
    pthread_join(thread, NULL);
    return job.result;
}

static int result_of(enum role role, const char *call, const char *path)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(confined(role, call, path) & 0xFF);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? DIED - WTERMSIG(status) : WEXITSTATUS(status);
}

/* What this kernel and this build have. */
static struct linux_sandbox possible(void)
{
    int pair[2], status;
    struct linux_sandbox s;
    assert_int_equal(pipe(pair), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        linux_sandbox_daemon(NULL, 0, &s);
        _exit(write(pair[1], &s, sizeof s) != (ssize_t)sizeof s);
    }
    assert_int_equal(read(pair[0], &s, sizeof s), sizeof s);
    waitpid(pid, &status, 0);
    close(pair[0]);
    close(pair[1]);
    return s;
}

static int set_up(void **state)
{
    strcpy(folder, "/tmp/ocala-sandbox-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/file", folder);
    FILE *f = fopen(file, "w");
    return f ? fclose(f) : -1;
}

static int tear_down(void **state)
{
    unlink(file);
    return rmdir(folder);
}

static void files_are_out_of_reach(void **state)
{
    struct linux_sandbox s = possible();
    if (!s.landlock) {
        print_message("landlock: %s\n", s.landlock_why);
        skip();
    }
    assert_int_equal(result_of(DAEMON, "read", "/etc/passwd"), EACCES);
    assert_int_equal(result_of(DAEMON, "read", "/etc/shadow"), EACCES);
    assert_int_equal(result_of(DAEMON, "write", "/tmp/ocala-sandbox-new"), EACCES);
    assert_int_equal(result_of(DAEMON, "remove", "/etc/hosts"), EACCES);
    assert_int_equal(result_of(DAEMON, "write", "/etc/hostname"), EACCES);
    assert_int_equal(result_of(DAEMON, "read", "/etc/hostname"),
                     access("/etc/hostname", R_OK) ? ENOENT : 0);
    if (s.landlock >= 4)
        assert_int_equal(result_of(DAEMON, "listen-tcp", ""), EACCES);
}

static void its_own_folder_is_not(void **state)
{
    assert_int_equal(result_of(DAEMON, "read", file), 0);
    assert_int_equal(result_of(DAEMON, "write", file), 0);
    assert_int_equal(result_of(DAEMON, "udp-socket", ""), 0);
    assert_int_equal(result_of(DAEMON, "memory", ""), 0);
    assert_int_equal(result_of(DAEMON, "remove", file), 0);
}

static void calls_are_refused(void **state)
{
    static const char *const calls[] = {"packet-socket", "code", "fork",       "namespace",
                                        "root",          "ring", "become-root"};
    struct linux_sandbox s = possible();
    if (!s.seccomp) {
        print_message("seccomp: %s\n", s.seccomp_why);
        skip();
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        assert_int_equal(result_of(DAEMON, calls[i], ""), ENOSYS);
}

static void some_end_the_process(void **state)
{
    if (!possible().seccomp)
        skip();
    assert_int_equal(result_of(DAEMON, "run", ""), DIED - SIGSYS);
    assert_int_equal(result_of(DAEMON, "trace", ""), DIED - SIGSYS);
    assert_int_equal(result_of(DAEMON, "look-inside", ""), DIED - SIGSYS);
    assert_int_equal(result_of(WORKER, "run", ""), DIED - SIGSYS);
}

static void workers_open_nothing(void **state)
{
    if (!possible().seccomp)
        skip();
    assert_int_equal(result_of(WORKER, "read", file), ENOSYS);
    assert_int_equal(result_of(WORKER, "remove", file), ENOSYS);
    assert_int_equal(result_of(WORKER, "udp-socket", ""), ENOSYS);
    assert_int_equal(result_of(WORKER, "code", ""), ENOSYS);
    assert_int_equal(result_of(WORKER, "memory", ""), 0);
}

static void the_helper_keeps_what_it_uses(void **state)
{
    int status;
    if (!possible().seccomp)
        skip();
    assert_int_equal(result_of(HELPER, "trace", ""), EPERM);
    assert_int_equal(result_of(HELPER, "look-inside", ""), EPERM);
    assert_int_equal(result_of(HELPER, "namespace", ""), EPERM);
    assert_int_equal(result_of(HELPER, "root", ""), EPERM);
    assert_int_equal(result_of(HELPER, "ring", ""), EPERM);
    assert_int_equal(result_of(HELPER, "fork", ""), 0);
    assert_int_equal(result_of(HELPER, "run", ""), 0);
    assert_int_equal(result_of(HELPER, "read", "/etc/passwd"), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char capabilities[256];
        bool filtered;
        struct linux_sandbox s;
        bool ok = !linux_sandbox_helper(&s) &&
                  linux_sandbox_look(getpid(), capabilities, sizeof capabilities, &filtered) &&
                  filtered && !strstr(capabilities, "sys_admin") &&
                  !strstr(capabilities, "setuid") &&
                  (geteuid() || strstr(capabilities, "net_admin"));
        _exit(!ok);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void nobody_to_look_at(void **state)
{
    char capabilities[64];
    bool filtered;
    assert_false(linux_sandbox_look(0x7FFFFFFE, capabilities, sizeof capabilities, &filtered));
    assert_true(linux_sandbox_look(getpid(), capabilities, sizeof capabilities, &filtered));
    assert_true(capabilities[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_out_of_reach), cmocka_unit_test(its_own_folder_is_not),
        cmocka_unit_test(calls_are_refused),      cmocka_unit_test(some_end_the_process),
        cmocka_unit_test(workers_open_nothing),   cmocka_unit_test(the_helper_keeps_what_it_uses),
        cmocka_unit_test(nobody_to_look_at),
    };
    return cmocka_run_group_tests_name("linux_sandbox", tests, set_up, tear_down);
}
