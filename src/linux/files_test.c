/* Small files: who may read them, all or nothing, and clear words. */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux/files.h"

static char folder[64], err[400];

static const char *in(const char *name)
{
    static char path[4][128];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int folder_make(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/ocala-files-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static int put(const char *name, const char *content, mode_t mode)
{
    return linux_file_write(in(name), content, strlen(content), mode, err, sizeof err);
}

static void check(const char *name, const char *content)
{
    char *text;
    size_t size;
    assert_int_equal(
        linux_file_read(in(name), LINUX_FILE_PLAIN, 1 << 20, &text, &size, err, sizeof err), 0);
    assert_int_equal(size, strlen(content));
    assert_string_equal(text, content);
    free(text);
}

static void write_and_read(void **state)
{
    struct stat st;
    assert_int_equal(put("a", "one\n", 0600), 0);
    check("a", "one\n");
    assert_int_equal(put("a", "", 0640), 0);
    check("a", "");
    stat(in("a"), &st);
    assert_int_equal(st.st_mode & 07777, 0640);
    char large[20001];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(put("a", large, 0600), 0);
    check("a", large);
    assert_int_equal(put("no/such/folder", "x", 0600), -ENOENT);
    assert_non_null(strstr(err, "no such file or folder"));
}

static void limits(void **state)
{
    char *text = NULL;
    size_t size;
    put("b", "0123456789", 0600);
    assert_int_equal(linux_file_read(in("b"), LINUX_FILE_PLAIN, 10, &text, &size, err, sizeof err),
                     0);
    free(text);
    assert_int_equal(linux_file_read(in("b"), LINUX_FILE_PLAIN, 9, &text, &size, err, sizeof err),
                     -EFBIG);
    assert_non_null(strstr(err, "too large"));
    assert_int_equal(
        linux_file_read(in("absent"), LINUX_FILE_PLAIN, 9, &text, &size, err, sizeof err), -ENOENT);
    assert_int_equal(linux_file_read(folder, LINUX_FILE_PLAIN, 9, &text, &size, NULL, 0), -EISDIR);
}

static void secrets(void **state)
{
    char *text;
    size_t size;
    static const mode_t refused[] = {0640, 0604, 0610, 0660, 0666};
    put("key", "secret", 0600);
    assert_int_equal(
        linux_file_read(in("key"), LINUX_FILE_SECRET, 100, &text, &size, err, sizeof err), 0);
    free(text);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        chmod(in("key"), refused[i]);
        assert_int_equal(
            linux_file_read(in("key"), LINUX_FILE_SECRET, 100, &text, &size, err, sizeof err),
            -EACCES);
        assert_non_null(strstr(err, "chmod 600"));
    }
}

static void create_once(void **state)
{
    assert_int_equal(linux_file_create(in("new"), "1", 1, 0600, err, sizeof err), 0);
    assert_int_equal(linux_file_create(in("new"), "2", 1, 0600, err, sizeof err), -EEXIST);
    check("new", "1");
}

static void append(void **state)
{
    int fd;
    assert_int_equal(linux_append_open(in("log"), 0600, &fd, err, sizeof err), 0);
    assert_int_equal(linux_append(fd, "log", "one\n", 4, true, err, sizeof err), 0);
    assert_int_equal(linux_append(fd, "log", "two\n", 4, false, err, sizeof err), 0);
    close(fd);
    assert_int_equal(linux_append_open(in("log"), 0600, &fd, err, sizeof err), 0);
    assert_int_equal(linux_append(fd, "log", "three\n", 6, true, err, sizeof err), 0);
    check("log", "one\ntwo\nthree\n");
    /* No room for all of it: then for none of it.  A limit on the file's size stands for a full
     * disk. */
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 17;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(linux_append(fd, "log", "four and more\n", 14, true, err, sizeof err), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    check("log", "one\ntwo\nthree\n");
    close(fd);
    symlink("/etc/passwd", in("link"));
    assert_int_equal(linux_append_open(in("link"), 0600, &fd, err, sizeof err), -ELOOP);
}

static void folders(void **state)
{
    struct stat st;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    assert_int_equal(linux_folder_make(in("x/y/z"), 0700, uid, gid, err, sizeof err), 0);
    stat(in("x/y/z"), &st);
    assert_int_equal(st.st_mode & 07777, 0700);
    stat(in("x/y"), &st);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(linux_folder_make(in("x/y/z"), 0755, uid, gid, err, sizeof err), 0);
    stat(in("x/y/z"), &st);
    assert_int_equal(st.st_mode & 07777, 0700); /* left as it is */
    put("file", "", 0600);
    assert_int_equal(linux_folder_make(in("file"), 0755, uid, gid, err, sizeof err), -ENOTDIR);
    assert_int_equal(linux_folder_make("", 0755, uid, gid, err, sizeof err), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read), cmocka_unit_test(limits), cmocka_unit_test(secrets),
        cmocka_unit_test(create_once),    cmocka_unit_test(append), cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests_name("linux_files", tests, folder_make, folder_remove);
}
