/* Comma-separated tables (RFC 4180): a header line, quoted fields, CRLF or LF. */
#ifndef FNR_CORE_CSV_H
#define FNR_CORE_CSV_H

#include <stddef.h>
#include <stdio.h>
#include "src/core/err.h"

typedef struct {
    char **cells; /* rows * columns, row by row; the header is row 0; missing cells are "" */
    size_t rows, columns;
    char *buffer; /* owns the text */
} fnr_csv;

/* At most 256 MiB. Rows with more cells than the header are an error that names the line. */
bool fnr_csv_read(const char *path, fnr_csv *out, fnr_error *err);
void fnr_csv_free(fnr_csv *t);

/* Column of that name in the header, or -1. */
int fnr_csv_column(const fnr_csv *t, const char *name);
/* Cell of data row `row` (0 = first behind the header); "" for column -1. */
const char *fnr_csv_cell(const fnr_csv *t, size_t row, int column);

/* A quoted cell. */
void fnr_csv_put_text(FILE *out, const char *text);
/* The same for the name of a file: bytes that are not UTF-8 are written as fnr_text_escape does, so that whoever reads the cell
 * applies fnr_text_unescape.  False when out of memory. */
bool fnr_csv_put_name(FILE *out, const char *name, fnr_error *err);

#endif
