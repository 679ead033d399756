#include "tests/support/i3_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/hex.h"

/* A line: tag|capture|from>to|description|hex */
static void read_line(char *line, struct i3_vector *v)
{
    char *field[5] = {line};
    unsigned from, to;
    for (unsigned i = 1; i < 5; i++) {
        field[i] = strchr(field[i - 1], '|');
        assert_non_null(field[i]);
        *field[i]++ = '\0';
    }
    field[4][strcspn(field[4], "\r\n")] = '\0';
    assert_true(strlen(field[0]) < sizeof v->tag && strlen(field[4]) / 2 <= sizeof v->bytes);
    assert_int_equal(sscanf(field[2], "%u>%u", &from, &to), 2);
    memset(v, 0, sizeof *v);
    memcpy(v->tag, field[0], strlen(field[0]));
    v->from = (uint16_t)from;
    v->to = (uint16_t)to;
    v->size = hex_read(field[4], v->bytes);
}

unsigned i3_vectors_read(struct i3_vector *out)
{
    const char *folder = getenv("OCALA_VECTORS");
    char path[4096], line[4096];
    unsigned count = 0;
    if (!folder)
        fail_msg("set OCALA_VECTORS to the folder tests/vectors, or use `meson test`");
    snprintf(path, sizeof path, "%s/i3.txt", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        assert_true(count < I3_VECTORS);
        read_line(line, &out[count++]);
    }
    fclose(file);
    assert_true(count > 0);
    return count;
}

struct i3_vector i3_vector(const char *tag)
{
    static struct i3_vector all[I3_VECTORS];
    unsigned count = i3_vectors_read(all);
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(all[i].tag, tag))
            return all[i];
    fail_msg("no vector %s", tag);
    return all[0];
}
