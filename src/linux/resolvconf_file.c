/* Taking the place of resolv.conf and giving it back.
 *
 * By rename where that works: programs see the former file or ours, never half of one.  Written in
 * place where the file is a mount point of its own: `ip netns exec` binds the namespace's file over
 * it, containers bind theirs, and a rename fails there (EBUSY).  The mount may also lie at the end
 * of a link; then replacing the link would change a folder that is shared with the rest of the
 * machine, so a link that leads to a mount point is followed, not replaced.  Restoring in place
 * works on a full disk, because ours is always the larger one. */
#include "linux/resolvconf.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"
#include "linux/files.h"
#include "linux/resolved.h"
#include "linux/resolver.h"

struct place {
    bool absent, in_place;
    bool is_link;
    char link[RESOLVCONF_PATH];
    struct stat st; /* of the file, or of what the link leads to; when !dangling */
    bool dangling;
};

static int fail(int error, const char *path, char *err, size_t size)
{
    return linux_file_error(error, "cannot change", path, err, size);
}

static bool is_mount_point(const char *path)
{
    struct statx sx;
    return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx) == 0 &&
           sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
           sx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static int place_look(const char *path, struct place *ret)
{
    *ret = (struct place){0};
    if (lstat(path, &ret->st) < 0) {
        ret->absent = errno == ENOENT;
        return ret->absent ? 0 : -errno;
    }
    if (S_ISLNK(ret->st.st_mode)) {
        ssize_t n = readlink(path, ret->link, sizeof ret->link);
        if (n < 0)
            return -errno;
        if ((size_t)n == sizeof ret->link)
            return -ENAMETOOLONG;
        ret->link[n] = '\0';
        ret->is_link = true;
        ret->dangling = stat(path, &ret->st) < 0;
    }
    if (!ret->dangling && !S_ISREG(ret->st.st_mode))
        return -EINVAL;
    ret->in_place = !ret->dangling && is_mount_point(path);
    return 0;
}

/* All of it or the former content again. */
static int overwrite(const char *path, const char *text, size_t size, const char *former,
                     size_t former_size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    ssize_t n = pwrite(fd, text, size, 0);
    if (n != (ssize_t)size)
        r = n < 0 ? -errno : -ENOSPC;
    if (r < 0 && pwrite(fd, former, former_size, 0) == (ssize_t)former_size)
        (void)!ftruncate(fd, (off_t)former_size);
    if (r == 0 && ftruncate(fd, (off_t)size) < 0)
        r = -errno;
    if (r == 0)
        fsync(fd);
    close(fd);
    return r;
}

static int temporary_name(const char *path, char out[RESOLVCONF_PATH])
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    int n = snprintf(out, RESOLVCONF_PATH, "%.*s.ocala-%s.%d", (int)folder, path, path + folder,
                     (int)getpid());
    return n < 0 || n >= RESOLVCONF_PATH ? -ENAMETOOLONG : 0;
}

/* The security label decides who may read the file where SELinux is on; a new file does not inherit
 * the right one. */
static void label_copy(const char *from, int to)
{
    char label[256];
    ssize_t n = getxattr(from, "security.selinux", label, sizeof label);
    if (n > 0)
        (void)!fsetxattr(to, "security.selinux", label, (size_t)n, 0);
}

static int replace_by_file(const char *path, const char *text, size_t size, mode_t mode, uid_t uid,
                           gid_t gid)
{
    char temporary[RESOLVCONF_PATH];
    int r = temporary_name(path, temporary);
    if (r < 0)
        return r;
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, size);
    if (n != (ssize_t)size)
        r = n < 0 ? -errno : -ENOSPC;
    /* Another owner cannot be set in a namespace that does not know it; the file is readable all
     * the same. */
    if (r == 0 && fchown(fd, uid, gid) < 0 && errno != EINVAL && errno != EPERM)
        r = -errno;
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0)
        label_copy(path, fd);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    else
        linux_folder_sync(path);
    return r;
}

static int replace_by_link(const char *path, const char *target)
{
    char temporary[RESOLVCONF_PATH];
    int r = temporary_name(path, temporary);
    if (r < 0)
        return r;
    unlink(temporary);
    if (symlink(target, temporary) < 0)
        return -errno;
    if (rename(temporary, path) < 0) {
        r = -errno;
        unlink(temporary);
        return r;
    }
    linux_folder_sync(path);
    return 0;
}

static int read_whole(const char *path, char **ret, size_t *ret_size, char *err, size_t size)
{
    return linux_file_read(path, LINUX_FILE_PLAIN, RESOLVCONF_SIZE, ret, ret_size, err, size);
}

