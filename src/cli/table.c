#include "cli/table.h"

#include <libsmartcols.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/field.h"

static const char *cell(const json_t *row, const struct table_column *c, char out[FIELD_TEXT])
{
    switch (c->look) {
    case TABLE_SPAN:
        return field_span(row, c->key, out);
    case TABLE_RTT:
        return field_rtt(row, c->key, out);
    case TABLE_BYTES:
        return field_bytes(row, c->key, out);
    default:
        return field_text(row, c->key, out);
    }
}

static bool add_row(struct libscols_table *table, const json_t *row,
                    const struct table_column *columns)
{
    char text[FIELD_TEXT];
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (!line)
        return false;
    for (size_t i = 0; columns[i].title; i++) {
        if (scols_line_set_data(line, i, cell(row, &columns[i], text)))
            return false;
    }
    return true;
}

static bool fill(struct libscols_table *table, const json_t *rows,
                 const struct table_column *columns)
{
    size_t index;
    json_t *row;
    for (const struct table_column *c = columns; c->title; c++) {
        int flags = c->look == TABLE_TEXT ? 0 : SCOLS_FL_RIGHT;
        if (!scols_table_new_column(table, c->title, 0, flags))
            return false;
    }
    json_array_foreach(rows, index, row)
    {
        if (!add_row(table, row, columns))
            return false;
    }
    return true;
}

bool table_print(const json_t *rows, const struct table_column *columns, const char *nothing)
{
    if (!json_array_size(rows)) {
        puts(nothing);
        return true;
    }
    struct libscols_table *table = scols_new_table();
    bool good = table && fill(table, rows, columns) && !scols_print_table(table);
    scols_unref_table(table);
    if (!good)
        cli_complain("the table cannot be printed: out of memory");
    return good;
}
