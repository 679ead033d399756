/* Entries live in a small array in memory and as lines in the file.  The file only grows while the
 * helper runs; it is rewritten once, when it is opened, with what an earlier run left. */
#include "helper/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/check.h"
#include "linux/files.h"
#include "linux/nft.h"
#include "linux/resolvconf.h"
#include "linux/resolved.h"
#include "linux/rtnl.h"

#define FIRST_LINE   "ocala helper journal 1\n"
#define ENTRIES_MAX  64
#define ARGUMENT     256
#define JOURNAL_SIZE (1 << 20)

struct entry {
    unsigned id;
    enum journal_kind kind;
    bool undone;
    char argument[ARGUMENT];
};

struct journal {
    char *path, *tag;
    char network[64]; /* "network D:I\n" of this process */
    int fd;           /* -1: no file yet */
    unsigned count, next_id;
    struct entry entry[ENTRIES_MAX];
    void (*say)(const char *line);
};

static const struct {
    const char *word;
    bool network, stays;
} kinds[] = {
#define JOURNAL_ROW(id, word, network, stays) [JOURNAL_##id] = {word, network, stays},
    JOURNAL_KINDS(JOURNAL_ROW)
#undef JOURNAL_ROW
};

__attribute__((format(printf, 2, 3))) static void say(const struct journal *j, const char *format,
                                                      ...)
{
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    j->say(line);
}

/* ---- undoing ---- */

static int undo_unreachable(const char *argument)
{
    struct linux_route route = {.type = LINUX_ROUTE_UNREACHABLE, .metric = JOURNAL_LAST_METRIC};
    if (!ip_prefix_parse(argument, &route.prefix))
        return -EINVAL;
    struct linux_rtnl *n;
    int r = linux_rtnl_new(&n);
    if (r < 0)
        return r;
    r = linux_route_delete(n, &route);
    linux_rtnl_free(n);
    return r == -ESRCH || r == -ENOENT ? 0 : r;
}

static int undo_nft(const char *table, char *err, size_t size)
{
    char script[ARGUMENT * 2 + 64];
    /* Adding first makes this succeed whether or not the table is there. */
    snprintf(script, sizeof script, "add table inet %s\ndelete table inet %s\n", table, table);
    return linux_nft_run(script, err, size);
}

static void entry_end(struct journal *j, struct entry *e)
{
    char line[32];
    int length = snprintf(line, sizeof line, "- %u\n", e->id);
    e->undone = true;
    /* If this cannot be written, the next start undoes it once more, which does no harm. */
    if (j->fd >= 0)
        linux_append(j->fd, j->path, line, (size_t)length, false, NULL, 0);
}

static int undo_one(struct journal *j, struct entry *e)
{
    char err[400] = "";
    int r = 0;
    switch (e->kind) {
    case JOURNAL_UNREACHABLE:
        r = undo_unreachable(e->argument);
        break;
    case JOURNAL_NFT:
        r = undo_nft(e->argument, err, sizeof err);
        break;
    case JOURNAL_RESOLVCONF:
        r = linux_resolvconf_restore(e->argument, j->tag, err, sizeof err);
        if (r == 1)
            say(j, "%s was changed by somebody else meanwhile and is left as it is", e->argument);
        r = r == 1 ? 0 : r;
        break;
    case JOURNAL_RESOLVED:
        r = linux_resolved_unset(e->argument, err, sizeof err);
        break;
    case JOURNAL_SOCKET:
        r = unlink(e->argument) < 0 && errno != ENOENT ? -errno : 0;
        break;
    case JOURNAL_KIND_COUNT:
        r = -EINVAL;
        break;
    }
    if (r < 0) {
        say(j, "cannot undo %s %s: %s", kinds[e->kind].word, e->argument,
            err[0] ? err : strerror(-r));
        return r;
    }
    entry_end(j, e);
    return 0;
}

static void entries_compact(struct journal *j)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < j->count; i++) {
        if (!j->entry[i].undone)
            j->entry[kept++] = j->entry[i];
    }
    j->count = kept;
}

static void file_end(struct journal *j)
{
    entries_compact(j);
    if (j->count || j->fd < 0)
        return;
    unlink(j->path);
    close(j->fd);
    j->fd = -1;
}

unsigned journal_mark(const struct journal *j)
{
    return j->next_id;
}

static int undo_where(struct journal *j, unsigned since, bool stays, int kind, const char *begin)
{
    int result = 0;
    for (unsigned i = j->count; i-- > 0;) {
        struct entry *e = &j->entry[i];
        if (e->undone || e->id < since || (kind >= 0 && (int)e->kind != kind) ||
            (kinds[e->kind].stays && !stays) || strncmp(e->argument, begin, strlen(begin)) != 0)
            continue;
        int r = undo_one(j, e);
        if (r < 0)
            result = r;
    }
    file_end(j);
    return result;
}

int journal_undo_since(struct journal *j, unsigned mark)
{
    return undo_where(j, mark, true, -1, "");
}

void journal_drop_since(struct journal *j, unsigned mark)
{
    for (unsigned i = 0; i < j->count; i++) {
        if (j->entry[i].id >= mark && !j->entry[i].undone)
            entry_end(j, &j->entry[i]);
    }
    file_end(j);
}

int journal_undo_kind(struct journal *j, enum journal_kind kind)
{
    return undo_where(j, 0, true, (int)kind, "");
}

int journal_undo_named(struct journal *j, enum journal_kind kind, const char *begin)
{
    return undo_where(j, 0, true, (int)kind, begin);
}

int journal_undo(struct journal *j, bool stays)
{
    return undo_where(j, 0, stays, -1, "");
}

