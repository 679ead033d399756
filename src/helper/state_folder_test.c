#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "helper/state_folder.h"

#define UID 61234
#define GID 61235

static int set_up(void **state)
{
    static char path[] = "/tmp/ocala-state-XXXXXX";
    strcpy(path + sizeof path - 7, "XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    return system(command);
}

static void make(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static unsigned owner(const char *folder, const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_uid;
}

static void a_folder_of_roots_is_taken_over(void **state)
{
    char err[512], path[128];
    const char *folder = *state;
    if (geteuid())
        skip();
    make(folder, "key.pem");
    make(folder, "handles.AbCdEf");
    make(folder, "known");
    make("/tmp", "ocala-state-outside");
    snprintf(path, sizeof path, "%s/pools", folder);
    assert_int_equal(symlink("/tmp/ocala-state-outside", path), 0);
    snprintf(path, sizeof path, "%s/lock", folder);
    assert_int_equal(link("/tmp/ocala-state-outside", path), 0);
    assert_int_equal(state_folder_make(folder, UID, GID, err, sizeof err), 0);
    assert_int_equal(owner(folder, "."), UID);
    assert_int_equal(owner(folder, "key.pem"), UID);
    assert_int_equal(owner(folder, "handles.AbCdEf"), UID);
    assert_int_equal(owner(folder, "known"), UID);
    assert_int_equal(owner("/tmp", "ocala-state-outside"), 0);
    unlink("/tmp/ocala-state-outside");
    assert_int_equal(state_folder_make(folder, UID, GID, err, sizeof err), 0);
}

static void other_things_are_left_alone(void **state)
{
    char err[512];
    const char *folder = *state;
    if (geteuid())
        skip();
    make(folder, "key.pem");
    make(folder, "passwd");
    assert_int_not_equal(state_folder_make(folder, UID, GID, err, sizeof err), 0);
    assert_non_null(strstr(err, "'passwd', which is not ours"));
    assert_non_null(strstr(err, "run: chown -R 61234:61235"));
    assert_int_equal(owner(folder, "key.pem"), 0);
    assert_int_equal(owner(folder, "."), 0);
}

static void somebody_elses_is_refused(void **state)
{
    char err[512];
    const char *folder = *state;
    if (geteuid())
        skip();
    assert_int_equal(chown(folder, UID + 5, GID), 0);
    assert_int_not_equal(state_folder_make(folder, UID, GID, err, sizeof err), 0);
    assert_non_null(strstr(err, "belongs to user 61239"));
}

static void a_new_one(void **state)
{
    char err[512], path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/new", (char *)*state);
    assert_int_equal(state_folder_make(path, geteuid(), getegid(), err, sizeof err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(state_folder_make(path, geteuid(), getegid(), err, sizeof err), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_folder_of_roots_is_taken_over),
        CASE(other_things_are_left_alone),
        CASE(somebody_elses_is_refused),
        CASE(a_new_one),
    };
    return cmocka_run_group_tests_name("helper_state_folder", tests, NULL, NULL);
}
