#include "src/core/csv.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/core/text.h"

enum { MAX_BYTES = 256 << 20 };

/* Cuts one field in place; *at moves behind it.  Returns the field and tells how it ended: ',' '\n' or 0. */
static char *take_field(char **at, char *ended_by)
{
    char *start = *at, *read = start, *write = start, *quoted_end = start;
    bool quoted = *read == '"';
    read += quoted;
    for (; *read; read++) {
        if (quoted && *read == '"') {
            if (read[1] != '"') {
                quoted = false;
                quoted_end = write;
                continue;
            }
            read++; /* "" stands for one quote */
        } else if (!quoted && (*read == ',' || *read == '\n')) {
            break;
        }
        *write++ = *read;
    }
    *ended_by = *read;
    *at = *read ? read + 1 : read;
    if (!quoted && write > quoted_end && write[-1] == '\r') { /* of the line's end, not of the text */
        write--;
    }
    *write = 0;
    return start;
}

static bool take_row(fnr_csv *t, char **at, size_t *capacity, const char *path, fnr_error *err)
{
    char ended_by = ',';
    size_t in_row = 0;
    const size_t first = t->rows * t->columns;
    while (ended_by == ',') {
        char *field = take_field(at, &ended_by);
        if (t->rows > 0 && in_row == t->columns) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: row %zu has more than the header's %zu cells", path, t->rows + 1, t->columns);
        }
        if (!fnr_grow(&t->cells, capacity, first + in_row, sizeof *t->cells, "table", err)) {
            return false;
        }
        t->cells[first + in_row++] = field;
    }
    if (t->rows == 0) {
        t->columns = in_row;
    }
    for (; in_row < t->columns; in_row++) {
        if (!fnr_grow(&t->cells, capacity, first + in_row, sizeof *t->cells, "table", err)) {
            return false;
        }
        t->cells[first + in_row] = t->buffer + strlen(t->buffer); /* "" */
    }
    t->rows++;
    return true;
}

bool fnr_csv_read(const char *path, fnr_csv *out, fnr_error *err)
{
    fnr_csv t = {0};
    size_t size, capacity = 0;
    if (!fnr_read_file(path, MAX_BYTES, &t.buffer, &size, err)) {
        return false;
    }
    bool ok = strlen(t.buffer) == size || fnr_fail(err, FNR_E_FORMAT, "%s: not a text file", path);
    char *at = t.buffer;
    if (ok && size >= 3 && !memcmp(at, "\xEF\xBB\xBF", 3)) {
        at += 3; /* byte order mark of spreadsheet programs */
    }
    while (ok && *at) {
        if (*at == '\n' || (*at == '\r' && at[1] == '\n')) {
            at++; /* empty line */
        } else {
            ok = take_row(&t, &at, &capacity, path, err);
        }
    }
    if (ok && t.rows == 0) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: the table is empty", path);
    }
    if (!ok) {
        fnr_csv_free(&t);
        return false;
    }
    *out = t;
    return true;
}

void fnr_csv_free(fnr_csv *t)
{
    free(t->cells);
    free(t->buffer);
    *t = (fnr_csv){0};
}

int fnr_csv_column(const fnr_csv *t, const char *name)
{
    for (size_t i = 0; i < t->columns; i++) {
        if (!strcmp(t->cells[i], name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *fnr_csv_cell(const fnr_csv *t, size_t row, int column)
{
    return column < 0 ? "" : t->cells[(row + 1) * t->columns + (size_t)column];
}

void fnr_csv_put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') {
            fputc('"', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

bool fnr_csv_put_name(FILE *out, const char *name, fnr_error *err)
{
    char *utf8 = fnr_text_escape(name, NULL, err);
    if (!utf8) {
        return false;
    }
    fnr_csv_put_text(out, utf8);
    free(utf8);
    return true;
}
