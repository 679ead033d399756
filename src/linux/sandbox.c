/* Which system calls each kind of process and thread may make.
 *
 * control thread   the list `control` and what `worker` has.  Before its threads start, so that all
 *                  of them have it.
 * worker           the list `worker`, put on top by each worker itself: nothing that opens, binds
 *                  or connects.
 * helper           makes changes to the system and runs programs (nft, resolvectl), so a list of
 *                  what it may do would be a list of what they do: it has a list of what none of
 *                  them ever does.
 *
 * A call that is not listed fails with ENOSYS, which is what C libraries expect of a kernel that
 * does not know a call yet, so that a newer library falls back to the call that is listed.  What is
 * no mistake but somebody else's program inside of ours (running a program, looking into another
 * process) ends the process: the helper then undoes all changes.
 *
 * A filter sees numbers, not what pointers point to: which files may be opened is landlock's job,
 * and clone3(), whose flags lie in memory, is left out (the C library then uses clone()). */
#include "linux/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* The sanitizers make system calls of their own at any time, and look at /proc in the end. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* clang-format off */
static const int worker[] = {
    /* records and packets: UDP sockets and the TUN */
    SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
    /* waiting; bells between threads are eventfds, mutexes of the C library */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl), SCMP_SYS(futex),
    /* a socket that was replaced; what the kernel knows of one (UDP_SEGMENT, MTU) */
    SCMP_SYS(close), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
    /* memory; mmap and mprotect below */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* time, where the vDSO is not used; randomness */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(getrandom),
    /* what the C library does in every thread */
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
    SCMP_SYS(sigaltstack), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(membarrier), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static const int control[] = {
    /* files of the state folder; journals are appended to, cut, synced, replaced; the rest is landlock's business */
    SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(ftruncate),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(fchmod), SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(flock),
    SCMP_SYS(umask), SCMP_SYS(getdents64),
    /* programs' questions, other resolvers, the control socket, the helper; socket() below */
    SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(getpeername), SCMP_SYS(socketpair),
    /* the loop: libuv, timers, signals, watched files */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(eventfd2), SCMP_SYS(pipe2), SCMP_SYS(fcntl),
    SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch), SCMP_SYS(signalfd4),
    /* starting workers and the journal's thread; clone() below */
    SCMP_SYS(sched_setaffinity), SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(seccomp),
    /* who we are; the program of `ocala run` */
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getppid), SCMP_SYS(getpgrp),
    SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(kill),
};

/* Nobody of ours ever does that: it ends the process. */
static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
};

static const int never_helper[] = {
    /* other processes */
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
    /* the kernel itself */
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(swapon),
    SCMP_SYS(swapoff), SCMP_SYS(syslog), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(userfaultfd), SCMP_SYS(personality),
    SCMP_SYS(io_uring_setup),
    /* file systems and namespaces */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(open_tree), SCMP_SYS(move_mount),
    SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(unshare), SCMP_SYS(setns),
    SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
    /* keys of the kernel */
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
};

/* Capabilities of the helper and what they are for. */
static const unsigned helper_capabilities[] = {
    CAP_NET_ADMIN,        /* TUN, addresses, routes, nft, large socket buffers                        */
    CAP_NET_BIND_SERVICE, /* ports below 1024: DNS                                                    */
    CAP_CHOWN,            /* the control socket belongs to the group                                  */
    CAP_DAC_OVERRIDE,     /* configurations and folders that belong to another user than root         */
    CAP_FOWNER,           /* their modes                                                              */
    CAP_KILL,             /* signals are passed on to the daemon, which is another user               */
};
/* clang-format on */

/* ---- filters ---- */

static int allow_all(scmp_filter_ctx f, const int *calls, size_t count)
{
    int r = 0;
    for (size_t i = 0; i < count && !r; i++)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* Memory is for data. */
static int allow_memory(scmp_filter_ctx f)
{
    int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return r ? r
             : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Signals to ourselves: abort(), and what a failed check does. */
static int allow_abort(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static int allow_sockets(scmp_filter_ctx f)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    int r = 0;
    for (size_t i = 0; i < COUNT(families) && !r; i++)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
    return r;
}

/* Interfaces' names and numbers, bytes waiting, modes of descriptors; nothing that changes a
 * device. */
static int allow_ioctls(scmp_filter_ctx f)
{
    static const unsigned long requests[] = {FIONBIO,     FIOCLEX,      FIONREAD,  TCGETS,
                                             SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFMTU};
    int r = 0;
    for (size_t i = 0; i < COUNT(requests) && !r; i++)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)requests[i], 0));
    return r;
}

