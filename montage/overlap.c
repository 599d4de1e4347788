/* Normalised cross-correlation of two tiles for every offset at once: the sums of products come from one FFT correlation, the sums
 * and squares over each overlap from summed-area tables (Lewis 1995; Padfield 2012 for the masked form, whose masks are rectangles
 * here).  A short strip can correlate well by chance; what chance does grows as 1 / sqrt(area), so the surface that is searched is
 * correlation * sqrt(area), in units of its own spread. */
#include "montage/overlap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_sort_float.h>

#include "src/core/mem.h"
#include "src/cv/fft.h"

/* An overlap with less contrast than this fraction of a tile's is treated as if it had it: noise over blank resin must not be
 * blown up to full weight. */
static const double VARIANCE_FLOOR = 0.05;
/* Half width of a peak [coarse px]: a second peak lies outside of it. */
enum { PEAK_RADIUS = 5 };

/* Summed-area tables of v and v*v: entry (x, y) sums all pixels left of x and above y. */
typedef struct {
    int w, h;
    double *sum, *square;
    double variance; /* of the whole tile */
} area_table;

static void area_free(area_table *t)
{
    free(t->sum);
    free(t->square);
}

static bool area_new(area_table *t, const fnr_plane *p, fnr_error *err)
{
    const size_t stride = (size_t)p->w + 1, n = stride * ((size_t)p->h + 1);
    *t = (area_table){.w = p->w, .h = p->h};
    t->sum = fnr_calloc(n, sizeof *t->sum, "an overlap's sums", err);
    t->square = t->sum ? fnr_calloc(n, sizeof *t->square, "an overlap's sums", err) : NULL;
    if (!t->square) {
        area_free(t);
        *t = (area_table){0};
        return false;
    }
    for (int y = 0; y < p->h; y++) {
        const float *row = p->px + (size_t)y * (size_t)p->w;
        double s = 0, q = 0;
        for (int x = 0; x < p->w; x++) {
            s += (double)row[x];
            q += (double)row[x] * (double)row[x];
            const size_t at = (size_t)(y + 1) * stride + (size_t)x + 1;
            t->sum[at] = t->sum[at - stride] + s;
            t->square[at] = t->square[at - stride] + q;
        }
    }
    const double pixels = (double)p->w * (double)p->h, mean = t->sum[n - 1] / pixels;
    t->variance = t->square[n - 1] / pixels - mean * mean;
    return true;
}

static double area_sum(const area_table *t, const double *table, int x, int y, int w, int h)
{
    const size_t stride = (size_t)t->w + 1, top = (size_t)y * stride, bottom = (size_t)(y + h) * stride;
    return table[bottom + (size_t)(x + w)] - table[bottom + (size_t)x] - table[top + (size_t)(x + w)] + table[top + (size_t)x];
}

static int imax(int a, int b)
{
    return a > b ? a : b;
}
static int imin(int a, int b)
{
    return a < b ? a : b;
}

typedef struct {
    area_table a, b;
    int n, m;           /* size of the transforms */
    float *correlation; /* n x m: sum over x of a(x) b(x - d), d modulo the size */
    double min_area;    /* [coarse px] */
    /* surface over all offsets x0 .. x0 + w - 1, y0 .. : correlation * sqrt(area); NAN where the overlap is too small */
    int x0, y0, w, h;
    float *score;
} surface;

static void surface_free(surface *s)
{
    area_free(&s->a);
    area_free(&s->b);
    free(s->correlation);
    free(s->score);
}

/* The plane at the upper left of s->correlation, zeros around it. */
static void pad(surface *s, const fnr_plane *p)
{
    memset(s->correlation, 0, (size_t)s->n * (size_t)s->m * sizeof *s->correlation);
    for (int y = 0; y < p->h; y++) {
        memcpy(s->correlation + (size_t)y * (size_t)s->n, p->px + (size_t)y * (size_t)p->w, (size_t)p->w * sizeof *p->px);
    }
}

static bool correlate(surface *s, const fnr_plane *a, const fnr_plane *b, fnr_error *err)
{
    s->n = fnr_fft_good_size(a->w + b->w - 1);
    s->m = fnr_fft_good_size(a->h + b->h - 1);
    fnr_fft *fft = fnr_fft_new(s->n, s->m, err);
    if (!fft) {
        return false;
    }
    const size_t spectrum = fnr_fft_spectrum_floats(fft);
    float *spectra = fnr_alloc_aligned(3 * spectrum, sizeof *spectra, "a tile's spectrum", err);
    s->correlation = fnr_alloc_aligned(fnr_fft_image_floats(fft), sizeof *s->correlation, "a tile's spectrum", err);
    const bool ok = spectra && s->correlation;
    if (ok) {
        pad(s, a);
        fnr_fft_forward(fft, s->correlation, spectra);
        pad(s, b);
        fnr_fft_forward(fft, s->correlation, spectra + spectrum);
        fnr_fft_correlation(fft, spectra, spectra + spectrum, spectra + 2 * spectrum);
        fnr_fft_inverse(fft, spectra + 2 * spectrum, s->correlation);
    }
    free(spectra);
    fnr_fft_free(fft);
    return ok;
}