/* ---- the file ---- */

static int entry_line(const struct entry *e, char *out, size_t size)
{
    return snprintf(out, size, "+ %u %s %s\n", e->id, kinds[e->kind].word, e->argument);
}

static int file_begin(struct journal *j, char *err, size_t size)
{
    int r = linux_append_open(j->path, 0600, &j->fd, err, size);
    if (r < 0)
        return r;
    char head[128];
    int length = snprintf(head, sizeof head, FIRST_LINE "%s", j->network);
    r = linux_append(j->fd, j->path, head, (size_t)length, true, err, size);
    if (r < 0) {
        close(j->fd);
        j->fd = -1;
        unlink(j->path);
    }
    return r;
}

int journal_add(struct journal *j, enum journal_kind kind, const char *argument, char *err,
                size_t size)
{
    entries_compact(j);
    for (unsigned i = 0; i < j->count; i++) {
        if (j->entry[i].kind == kind && strcmp(j->entry[i].argument, argument) == 0)
            return 0;
    }
    if (strlen(argument) >= ARGUMENT || strchr(argument, '\n')) {
        if (err)
            snprintf(err, size, "cannot note the change of %s: the text is too long", argument);
        return -EINVAL;
    }
    if (j->count == ENTRIES_MAX) {
        if (err)
            snprintf(err, size, "cannot note the change of %s: too many changes", argument);
        return -ENOBUFS;
    }
    int r = j->fd < 0 ? file_begin(j, err, size) : 0;
    if (r < 0)
        return r;
    struct entry *e = &j->entry[j->count];
    *e = (struct entry){.id = j->next_id, .kind = kind};
    memcpy(e->argument, argument, strlen(argument) + 1);
    char line[ARGUMENT + 64];
    int length = entry_line(e, line, sizeof line);
    r = linux_append(j->fd, j->path, line, (size_t)length, true, err, size);
    if (r < 0) {
        file_end(j);
        return r;
    }
    j->count++;
    j->next_id++;
    return 0;
}

static void line_read(struct journal *j, char *line, bool *same_network)
{
    unsigned id;
    int at = 0;
    char word[24];
    if (strncmp(line, "network ", 8) == 0) {
        *same_network = strncmp(line, j->network, strcspn(j->network, "\n")) == 0;
    } else if (sscanf(line, "- %u", &id) == 1) {
        for (unsigned i = 0; i < j->count; i++)
            j->entry[i].undone |= j->entry[i].id == id;
    } else if (sscanf(line, "+ %u %23s %n", &id, word, &at) == 2 && at > 0) {
        for (int kind = 0; kind < JOURNAL_KIND_COUNT && j->count < ENTRIES_MAX; kind++) {
            if (strcmp(word, kinds[kind].word) != 0 || strlen(line + at) >= ARGUMENT ||
                id > INT32_MAX)
                continue;
            struct entry *e = &j->entry[j->count++];
            *e = (struct entry){.id = id, .kind = (enum journal_kind)kind};
            memcpy(e->argument, line + at, strlen(line + at) + 1);
            if (id >= j->next_id)
                j->next_id = id + 1;
        }
    }
}

static void text_read(struct journal *j, char *text, size_t size)
{
    bool same_network = true;
    if (strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0) {
        if (size)
            say(j, "%s is not a journal of this version and is ignored", j->path);
        return;
    }
    char *end = text + size;
    for (char *at = text, *newline; (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1) {
        *newline = '\0';
        line_read(j, at, &same_network);
    }
    /* Entries of a network namespace that is gone are gone with it. */
    for (unsigned i = 0; i < j->count; i++)
        j->entry[i].undone |= !same_network && kinds[j->entry[i].kind].network;
    entries_compact(j);
}

static int file_rewrite(struct journal *j, char *err, size_t size)
{
    char *text = NULL, line[ARGUMENT + 64];
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);
    require(out);
    fprintf(out, FIRST_LINE "%s", j->network);
    for (unsigned i = 0; i < j->count; i++) {
        entry_line(&j->entry[i], line, sizeof line);
        fputs(line, out);
    }
    require(fclose(out) == 0);
    /* Where there is no room for a second file, the first one goes on being used. */
    int r = linux_file_write(j->path, text, text_size, 0600, NULL, 0);
    free(text);
    if (r < 0 && r != -ENOSPC && r != -EDQUOT)
        return linux_file_error(r, "cannot write", j->path, err, size);
    return linux_append_open(j->path, 0600, &j->fd, err, size);
}

static void network_name(struct journal *j)
{
    struct stat st = {0};
    if (stat("/proc/self/ns/net", &st) < 0)
        memset(&st, 0, sizeof st);
    snprintf(j->network, sizeof j->network, "network %llu:%llu\n", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
}

int journal_open(const char *path, const char *tag, void (*say_line)(const char *line),
                 struct journal **ret, char *err, size_t size)
{
    struct journal *j = base_calloc(1, sizeof *j);
    j->path = base_strdup(path);
    j->tag = base_strdup(tag);
    j->say = say_line;
    j->fd = -1;
    j->next_id = 1;
    network_name(j);
    char *text = NULL;
    size_t text_size = 0;
    int r = linux_file_read(path, LINUX_FILE_SECRET, JOURNAL_SIZE, &text, &text_size, err, size);
    if (r == -ENOENT) {
        r = 0;
    } else if (r == 0) {
        text_read(j, text, text_size);
        if (j->count)
            r = file_rewrite(j, err, size);
        else
            unlink(path);
        free(text);
    }
    if (r < 0) {
        journal_free(j);
        return r;
    }
    *ret = j;
    return 0;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->tag);
    free(j);
}
