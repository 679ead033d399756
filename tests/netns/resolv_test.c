/* resolv.conf under the real helper: every shape it has on real machines, and that it comes back
 * exactly.  Needs root (else skipped, 77). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toy.h"

#define SKIPPED 77
#define FORMER                                                                                     \
    "# by hand\nnameserver 192.0.2.1\nnameserver 2001:db8::2\nsearch a.example\noptions edns0 "    \
    "trust-ad"
#define OTHER TOY_FOLDER "/etc/other.conf"

static char text[TOY_TEXT];
static struct toy toy;

static void put(const char *path, const char *content)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static bool holds(const char *path, const char *content)
{
    return strcmp(toy_shell("cat %s", path), content) == 0;
}

static int begin(void **state)
{
    unlink(TOY_RESOLV);
    unlink(OTHER);
    return toy_start(&toy, NULL, text);
}

/* Nothing but what the test put there may be left in the folder. */
static void folder_is_clean(const char *content)
{
    assert_string_equal(toy_shell("ls -A " TOY_FOLDER "/etc"), content);
}

static void dns_set(const char *upstreams)
{
    int r = toy_ask(&toy, text, "dns 198.18.0.1");
    if (r < 0)
        print_error("%s\n", text);
    assert_int_equal(r, 0);
    assert_string_equal(text, upstreams);
    assert_true(toy_shell_has("cat " TOY_RESOLV, "\nnameserver 198.18.0.1\n"));
    assert_false(toy_shell_has("grep ^nameserver " TOY_RESOLV, "192.0.2.1"));
}

static void plain_file(void **state)
{
    struct stat before, after;
    put(TOY_RESOLV, FORMER);
    chmod(TOY_RESOLV, 0640);
    assert_int_equal(chown(TOY_RESOLV, 12, 34), 0);
    stat(TOY_RESOLV, &before);
    assert_int_equal(toy_ask(&toy, text, "upstreams"), 0);
    assert_string_equal(text, "192.0.2.1:53 [2001:db8::2]:53 ");
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    assert_true(toy_shell_has("cat " TOY_RESOLV, "\nsearch a.example\noptions edns0 trust-ad\n"));
    /* Once more, as at a reload: still the same former one, never ourselves. */
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    assert_int_equal(toy_ask(&toy, text, "undns"), 0);
    assert_true(holds(TOY_RESOLV, FORMER));
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, FORMER));
    stat(TOY_RESOLV, &after);
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(after.st_uid, 12);
    assert_int_equal(after.st_gid, 34);
    folder_is_clean("resolv.conf\n");
}

static void link_to_a_file(void **state)
{
    char target[64] = "";
    put(OTHER, FORMER);
    assert_int_equal(symlink("other.conf", TOY_RESOLV), 0);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    assert_true(holds(OTHER, FORMER));
    assert_true(toy_shell_has("cat " TOY_RESOLV, "search a.example"));
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    kill(toy.daemon, SIGKILL);
    toy_wait(toy.helper);
    close(toy.fd);
    assert_true(readlink(TOY_RESOLV, target, sizeof target - 1) > 0);
    assert_string_equal(target, "other.conf");
    assert_true(holds(OTHER, FORMER));
    folder_is_clean("other.conf\nresolv.conf\n");
}

static void link_to_nowhere(void **state)
{
    char target[64] = "";
    assert_int_equal(symlink("/nowhere/at/all", TOY_RESOLV), 0);
    dns_set("");
    toy_stop(&toy);
    assert_true(readlink(TOY_RESOLV, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/nowhere/at/all");
}

static void absent(void **state)
{
    assert_int_equal(toy_ask(&toy, text, "upstreams"), 0);
    assert_string_equal(text, "");
    dns_set("");
    toy_stop(&toy);
    folder_is_clean("");
}

/* As `ip netns exec` and containers have it.  The helper was started before, so the mount must
 * reach it: it is made in the namespace that both share. */
static void mount_point(void **state)
{
    put(OTHER, FORMER);
    put(TOY_RESOLV, "below the mount\n");
    assert_int_equal(mount(OTHER, TOY_RESOLV, NULL, MS_BIND, NULL), 0);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    assert_true(toy_shell_has("cat " OTHER, "nameserver 198.18.0.1"));
    kill(toy.daemon, SIGKILL);
    toy_wait(toy.helper);
    close(toy.fd);
    assert_true(holds(OTHER, FORMER));
    assert_int_equal(umount(TOY_RESOLV), 0);
    assert_true(holds(TOY_RESOLV, "below the mount\n"));
    folder_is_clean("other.conf\nresolv.conf\n");
}

/* A link whose end is a mount point: the link itself may lie in a folder shared with other
 * namespaces. */
static void link_to_a_mount_point(void **state)
{
    char target[64] = "";
    put(OTHER, "below the mount\n");
    put(TOY_FOLDER "/mine", FORMER);
    assert_int_equal(symlink("other.conf", TOY_RESOLV), 0);
    assert_int_equal(mount(TOY_FOLDER "/mine", OTHER, NULL, MS_BIND, NULL), 0);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    assert_true(readlink(TOY_RESOLV, target, sizeof target - 1) > 0);
    assert_true(toy_shell_has("cat " TOY_FOLDER "/mine", "nameserver 198.18.0.1"));
    toy_stop(&toy);
    assert_true(holds(TOY_FOLDER "/mine", FORMER));
    assert_int_equal(umount(OTHER), 0);
    unlink(TOY_FOLDER "/mine");
}

static void changed_by_somebody_else(void **state)
{
    put(TOY_RESOLV, FORMER);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    put(TOY_RESOLV, "nameserver 192.0.2.99\n");
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, "nameserver 192.0.2.99\n"));
}

