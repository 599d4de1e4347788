#include "src/pipeline/evaluate.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/pipeline/pairs.h"

void fnr_eval_free(fnr_eval_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->rows[i].tile);
    }
    free(s->rows);
    *s = (fnr_eval_set){0};
}

static double cell_number(const fnr_csv *t, size_t row, int column, double otherwise)
{
    const char *text = fnr_csv_cell(t, row, column);
    char *end;
    const double v = strtod(text, &end);
    return end == text ? otherwise : v;
}

/* Extent of a tile [px]; 0 when the cell holds none. */
static int cell_extent(const fnr_csv *t, size_t row, int column)
{
    const double v = cell_number(t, row, column, 0);
    return v >= 1 && v <= 1e6 ? (int)v : 0;
}

/* Which columns of a table to read. */
typedef struct {
    int tile, transform;
    bool whole_tile; /* the cell identifies the tile as it is; else the file name in it does */
} columns;

static bool read_csv_row(const fnr_csv *t, const columns *c, size_t i, fnr_eval_row *row, const char *path, fnr_error *err)
{
    const char *text = fnr_csv_cell(t, i, c->transform), *tile = fnr_csv_cell(t, i, c->tile);
    row->tile = fnr_strdup(c->whole_tile ? tile : fnr_path_base(tile), err);
    if (!row->tile) {
        return false;
    }
    fnr_text_unescape(row->tile); /* our tables hold names that are not UTF-8 this way */
    snprintf(row->verdict, sizeof row->verdict, "%s", fnr_csv_cell(t, i, fnr_csv_column(t, "verdict")));
    row->w = cell_extent(t, i, fnr_csv_column(t, "width"));
    row->h = cell_extent(t, i, fnr_csv_column(t, "height"));
    row->myelin_fraction = cell_number(t, i, fnr_csv_column(t, "myelin_fraction"), NAN);
    row->has_transform = text[0] != 0;
    if (row->has_transform && !fnr_transform_parse(text, FNR_FRAME_TILE, FNR_FRAME_IF, &row->t, err)) {
        fnr_error_prefix(err, "%s row %zu", path, i + 2);
        return false;
    }
    return true;
}

static bool read_csv(const char *path_and_column, const char *tile_column, fnr_eval_set *out, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    fnr_csv table;
    snprintf(path, sizeof path, "%s", path_and_column);
    char *colon = fnr_is_file(path) ? NULL : strrchr(path, ':');
    if (colon) {
        *colon = 0;
    }
    if (!fnr_csv_read(path, &table, err)) {
        return false;
    }
    const char *tile = tile_column ? tile_column : "tile", *transform = colon ? colon + 1 : "transform";
    const columns c = {fnr_csv_column(&table, tile), fnr_csv_column(&table, transform), tile_column != NULL};
    bool ok = true;
    if (c.tile < 0 || c.transform < 0) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: the header has no column \"%s\"; name others with FILE:COLUMN and --tile-column", path,
                      c.tile < 0 ? tile : transform);
    }
    fnr_eval_set set = {.rows = ok ? fnr_calloc(table.rows, sizeof *set.rows, "list of tiles", err) : NULL};
    ok = ok && set.rows;
    for (size_t i = 0; ok && i + 1 < table.rows; i++) {
        set.count++;
        ok = read_csv_row(&table, &c, i, &set.rows[i], path, err);
    }
    fnr_csv_free(&table);
    if (!ok) {
        fnr_eval_free(&set);
        return false;
    }
    *out = set;
    return true;
}

static bool read_project(const char *path, const char *mbp_match, fnr_eval_set *out, fnr_error *err)
{
    fnr_config config = {.data.annotators = FNR_ANNOTATORS_EACH};
    fnr_placements placements;
    snprintf(config.images.mbp_match, sizeof config.images.mbp_match, "%s", mbp_match);
    if (!fnr_placements_read(&path, 1, &config, NULL, &placements, err)) {
        return false;
    }
    fnr_eval_set set = {.rows = fnr_calloc(placements.count, sizeof *set.rows, "list of tiles", err)};
    bool ok = set.rows != NULL;
    for (size_t i = 0; ok && i < placements.count; i++) {
        const fnr_placement *p = &placements.items[i];
        set.rows[i] = (fnr_eval_row){.tile = fnr_strdup(fnr_path_base(p->em_path), err), .has_transform = true, .t = p->tile_to_if, .w = p->em_width,
                                     .h = p->em_height, .myelin_fraction = NAN};
        set.count++;
        ok = set.rows[i].tile != NULL;
    }
    fnr_placements_free(&placements);
    if (!ok) {
        fnr_eval_free(&set);
        return false;
    }
    *out = set;
    return true;
}

bool fnr_eval_read(const char *path, const char *mbp_match, const char *tile_column, fnr_eval_set *out, fnr_error *err)
{
    const size_t n = strlen(path);
    const bool project = (n > 4 && !strcasecmp(path + n - 4, ".xml")) || (n > 7 && !strcasecmp(path + n - 7, ".xml.gz"));
    return project ? read_project(path, mbp_match, out, err) : read_csv(path, tile_column, out, err);
}

static const fnr_eval_row *find_tile(const fnr_eval_set *s, const char *tile)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!strcmp(s->rows[i].tile, tile)) {
            return &s->rows[i];
        }
    }
    return NULL;
}

