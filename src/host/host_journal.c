/* What must survive: the journal of handles and the file of known names.
 *
 * Records leave as outputs to append, and count as written when they leave; an owner who could not write them says so
 * (host_journal_lost) and drops what else he has for that file.  From then on nothing is appended; after a while the whole
 * content leaves as one output that replaces the file, and if that fails too, again, until it works.  So a full disk costs
 * nothing but what is new since, and that only if the host ends before there is room again. */
#include "host/host_internal.h"

#define RETRY_AFTER (10 * SECOND)

static void put(struct host *h, enum host_file file, const void *bytes, size_t size, bool rewrite)
{
    struct host_out *o = host_out_add(h, HOST_OUT_JOURNAL);
    o->file = file;
    o->rewrite = rewrite;
    host_out_bytes(h, bytes, size);
}

void host_journal_known(struct host *h, const uint8_t *bytes, size_t size)
{
    if (h->retry[HOST_FILE_KNOWN] == INSTANT_NEVER)
        put(h, HOST_FILE_KNOWN, bytes, size, false);
}

static void rewrite_known(struct host *h)
{
    size_t size;
    char *text = path_known_text(h->path, &size);
    put(h, HOST_FILE_KNOWN, text, size, true);
    free(text);
}

static void pump_handles(struct host *h)
{
    const uint8_t *bytes;
    size_t size;
    if (handle_wants_snapshot(h->handles)) {
        uint8_t *all = handle_snapshot(h->handles, &size);
        put(h, HOST_FILE_HANDLES, all, size, true);
        handle_snapshot_written(h->handles, size);
        free(all);
    } else if (handle_journal_output(h->handles, &bytes, &size)) {
        put(h, HOST_FILE_HANDLES, bytes, size, false);
        handle_journal_written(h->handles, size);
    }
}

void host_journals_pump(struct host *h)
{
    bool due[HOST_FILES];
    for (int i = 0; i < HOST_FILES; i++) {
        due[i] = h->retry[i] != INSTANT_NEVER && h->now >= h->retry[i];
        if (due[i])
            h->retry[i] = INSTANT_NEVER;
    }
    if (due[HOST_FILE_KNOWN])
        rewrite_known(h);
    if (h->retry[HOST_FILE_HANDLES] == INSTANT_NEVER)
        pump_handles(h);
}

instant host_journals_deadline(const struct host *h)
{
    return instant_min(h->retry[HOST_FILE_HANDLES], h->retry[HOST_FILE_KNOWN]);
}

void host_journal_lost(struct host *h, instant now, enum host_file file)
{
    h->now = now;
    h->retry[file] = now + RETRY_AFTER;
    if (file == HOST_FILE_HANDLES)
        handle_journal_lost(h->handles);
}
