/* The journal of system changes: what was changed, and how to undo it.
 *
 * A text file, one line per entry, each synced before its change is made:
 *
 *      ocala helper journal 1
 *      network 4:4026531840              the network namespace the entries belong to
 *      + 1 unreachable 198.18.0.0/15     about to do this
 *      + 2 nft ocala_ocala0
 *      - 2                               undone
 *
 * Undoing tolerates that a change was not made (the process died in between) or is gone already, so
 * a journal can be replayed any number of times.  A last line without its newline was never acted
 * upon. */
#ifndef OCALA_HELPER_JOURNAL_H
#define OCALA_HELPER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

/* id, word in the file, is it of the network namespace, does it stay behind a dead daemon */
#define JOURNAL_KINDS(X)                                                                           \
    X(UNREACHABLE, "unreachable", true, true)                                                      \
    X(NFT, "nft", true, false)                                                                     \
    X(RESOLVED, "resolved", true, false)                                                           \
    X(RESOLVCONF, "resolvconf", false, false)                                                      \
    X(SOCKET, "socket", false, false)

enum journal_kind {
#define JOURNAL_ENUM(id, word, network, stays) JOURNAL_##id,
    JOURNAL_KINDS(JOURNAL_ENUM)
#undef JOURNAL_ENUM
        JOURNAL_KIND_COUNT
};

/* Metric of the routes that stay behind: later than any other. */
#define JOURNAL_LAST_METRIC 0xfffffff0u

struct journal;

/* Reads what an earlier helper left at `path`, or starts anew.  `tag` marks our resolv.conf. */
int journal_open(const char *path, const char *tag, void (*say)(const char *line),
                 struct journal **ret, char *err, size_t size);
/* The file stays as it is; accepts NULL. */
void journal_free(struct journal *j);

/* Says that a change is about to be made.  On failure (disk full) it must not be made.  An entry
 * that is there already, left by an earlier run, is taken over. */
int journal_add(struct journal *j, enum journal_kind kind, const char *argument, char *err,
                size_t size);

/* How many entries there are, a mark for journal_undo_since(). */
unsigned journal_mark(const struct journal *j);
/* Undoes, newest first, what was added after the mark. */
int journal_undo_since(struct journal *j, unsigned mark);
/* Forgets what was added after the mark: it did not come about. */
void journal_drop_since(struct journal *j, unsigned mark);
/* Undoes the entries of one kind. */
int journal_undo_kind(struct journal *j, enum journal_kind kind);
/* ... those whose argument begins with `begin`. */
int journal_undo_named(struct journal *j, enum journal_kind kind, const char *begin);
/* Undoes everything; with `stays` also what otherwise stays behind.  What could not be undone is
 * said, and remains in the file for the next start; when nothing remains the file is removed. */
int journal_undo(struct journal *j, bool stays);

#endif
