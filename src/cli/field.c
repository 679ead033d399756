#include "cli/field.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void add_value(struct text *t, const json_t *value)
{
    size_t index;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_STRING:
        text_add(t, "%s", json_string_value(value));
        break;
    case JSON_INTEGER:
        text_add(t, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        text_add(t, "%s", json_is_true(value) ? "yes" : "no");
        break;
    case JSON_ARRAY:
        json_array_foreach(value, index, item)
        {
            text_add(t, "%s", index ? ", " : "");
            add_value(t, item);
        }
        break;
    default:
        text_add(t, "-");
    }
}

const char *field_text(const json_t *object, const char *key, char out[FIELD_TEXT])
{
    const json_t *value = json_object_get(object, key);
    struct text t;
    text_begin(&t, out, FIELD_TEXT);
    if (value)
        add_value(&t, value);
    return out[0] ? out : "-";
}

long long field_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool field_is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

const char *field_span(const json_t *object, const char *key, char out[FIELD_TEXT])
{
    const json_t *value = json_object_get(object, key);
    long long s = json_integer_value(value);
    if (!json_is_integer(value) || s < 0)
        return "-";
    if (s < 60)
        snprintf(out, FIELD_TEXT, "%llds", s);
    else if (s < 3600)
        snprintf(out, FIELD_TEXT, "%lldm %llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, FIELD_TEXT, "%lldh %lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, FIELD_TEXT, "%lldd %lldh", s / 86400, s / 3600 % 24);
    return out;
}

const char *field_rtt(const json_t *object, const char *key, char out[FIELD_TEXT])
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return "-";
    snprintf(out, FIELD_TEXT, "%.2f ms", (double)json_integer_value(value) / 1000);
    return out;
}

const char *field_bytes(const json_t *object, const char *key, char out[FIELD_TEXT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    const json_t *value = json_object_get(object, key);
    double bytes = (double)json_integer_value(value);
    unsigned unit = 0;
    if (!json_is_integer(value))
        return "-";
    if (bytes < 1024) {
        snprintf(out, FIELD_TEXT, "%.0f B", bytes);
        return out;
    }
    for (bytes /= 1024; bytes >= 1024 && unit < 4; bytes /= 1024)
        unit++;
    snprintf(out, FIELD_TEXT, "%.1f %s", bytes, units[unit]);
    return out;
}

void field_put(const char *text, FILE *to)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (p[0] == 0xC2 && p[1] && p[1] < 0xA0) { /* the control characters of Latin-1 */
            fprintf(to, "\\x%02x", p[1]);
            p++;
        } else if (*p < 0x20 || *p == 0x7F) {
            fprintf(to, "\\x%02x", *p);
        } else {
            fputc(*p, to);
        }
    }
}

void field_print(const char *text)
{
    field_put(text, stdout);
}
