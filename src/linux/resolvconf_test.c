/* The text of resolv.conf: what is read, and that the former content comes back byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "linux/resolvconf.h"

static struct ip_address ip(const char *text)
{
    struct ip_address address;
    assert_true(ip_address_parse(text, &address));
    return address;
}

static void servers(void **state)
{
    static const char text[] = "# nameserver 192.0.2.9\n"
                               "nameserver 192.0.2.1\n"
                               "nameserver\t 2001:db8::1 \r\n"
                               "nameserver fe80::1%eth0 # comment\n"
                               " nameserver 192.0.2.8\n"
                               "nameserver\n"
                               "nameserver 300.1.1.1\n"
                               "nameserver fe80::1%a-name-that-is-too-long\n"
                               "nameservers 192.0.2.7\n"
                               "search example.org\n"
                               "nameserver 192.0.2.2\n"
                               "nameserver 192.0.2.3";
    struct linux_resolvconf r;
    linux_resolvconf_parse(text, strlen(text), &r);
    assert_int_equal(r.count, RESOLVCONF_SERVERS);
    struct ip_address want[] = {ip("192.0.2.1"), ip("2001:db8::1"), ip("fe80::1"), ip("192.0.2.2")};
    for (unsigned i = 0; i < r.count; i++)
        assert_true(ip_address_equal(&r.server[i].ip, &want[i]));
    assert_string_equal(r.server[2].zone, "eth0");
    assert_string_equal(r.server[3].zone, "");
    linux_resolvconf_parse(text, 0, &r);
    assert_int_equal(r.count, 0);
    linux_resolvconf_parse("nameserver 1.2.3.4", 17, &r); /* cut off inside the number */
    assert_int_equal(r.count, 0);
}

static void check_back(const char *content, size_t size)
{
    struct linux_resolvconf_former former = {.kind = RESOLVCONF_FILE,
                                             .mode = 0640,
                                             .uid = 7,
                                             .gid = 9,
                                             .content = (char *)content,
                                             .content_size = size};
    struct ip_address ours = ip("198.18.0.1");
    char *text;
    size_t text_size;
    assert_int_equal(
        linux_resolvconf_render(&former, "/run/ocala", &ours, content, size, &text, &text_size), 0);
    struct linux_resolvconf seen;
    linux_resolvconf_parse(text, text_size, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(ip_address_equal(&seen.server[0].ip, &ours));

    struct linux_resolvconf_former back;
    char tag[RESOLVCONF_PATH];
    assert_true(linux_resolvconf_unrender(text, text_size, &back, tag));
    assert_string_equal(tag, "/run/ocala");
    assert_int_equal(back.kind, RESOLVCONF_FILE);
    assert_int_equal(back.mode, 0640);
    assert_int_equal(back.uid, 7);
    assert_int_equal(back.gid, 9);
    assert_int_equal(back.content_size, size);
    if (size)
        assert_memory_equal(back.content, content, size);
    /* Ours is the larger one: to restore in place never needs new room on the disk. */
    assert_true(text_size > size);
    free(back.content);
    free(text);
}

static void content_comes_back(void **state)
{
    static const char *const content[] = {
        "",
        "\n",
        "\n\n",
        "nameserver 192.0.2.1",
        "nameserver 192.0.2.1\n",
        "nameserver 192.0.2.1\n\nsearch a b\noptions edns0 trust-ad\n\n",
        "nameserver 192.0.2.1\r\nsearch a\r\n",
        "#~ocala 1 absent 0000 0 0 open\n#~tag /elsewhere\n#~|x\n#~link y\n",
    };
    for (size_t i = 0; i < sizeof content / sizeof content[0]; i++)
        check_back(content[i], strlen(content[i]));
    check_back("a\0b\n\0", 5);
    uint64_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char random[64];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t size = (seed >> 40) % sizeof random;
        for (size_t i = 0; i < size; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            random[i] = "\n\n\n#~|nameserver 1.2\0x"[(seed >> 40) % 22];
        }
        /* A line that happens to name a server is left out of ours. */
        check_back(random, size);
    }
}

static void settings_are_kept(void **state)
{
    static const char content[] = "; a comment\nnameserver 192.0.2.1\nsearch a.example b.example\n"
                                  "options edns0 trust-ad\n";
    struct linux_resolvconf_former former = {.kind = RESOLVCONF_LINK,
                                             .link = "../run/systemd/resolve/stub-resolv.conf"};
    struct ip_address ours = ip("fd00::1");
    char *text;
    size_t size;
    assert_int_equal(
        linux_resolvconf_render(&former, "t", &ours, content, strlen(content), &text, &size), 0);
    assert_non_null(strstr(text, "\nnameserver fd00::1\nsearch a.example b.example\n"
                                 "options edns0 trust-ad\n"));
    assert_null(strstr(text, "192.0.2.1"));
    struct linux_resolvconf_former back;
    char tag[RESOLVCONF_PATH];
    assert_true(linux_resolvconf_unrender(text, size, &back, tag));
    assert_int_equal(back.kind, RESOLVCONF_LINK);
    assert_string_equal(back.link, former.link);
    free(back.content);
    free(text);
}

static void absent(void **state)
{
    struct linux_resolvconf_former former = {.kind = RESOLVCONF_ABSENT}, back;
    struct ip_address ours = ip("198.18.0.1");
    char *text, tag[RESOLVCONF_PATH];
    size_t size;
    assert_int_equal(linux_resolvconf_render(&former, "t", &ours, NULL, 0, &text, &size), 0);
    assert_true(linux_resolvconf_unrender(text, size, &back, tag));
    assert_int_equal(back.kind, RESOLVCONF_ABSENT);
    free(back.content);
    free(text);
}

static void not_ours(void **state)
{
    static const char *const text[] = {
        "",
        "nameserver 192.0.2.1\n",
        "#~ocala 1 file 0644 0 0 newline\n",          /* no tag */
        "#~ocala 2 file 0644 0 0 newline\n#~tag x\n", /* another version */
        "#~ocala 1 file 0644 0\n#~tag x\n",
        "#~ocala 1 link 0644 0 0 open\n#~tag x\n", /* a link to nowhere */
        "#~tag x\n#~ocala 1 file 0644 0 0 newline\n",
    };
    struct linux_resolvconf_former back;
    char tag[RESOLVCONF_PATH];
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        assert_false(linux_resolvconf_unrender(text[i], strlen(text[i]), &back, tag));
}

static void bad_tag_or_link(void **state)
{
    struct linux_resolvconf_former former = {.kind = RESOLVCONF_LINK, .link = "a\nb"};
    struct ip_address ours = ip("198.18.0.1");
    char *text;
    size_t size;
    assert_int_equal(linux_resolvconf_render(&former, "t", &ours, NULL, 0, &text, &size), -EINVAL);
    memcpy(former.link, "a", 2);
    assert_int_equal(linux_resolvconf_render(&former, "t\n", &ours, NULL, 0, &text, &size),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),           cmocka_unit_test(content_comes_back),
        cmocka_unit_test(settings_are_kept), cmocka_unit_test(absent),
        cmocka_unit_test(not_ours),          cmocka_unit_test(bad_tag_or_link),
    };
    return cmocka_run_group_tests_name("linux_resolvconf", tests, NULL, NULL);
}