static unsigned servers_of(const char *text, size_t size, const struct ip_address *except,
                           bool past_stub, struct endpoint *ret, unsigned limit)
{
    struct linux_resolvconf r;
    linux_resolvconf_parse(text, size, &r);
    char *behind;
    size_t behind_size;
    /* While our file is in place resolved takes its own servers from it, so asking the stub would
     * lead in a circle. */
    if (past_stub && linux_resolver_is_stub(&r) &&
        read_whole(LINUX_RESOLVED_SERVERS, &behind, &behind_size, NULL, 0) == 0) {
        struct linux_resolvconf real;
        linux_resolvconf_parse(behind, behind_size, &real);
        if (real.count)
            r = real;
        free(behind);
    }
    unsigned count = 0;
    for (unsigned i = 0; i < r.count && count < limit; i++) {
        const struct linux_resolvconf_server *s = &r.server[i];
        if (except && ip_address_equal(&s->ip, except))
            continue;
        unsigned scope = s->zone[0] ? if_nametoindex(s->zone) : 0;
        ret[count++] = (struct endpoint){.ip = s->ip, .port = 53, .scope = scope};
    }
    return count;
}

/* Where a link at `path` leads. */
static void link_target(const char *path, const char *link, char *out, size_t size)
{
    const char *slash = link[0] == '/' ? NULL : strrchr(path, '/');
    snprintf(out, size, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, link);
}

/* What `path` names; where ours is left from a daemon that died, what it replaced. */
static int servers_read(const char *path, const struct ip_address *except, bool past_stub,
                        struct endpoint *ret, unsigned limit, char *err, size_t size)
{
    struct linux_resolvconf_former former = {0};
    char *text, tag[RESOLVCONF_PATH], target[RESOLVCONF_PATH * 2];
    size_t text_size;
    int r = read_whole(path, &text, &text_size, err, size);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    if (linux_resolvconf_unrender(text, text_size, &former, tag)) {
        free(text);
        text = former.content;
        text_size = former.content_size;
        if (former.kind == RESOLVCONF_LINK) {
            free(text);
            link_target(path, former.link, target, sizeof target);
            if (read_whole(target, &text, &text_size, NULL, 0) < 0)
                return 0;
        }
    }
    r = (int)servers_of(text, text_size, except, past_stub, ret, limit);
    free(text);
    return r;
}

int linux_resolvconf_servers(const char *path, const struct ip_address *except,
                             struct endpoint *ret, unsigned limit, char *err, size_t size)
{
    return servers_read(path, except, false, ret, limit, err, size);
}

int linux_resolvconf_servers_behind(const char *path, const struct ip_address *except,
                                    struct endpoint *ret, unsigned limit, char *err, size_t size)
{
    return servers_read(path, except, true, ret, limit, err, size);
}

/* An ocalad keeps its runtime directory (its tag) locked while it lives. */
static bool tag_is_alive(const char *tag)
{
    char path[RESOLVCONF_PATH + 16];
    snprintf(path, sizeof path, "%s/helper.lock", tag);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool alive = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return alive;
}

/* Fills `former` from what is there; when that is a left-over of ours, from what it replaced. */
static int former_find(const struct place *place, const char *tag, const char *text, size_t size,
                       struct linux_resolvconf_former *ret, const char *path, char *err,
                       size_t err_size)
{
    char other[RESOLVCONF_PATH];
    if (linux_resolvconf_unrender(text, size, ret, other)) {
        if (strcmp(other, tag) != 0 && tag_is_alive(other)) {
            free(ret->content);
            if (err)
                snprintf(
                    err, err_size,
                    "%s is managed by another ocalad (runtime directory %s); stop that one, or set "
                    "dns mode none in the configuration of this one",
                    path, other);
            return -EBUSY;
        }
        return 0;
    }
    *ret = (struct linux_resolvconf_former){.kind = RESOLVCONF_FILE,
                                            .mode = place->st.st_mode & 07777,
                                            .uid = place->st.st_uid,
                                            .gid = place->st.st_gid};
    if (place->absent) {
        *ret = (struct linux_resolvconf_former){.kind = RESOLVCONF_ABSENT};
    } else if (place->is_link && !place->in_place) {
        ret->kind = RESOLVCONF_LINK;
        memcpy(ret->link, place->link, sizeof ret->link);
    } else {
        ret->content = base_calloc(1, size + 1);
        memcpy(ret->content, text, size);
        ret->content_size = size;
    }
    return 0;
}

/* Our text around `former`, into *ret; what programs saw before it into *ret_seen (the caller frees
 * both). */
static int ours_render(const char *path, const char *tag, const struct ip_address *nameserver,
                       const struct linux_resolvconf_former *former, char **ret_seen,
                       size_t *ret_seen_size, char **ret, size_t *ret_size)
{
    char *seen = NULL, target[RESOLVCONF_PATH * 2];
    size_t seen_size = 0;
    if (former->kind == RESOLVCONF_FILE) {
        seen = base_calloc(1, former->content_size + 1);
        memcpy(seen, former->content, former->content_size);
        seen_size = former->content_size;
    } else if (former->kind == RESOLVCONF_LINK) {
        link_target(path, former->link, target, sizeof target);
        if (read_whole(target, &seen, &seen_size, NULL, 0) < 0)
            seen = NULL;
    }
    *ret_seen = seen;
    *ret_seen_size = seen_size;
    return linux_resolvconf_render(former, tag, nameserver, seen, seen_size, ret, ret_size);
}