static int allow_threads(scmp_filter_ctx f)
{
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    if (!r)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                             SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    /* The filter of a worker. */
    if (!r)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                             SCMP_A0(SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS, 0));
    return r;
}

static int load(scmp_filter_ctx f)
{
    /* A tree instead of a list, where this libseccomp can. */
    (void)!seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return seccomp_load(f);
}

static int control_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int r = f ? 0 : -ENOMEM;
    if (!r)
        r = allow_all(f, worker, COUNT(worker));
    if (!r)
        r = allow_all(f, control, COUNT(control));
    if (!r)
        r = allow_memory(f);
    if (!r)
        r = allow_abort(f);
    if (!r)
        r = allow_sockets(f);
    if (!r)
        r = allow_ioctls(f);
    if (!r)
        r = allow_threads(f);
    for (size_t i = 0; i < COUNT(deadly) && !r; i++)
        r = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    if (!r)
        r = load(f);
    if (f)
        seccomp_release(f);
    return r;
}

static bool filtered;

void linux_sandbox_daemon(const struct linux_sandbox_path *paths, unsigned count,
                          struct linux_sandbox *ret)
{
    *ret = (struct linux_sandbox){.landlock = 0};
    tzset(); /* reads a file, and the log needs it */
    if (SANITIZED)
        snprintf(ret->landlock_why, sizeof ret->landlock_why, "off: this build has a sanitizer");
    else
        (void)!linux_landlock(paths, count, ret);
    int r = SANITIZED ? -ENOTSUP : control_filter();
    filtered = ret->seccomp = !r;
    if (r)
        snprintf(ret->seccomp_why, sizeof ret->seccomp_why, "%s",
                 SANITIZED ? "off: this build has a sanitizer" : strerror(-r));
}

void linux_sandbox_worker(void)
{
    if (!filtered)
        return;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (f && !allow_all(f, worker, COUNT(worker)) && !allow_memory(f) && !allow_abort(f))
        (void)!load(f);
    if (f)
        seccomp_release(f);
}

/* ---- the helper ---- */

/* Of the capabilities that it has it keeps the listed ones, also for the programs that it runs: as
 * root by the bounding set, as another user (file capabilities) by the ambient set. */
static int keep_capabilities(void)
{
    bool held[COUNT(helper_capabilities)];
    if (capng_get_caps_process() < 0)
        return -EPERM;
    bool bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    for (size_t i = 0; i < COUNT(helper_capabilities); i++)
        held[i] = capng_have_capability(CAPNG_PERMITTED, helper_capabilities[i]);
    capng_clear(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
    for (size_t i = 0; i < COUNT(helper_capabilities); i++)
        if (held[i])
            capng_update(CAPNG_ADD,
                         CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
                             (bounding ? CAPNG_BOUNDING_SET : 0),
                         helper_capabilities[i]);
    if (capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
        return -EPERM;
    for (size_t i = 0; i < COUNT(helper_capabilities) && geteuid() != 0; i++)
        if (held[i] &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, helper_capabilities[i], 0, 0) < 0)
            return -errno;
    return 0;
}

int linux_sandbox_helper(struct linux_sandbox *ret)
{
    *ret = (struct linux_sandbox){.landlock = 0};
    int r = keep_capabilities();
    if (r)
        return r;
    scmp_filter_ctx f = SANITIZED ? NULL : seccomp_init(SCMP_ACT_ALLOW);
    r = f ? 0 : SANITIZED ? -ENOTSUP : -ENOMEM;
    for (size_t i = 0; i < COUNT(never_helper) && !r; i++)
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), never_helper[i], 0);
    if (!r)
        r = load(f);
    if (f)
        seccomp_release(f);
    ret->seccomp = !r;
    if (r)
        snprintf(ret->seccomp_why, sizeof ret->seccomp_why, "%s",
                 SANITIZED ? "off: this build has a sanitizer" : strerror(-r));
    return 0;
}

/* ---- looking ---- */

bool linux_sandbox_look(pid_t pid, char *capabilities, size_t size, bool *ret_seccomp)
{
    char path[64], line[256];
    unsigned long long set = 0;
    int mode = 0;
    struct text t;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        sscanf(line, "CapEff: %llx", &set);
        sscanf(line, "Seccomp: %d", &mode);
    }
    fclose(f);
    *ret_seccomp = mode == SECCOMP_MODE_FILTER;
    text_begin(&t, capabilities, size);
    for (unsigned c = 0; c <= CAP_LAST_CAP; c++) {
        const char *name = set >> c & 1 ? capng_capability_to_name(c) : NULL;
        if (name)
            text_add(&t, "%s%s", capabilities[0] ? ", " : "", name);
    }
    if (!set)
        text_add(&t, "none");
    return true;
}
