/* Writes the journals of the state folder without holding up the control thread: a disk may take
 * seconds to sync.
 *
 * A thread (started with the first write, asleep without work) appends and syncs in order.  What it
 * could not write is the host's to give again, as a whole file (host_journal_lost). */
#ifndef OCALA_DAEMON_JOURNAL_H
#define OCALA_DAEMON_JOURNAL_H

#include "daemon/state.h"

struct daemon_journal;
/* The state outlives it. */
struct daemon_journal *daemon_journal_new(struct daemon_state *state);
/* Bytes to append (copied), or with `rewrite` the whole new content. */
void daemon_journal_put(struct daemon_journal *j, enum host_file file, const void *bytes,
                        size_t size, bool rewrite);
/* Readable when daemon_journal_lost() has something. */
int daemon_journal_fd(const struct daemon_journal *j);
/* The next file of which something could not be written; what comes for it is dropped up to the
 * next `rewrite`.  False: none. */
bool daemon_journal_lost(struct daemon_journal *j, enum host_file *ret);
/* Writes what is left (one try each) and frees; accepts NULL. */
void daemon_journal_free(struct daemon_journal *j);

#endif