/* Power cut: the runtime directory is empty after it, the file is still ours. */
static void journal_lost(void **state)
{
    put(TOY_RESOLV, FORMER);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    kill(toy.helper, SIGKILL);
    toy_wait(toy.helper);
    toy_wait(toy.daemon);
    close(toy.fd);
    unlink(TOY_RUN "/helper.journal");
    assert_int_equal(toy_start(&toy, NULL, text), 0);
    assert_int_equal(toy_ask(&toy, text, "upstreams"), 0);
    assert_string_equal(text, "192.0.2.1:53 [2001:db8::2]:53 ");
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, FORMER));
}

/* Ours in place of a link, left over: what is behind the link still counts. */
static void journal_lost_of_a_link(void **state)
{
    char target[64] = "";
    put(OTHER, FORMER);
    assert_int_equal(symlink("other.conf", TOY_RESOLV), 0);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    kill(toy.helper, SIGKILL);
    toy_wait(toy.helper);
    toy_wait(toy.daemon);
    close(toy.fd);
    unlink(TOY_RUN "/helper.journal");
    assert_int_equal(toy_start(&toy, NULL, text), 0);
    assert_int_equal(toy_ask(&toy, text, "upstreams"), 0);
    assert_string_equal(text, "192.0.2.1:53 [2001:db8::2]:53 ");
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    toy_stop(&toy);
    assert_true(readlink(TOY_RESOLV, target, sizeof target - 1) > 0);
    assert_string_equal(target, "other.conf");
}

/* Behind the stub of systemd-resolved, never the stub itself. */
static void resolved_stub(void **state)
{
    toy_stop(&toy); /* so that the next one sees the mount */
    assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"), 0);
    toy_shell("mkdir -p /run/systemd/resolve; echo nameserver 192.0.2.66 "
              ">/run/systemd/resolve/resolv.conf;"
              "echo nameserver 127.0.0.53 >/run/systemd/resolve/stub-resolv.conf");
    assert_int_equal(symlink("/run/systemd/resolve/stub-resolv.conf", TOY_RESOLV), 0);
    assert_int_equal(toy_start(&toy, NULL, text), 0);
    assert_int_equal(toy_ask(&toy, text, "upstreams"), 0);
    assert_string_equal(text, "192.0.2.66:53 ");
    dns_set("192.0.2.66:53 ");
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, "nameserver 127.0.0.53\n"));
    umount("/run");
}

static void not_a_file(void **state)
{
    assert_int_equal(mkdir(TOY_RESOLV, 0755), 0);
    assert_int_equal(toy_ask(&toy, text, "dns 198.18.0.1"), -EINVAL);
    assert_non_null(strstr(text, TOY_RESOLV));
    toy_stop(&toy);
    rmdir(TOY_RESOLV);
}

static void read_only(void **state)
{
    put(TOY_RESOLV, FORMER);
    assert_int_equal(mount(TOY_FOLDER "/etc", TOY_FOLDER "/etc", NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, TOY_FOLDER "/etc", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL),
                     0);
    assert_int_equal(toy_ask(&toy, text, "dns 198.18.0.1"), -EROFS);
    assert_non_null(strstr(text, "read-only"));
    toy_stop(&toy);
    umount(TOY_FOLDER "/etc");
    assert_true(holds(TOY_RESOLV, FORMER));
}

/* The folder's disk is full when it is to be restored: ours is the larger one and is written over.
 */
static void disk_full_at_the_end(void **state)
{
    put(TOY_RESOLV, "outside\n");
    toy_stop(&toy);
    assert_int_equal(mount("tmpfs", TOY_FOLDER "/etc", "tmpfs", 0, "size=16k,mode=0755"), 0);
    put(TOY_RESOLV, FORMER);
    assert_int_equal(toy_start(&toy, NULL, text), 0);
    dns_set("192.0.2.1:53 [2001:db8::2]:53 ");
    toy_shell("cat /dev/zero > " TOY_FOLDER "/etc/filler 2>/dev/null");
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, FORMER));
    assert_int_equal(toy_start(&toy, NULL, text), 0);
    assert_int_equal(toy_ask(&toy, text, "dns 198.18.0.1"), -ENOSPC);
    assert_non_null(strstr(text, "the disk is full"));
    assert_true(holds(TOY_RESOLV, FORMER));
    toy_stop(&toy);
    assert_true(holds(TOY_RESOLV, FORMER));
    umount(TOY_FOLDER "/etc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_file, begin),
        cmocka_unit_test_setup(link_to_a_file, begin),
        cmocka_unit_test_setup(link_to_nowhere, begin),
        cmocka_unit_test_setup(absent, begin),
        cmocka_unit_test_setup(mount_point, begin),
        cmocka_unit_test_setup(link_to_a_mount_point, begin),
        cmocka_unit_test_setup(changed_by_somebody_else, begin),
        cmocka_unit_test_setup(journal_lost, begin),
        cmocka_unit_test_setup(journal_lost_of_a_link, begin),
        cmocka_unit_test_setup(resolved_stub, begin),
        cmocka_unit_test_setup(not_a_file, begin),
        cmocka_unit_test_setup(read_only, begin),
        cmocka_unit_test_setup(disk_full_at_the_end, begin),
    };
    if (!toy_world_make())
        return SKIPPED;
    return cmocka_run_group_tests_name("netns_resolv", tests, NULL, NULL);
}
