#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "helper/run_remedy.h"

/* Every errno that a forbidden namespace gives, with every combination of switches. */
static void every_combination_names_its_switch(void **state)
{
    static const int errors[] = {-EPERM, -EACCES, -ENOSPC, -EUSERS};
    static const long apparmor[] = {-1, 0, 1, 2}, clone[] = {-1, 0, 1}, most[] = {-1, 0, 15000};
    for (unsigned i = 0; i < 4 * 4 * 3 * 3; i++) {
        int error = errors[i % 4];
        struct run_switches s = {apparmor[i / 4 % 4], clone[i / 16 % 3], most[i / 48]};
        bool used_up = error == -ENOSPC || error == -EUSERS;
        const char *wanted = s.apparmor > 0    ? "kernel.apparmor_restrict_unprivileged_userns=0`"
                             : !s.userns_clone ? "kernel.unprivileged_userns_clone=1`"
                             : !s.max_user     ? "user.max_user_namespaces=10000`"
                             : used_up         ? "raise user.max_user_namespaces"
                                               : "run ocalad as root";
        const char *said = run_remedy(error, &s);
        assert_memory_equal(said, "; ", 2);
        assert_non_null(strstr(said, wanted));
    }
}

static void other_failures_have_another_cause(void **state)
{
    static const int errors[] = {-ENOMEM, -EINVAL, -ENOSYS, -ENOENT, -EMFILE};
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
        assert_string_equal(run_remedy(errors[i], &(struct run_switches){1, 0, 0}), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_names_its_switch),
        cmocka_unit_test(other_failures_have_another_cause),
    };
    return cmocka_run_group_tests_name("helper_run_remedy", tests, NULL, NULL);
}
