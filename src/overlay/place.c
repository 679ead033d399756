#include "overlay/place.h"

#include <string.h>

/* A number from 1 to 65535, digits only; 0 when it is not one. */
static uint16_t parse_port(const char *text)
{
    uint32_t port = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || c - text > 4)
            return 0;
        port = port * 10 + (uint32_t)(*c - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool overlay_place_parse(const char *text, uint16_t port, struct overlay_place *ret)
{
    struct overlay_place place = {0};
    if (endpoint_parse(text, port, &place.endpoint)) {
        if (!place.endpoint.port)
            return false;
        *ret = place;
        return true;
    }
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    if (!length || length >= sizeof place.name)
        return false;
    memcpy(place.name, text, length);
    place.endpoint.port = colon ? parse_port(colon + 1) : port;
    const char *reason;
    if (!place.endpoint.port || !labels_valid(place.name, &reason))
        return false;
    /* "10.1.1" and "300.1.1.1" are mistyped addresses, not names: no top-level domain is a number.
     */
    const char *last = strrchr(place.name, '.');
    if (strspn(last ? last + 1 : place.name, "0123456789") == strlen(last ? last + 1 : place.name))
        return false;
    *ret = place;
    return true;
}

bool overlay_place_equal(const struct overlay_place *a, const struct overlay_place *b)
{
    return !strcmp(a->name, b->name) && endpoint_equal(&a->endpoint, &b->endpoint);
}

bool overlay_option_number(const char *value, uint32_t least, uint32_t most, uint32_t *ret)
{
    uint64_t number = 0;
    for (const char *c = value; *c; c++) {
        if (*c < '0' || *c > '9' || c - value > 9)
            return false;
        number = number * 10 + (uint64_t)(*c - '0');
    }
    if (!*value || number < least || number > most)
        return false;
    *ret = (uint32_t)number;
    return true;
}

bool overlay_option_span(const char *value, instant least, instant most, instant *ret)
{
    static const struct {
        const char *name;
        instant span;
    } units[] = {{"ms", MILLISECOND}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}};
    char digits[16];
    size_t count = strspn(value, "0123456789");
    uint32_t number;
    if (!count || count >= sizeof digits)
        return false;
    memcpy(digits, value, count);
    digits[count] = 0;
    if (!overlay_option_number(digits, 0, UINT32_MAX, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        instant span = (instant)number * units[i].span;
        if (strcmp(value + count, units[i].name) || span < least || span > most)
            continue;
        *ret = span;
        return true;
    }
    return false;
}
