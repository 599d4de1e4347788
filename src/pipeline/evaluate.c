#include "src/pipeline/evaluate.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/rng.h"

/* ---- figures --------------------------------------------------------------------------------------------------------------- */

enum { RESAMPLES = 2000 };

static double quantile(const double *sorted, size_t n, double q)
{
    return gsl_stats_quantile_from_sorted_data(sorted, 1, n, q);
}

static void interval(double *of_resamples, fnr_eval_figure *f)
{
    gsl_sort(of_resamples, 1, RESAMPLES);
    f->lo = quantile(of_resamples, RESAMPLES, 0.025);
    f->hi = quantile(of_resamples, RESAMPLES, 0.975);
}

/* The same for the same errors in the same order.  `room`: 3 RESAMPLES + n numbers. */
static void bootstrap(const double *errors, size_t n, double *room, fnr_eval_stats *s)
{
    double *const means = room, *const medians = room + RESAMPLES, *const p95s = room + 2 * RESAMPLES,
                  *const sample = room + 3 * RESAMPLES;
    fnr_rng rng = fnr_rng_at(1, n, 0);
    for (int k = 0; k < RESAMPLES; k++) {
        for (size_t i = 0; i < n; i++) {
            sample[i] = errors[fnr_rng_below(&rng, n)];
        }
        gsl_sort(sample, 1, n);
        means[k] = gsl_stats_mean(sample, 1, n);
        medians[k] = gsl_stats_median_from_sorted_data(sample, 1, n);
        p95s[k] = quantile(sample, n, 0.95);
    }
    interval(means, &s->mean);
    interval(medians, &s->median);
    interval(p95s, &s->p95);
}

fnr_eval_stats fnr_eval_stats_of(const double *errors, size_t n, fnr_error *err)
{
    const fnr_eval_figure unknown = {NAN, NAN, NAN};
    fnr_eval_stats s = {.n = n, .mean = unknown, .median = unknown, .p95 = unknown, .sd = NAN, .worst = NAN};
    double *room = n > 0 ? fnr_calloc(3 * RESAMPLES + n, sizeof *room, "resamples of the errors", err) : NULL;
    if (!room) {
        return s;
    }
    bootstrap(errors, n, room, &s);
    memcpy(room, errors, n * sizeof *room);
    gsl_sort(room, 1, n);
    s.mean.value = gsl_stats_mean(room, 1, n);
    s.sd = n > 1 ? gsl_stats_sd(room, 1, n) : 0;
    s.median.value = gsl_stats_median_from_sorted_data(room, 1, n);
    s.p95.value = quantile(room, n, 0.95);
    s.worst = room[n - 1];
    free(room);
    return s;
}

/* Wilson's score interval at 95 %. */
static fnr_eval_figure proportion(size_t part, size_t of)
{
    if (of == 0) {
        return (fnr_eval_figure){NAN, NAN, NAN};
    }
    const double z = 1.959963984540054, n = (double)of, p = (double)part / n;
    const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (fnr_eval_figure){p, fmax(0, middle - half), fmin(1, middle + half)};
}

/* ---- comparison ------------------------------------------------------------------------------------------------------------ */

/* Mean displacement over the tile [IF px], or what the paper took for it; NaN without a transform. */
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
    *px = (o->as_published ? fnr_eval_published_error : fnr_transform_mean_distance)(&r->t, &truth->t, w, h);
    return true;
}

static void count_tile(const fnr_eval_tile *t, fnr_eval_comparison *c)
{
    const bool registered = !strcmp(t->verdict, "registered");
    c->counted += t->counts;
    c->with_transform += t->counts && t->has_transform;
    c->within += t->counts && t->within;
    c->registered += registered;
    c->registered_wrong += registered && !t->within;
}

static bool compare_tiles(const fnr_eval_set *a, const fnr_eval_set *b, const fnr_eval_options *o, fnr_eval_comparison *c,
                          fnr_error *err)
{
    for (size_t i = 0; i < a->count; i++) {
        const fnr_eval_row *r = &a->rows[i], *truth;
        fnr_eval_tile t = {.tile = r->tile, .verdict = r->verdict, .has_transform = r->has_transform};
        if (!fnr_eval_find(b, r, &truth, err)) {
            return false;
        }
        if (!truth || !truth->has_transform) {
            continue;
        }
        if (!tile_error(r, truth, o, &t.px, err)) {
            return false;
        }
        t.myelin_fraction = truth->myelin_fraction;
        t.counts = !(t.myelin_fraction <= o->min_myelin);
        t.within = t.px <= o->success_px;
        count_tile(&t, c);
        c->tiles[c->n_tiles++] = t;
    }
    return true;
}

static bool find_missing(const fnr_eval_set *a, const fnr_eval_set *b, fnr_eval_comparison *c, fnr_error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        const fnr_eval_row *found;
        if (!fnr_eval_find(a, &b->rows[i], &found, err)) {
            return false;
        }
        if (b->rows[i].has_transform && !found) {
            c->missing[c->n_missing++] = b->rows[i].tile;
        }
    }
    return true;
}