static int ours_write(const char *path, const struct place *place,
                      const struct linux_resolvconf_former *former, const char *ours,
                      size_t ours_size, const char *now, size_t now_size)
{
    mode_t mode = former->kind == RESOLVCONF_FILE ? former->mode | 0444 : 0644;
    int r = -EBUSY;
    if (!place->in_place)
        r = replace_by_file(path, ours, ours_size, mode, former->uid, former->gid);
    if (place->in_place || r == -EBUSY || r == -EXDEV)
        r = overwrite(path, ours, ours_size, now ? now : "", now_size);
    return r;
}

static void found_fill(const char *path, const struct linux_resolvconf_former *former,
                       const char *seen, size_t seen_size, struct linux_resolvconf_found *ret)
{
    bool link = former->kind == RESOLVCONF_LINK;
    char target[RESOLVCONF_PATH * 2] = "";
    const char *who = linux_resolver_writer(seen, seen_size, link ? former->link : NULL);
    if (link)
        link_target(path, former->link, target, sizeof target);
    snprintf(ret->writer, sizeof ret->writer, "%s", who ? who : "");
    if (strlen(target) < sizeof ret->target)
        memcpy(ret->target, target, strlen(target) + 1);
}

int linux_resolvconf_set(const char *path, const char *tag, const struct ip_address *nameserver,
                         struct endpoint *ret, unsigned limit, struct linux_resolvconf_found *found,
                         char *err, size_t size)
{
    struct place place;
    struct linux_resolvconf_former former = {0};
    char *now = NULL, *ours = NULL, *seen = NULL;
    size_t now_size = 0, ours_size = 0, seen_size = 0;
    *found = (struct linux_resolvconf_found){0};
    int r = place_look(path, &place);
    if (r < 0)
        return fail(r, path, err, size);
    if (!place.absent && !place.dangling)
        r = read_whole(path, &now, &now_size, err, size);
    if (r < 0)
        return r;
    r = former_find(&place, tag, now, now_size, &former, path, err, size);
    if (r < 0) {
        free(now);
        return r;
    }
    if (now)
        linux_resolvconf_additions(now, now_size, nameserver, &former);
    r = ours_render(path, tag, nameserver, &former, &seen, &seen_size, &ours, &ours_size);
    found->changed = r == 0 && (!now || now_size != ours_size || memcmp(now, ours, now_size) != 0);
    if (r == 0 && found->changed)
        r = ours_write(path, &place, &former, ours, ours_size, now, now_size);
    if (r < 0)
        fail(r, path, err, size);
    else
        r = seen ? (int)servers_of(seen, seen_size, nameserver, true, ret, limit) : 0;
    found_fill(path, &former, seen, seen_size, found);
    free(ours);
    free(seen);
    free(now);
    free(former.content);
    return r;
}

static int former_put_back(const char *path, const struct place *place,
                           const struct linux_resolvconf_former *former, const char *now,
                           size_t now_size)
{
    if (former->kind == RESOLVCONF_FILE) {
        int r = -EBUSY;
        if (!place->in_place)
            r = replace_by_file(path, former->content, former->content_size, former->mode,
                                former->uid, former->gid);
        if (r < 0)
            r = overwrite(path, former->content, former->content_size, now, now_size);
        return r;
    }
    if (place->in_place) /* the mount came after us; nothing of ours is below it any more */
        return 0;
    if (former->kind == RESOLVCONF_LINK)
        return replace_by_link(path, former->link);
    return unlink(path) < 0 ? -errno : 0;
}

int linux_resolvconf_restore(const char *path, const char *tag, char *err, size_t size)
{
    struct place place;
    struct linux_resolvconf_former former;
    char *now, its_tag[RESOLVCONF_PATH];
    size_t now_size;
    int r = place_look(path, &place);
    if (r == -EINVAL || place.absent || place.dangling) /* no file of any kind */
        return 1;
    if (r < 0)
        return fail(r, path, err, size);
    r = read_whole(path, &now, &now_size, err, size);
    if (r < 0)
        return r;
    if (!linux_resolvconf_unrender(now, now_size, &former, its_tag)) {
        free(now);
        return 1;
    }
    r = 1;
    if (strcmp(its_tag, tag) == 0) {
        r = former_put_back(path, &place, &former, now, now_size);
        if (r < 0)
            fail(r, path, err, size);
    }
    free(former.content);
    free(now);
    return r;
}
