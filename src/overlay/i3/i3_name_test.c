/* Names whose identifiers only members of the network can compute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/i3/i3_fixture.h"

enum { OLD = 1, NEW = 2 };
static struct lab *lab;
static struct lab_host *alpha, *beta;

/* Hosts that are added from now on hold these secrets; 0: no second one. */
static void secrets(uint8_t first, uint8_t second)
{
    memset(lab->name_keys[0], first, CRYPTO_KEY);
    memset(lab->name_keys[1], second, CRYPTO_KEY);
    lab->name_key_count = second ? 2 : 1;
}

static struct lab_host *keyed(const char *name, const char *address, uint8_t first, uint8_t second)
{
    secrets(first, second);
    return lab_host_add(lab, name, address, "names", "keyed", NULL);
}

static bool no_such_host(struct lab_host *h)
{
    return alpha->tunnel[0].failed && alpha->tunnel[0].unknown_host;
}

static bool meet(uint8_t a1, uint8_t a2, uint8_t b1, uint8_t b2)
{
    lab = lab_new(2, 1);
    alpha = keyed("alpha", "10.0.0.1:7400", a1, a2);
    beta = keyed("beta", "10.0.0.2:7400", b1, b2);
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    bool met = lab_until(lab, 15 * SECOND, lab_by_private, alpha);
    assert_int_equal(met, !no_such_host(NULL));
    lab_free(lab);
    return met;
}

/* In each step of a change from one secret to another, and never without one in common. */
static void while_the_secret_changes(void **state)
{
    assert_true(meet(OLD, 0, OLD, 0));
    assert_true(meet(OLD, 0, OLD, NEW));
    assert_true(meet(OLD, NEW, NEW, OLD));
    assert_true(meet(NEW, OLD, OLD, 0));
    assert_true(meet(NEW, OLD, OLD, NEW));
    assert_true(meet(NEW, 0, NEW, OLD));
    assert_false(meet(NEW, 0, OLD, 0));
}

/* What is sent passes another host first, which is told instead of us that the name of the old secret has no trigger. */
static void behind_a_host_to_be_passed(void **state)
{
    for (unsigned found = 0; found < 2; found++) {
        lab = lab_new(2, 1);
        lab_host_add(lab, "filter", "10.0.1.1:7400", NULL)->filter = true;
        beta = keyed("beta", "10.0.0.2:7400", found ? NEW : 77, 0);
        secrets(OLD, NEW);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "names", "keyed", "through", "filter",
                             NULL);
        lab_run(lab, SECOND);
        lab_open(alpha, "beta");
        assert_int_equal(lab_until(lab, 10 * SECOND, lab_by_private, alpha), found);
        assert_int_equal(no_such_host(NULL), !found);
        lab_free(lab);
    }
}

/* Knowing the name is not enough to be sent its handshakes: the thief of i3_tunnel_test.c gets nothing here. */
static void thief_without_the_secret(void **state)
{
    lab = lab_new(1, 1);
    alpha = keyed("alpha", "10.0.0.1:7400", OLD, 0);
    beta = keyed("beta", "10.0.0.2:7400", OLD, 0);
    struct lab_host *plain = lab_host_add(lab, "beta", "10.6.6.6:7400", NULL);
    struct lab_host *guess = keyed("beta", "10.6.6.7:7400", 77, 0);
    lab_run(lab, 2 * SECOND);
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
    lab_run(lab, 5 * SECOND);
    assert_false(plain->tunnel[0].used);
    assert_false(guess->tunnel[0].used);
    lab_free(lab);
}

static int reload(struct lab_host *h, uint8_t first, uint8_t second)
{
    struct overlay_settings old = h->overlay->settings;
    const char *reason = NULL;
    memset(h->name_keys[0], first, CRYPTO_KEY);
    memset(h->name_keys[1], second, CRYPTO_KEY);
    h->overlay->settings.name_key_count = h->name_key_count = second ? 2 : 1;
    return h->overlay->class->reload(h->overlay, lab->now, &old, &reason);
}

/* A host that takes a new secret is found under it, and a tunnel that looks for a name follows too. */
static void another_secret_while_it_runs(void **state)
{
    lab = lab_new(2, 1);
    alpha = keyed("alpha", "10.0.0.1:7400", OLD, 0);
    beta = keyed("beta", "10.0.0.2:7400", NEW, 0);
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    lab_run(lab, SECOND);
    assert_false(lab_by_private(alpha));
    assert_int_equal(reload(alpha, NEW, OLD), 0);
    assert_true(lab_until(lab, 10 * SECOND, lab_by_private, alpha));
    /* The old one goes: what stands, stands. */
    assert_int_equal(reload(alpha, NEW, 0), 0);
    assert_null(i3_of(alpha->overlay)->name[1]);
    lab_run(lab, MINUTE);
    assert_true(lab_by_private(alpha));
    lab_free(lab);
}

static void settings_that_do_not_fit(void **state)
{
    const struct overlay_class *class = overlay_class_find("i3");
    struct overlay_option option[] = {{"names", "keyed"}, {"servers", "192.0.2.1:5610"}};
    struct overlay_settings s = {
        .instance = "lab.i3", .host = "alpha", .options = option, .option_count = 2};
    assert_non_null(strstr(class->fault(&s), "needs a secret"));
    s.name_key_count = 1;
    assert_null(class->fault(&s));
    static const struct {
        const char *key, *value, *says; /* NULL: in order */
    } hosts[] = {
        {"middlebox", "filter", NULL},
        {"middlebox", "alpha", "not this host itself"},
        {"middlebox", "filter.lab.i3", "without the instance"},
        {"through", "alpha, filter", NULL}, /* one file for all hosts: it passes over itself */
        {"through", "filter.lab.i3, archive", "without the instance"},
    };
    for (unsigned i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        option[0] = (struct overlay_option){hosts[i].key, hosts[i].value};
        const char *reason = class->fault(&s);
        assert_true(hosts[i].says ? reason && strstr(reason, hosts[i].says) : !reason);
    }
    option[0] = (struct overlay_option){"names", "keyed"};
    s.option_count = 1;
    assert_non_null(strstr(class->fault(&s), "servers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_the_secret_changes), cmocka_unit_test(behind_a_host_to_be_passed),
        cmocka_unit_test(thief_without_the_secret), cmocka_unit_test(another_secret_while_it_runs),
        cmocka_unit_test(settings_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("overlay_i3_name", tests, NULL, NULL);
}
