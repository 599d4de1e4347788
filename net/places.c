#include "net/places.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"

void fnr_places_free(fnr_places *p)
{
    free(p->valid.runs);
    free(p->foreground.runs);
    *p = (fnr_places){0};
}

/* ---- valid corners --------------------------------------------------------------------------------------------------------- */

static bool add_run(fnr_corner_list *l, int z, int y, int x, int count, fnr_error *err)
{
    if (!fnr_grow(&l->runs, &l->capacity, l->n_runs, sizeof *l->runs, "patch positions", err)) {
        return false;
    }
    l->runs[l->n_runs++] = (fnr_corner_run){.z = z, .y = y, .x = x, .before = l->corners};
    l->corners += (uint64_t)count;
    return true;
}

/* column[x]: valid pixels in a row that end at (x, y) and go up. A patch whose last row is y fits where pw neighbours reach ph. */
static bool add_row(fnr_corner_list *l, const int *column, int w, int y, int ph, int pw, fnr_error *err)
{
    int streak = 0;
    for (int x = 0; x <= w; x++) {
        if (x < w && column[x] >= ph) {
            streak++;
            continue;
        }
        if (streak >= pw && !add_run(l, 0, y - ph + 1, x - streak, streak - pw + 1, err)) {
            return false;
        }
        streak = 0;
    }
    return true;
}

static bool find_valid(const fnr_pair *pair, int ph, int pw, fnr_corner_list *l, fnr_error *err)
{
    int *column = fnr_calloc((size_t)pair->w, sizeof *column, "patch positions", err);
    bool ok = column != NULL;
    for (int y = 0; ok && y < pair->h; y++) {
        for (int x = 0; x < pair->w; x++) {
            const bool valid = !pair->valid || pair->valid[(size_t)y * (size_t)pair->w + (size_t)x];
            column[x] = valid ? column[x] + 1 : 0;
        }
        ok = add_row(l, column, pair->w, y, ph, pw, err);
    }
    free(column);
    return ok;
}

static uint64_t run_length(const fnr_corner_list *l, size_t i)
{
    return (i + 1 < l->n_runs ? l->runs[i + 1].before : l->corners) - l->runs[i].before;
}

/* ---- foreground ------------------------------------------------------------------------------------------------------------ */

enum { OTSU_BINS = 256, QUANTILE_BINS = 65536 };

typedef struct {
    double low, high;
    uint64_t *bins, total;
    int n;
} histogram;

static bool is_counted(const fnr_pair *pair, const float *plane, size_t i)
{
    return (!pair->valid || pair->valid[i]) && isfinite(plane[i]);
}

/* Of the valid, finite pixels of a channel.  No bins when nothing varies (or memory is short: then nothing is foreground). */
static histogram histogram_of(const fnr_pair *pair, int channel, int bins)
{
    const size_t area = (size_t)pair->h * (size_t)pair->w;
    const float *target = pair->target + (size_t)channel * (size_t)pair->d * area;
    histogram g = {.low = INFINITY, .high = -INFINITY, .n = bins};
    for (size_t i = 0; i < (size_t)pair->d * area; i++) {
        if (is_counted(pair, target + i / area * area, i % area)) {
            g.low = fmin(g.low, (double)target[i]);
            g.high = fmax(g.high, (double)target[i]);
        }
    }
    g.bins = g.high > g.low ? fnr_calloc((size_t)bins, sizeof *g.bins, "histogram", NULL) : NULL;
    for (size_t i = 0; g.bins && i < (size_t)pair->d * area; i++) {
        if (is_counted(pair, target + i / area * area, i % area)) {
            const int bin = (int)(((double)target[i] - g.low) / (g.high - g.low) * bins);
            g.bins[bin < bins ? bin : bins - 1]++;
            g.total++;
        }
    }
    return g;
}

/* The number of lowest bins that are background: greatest variance between the classes. */
static int otsu_bins(const histogram *g)
{
    double all = 0, below = 0, sum_below = 0, best = -1;
    int first = 1, last = 1; /* empty bins between two peaks divide them equally well: the middle is taken */
    for (int i = 0; i < g->n; i++) {
        all += i * (double)g->bins[i];
    }
    for (int i = 0; i + 1 < g->n; i++) {
        below += (double)g->bins[i];
        sum_below += i * (double)g->bins[i];
        const double above = (double)g->total - below, apart = below > 0 && above > 0 ? sum_below / below - (all - sum_below) / above : 0;
        const double between = below * above * apart * apart;
        if (between > best * (1 + 1e-12)) {
            best = between;
            first = last = i + 1;
        } else if (between >= best * (1 - 1e-12)) {
            last = i + 1;
        }
    }
    return (first + last) / 2;
}

