/* A toy daemon under the real helper, for the tests of the helper: it does what the test tells it
 * over a socket, one request at a time.  Everything happens in network and mount namespaces of the
 * test's own. */
#ifndef OCALA_TESTS_NETNS_TOY_H
#define OCALA_TESTS_NETNS_TOY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "helper/helper.h"

#define TOY_TEXT   600
#define TOY_FOLDER "/mnt" /* a tmpfs in the mount namespace */
#define TOY_RUN    TOY_FOLDER "/run"
#define TOY_STATE  TOY_FOLDER "/state"
#define TOY_CONFIG TOY_FOLDER "/config"
#define TOY_RESOLV TOY_FOLDER "/etc/resolv.conf"

struct toy {
    pid_t helper, daemon;
    int fd;
};

/* Makes the namespaces and the folders; false when this user may not (the test is then skipped). */
bool toy_world_make(void);

/* Starts helper and daemon.  `before` (may be NULL) runs in the process that becomes the helper. 0,
 * or what helper_start() said, with its text. */
int toy_start(struct toy *t, void (*before)(void), char text[TOY_TEXT]);

/* Lets the daemon do one thing and returns the result, with the text that came with it:
 *   tun NAME | check PREFIX | listen udp|tcp ENDPOINT | dns ADDRESS | undns | upstreams | control |
 * file PATH | stop */
int toy_ask(struct toy *t, char text[TOY_TEXT], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Waits for the end of the process and returns its status as a shell would show it. */
int toy_wait(pid_t pid);
/* stop, and wait for both. */
void toy_stop(struct toy *t);

/* The output of a shell command (in a static buffer), and whether it holds a text. */
const char *toy_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool toy_shell_has(const char *command, const char *text);

#endif
