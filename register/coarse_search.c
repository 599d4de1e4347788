/* One item over one block: correlations, their normalisation, their peaks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/coarse.h"
#include "src/core/mem.h"

void fnr_coarse_maps_free(fnr_coarse_maps *w)
{
    free(w->buffer);
    *w = (fnr_coarse_maps){0};
}

bool fnr_coarse_maps_new(const fnr_coarse *s, fnr_coarse_maps *out, fnr_error *err)
{
    const size_t image = fnr_fft_image_floats(s->fft), spectrum = fnr_fft_spectrum_floats(s->fft);
    float *b = fnr_alloc_aligned(spectrum + 4 * image, sizeof *b, "correlation maps", err);
    if (!b) {
        return false;
    }
    float *maps = b + spectrum;
    *out = (fnr_coarse_maps){
        .buffer = b, .spectrum = b, .map = maps, .sum = maps + image, .square = maps + 2 * image, .inverse = maps + 3 * image};
    return true;
}

/* Sums of the montage under the outline of t. */
static void local_sums(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_tile *t, fnr_coarse_maps *w)
{
    const fnr_coarse_range r = fnr_coarse_centres(s, b);
    fnr_fft_correlation(s->fft, b->image, t->outline, w->spectrum);
    fnr_fft_inverse(s->fft, w->spectrum, w->sum);
    fnr_fft_correlation(s->fft, b->square, t->outline, w->spectrum);
    fnr_fft_inverse(s->fft, w->spectrum, w->square);
    const float by_n = (float)(1 / t->n), floor2 = (float)(t->n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR);
    for (int y = r.ya; y < r.yb; y++) {
        const size_t row = (size_t)y * (size_t)s->side;
        const float *sum = w->sum + row, *square = w->square + row;
        float *inverse = w->inverse + row;
        for (int x = r.xa; x < r.xb; x++) {
            const float v = square[x] - sum[x] * sum[x] * by_n;
            inverse[x] = 1 / sqrtf((v > 0 ? v : 0) + floor2);
        }
    }
}

static void keep_peak(fnr_peak_list *l, const fnr_peak *p)
{
    int i = l->n < FNR_PEAKS ? l->n++ : FNR_PEAKS - 1;
    for (; i > 0 && l->p[i - 1].score < p->score; i--) {
        l->p[i] = l->p[i - 1];
    }
    l->p[i] = *p;
}

static bool is_peak(const fnr_coarse *s, const fnr_coarse_range *r, const float *map, int x, int y)
{
    const float v = map[(size_t)y * (size_t)s->side + (size_t)x];
    const int xa = x > r->xa ? x - 1 : x, xb = x + 1 < r->xb ? x + 1 : x, ya = y > r->ya ? y - 1 : y, yb = y + 1 < r->yb ? y + 1 : y;
    for (int ny = ya; ny <= yb; ny++) {
        for (int nx = xa; nx <= xb; nx++) {
            if (map[(size_t)ny * (size_t)s->side + (size_t)nx] > v) {
                return false;
            }
        }
    }
    return true;
}

/* Whether anything in map[xa ... xb - 1] is above `least`: most rows have nothing, and this loop runs on vectors. */
static bool any_above(const float *map, int xa, int xb, float least)
{
    int above = 0;
    for (int x = xa; x < xb; x++) {
        above |= map[x] > least;
    }
    return above;
}

/* Peaks above s->floor, with the rotation and scale of `like`. */
static void find_peaks(const fnr_coarse *s, const fnr_coarse_block *b, const float *map, fnr_peak like, fnr_peak_list *l)
{
    const fnr_coarse_range r = fnr_coarse_centres(s, b);
    float least = s->floor;
    for (int y = r.ya; y < r.yb; y++) {
        const float *row = map + (size_t)y * (size_t)s->side;
        if (!any_above(row, r.xa, r.xb, least)) {
            continue;
        }
        for (int x = r.xa; x < r.xb; x++) {
            if (!(row[x] > least) || !is_peak(s, &r, map, x, y)) {
                continue;
            }
            like.score = row[x];
            like.x = (float)(b->x0 + x);
            like.y = (float)(b->y0 + y);
            keep_peak(l, &like);
            least = l->n == FNR_PEAKS ? fmaxf(least, l->p[FNR_PEAKS - 1].score) : least;
        }
    }
}

static bool rotation_wanted(const fnr_coarse *s, double rotation)
{
    const fnr_register_options *o = s->m->opt;
    const double from = fmod(rotation - o->rotation_min_deg + s->rotation_step + 3600.0, 360.0);
    return from <= o->rotation_max_deg - o->rotation_min_deg + 2 * s->rotation_step;
}

void fnr_coarse_search_item(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_item *item, fnr_coarse_maps *w,
                            fnr_peak_list lists[FNR_TURNS])
{
    const float *summed = NULL;
    memset(lists, 0, FNR_TURNS * sizeof *lists);
    for (int k = 0; k < FNR_TURNS; k++) { /* both turns of tile 0, then both of tile 1 */
        const bool opposite = k % 2;
        const fnr_coarse_tile *t = &item->tile[k / 2];
        const double rotation = item->rotation + (k / 2 ? 90.0 : 0.0) + (opposite ? 180.0 : 0.0);
        if (!t->content || !rotation_wanted(s, rotation)) {
            continue;
        }
        if (summed != t->outline) {
            local_sums(s, b, t, w);
            summed = t->outline;
        }
        (opposite ? fnr_fft_convolution : fnr_fft_correlation)(s->fft, b->image, t->content, w->spectrum);
        fnr_fft_inverse(s->fft, w->spectrum, w->map);
        fnr_coarse_score(s, b, t, opposite, w);
        const fnr_peak like = {.rotation_deg = (float)rotation, .scale = (float)item->scale};
        find_peaks(s, b, w->map, like, &lists[k]);
    }
}
