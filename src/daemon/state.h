/* The state folder: what has to survive a restart.
 *
 *   lock      held while a daemon uses the folder; says which one
 *   key.pem   identity of this host, made at the first start
 *   pools     the handle pools in use
 *   handles   journal of the handle table      known   journal of names and the keys bound to them
 *
 * Files belong to the owner of the folder, whoever starts the daemon. */
#ifndef OCALA_DAEMON_STATE_H
#define OCALA_DAEMON_STATE_H

#include "base/entropy.h"
#include "daemon/settings.h"

#define STATE_PATH 4096

struct daemon_state;

/* Takes the lock.  -EBUSY: another daemon has it, `err` names it.  `owner` is written into the
 * lock: "config FILE". */
int daemon_state_open(const char *folder, const char *owner, struct daemon_state **ret, char *err,
                      size_t size);
void daemon_state_close(struct daemon_state *s); /* accepts NULL */
const char *daemon_state_folder(const struct daemon_state *s);
/* `name` in the folder, into `out` of STATE_PATH bytes; returns `out`. */
const char *daemon_state_path(const struct daemon_state *s, const char *name, char *out);

/* Reads key.pem, or makes it. */
int daemon_state_key(struct daemon_state *s, struct entropy *entropy, uint8_t ret_seed[32],
                     char *err, size_t size);

struct daemon_pools {
    struct ip_prefix v4, v6;
};
/* False: none was kept (or it cannot be read any more, which is the same). */
bool daemon_state_pools_load(const struct daemon_state *s, struct daemon_pools *ret);
int daemon_state_pools_save(struct daemon_state *s, const struct daemon_pools *pools, char *err,
                            size_t size);

/* A journal's name in the folder, and its content: empty when it is not there yet.  The caller
 * frees *ret. */
const char *daemon_state_journal(enum host_file file);
int daemon_state_journal_load(const struct daemon_state *s, enum host_file file, char **ret,
                              size_t *ret_size, char *err, size_t size);
/* Cuts off what host_new() could not read. */
int daemon_state_journal_cut(struct daemon_state *s, enum host_file file, size_t good, char *err,
                             size_t size);

/* Gives a file that was just made to the folder's owner. */
void daemon_state_own(const struct daemon_state *s, const char *path);

#endif