static int quantile_bins(const histogram *g, double q)
{
    uint64_t below = 0;
    int i = 0;
    while (i < g->n - 1 && (double)(below + g->bins[i]) <= q * (double)g->total) {
        below += g->bins[i++];
    }
    return i;
}

float fnr_foreground_level(const fnr_pair *pair, int channel, double q)
{
    histogram g = histogram_of(pair, channel, q > 0 ? QUANTILE_BINS : OTSU_BINS);
    if (!g.bins) {
        return INFINITY;
    }
    const int bins = q > 0 ? quantile_bins(&g, q) : otsu_bins(&g);
    free(g.bins);
    return (float)(g.low + (g.high - g.low) * bins / g.n);
}

/* One bit of truth per pixel of one plane: is any channel above its level? */
static void mark_plane(const fnr_pair *pair, const float *levels, int channels, int z, uint8_t *marks)
{
    const size_t area = (size_t)pair->h * (size_t)pair->w;
    for (size_t i = 0; i < area; i++) {
        marks[i] = 0;
    }
    for (int c = 0; c < channels; c++) {
        const float *plane = pair->target + ((size_t)c * (size_t)pair->d + (size_t)z) * area;
        for (size_t i = 0; i < area; i++) {
            marks[i] |= plane[i] > levels[c];
        }
    }
}

/* Cuts the valid runs down to the corners whose centre is marked. */
static bool add_marked(fnr_places *p, const uint8_t *marks, int z, int centre_y, int centre_x, fnr_error *err)
{
    for (size_t i = 0; i < p->valid.n_runs; i++) {
        const fnr_corner_run *r = &p->valid.runs[i];
        const int length = (int)run_length(&p->valid, i);
        const uint8_t *row = marks + (size_t)(r->y + centre_y) * (size_t)p->pair->w + r->x + centre_x;
        int streak = 0;
        for (int k = 0; k <= length; k++) {
            if (k < length && row[k]) {
                streak++;
                continue;
            }
            if (streak > 0 && !add_run(&p->foreground, z, r->y, r->x + k - streak, streak, err)) {
                return false;
            }
            streak = 0;
        }
    }
    return true;
}

static bool find_foreground(const fnr_netdesc *desc, const fnr_sampler_options *o, fnr_places *p, fnr_error *err)
{
    const fnr_pair *pair = p->pair;
    float *levels = fnr_calloc((size_t)desc->out_channels, sizeof *levels, "foreground", err);
    uint8_t *marks = levels ? fnr_calloc((size_t)pair->h * (size_t)pair->w, 1, "foreground", err) : NULL;
    bool ok = marks != NULL;
    for (int c = 0; ok && c < desc->out_channels; c++) {
        levels[c] = fnr_foreground_level(pair, c, o->foreground_quantile);
    }
    for (int z = 0; ok && z <= pair->d - o->patch_d; z++) {
        mark_plane(pair, levels, desc->out_channels, z + o->patch_d / 2, marks);
        ok = add_marked(p, marks, z, o->patch_h / 2, o->patch_w / 2, err);
    }
    free(levels);
    free(marks);
    return ok;
}

bool fnr_places_find(const fnr_netdesc *desc, const fnr_pair *pair, const fnr_sampler_options *o, fnr_places *out, fnr_error *err)
{
    *out = (fnr_places){.pair = pair};
    if (pair->d < o->patch_d) {
        return true;
    }
    return find_valid(pair, o->patch_h, o->patch_w, &out->valid, err) && (!(o->foreground > 0) || find_foreground(desc, o, out, err));
}

/* ---- drawing --------------------------------------------------------------------------------------------------------------- */

static const fnr_corner_run *run_of(const fnr_corner_list *l, uint64_t corner)
{
    size_t low = 0, high = l->n_runs; /* the last run with before <= corner */
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (l->runs[middle].before <= corner) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &l->runs[low];
}

void fnr_places_draw(const fnr_places *p, const fnr_sampler_options *o, fnr_rng *rng, int *z, int *y, int *x)
{
    const bool wanted = o->foreground > 0 && fnr_rng_uniform(rng) < o->foreground;
    const bool aim = wanted && p->foreground.corners > 0;
    const fnr_corner_list *l = aim ? &p->foreground : &p->valid;
    const uint64_t corner = fnr_rng_below(rng, l->corners);
    const fnr_corner_run *run = run_of(l, corner);
    *y = run->y;
    *x = run->x + (int)(corner - run->before);
    *z = aim ? run->z : (int)fnr_rng_below(rng, (uint64_t)(p->pair->d - o->patch_d + 1));
}
