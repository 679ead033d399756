/* Each conflict is found, by its own facts, and nothing is found on a machine that is in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/doctor.h"

static char found[1000], remedies[6000];
static unsigned problems;

static void note(void *context, const struct doctor_finding *f)
{
    size_t used = strlen(found), more = strlen(remedies);
    snprintf(found + used, sizeof found - used, "%s%s", used ? " " : "", f->id);
    snprintf(remedies + more, sizeof remedies - more, "%s; ", f->remedy);
    assert_true(f->what[0] && f->why[0] && f->remedy[0]);
    problems += f->problem;
}

static const char *judged(const struct doctor_facts *f)
{
    found[0] = remedies[0] = '\0';
    problems = 0;
    doctor_judge(f, note, NULL);
    return found;
}

static struct doctor_facts good(const char *mode)
{
    struct doctor_facts f = {.daemon = true,
                             .listen = "127.0.0.1:53",
                             .own_name = "alpha.east.ip",
                             .file = {.found = true},
                             .settings = {.ndots = 1},
                             .nsswitch = {.found = true, .files = 1, .dns = 2},
                             .udp = DOCTOR_ANSWERED,
                             .tcp = DOCTOR_ANSWERED,
                             .library = DOCTOR_ANSWERED};
    snprintf(f.mode, sizeof f.mode, "%s", mode);
    f.file.ours = strcmp(mode, "resolvconf") == 0;
    f.file.stub = f.resolved_runs = strcmp(mode, "resolved") == 0;
    return f;
}

static void in_order(void **state)
{
    static const char *const modes[] = {"resolved", "resolvconf", "intercept"};
    for (unsigned i = 0; i < 3; i++) {
        struct doctor_facts f = good(modes[i]);
        assert_string_equal(judged(&f), "");
    }
    struct doctor_facts f = good("none");
    assert_string_equal(judged(&f), "mode-none");
    assert_int_equal(problems, 0);
}

static void no_daemon(void **state)
{
    struct doctor_facts f = {.nsswitch = {.found = true, .dns = 1}};
    assert_string_equal(judged(&f), "no-daemon");
    assert_int_equal(problems, 1);
}

static void listener(void **state)
{
    struct doctor_facts f = good("resolvconf");
    f.udp = DOCTOR_SILENT;
    f.library = DOCTOR_SILENT;
    assert_string_equal(judged(&f), "listener-silent not-found");
    f = good("resolvconf");
    f.tcp = DOCTOR_REFUSED;
    assert_string_equal(judged(&f), "listener-refused");
    f.tcp = DOCTOR_WRONG;
    assert_string_equal(judged(&f), "listener-wrong");
    f = good("resolvconf");
    strcpy(f.listen, "127.0.11.1:53");
    assert_string_equal(judged(&f), "port-taken");
    assert_int_equal(problems, 0);
}

static void resolv_conf(void **state)
{
    struct doctor_facts f = good("resolvconf");
    f.file.ours = false;
    strcpy(f.file.writer, "NetworkManager");
    assert_string_equal(judged(&f), "resolvconf-lost");
    assert_non_null(strstr(remedies, "/etc/NetworkManager/conf.d/"));
    f.file.writer[0] = '\0';
    judged(&f);
    assert_non_null(strstr(remedies, "auditctl"));
    f = good("resolvconf");
    f.fight = true;
    strcpy(f.fighter, "Tailscale");
    assert_string_equal(judged(&f), "resolvconf-fight");
    assert_non_null(strstr(remedies, "accept-dns=false"));
    f = good("resolved");
    f.file.stub = false;
    assert_string_equal(judged(&f), "stub-not-used");
    f.nsswitch.resolve = 1; /* asks resolved without resolv.conf */
    assert_string_equal(judged(&f), "");
    f = good("resolvconf");
    f.resolved_runs = true;
    f.nsswitch.resolve = 1;
    assert_string_equal(judged(&f), "resolve-before-dns");
}

static void library(void **state)
{
    struct doctor_facts f = good("resolvconf");
    f.nsswitch.dns = 0;
    assert_string_equal(judged(&f), "nsswitch-without-dns");
    assert_int_equal(problems, 1);
    f = good("resolvconf");
    f.nscd_runs = true;
    assert_string_equal(judged(&f), "nscd");
    assert_int_equal(problems, 0);
    f.library = DOCTOR_WRONG;
    assert_string_equal(judged(&f), "nscd not-found");
    assert_int_equal(problems, 2);
    f = good("resolvconf");
    f.settings.ndots = 5;
    assert_string_equal(judged(&f), "");
    f.settings.search_count = 2;
    assert_string_equal(judged(&f), "ndots");
    f = good("resolved");
    strcpy(f.link_dnssec, "no");
    assert_string_equal(judged(&f), "");
    strcpy(f.link_dnssec, "yes");
    assert_string_equal(judged(&f), "dnssec");
}

static void others(void **state)
{
    struct doctor_facts f = good("resolved");
    strcpy(f.vpn, "tailscale0");
    strcpy(f.browser, "firefox");
    assert_string_equal(judged(&f), "two-vpns doh");
    assert_int_equal(problems, 0);
    f = good("resolved");
    strcpy(f.clash, "198.18.0.0/15 is in use by docker0");
    strcpy(f.trouble, "the disk is full");
    assert_string_equal(judged(&f), "range-clash trouble");
    assert_int_equal(problems, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),    cmocka_unit_test(no_daemon), cmocka_unit_test(listener),
        cmocka_unit_test(resolv_conf), cmocka_unit_test(library),   cmocka_unit_test(others),
    };
    return cmocka_run_group_tests_name("cli_doctor", tests, NULL, NULL);
}