static bool summarise(const fnr_eval_options *o, fnr_eval_comparison *c, fnr_error *err)
{
    double *found = fnr_calloc(2 * c->n_tiles, sizeof *found, "list of errors", err), *all = found ? found + c->n_tiles : NULL;
    size_t n_found = 0, n_all = 0;
    if (!found) {
        return false;
    }
    for (size_t i = 0; i < c->n_tiles; i++) {
        const fnr_eval_tile *t = &c->tiles[i];
        if (t->counts && t->within) {
            found[n_found++] = t->px;
        }
        if (t->counts && t->has_transform) {
            all[n_all++] = t->px;
        }
    }
    fnr_error failed = {0};
    c->found = fnr_eval_stats_of(found, n_found, &failed);
    c->all = fnr_eval_stats_of(all, n_all, &failed);
    c->success = proportion(c->within, c->counted);
    if (o->as_published) {
        fnr_eval_published_sd(&c->found);
        fnr_eval_published_sd(&c->all);
    }
    free(found);
    if (failed.code != FNR_OK) {
        *err = failed;
        return false;
    }
    return true;
}

bool fnr_eval_compare(const fnr_eval_set *a, const fnr_eval_set *b, const fnr_eval_options *options, fnr_eval_comparison *out,
                      fnr_error *err)
{
    fnr_eval_comparison c = {.a = "result", .b = "truth"};
    c.tiles = fnr_calloc(a->count + 1, sizeof *c.tiles, "list of tiles", err);
    c.missing = fnr_calloc(b->count + 1, sizeof *c.missing, "list of tiles", err);
    bool ok = c.tiles && c.missing && compare_tiles(a, b, options, &c, err) && find_missing(a, b, &c, err);
    if (ok && c.n_tiles == 0) {
        ok = fnr_fail(
            err, FNR_E_FORMAT,
            "none of the %zu tiles of the truth is among the %zu tiles of the result: do both speak of the same section?",
            b->count, a->count);
    }
    ok = ok && summarise(options, &c, err);
    if (!ok) {
        fnr_eval_comparison_free(&c);
        return false;
    }
    *out = c;
    return true;
}

void fnr_eval_comparison_free(fnr_eval_comparison *c)
{
    free(c->tiles);
    free(c->missing);
    *c = (fnr_eval_comparison){0};
}

/* ---- text ------------------------------------------------------------------------------------------------------------------ */

static void print_figures(const fnr_eval_comparison *c, const fnr_eval_options *o, FILE *out)
{
    const fnr_eval_stats *s = &c->found;
    fprintf(out, "tiles counted%s: %zu; with a transform: %zu; within %g px: %zu (%.1f %%), 95 %% interval %.1f to %.1f %%\n",
            o->min_myelin > 0 ? " (enough myelin)" : "", c->counted, c->with_transform, o->success_px, c->within,
            c->counted ? 100.0 * c->success.value : 0.0, c->counted ? 100.0 * c->success.lo : 0.0,
            c->counted ? 100.0 * c->success.hi : 100.0);
    if (s->n > 0 && o->as_published) {
        fprintf(out, "|dx + dy| of those: mean %.3f +- %.3f px, as the paper computes its figures (not a displacement)\n",
                s->mean.value, s->sd);
        return;
    }
    if (s->n > 0) {
        fprintf(out, "error of those: mean %.3f +- %.3f, median %.3f, 95 %% %.3f, worst %.3f IF px", s->mean.value, s->sd,
                s->median.value, s->p95.value, s->worst);
        if (o->if_nm > 0) {
            fprintf(out, " (mean %.1f nm)", s->mean.value * o->if_nm);
        }
        fprintf(out, "; 95 %% interval of the mean %.3f to %.3f\n", s->mean.lo, s->mean.hi);
    }
    if (c->all.n > s->n) {
        fprintf(out, "of all with a transform: median %.3f, 95 %% %.3f, worst %.3f IF px\n", c->all.median.value,
                c->all.p95.value, c->all.worst);
    }
}

void fnr_eval_print(const fnr_eval_comparison *c, const fnr_eval_options *options, FILE *out)
{
    fprintf(out, "%-28s %-13s %10s %10s\n", "tile", "verdict", "error [px]", "myelin");
    for (size_t i = 0; i < c->n_tiles; i++) {
        const fnr_eval_tile *t = &c->tiles[i];
        fprintf(out, "%-28s %-13s %10.3f %10.4f%s\n", t->tile, t->verdict, t->px, t->myelin_fraction,
                t->counts ? "" : "  (not counted)");
    }
    for (size_t i = 0; i < c->n_missing; i++) {
        fprintf(out, "%-28s not in the result\n", c->missing[i]);
    }
    print_figures(c, options, out);
    if (c->n_missing > 0) {
        fprintf(out, "tiles of the truth that are not in the result: %zu (not counted)\n", c->n_missing);
    }
    if (c->registered > 0) {
        fprintf(out, "called registered: %zu, of them further than %g px from the truth: %zu\n", c->registered,
                options->success_px, c->registered_wrong);
    }
}
