/* What a process takes from itself once it has what it needs: system calls (seccomp) and files
 * (landlock).  Users and capabilities are linux/drop.h.  How it fits together: doc/sandbox.md. */
#ifndef OCALA_LINUX_SANDBOX_H
#define OCALA_LINUX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum linux_sandbox_right {
    LINUX_SANDBOX_READ,   /* the file, or all files below the folder                        */
    LINUX_SANDBOX_WRITE,  /* the same, and make, write, rename and remove files             */
    LINUX_SANDBOX_REMOVE, /* remove files directly or further below, no look inside         */
};

struct linux_sandbox_path {
    const char *path; /* one that does not exist is left out */
    enum linux_sandbox_right right;
};

/* What is in force, for people. */
struct linux_sandbox {
    int landlock; /* version of the kernel's interface; 0: not in force    */
    bool seccomp;
    char landlock_why[96], seccomp_why[96]; /* why not */
};

/* The daemon, before its threads are started and after linux_drop(): from here on it can touch
 * nothing but `paths`, cannot run programs, look into other processes, or make executable memory.
 * A kernel that lacks something is no error, it is noted in `ret`. */
void linux_sandbox_daemon(const struct linux_sandbox_path *paths, unsigned count,
                          struct linux_sandbox *ret);
/* The calling thread, a worker, needs less still: it opens nothing at all.  A no-op where
 * linux_sandbox_daemon() had no seccomp. */
void linux_sandbox_worker(void);

/* The helper and the programs it runs: only the capabilities it uses, and no system call that it
 * never makes.  0 or a negative errno. */
int linux_sandbox_helper(struct linux_sandbox *ret);

/* Capabilities in force of a process, as "net_admin, chown" ("none" for none); false when it cannot
 * be looked at.  `*ret_seccomp`: it has a filter. */
bool linux_sandbox_look(pid_t pid, char *capabilities, size_t size, bool *ret_seccomp);

/* ---- sandbox_landlock.c ---- */

/* 0, or a negative errno and the reason in ret->landlock_why. */
int linux_landlock(const struct linux_sandbox_path *paths, unsigned count,
                   struct linux_sandbox *ret);

#endif