static double score_at(const surface *s, int dx, int dy)
{
    const int x = imax(0, dx), y = imax(0, dy);
    const int w = imin(s->a.w, s->b.w + dx) - x, h = imin(s->a.h, s->b.h + dy) - y;
    const double area = (double)w * (double)h;
    if (w < 4 || h < 4 || area < s->min_area) {
        return NAN;
    }
    const double product = (double)s->correlation[(size_t)((dy + s->m) % s->m) * (size_t)s->n + (size_t)((dx + s->n) % s->n)];
    const double mean_a = area_sum(&s->a, s->a.sum, x, y, w, h) / area;
    const double mean_b = area_sum(&s->b, s->b.sum, x - dx, y - dy, w, h) / area;
    const double va = area_sum(&s->a, s->a.square, x, y, w, h) / area - mean_a * mean_a;
    const double vb = area_sum(&s->b, s->b.square, x - dx, y - dy, w, h) / area - mean_b * mean_b;
    const double norm = sqrt(fmax(va, VARIANCE_FLOOR * s->a.variance) * fmax(vb, VARIANCE_FLOOR * s->b.variance));
    return norm > 0 ? (product / area - mean_a * mean_b) / norm * sqrt(area) : NAN;
}

static bool surface_new(surface *s, const fnr_plane *a, const fnr_plane *b, double min_overlap, fnr_error *err)
{
    *s = (surface){.x0 = 1 - b->w, .y0 = 1 - b->h, .w = a->w + b->w - 1, .h = a->h + b->h - 1};
    s->min_area = min_overlap * fmin((double)a->w * (double)a->h, (double)b->w * (double)b->h);
    s->score = fnr_alloc_aligned((size_t)s->w * (size_t)s->h, sizeof *s->score, "a correlation surface", err);
    if (!s->score || !area_new(&s->a, a, err) || !area_new(&s->b, b, err) || !correlate(s, a, b, err)) {
        surface_free(s);
        return false;
    }
    for (int y = 0; y < s->h; y++) {
        for (int x = 0; x < s->w; x++) {
            s->score[(size_t)y * (size_t)s->w + (size_t)x] = (float)score_at(s, x + s->x0, y + s->y0);
        }
    }
    return true;
}

/* Spread of the surface: from the median of |score| over a sample, which a peak does not move. */
static bool surface_spread(const surface *s, double *spread, fnr_error *err)
{
    enum { STEP = 7 }; /* coprime to most sizes, above the width of a peak's core */
    const size_t n = (size_t)s->w * (size_t)s->h;
    float *sample = fnr_calloc(n / STEP + 1, sizeof *sample, "a correlation surface", err);
    if (!sample) {
        return false;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i += STEP) {
        if (isfinite(s->score[i])) {
            sample[used++] = fabsf(s->score[i]);
        }
    }
    gsl_sort_float(sample, 1, used);
    *spread = used > 0 ? (double)sample[used / 2] / 0.6745 : 0;
    free(sample);
    return true;
}

typedef struct {
    int x, y; /* in the surface */
    float score;
} peak;

static bool inside(const fnr_offset_box *boxes, int n, double x, double y)
{
    for (int i = 0; i < n; i++) {
        if (x >= boxes[i].x0 && x <= boxes[i].x1 && y >= boxes[i].y0 && y <= boxes[i].y1) {
            return true;
        }
    }
    return false;
}

/* Highest score inside the boxes and outside the neighbourhood of `other` (NULL: none); score 0 when there is no positive one. */
static peak surface_peak(const surface *s, int factor, const fnr_offset_box *boxes, int n_boxes, const peak *other)
{
    peak best = {.score = 0};
    for (int y = 0; y < s->h; y++) {
        const float *row = s->score + (size_t)y * (size_t)s->w;
        for (int x = 0; x < s->w; x++) {
            if (!(row[x] > best.score) || (other && abs(x - other->x) <= PEAK_RADIUS && abs(y - other->y) <= PEAK_RADIUS)) {
                continue;
            }
            if (inside(boxes, n_boxes, (double)factor * (x + s->x0), (double)factor * (y + s->y0))) {
                best = (peak){.x = x, .y = y, .score = row[x]};
            }
        }
    }
    return best;
}

bool fnr_overlap_measure(const fnr_tile_copy *a, const fnr_tile_copy *b, fnr_reduction r, const fnr_offset_box *boxes, int n_boxes,
                         double min_overlap, fnr_link *out, fnr_error *err)
{
    surface s;
    double spread = 0;
    *out = (fnr_link){.a = out->a, .b = out->b};
    if (!surface_new(&s, &a->coarse, &b->coarse, min_overlap, err)) {
        return false;
    }
    bool ok = surface_spread(&s, &spread, err);
    const peak first = surface_peak(&s, r.coarse, boxes, n_boxes, NULL);
    if (ok && first.score > 0 && spread > 0) {
        const peak second = surface_peak(&s, r.coarse, boxes, n_boxes, &first);
        out->significance = (double)first.score / spread;
        out->second = (double)(second.score / first.score);
        out->dx = (double)r.coarse * (first.x + s.x0);
        out->dy = (double)r.coarse * (first.y + s.y0);
        ok = fnr_overlap_refine(&a->fine, &b->fine, r.fine, r.coarse / r.fine + 1, out, err);
    }
    surface_free(&s);
    return ok;
}
