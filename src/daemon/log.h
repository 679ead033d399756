/* The daemon's log: lines to stderr, one per event.
 *
 * Under systemd (JOURNAL_STREAM names our stderr) each line starts with "<level>", which the
 * journal takes off; elsewhere with the time and the level's name.  Lines are limited so that a
 * flood from outside cannot fill a disk: what is left out is counted and said.  Each line has an
 * area, the folder it comes from, and levels can be set for one area while the daemon runs. */
#ifndef OCALA_DAEMON_LOG_H
#define OCALA_DAEMON_LOG_H

#include <stdbool.h>
#include <syslog.h>

#include "base/text.h"

/* The most talkative level that is still written: LOG_ERR .. LOG_DEBUG.  With a `name` lines are
 * "name: text", for people at a terminal; NULL: as above. */
void daemon_log_begin(int level, const char *name);
void daemon_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a line that comes from another folder than daemon/: one of LOG_AREAS, static. */
void daemon_log_as(const char *area, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* At run time: "debug" for everything that has no level of its own, "path=debug" for one area,
 * "path=" to take that back.  NULL, or what is wrong. */
const char *daemon_log_set(const char *setting);
/* "log": {"level": "notice", "areas": {"daemon": "notice", ...}} */
void daemon_log_describe(struct text *json);
/* "error", "warning", "notice", "info", "debug"; -1 when it is none of them. */
int daemon_log_level(const char *name);

#endif
