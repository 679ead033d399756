/* Linked into an original i3 server (build), with ld's --wrap: tells a test how many triggers it keeps, and gives it the
 * address that the machine has.
 *
 * The server itself is not changed.  A thread of ours reads its table while the server works on it, so a count may be off
 * while triggers come and go; whoever asks waits for a count that stays. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "i3_server.h"

enum { TABLE_SIZE = 32768 }; /* HASH_TABLE_SIZE of i3_matching.c */

ptree_node **__real_alloc_trigger_hash_table(void);
struct in_addr __real_get_my_addr(void);
pid_t __real_fork(void);

static ptree_node **table;

static unsigned living(const trigger_node *n, long now)
{
    unsigned count = 0;
    for (; n; n = n->next)
        count += n->last_refresh + TRIGGER_TIMEOUT >= now;
    return count;
}

static unsigned count_below(const ptree_node *n, long now)
{
    return n ? living(n->tn, now) + count_below(n->left, now) + count_below(n->right, now) : 0;
}

/* Every tenth of a second the count, in a file of one line of ten characters. */
static void *tell(void *path)
{
    FILE *f = fopen(path, "w");
    while (f) {
        unsigned count = 0;
        for (int i = 0; i < TABLE_SIZE; i++)
            count += count_below(table[i], time(NULL));
        rewind(f);
        fprintf(f, "%9u\n", count);
        fflush(f);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return NULL;
}

ptree_node **__wrap_alloc_trigger_hash_table(void)
{
    pthread_t thread;
    table = __real_alloc_trigger_hash_table();
    char *path = getenv("I3_STATE_FILE");
    if (path)
        pthread_create(&thread, NULL, tell, path);
    return table;
}

/* Of a machine with an interface eth0 the original takes the address with its bytes reversed. */
struct in_addr __wrap_get_my_addr(void)
{
    const char *text = getenv("I3_LOCAL_ADDR");
    return text ? (struct in_addr){ntohl(inet_addr(text))} : __real_get_my_addr();
}

/* Its log is whole when it dies, and not in both processes. */
__attribute__((constructor)) static void log_by_lines(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* The process of its ring ends with it. */
pid_t __wrap_fork(void)
{
    pid_t pid = __real_fork();
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}
