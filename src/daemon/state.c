#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "linux/files.h"

#define JOURNAL_MAX (64u << 20)

struct daemon_state {
    char *folder;
    int lock;
    uid_t uid;
    gid_t gid;
};

/* Says who holds the lock: what that daemon wrote into it. */
static void describe_holder(int fd, const char *folder, char *err, size_t size)
{
    char holder[512] = "";
    ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    snprintf(err, size,
             "the state folder %s is in use by another ocalad (%s); end that one, or give this one "
             "its own `state` folder",
             folder, *holder ? holder : "which did not say who it is");
}

static int take_lock(struct daemon_state *s, const char *owner, char *err, size_t size)
{
    char path[STATE_PATH], text[512];
    daemon_state_path(s, "lock", path);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock < 0)
        return linux_file_error(-errno, "cannot open", path, err, size);
    daemon_state_own(s, path);
    int error = linux_file_lock(s->lock);
    if (error) {
        if (error != -EWOULDBLOCK)
            return linux_file_error(error, "cannot lock", path, err, size);
        describe_holder(s->lock, s->folder, err, size);
        return -EBUSY;
    }
    int length = snprintf(text, sizeof text, "process %d, %.400s\n", (int)getpid(), owner);
    /* Only a text for people: a full disk must not keep the daemon from running. */
    if (ftruncate(s->lock, 0) || pwrite(s->lock, text, (size_t)length, 0) != length)
        return 0;
    return 0;
}

int daemon_state_open(const char *folder, const char *owner, struct daemon_state **ret, char *err,
                      size_t size)
{
    struct stat st;
    int error = linux_folder_make(folder, 0750, geteuid(), getegid(), err, size);
    if (error)
        return error;
    if (stat(folder, &st))
        return linux_file_error(-errno, "cannot look at", folder, err, size);
    struct daemon_state *s = base_calloc(1, sizeof *s);
    s->folder = base_strdup(folder);
    s->uid = st.st_uid;
    s->gid = st.st_gid;
    s->lock = -1;
    error = take_lock(s, owner, err, size);
    if (error)
        daemon_state_close(s);
    else
        *ret = s;
    return error;
}

void daemon_state_close(struct daemon_state *s)
{
    if (!s)
        return;
    if (s->lock >= 0)
        close(s->lock);
    free(s->folder);
    free(s);
}

const char *daemon_state_folder(const struct daemon_state *s)
{
    return s->folder;
}

const char *daemon_state_path(const struct daemon_state *s, const char *name, char *out)
{
    snprintf(out, STATE_PATH, "%s/%s", s->folder, name);
    return out;
}

void daemon_state_own(const struct daemon_state *s, const char *path)
{
    if (geteuid() == 0 && s->uid != 0 && lchown(path, s->uid, s->gid))
        return; /* then it stays root's, who can use it as well until the privileges are dropped */
}

int daemon_state_key(struct daemon_state *s, struct entropy *entropy, uint8_t ret_seed[32],
                     char *err, size_t size)
{
    char path[STATE_PATH], pem[512];
    daemon_state_path(s, "key.pem", path);
    if (!access(path, F_OK))
        return daemon_key_read(path, NULL, ret_seed, err, size);
    uint8_t seed[32];
    entropy_fill(entropy, seed, sizeof seed);
    size_t length = crypto_ed25519_to_pem(seed, pem, sizeof pem);
    int error = linux_file_create(path, pem, length, 0600, err, size);
    if (!error) {
        daemon_state_own(s, path);
        memcpy(ret_seed, seed, sizeof seed);
    }
    crypto_wipe(pem, sizeof pem);
    crypto_wipe(seed, sizeof seed);
    return error;
}

/* ---- pools: two lines, "ipv4 PREFIX" and "ipv6 PREFIX" ---- */

static bool read_pool(const char *text, const char *key, uint8_t family, struct ip_prefix *ret)
{
    const char *line = strstr(text, key);
    char value[64];
    struct ip_prefix p;
    if (!line || sscanf(line + strlen(key), "%63s", value) != 1 || !ip_prefix_parse(value, &p) ||
        p.ip.family != family)
        return false;
    *ret = p;
    return true;
}

bool daemon_state_pools_load(const struct daemon_state *s, struct daemon_pools *ret)
{
    char path[STATE_PATH], *text;
    size_t size;
    struct daemon_pools p = {0};
    if (linux_file_read(daemon_state_path(s, "pools", path), LINUX_FILE_PLAIN, 1024, &text, &size,
                        NULL, 0))
        return false;
    bool found = read_pool(text, "ipv4 ", 4, &p.v4) && read_pool(text, "ipv6 ", 6, &p.v6);
    free(text);
    if (found)
        *ret = p;
    return found;
}

int daemon_state_pools_save(struct daemon_state *s, const struct daemon_pools *pools, char *err,
                            size_t size)
{
    char path[STATE_PATH], text[160], v4[ADDRESS_TEXT], v6[ADDRESS_TEXT];
    int length = snprintf(text, sizeof text, "ipv4 %s/%u\nipv6 %s/%u\n",
                          ip_address_format(&pools->v4.ip, v4), pools->v4.length,
                          ip_address_format(&pools->v6.ip, v6), pools->v6.length);
    daemon_state_path(s, "pools", path);
    int error = linux_file_write(path, text, (size_t)length, 0640, err, size);
    if (!error)
        daemon_state_own(s, path);
    return error;
}

/* ---- journals ---- */

const char *daemon_state_journal(enum host_file file)
{
    static const char *const names[HOST_FILES] = {
        [HOST_FILE_HANDLES] = "handles", [HOST_FILE_KNOWN] = "known"};
    return names[file];
}

int daemon_state_journal_load(const struct daemon_state *s, enum host_file file, char **ret,
                              size_t *ret_size, char *err, size_t size)
{
    char path[STATE_PATH];
    daemon_state_path(s, daemon_state_journal(file), path);
    int error = linux_file_read(path, LINUX_FILE_PLAIN, JOURNAL_MAX, ret, ret_size, err, size);
    if (error != -ENOENT)
        return error;
    *ret = base_calloc(1, 1);
    *ret_size = 0;
    return 0;
}

int daemon_state_journal_cut(struct daemon_state *s, enum host_file file, size_t good, char *err,
                             size_t size)
{
    char path[STATE_PATH];
    daemon_state_path(s, daemon_state_journal(file), path);
    if (truncate(path, (off_t)good) && errno != ENOENT)
        return linux_file_error(-errno, "cannot cut the damaged end off", path, err, size);
    return 0;
}
