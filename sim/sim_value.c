/* Decimal numbers without floating point: traces must agree on every CPU. */
#include "sim/sim_value.h"

#include <string.h>

/* Digits with an optional fraction, in units of 1 / 1000000; the rest of the text, or NULL. */
static const char *decimal(const char *text, uint64_t *ret)
{
    uint64_t value = 0, unit = 1000000;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (at - text > 11)
            return NULL;
        value = value * 10 + (uint64_t)(*at - '0') * 1000000;
    }
    if (at == text)
        return NULL;
    if (*at == '.') {
        at++;
        for (unit = 100000; *at >= '0' && *at <= '9' && unit; at++, unit /= 10)
            value += (uint64_t)(*at - '0') * unit;
        if (unit == 100000)
            return NULL;
    }
    *ret = value;
    return at;
}

bool sim_value_time(const char *text, instant *ret)
{
    static const struct {
        const char *name;
        instant unit;
    } units[] = {
        {"us", MICROSECOND}, {"ms", MILLISECOND}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}};
    uint64_t value;
    const char *unit = decimal(text, &value);
    if (unit && !*unit && !value) {
        *ret = 0;
        return true;
    }
    for (unsigned i = 0; unit && i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name))
            continue;
        if (value > UINT64_C(1000000) * 1000000)
            return false;
        uint64_t whole = value / 1000000, rest = value % 1000000;
        *ret = (instant)whole * units[i].unit +
               (instant)(rest * (uint64_t)(units[i].unit / 1000) / 1000);
        return true;
    }
    return false;
}

bool sim_value_share(const char *text, uint32_t *ret)
{
    uint64_t value;
    const char *unit = decimal(text, &value);
    if (!unit || strcmp(unit, "%") || value > UINT64_C(100) * 1000000)
        return false;
    *ret = (uint32_t)(value / 100);
    return true;
}

bool sim_value_count(const char *text, uint64_t *ret)
{
    uint64_t value, by = 1;
    const char *unit = decimal(text, &value);
    if (!unit)
        return false;
    if (!strcmp(unit, "k"))
        by = 1000;
    else if (!strcmp(unit, "M"))
        by = 1000000;
    else if (!strcmp(unit, "G"))
        by = 1000000000;
    else if (*unit)
        return false;
    if (value > UINT64_C(1000000) * 1000000 || value % 1000000 * by % 1000000)
        return false;
    *ret = value / 1000000 * by + value % 1000000 * by / 1000000;
    return true;
}
