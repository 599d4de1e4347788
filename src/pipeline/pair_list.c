#include "src/pipeline/pair_list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

bool fnr_is_pair_list(const char *path)
{
    const size_t n = strlen(path);
    return n > 4 && !strcasecmp(path + n - 4, ".csv");
}

void fnr_pair_list_free(fnr_pair_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        for (int k = 0; k < FNR_LIST_MAX_FILES; k++) {
            free(l->rows[i].signals[k]);
            free(l->rows[i].targets[k]);
        }
    }
    free(l->rows);
    *l = (fnr_pair_list){0};
}

typedef struct {
    int signals[FNR_LIST_MAX_FILES], targets[FNR_LIST_MAX_FILES], n_signals, n_targets, set;
} columns;

/* Columns NAME or path_NAME, NAME2, NAME3, ... without a gap. */
static int find_columns(const fnr_csv *t, const char *name, int out[FNR_LIST_MAX_FILES])
{
    char text[64];
    int n = 0;
    snprintf(text, sizeof text, "path_%s", name);
    int column = fnr_csv_column(t, name) >= 0 ? fnr_csv_column(t, name) : fnr_csv_column(t, text);
    while (column >= 0 && n < FNR_LIST_MAX_FILES) {
        out[n++] = column;
        snprintf(text, sizeof text, "%s%d", name, n + 1);
        column = fnr_csv_column(t, text);
    }
    return n;
}

static bool find_all_columns(const fnr_csv *t, const char *path, columns *c, fnr_error *err)
{
    c->n_signals = find_columns(t, "signal", c->signals);
    c->n_targets = find_columns(t, "target", c->targets);
    c->set = fnr_csv_column(t, "set");
    return (c->n_signals > 0 && c->n_targets > 0) ||
           fnr_fail(err, FNR_E_FORMAT, "%s: the header has no column \"%s\"; a list of training pairs begins with \"signal,target\"", path,
                    c->n_signals > 0 ? "target" : "signal");
}

static char *file_of(const fnr_csv *t, size_t row, int column, const char *list, const char *dir, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    const char *cell = fnr_csv_cell(t, row, column);
    if (!cell[0]) {
        fnr_fail(err, FNR_E_FORMAT, "%s row %zu: a file name is missing", list, row + 2);
        return NULL;
    }
    return fnr_path_join(path, dir, cell, err) ? fnr_strdup(path, err) : NULL;
}

static bool read_row(const fnr_csv *t, size_t i, const columns *c, const char *list, const char *dir, fnr_list_row *row, fnr_error *err)
{
    for (int k = 0; k < c->n_signals; k++) {
        if (!(row->signals[k] = file_of(t, i, c->signals[k], list, dir, err))) {
            return false;
        }
    }
    for (int k = 0; k < c->n_targets; k++) {
        if (!(row->targets[k] = file_of(t, i, c->targets[k], list, dir, err))) {
            return false;
        }
    }
    const char *set = fnr_csv_cell(t, i, c->set);
    row->validation = !strcmp(set, "validation");
    return row->validation || !set[0] || !strcmp(set, "train") ||
           fnr_fail(err, FNR_E_FORMAT, "%s row %zu: set is \"%s\"; write train or validation", list, i + 2, set);
}

static bool append(fnr_pair_list *l, const char *path, fnr_error *err)
{
    char dir[FNR_PATH_MAX];
    fnr_csv t;
    columns c;
    fnr_path_dir(dir, path);
    if (!fnr_csv_read(path, &t, err)) {
        return false;
    }
    bool ok = find_all_columns(&t, path, &c, err);
    if (ok && l->n_signals > 0 && (l->n_signals != c.n_signals || l->n_targets != c.n_targets)) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: %d signal and %d target columns, the list before has %d and %d", path, c.n_signals, c.n_targets,
                      l->n_signals, l->n_targets);
    }
    const size_t more = t.rows > 0 ? t.rows - 1 : 0;
    fnr_list_row *rows = ok ? fnr_calloc(l->count + more + 1, sizeof *rows, "list of pairs", err) : NULL;
    ok = ok && rows;
    if (ok) {
        if (l->count > 0) {
            memcpy(rows, l->rows, l->count * sizeof *rows);
        }
        free(l->rows);
        l->rows = rows;
        l->n_signals = c.n_signals;
        l->n_targets = c.n_targets;
        l->has_sets |= c.set >= 0;
    }
    for (size_t i = 0; ok && i < more; i++) {
        l->count++; /* freed as part of the list from here on */
        ok = read_row(&t, i, &c, path, dir, &l->rows[l->count - 1], err);
    }
    fnr_csv_free(&t);
    return ok;
}

bool fnr_pair_list_read(const char *const *paths, size_t n, fnr_pair_list *out, fnr_error *err)
{
    fnr_pair_list l = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        ok = append(&l, paths[i], err);
    }
    if (ok && l.count == 0) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: the list holds no pairs", paths[0]);
    }
    if (!ok) {
        fnr_pair_list_free(&l);
        return false;
    }
    *out = l;
    return true;
}