/* Mean displacement over the tile [IF px]; NaN without a transform. */
static bool tile_error(const fnr_eval_row *r, const fnr_eval_row *truth, const fnr_eval_options *o, double *px, fnr_error *err)
{
    const int w = r->w ? r->w : truth->w ? truth->w : o->tile_px, h = r->h ? r->h : truth->h ? truth->h : o->tile_px;
    *px = NAN;
    if (!r->has_transform) {
        return true;
    }
    if (w <= 0 || h <= 0) {
        return fnr_fail(err, FNR_E_USAGE, "tile %s: its size is in neither file; give it with --tile-px", r->tile);
    }
    *px = fnr_transform_mean_distance(&r->t, &truth->t, w, h);
    return true;
}

/* 95 % interval of the mean by the percentile bootstrap (Efron 1979); the same for the same errors. */
static void bootstrap_mean(const double *errors, size_t n, double *lo, double *hi)
{
    enum { RESAMPLES = 2000 };
    double means[RESAMPLES];
    fnr_rng rng = fnr_rng_at(1, n, 0);
    for (int k = 0; k < RESAMPLES; k++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += errors[fnr_rng_below(&rng, n)];
        }
        means[k] = sum / (double)n;
    }
    gsl_sort(means, 1, RESAMPLES);
    *lo = gsl_stats_quantile_from_sorted_data(means, 1, RESAMPLES, 0.025);
    *hi = gsl_stats_quantile_from_sorted_data(means, 1, RESAMPLES, 0.975);
}

/* A tile that the result does not mention was not found either: it must not go unseen. */
static size_t print_missing(const fnr_eval_set *result, const fnr_eval_set *truth, FILE *out)
{
    size_t missing = 0;
    for (size_t i = 0; i < truth->count; i++) {
        if (truth->rows[i].has_transform && !find_tile(result, truth->rows[i].tile)) {
            fprintf(out, "%-28s not in the result\n", truth->rows[i].tile);
            missing++;
        }
    }
    return missing;
}

static void summarise(double *errors, size_t n, fnr_eval_summary *s)
{
    s->mean = s->sd = s->median = s->p95 = s->worst = s->mean_lo = s->mean_hi = NAN;
    if (n > 0) {
        bootstrap_mean(errors, n, &s->mean_lo, &s->mean_hi);
        gsl_sort(errors, 1, n);
        s->mean = gsl_stats_mean(errors, 1, n);
        s->sd = n > 1 ? gsl_stats_sd(errors, 1, n) : 0;
        s->median = gsl_stats_median_from_sorted_data(errors, 1, n);
        s->p95 = gsl_stats_quantile_from_sorted_data(errors, 1, n, 0.95);
        s->worst = errors[n - 1];
    }
}

static void print_summary(const fnr_eval_options *o, const fnr_eval_summary *s, FILE *out)
{
    fprintf(out, "tiles counted%s: %zu; with a transform: %zu; within %g px: %zu (%.1f %%)\n", o->min_myelin > 0 ? " (enough myelin)" : "", s->counted,
            s->with_transform, o->success_px, s->within, s->counted ? 100.0 * (double)s->within / (double)s->counted : 0.0);
    if (s->within > 0) {
        fprintf(out, "error of those: mean %.3f +- %.3f, median %.3f, 95 %% %.3f, worst %.3f IF px", s->mean, s->sd, s->median, s->p95, s->worst);
        if (o->if_nm > 0) {
            fprintf(out, " (mean %.1f nm)", s->mean * o->if_nm);
        }
        fprintf(out, "; 95 %% interval of the mean %.3f to %.3f\n", s->mean_lo, s->mean_hi);
    }
    if (s->missing > 0) {
        fprintf(out, "tiles of the truth that are not in the result: %zu (not counted)\n", s->missing);
    }
    if (s->registered > 0) {
        fprintf(out, "called registered: %zu, of them further than %g px from the truth: %zu\n", s->registered, o->success_px, s->registered_wrong);
    }
}

bool fnr_evaluate(const fnr_eval_set *result, const fnr_eval_set *truth, const fnr_eval_options *options, FILE *out, fnr_eval_summary *summary,
                  fnr_error *err)
{
    fnr_eval_summary s = {0};
    size_t n = 0, common = 0;
    double *errors = fnr_calloc(result->count + 1, sizeof *errors, "list of errors", err);
    if (!errors) {
        return false;
    }
    fprintf(out, "%-28s %-13s %10s %10s\n", "tile", "verdict", "error [px]", "myelin");
    for (size_t i = 0; i < result->count; i++) {
        const fnr_eval_row *r = &result->rows[i], *t = find_tile(truth, r->tile);
        double px;
        if (!t || !t->has_transform) {
            continue;
        }
        if (!tile_error(r, t, options, &px, err)) {
            free(errors);
            return false;
        }
        common++;
        const bool counts = !(t->myelin_fraction <= options->min_myelin), within = px <= options->success_px;
        fprintf(out, "%-28s %-13s %10.3f %10.4f%s\n", r->tile, r->verdict, px, t->myelin_fraction, counts ? "" : "  (not counted)");
        s.counted += counts;
        s.with_transform += counts && r->has_transform;
        s.within += counts && within;
        if (counts && within) {
            errors[n++] = px;
        }
        const bool registered = !strcmp(r->verdict, "registered");
        s.registered += registered;
        s.registered_wrong += registered && !within;
    }
    s.missing = print_missing(result, truth, out);
    summarise(errors, n, &s);
    free(errors);
    if (common == 0) {
        return fnr_fail(err, FNR_E_FORMAT, "none of the %zu tiles of the truth is among the %zu tiles of the result: do both speak of the same section?",
                        truth->count, result->count);
    }
    print_summary(options, &s, out);
    *summary = s;
    return true;
}
