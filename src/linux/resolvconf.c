/* The text of resolv.conf: reading it, rendering ours around it, and getting the former one back,
 * byte for byte. */
#include "linux/resolvconf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define KEPT   "#~|"
#define HEADER "#~ocala 1 "
#define TAG    "#~tag "
#define LINK   "#~link "

struct line {
    const char *text;
    size_t size; /* without the newline */
};

/* Takes the next line off the text; false at its end. */
static bool line_next(const char **at, const char *end, struct line *ret)
{
    if (*at == end)
        return false;
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *stop = newline ? newline : end;
    *ret = (struct line){.text = *at, .size = (size_t)(stop - *at)};
    *at = newline ? newline + 1 : end;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Does the line start with this keyword and a space?  Then what follows, else NULL. */
static const char *after_keyword(const struct line *line, const char *keyword)
{
    size_t size = strlen(keyword);
    if (line->size <= size || memcmp(line->text, keyword, size) != 0 || !is_space(line->text[size]))
        return NULL;
    return line->text + size;
}

static bool server_read(const struct line *line, struct linux_resolvconf_server *ret)
{
    const char *at = after_keyword(line, "nameserver"), *end = line->text + line->size;
    char word[ADDRESS_TEXT + sizeof ret->zone];
    size_t used = 0;
    while (at && at < end && is_space(*at))
        at++;
    while (at && at < end && !is_space(*at) && used < sizeof word - 1)
        word[used++] = *at++;
    word[used] = '\0';
    if (used == 0 || memchr(word, '\0', used))
        return false;
    struct linux_resolvconf_server server = {0};
    char *percent = strchr(word, '%');
    if (percent) {
        *percent++ = '\0';
        if (strlen(percent) >= sizeof server.zone)
            return false;
        memcpy(server.zone, percent, strlen(percent) + 1);
    }
    if (!ip_address_parse(word, &server.ip))
        return false;
    *ret = server;
    return true;
}

void linux_resolvconf_parse(const char *text, size_t size, struct linux_resolvconf *ret)
{
    struct line line;
    *ret = (struct linux_resolvconf){0};
    for (const char *at = text, *end = text + size; line_next(&at, end, &line);) {
        if (ret->count < RESOLVCONF_SERVERS && server_read(&line, &ret->server[ret->count]))
            ret->count++;
    }
}

static void put(FILE *out, const char *text, size_t size)
{
    fwrite(text, 1, size, out);
    fputc('\n', out);
}

/* Search domains, options and whatever else is not a server or a comment stays in force. */
static void put_settings(FILE *out, const char *seen, size_t size)
{
    struct line line;
    for (const char *at = seen, *end = seen + size; line_next(&at, end, &line);) {
        if (line.size == 0 || line.text[0] == '#' || line.text[0] == ';' ||
            after_keyword(&line, "nameserver") || memchr(line.text, '\0', line.size))
            continue;
        put(out, line.text, line.size);
    }
}

static void put_kept(FILE *out, const struct linux_resolvconf_former *former)
{
    struct line line;
    const char *at = former->content, *end = at ? at + former->content_size : NULL;
    while (at && line_next(&at, end, &line)) {
        fputs(KEPT, out);
        put(out, line.text, line.size);
    }
}

#define FOR_PEOPLE_1                                                                               \
    "# Managed by ocalad while it runs. When it ends it restores what was here before, which is "  \
    "kept"
#define FOR_PEOPLE_2 "# in the lines that start with \"#~\"."

static void put_header(FILE *out, const struct linux_resolvconf_former *former, const char *tag)
{
    static const char *const kinds[] = {
        [RESOLVCONF_FILE] = "file", [RESOLVCONF_LINK] = "link", [RESOLVCONF_ABSENT] = "absent"};
    bool newline = former->content_size && former->content[former->content_size - 1] == '\n';
    fputs(FOR_PEOPLE_1 "\n" FOR_PEOPLE_2 "\n", out);
    fprintf(out, HEADER "%s %04o %u %u %s\n", kinds[former->kind], former->mode, former->uid,
            former->gid, newline ? "newline" : "open");
    fprintf(out, TAG "%s\n", tag);
    if (former->kind == RESOLVCONF_LINK)
        fprintf(out, LINK "%s\n", former->link);
}

int linux_resolvconf_render(const struct linux_resolvconf_former *former, const char *tag,
                            const struct ip_address *nameserver, const char *seen, size_t seen_size,
                            char **ret, size_t *ret_size)
{
    char address[ADDRESS_TEXT], *text = NULL;
    size_t size = 0;
    if (strchr(tag, '\n') || strlen(tag) >= RESOLVCONF_PATH || strchr(former->link, '\n'))
        return -EINVAL;
    FILE *out = open_memstream(&text, &size);
    require(out);
    put_header(out, former, tag);
    fprintf(out, "nameserver %s\n", ip_address_format(nameserver, address));
    if (seen)
        put_settings(out, seen, seen_size);
    if (former->kind == RESOLVCONF_FILE)
        put_kept(out, former);
    bool failed = ferror(out);
    require(fclose(out) == 0 && !failed);
    *ret = text;
    *ret_size = size;
    return 0;
}

static bool starts(const struct line *line, const char *with)
{
    return line->size >= strlen(with) && memcmp(line->text, with, strlen(with)) == 0;
}

static bool header_read(const struct line *line, struct linux_resolvconf_former *ret,
                        bool *ret_newline)
{
    char text[100], kind[8], end[8];
    if (!starts(line, HEADER) || line->size >= sizeof text)
        return false;
    memcpy(text, line->text, line->size);
    text[line->size] = '\0';
    if (sscanf(text, HEADER "%7s %o %u %u %7s", kind, &ret->mode, &ret->uid, &ret->gid, end) != 5)
        return false;
    ret->kind = strcmp(kind, "file") == 0   ? RESOLVCONF_FILE
                : strcmp(kind, "link") == 0 ? RESOLVCONF_LINK
                                            : RESOLVCONF_ABSENT;
    ret->mode &= 07777;
    *ret_newline = strcmp(end, "newline") == 0;
    return true;
}

static bool rest_read(const struct line *line, const char *keyword, char ret[RESOLVCONF_PATH])
{
    size_t skip = strlen(keyword);
    if (!starts(line, keyword) || line->size - skip >= RESOLVCONF_PATH)
        return false;
    memcpy(ret, line->text + skip, line->size - skip);
    ret[line->size - skip] = '\0';
    return true;
}

bool linux_resolvconf_unrender(const char *text, size_t size, struct linux_resolvconf_former *ret,
                               char ret_tag[RESOLVCONF_PATH])
{
    struct linux_resolvconf_former former = {0};
    bool have_header = false, have_tag = false, newline = false;
    struct line line;
    char *content = base_calloc(1, size + 1);
    size_t used = 0;
    for (const char *at = text, *end = text + size; line_next(&at, end, &line);) {
        if (!have_header) {
            have_header = header_read(&line, &former, &newline);
        } else if (!have_tag) {
            have_tag = rest_read(&line, TAG, ret_tag);
        } else if (starts(&line, KEPT)) {
            memcpy(content + used, line.text + strlen(KEPT), line.size - strlen(KEPT));
            used += line.size - strlen(KEPT);
            content[used++] = '\n';
        } else {
            rest_read(&line, LINK, former.link);
        }
    }
    if (!have_header || !have_tag || (former.kind == RESOLVCONF_LINK && !former.link[0])) {
        free(content);
        return false;
    }
    if (used && !newline)
        content[--used] = '\0';
    former.content = content;
    former.content_size = used;
    *ret = former;
    return true;
}

static bool equals(const struct line *line, const char *text)
{
    return line->size == strlen(text) && memcmp(line->text, text, line->size) == 0;
}

static bool line_of(const struct line *wanted, const char *text, size_t size)
{
    struct line line;
    for (const char *at = text, *end = text + size; text && line_next(&at, end, &line);)
        if (line.size == wanted->size && memcmp(line.text, wanted->text, line.size) == 0)
            return true;
    return false;
}

static void content_add(struct linux_resolvconf_former *former, const struct line *line)
{
    bool open = former->content_size && former->content[former->content_size - 1] != '\n';
    size_t size = former->content_size + open + line->size + 1;
    char *content = base_calloc(1, size + 1);
    if (former->content_size)
        memcpy(content, former->content, former->content_size);
    if (open)
        content[former->content_size] = '\n';
    memcpy(content + size - line->size - 1, line->text, line->size);
    content[size - 1] = '\n';
    free(former->content);
    former->content = content;
    former->content_size = size;
}

bool linux_resolvconf_additions(const char *text, size_t size, const struct ip_address *nameserver,
                                struct linux_resolvconf_former *former)
{
    char tag[RESOLVCONF_PATH], address[ADDRESS_TEXT], server[ADDRESS_TEXT + 16];
    struct linux_resolvconf_former kept;
    struct line line;
    bool any = false;
    if (former->kind == RESOLVCONF_LINK || !linux_resolvconf_unrender(text, size, &kept, tag))
        return false;
    snprintf(server, sizeof server, "nameserver %s", ip_address_format(nameserver, address));
    for (const char *at = text, *end = text + size; line_next(&at, end, &line);) {
        if (line.size == 0 || starts(&line, "#~") || equals(&line, FOR_PEOPLE_1) ||
            equals(&line, FOR_PEOPLE_2) || equals(&line, server) ||
            line_of(&line, kept.content, kept.content_size))
            continue;
        if (former->kind == RESOLVCONF_ABSENT) {
            former->kind = RESOLVCONF_FILE;
            former->mode = 0644;
        }
        content_add(former, &line);
        any = true;
    }
    free(kept.content);
    return any;
}
