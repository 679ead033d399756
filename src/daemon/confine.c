/* The daemon locks itself in: after it has every descriptor it needs and has given up its
 * privileges, before it starts threads and looks at the first byte from the network.
 *
 * Files: the state folder.  What a reload reads it gets from the helper; without one (--run), and
 * for files elsewhere that the configuration names, their folders stay readable.  And what
 * libraries open late: OpenSSL's configuration at the first path, a question of the C library about
 * memory, and libuv's spare descriptor (/dev/null). */
#include "daemon/daemon.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/log.h"

#define PATHS_MAX 64

struct places {
    struct linux_sandbox_path path[PATHS_MAX];
    char *text[PATHS_MAX];
    unsigned count;
};

static void add(struct places *p, const char *path, enum linux_sandbox_right right)
{
    if (p->count == PATHS_MAX)
        return;
    p->text[p->count] = base_strdup(path);
    p->path[p->count] = (struct linux_sandbox_path){p->text[p->count], right};
    p->count++;
}

static void add_folder_of(struct places *p, const char *file, enum linux_sandbox_right right)
{
    char *copy = base_strdup(file);
    add(p, dirname(copy), right);
    free(copy);
}

static bool below(const char *folder, const char *file)
{
    size_t length = strlen(folder);
    return !strncmp(folder, file, length) && file[length] == '/';
}

/* Files that the configuration names, and that a later one will probably name again. */
static void add_named_files(struct places *p, const struct daemon *d, const char *config_folder)
{
    const struct config *c = d->settings.config;
    for (unsigned i = 0; i < c->overlay_count; i++) {
        const struct config_overlay *o = &c->overlays[i];
        if (o->key.where.line && !below(config_folder, o->key.text))
            add_folder_of(p, o->key.text, LINUX_SANDBOX_READ);
        for (unsigned s = 0; s < o->secret_count; s++)
            if (!below(config_folder, o->secrets[s].text))
                add_folder_of(p, o->secrets[s].text, LINUX_SANDBOX_READ);
    }
}

static void collect(struct places *p, const struct daemon *d)
{
    static const char *const libraries[] = {"/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf",
                                            "/usr/lib/ssl/openssl.cnf",
                                            "/proc/sys/vm/overcommit_memory", "/dev/null"};
    char path[PATH_MAX];
    if (!realpath(d->config_file, path))
        snprintf(path, sizeof path, "%s", d->config_file);
    const char *config_folder = dirname(path);
    add(p, d->state_folder, LINUX_SANDBOX_WRITE);
    add_named_files(p, d, config_folder);
    if (!d->helper) {
        add(p, config_folder, LINUX_SANDBOX_READ);
        add(p, "/etc/resolv.conf", LINUX_SANDBOX_READ);
    }
    if (d->devices.control_ours)
        add_folder_of(p, d->devices.control_path, LINUX_SANDBOX_REMOVE);
    if (d->options->ready_file)
        add_folder_of(p, d->options->ready_file, LINUX_SANDBOX_WRITE);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        add(p, libraries[i], LINUX_SANDBOX_READ);
}

void daemon_confine(struct daemon *d)
{
    struct daemon_confined *c = &d->confined;
    struct places places = {.count = 0};
    if (d->helper)
        c->helper_seen = linux_sandbox_look(getppid(), c->helper_capabilities,
                                            sizeof c->helper_capabilities, &c->helper_seccomp);
    c->self_seen =
        linux_sandbox_look(getpid(), c->capabilities, sizeof c->capabilities, &(bool){false});
    if (d->options->no_sandbox) {
        strcpy(c->sandbox.seccomp_why, "off: --no-sandbox");
        strcpy(c->sandbox.landlock_why, "off: --no-sandbox");
    } else {
        collect(&places, d);
        linux_sandbox_daemon(places.path, places.count, &c->sandbox);
    }
    for (unsigned i = 0; i < places.count; i++)
        free(places.text[i]);
    if (!c->sandbox.seccomp)
        daemon_log(LOG_NOTICE, "system calls are not restricted (%s)", c->sandbox.seccomp_why);
    if (!c->sandbox.landlock)
        daemon_log(LOG_NOTICE, "access to files is not restricted by landlock (%s)",
                   c->sandbox.landlock_why);
}

/* "user": 999, "capabilities": "none", "seccomp": "on", "landlock": "version 6", "helper": {...} */
void daemon_confine_describe(const struct daemon *d, struct text *json)
{
    const struct daemon_confined *c = &d->confined;
    text_add(json, "\"sandbox\": {\"user\": %u, \"capabilities\": \"%s\", ", (unsigned)geteuid(),
             c->self_seen ? c->capabilities : "unknown");
    text_add(json, "\"seccomp\": \"%s\", ", c->sandbox.seccomp ? "on" : c->sandbox.seccomp_why);
    if (c->sandbox.landlock)
        text_add(json, "\"landlock\": \"on, version %d\", ", c->sandbox.landlock);
    else
        text_add(json, "\"landlock\": \"%s\", ", c->sandbox.landlock_why);
    if (c->helper_seen)
        text_add(json, "\"helper\": {\"capabilities\": \"%s\", \"seccomp\": \"%s\"}}",
                 c->helper_capabilities, c->helper_seccomp ? "on" : "off");
    else
        text_add(json, "\"helper\": null}");
}
