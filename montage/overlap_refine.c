/* From a whole coarse pixel to a few hundredths of a tile pixel: the best whole-pixel shift of the fine copies by correlation of gradients, then
 * Gauss-Newton on shift and gain (Lucas & Kanade 1981), which has none of the bias towards whole pixels that fitting a parabola to
 * correlations has.  Brightness that varies slowly is taken off inside the compared area, as a plane in each of its blocks: a
 * high-pass of the whole tiles would see other surroundings at the two tiles' borders, which moved narrow overlaps by 1 to 2 px. */
#include "montage/overlap.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_linalg.h>

#include "src/core/mem.h"

enum { MARGIN_A = 2 };  /* border pixels whose blur has seen reflected ones [fine px] */
enum { MARGIN_B = 4 };  /* the same, and the reach of the interpolation and its gradient [fine px] */
enum { MIN_SIDE = 4 };  /* of the compared area [fine px] */
enum { BLOCK = 48 };    /* side of the blocks with a brightness plane of their own [fine px] */
enum { ITERATIONS = 12 };
static const double MAX_STEP = 1.5;      /* Gauss-Newton may leave the whole-pixel maximum by this much [fine px] */
static const double CONVERGED = 0.002;   /* [fine px] */
static const double MIN_VARIANCE = 1e-6; /* of the tile's: less is no contrast */
static const double PIXELS_PER_NOISE = 8; /* neighbours share their noise after the blur of the copies (4 pi sigma^2) */

typedef struct {
    int x, y, w, h; /* in tile a */
} rect;

static int imax(int a, int b)
{
    return a > b ? a : b;
}
static int imin(int a, int b)
{
    return a < b ? a : b;
}

/* Where a and b, shifted by (dx, dy), overlap, without the outer pixels of both. */
static rect overlap_rect(const fnr_plane *a, const fnr_plane *b, int dx, int dy, int margin_a, int margin_b)
{
    const int x = imax(margin_a, dx + margin_b), y = imax(margin_a, dy + margin_b);
    return (rect){x, y, imin(a->w - margin_a, b->w + dx - margin_b) - x, imin(a->h - margin_a, b->h + dy - margin_b) - y};
}

/* Correlation of the gradients: of brightness itself, opposite shading of the two tiles would decide in a half-blank overlap. */
static double correlation_at(const fnr_plane *a, const fnr_plane *b, int dx, int dy)
{
    const rect r = overlap_rect(a, b, dx, dy, 0, 0);
    double saa = 0, sbb = 0, sab = 0;
    if (r.w < MIN_SIDE || r.h < MIN_SIDE) {
        return -1;
    }
    for (int y = r.y + 1; y < r.y + r.h - 1; y++) {
        const float *pa = a->px + (ptrdiff_t)y * a->w + r.x, *pb = b->px + (ptrdiff_t)(y - dy) * b->w + (r.x - dx);
        float raa = 0, rbb = 0, rab = 0;
        for (int x = 1; x < r.w - 1; x++) {
            const float ax = pa[x + 1] - pa[x - 1], ay = pa[x + a->w] - pa[x - a->w];
            const float bx = pb[x + 1] - pb[x - 1], by = pb[x + b->w] - pb[x - b->w];
            raa += ax * ax + ay * ay;
            rbb += bx * bx + by * by;
            rab += ax * bx + ay * by;
        }
        saa += (double)raa;
        sbb += (double)rbb;
        sab += (double)rab;
    }
    return saa > 0 && sbb > 0 ? sab / sqrt(saa * sbb) : -1;
}

/* Climbs to the best whole-pixel shift; false when the best of a neighbourhood keeps lying on its border. */
static bool climb(const fnr_plane *a, const fnr_plane *b, int search, int *dx, int *dy)
{
    for (int round = 0; round < 3; round++) {
        int best_x = 0, best_y = 0;
        double best = -1;
        for (int v = -search; v <= search; v++) {
            for (int u = -search; u <= search; u++) {
                const double c = correlation_at(a, b, *dx + u, *dy + v);
                if (c > best) {
                    best = c;
                    best_x = u;
                    best_y = v;
                }
            }
        }
        *dx += best_x;
        *dy += best_y;
        if (best > 0 && abs(best_x) < search && abs(best_y) < search) {
            return true;
        }
    }
    return false;
}

/* Keys' cubic (a = -0.5) for a sample at fraction t in [0, 1) behind the second of four pixels. */
static void cubic_weights(double t, float w[4])
{
    w[0] = (float)(t * (-0.5 + t * (1.0 - 0.5 * t)));
    w[1] = (float)(1.0 + t * t * (-2.5 + 1.5 * t));
    w[2] = (float)(t * (0.5 + t * (2.0 - 1.5 * t)));
    w[3] = (float)(t * t * (-0.5 + 0.5 * t));
}

/* out(x, y) = b(x - dx, y - dy) for the rectangle with one more pixel on each side. */
static void sample_shifted(const fnr_plane *b, const rect *r, double dx, double dy, float *column, float *out)
{
    const int x0 = (int)floor(-dx), y0 = (int)floor(-dy);
    float wx[4], wy[4];
    cubic_weights(-dx - x0, wx);
    cubic_weights(-dy - y0, wy);
    const int w = r->w + 2, h = r->h + 2;
    for (int y = 0; y < h; y++) {
        const float *p = b->px + (size_t)(r->y + y + y0 - 2) * (size_t)b->w + (r->x + x0 - 2);
        for (int x = 0; x < w + 3; x++) {
            column[x] = wy[0] * p[x] + wy[1] * p[x + b->w] + wy[2] * p[x + 2 * (ptrdiff_t)b->w] + wy[3] * p[x + 3 * (ptrdiff_t)b->w];
        }
        float *o = out + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            o[x] = wx[0] * column[x] + wx[1] * column[x + 1] + wx[2] * column[x + 2] + wx[3] * column[x + 3];
        }
    }
}

/* Sums of products of b, db/dx, db/dy and a: with each other, and with the terms of a brightness plane. */
enum { B, GX, GY, A, TERMS };
enum { ONE, PX, PY, PLANE };
typedef struct {
    double n;                  /* pixels */
    double v[TERMS][TERMS];    /* upper triangle */
    double plane[TERMS][PLANE];
} sums;

/* Adds one row of w pixels at plane coordinate y; x counts from the middle. */
static void add_row(sums *s, const float *shifted, ptrdiff_t stride, const float *pa, int w, double y)
{
    float v2[TERMS][TERMS] = {{0}}, v1[TERMS] = {0}, vx[TERMS] = {0};
    const float middle = 0.5f * (float)(w - 1);
    for (int x = 0; x < w; x++) {
        const float *q = shifted + x;
        const float v[TERMS] = {q[0], 0.5f * (q[1] - q[-1]), 0.5f * (q[stride] - q[-stride]), pa[x]}, px = (float)x - middle;
        for (int i = 0; i < TERMS; i++) {
            for (int j = i; j < TERMS; j++) {
                v2[i][j] += v[i] * v[j];
            }
            v1[i] += v[i];
            vx[i] += v[i] * px;
        }
    }
    for (int i = 0; i < TERMS; i++) {
        for (int j = i; j < TERMS; j++) {
            s->v[i][j] += (double)v2[i][j];
        }
        s->plane[i][ONE] += (double)v1[i];
        s->plane[i][PX] += (double)vx[i];
        s->plane[i][PY] += (double)v1[i] * y;
    }
    s->n += w;
}

/* Takes the block's brightness plane off its sums and adds them to g.  Coordinates count from the block's middle, so that the
 * plane's three terms are at right angles. */
static void add_block(double g[TERMS][TERMS], const sums *s, int w, int h)
{
    const double norm[PLANE] = {s->n, s->n * ((double)w * w - 1) / 12, s->n * ((double)h * h - 1) / 12};
    for (int i = 0; i < TERMS; i++) {
        for (int j = i; j < TERMS; j++) {
            double sum = s->v[i][j];
            for (int k = 0; k < PLANE; k++) {
                sum -= s->plane[i][k] * s->plane[j][k] / norm[k];
            }
            g[i][j] += sum;
        }
    }
}

static void gram(const fnr_plane *a, const rect *r, const float *shifted, double g[TERMS][TERMS])
{
    const int stride = r->w + 2, across = imax(1, r->w / BLOCK), down = imax(1, r->h / BLOCK);
    for (int i = 0; i < TERMS * TERMS; i++) {
        g[i / TERMS][i % TERMS] = 0;
    }
    for (int v = 0; v < down; v++) {
        const int y0 = v * r->h / down, h = (v + 1) * r->h / down - y0;
        for (int u = 0; u < across; u++) {
            const int x0 = u * r->w / across, w = (u + 1) * r->w / across - x0;
            sums s = {0};
            for (int y = y0; y < y0 + h; y++) {
                add_row(&s, shifted + (ptrdiff_t)(y + 1) * stride + 1 + x0, stride,
                        a->px + (ptrdiff_t)(r->y + y) * a->w + r->x + x0, w, y - y0 - 0.5 * (h - 1));
            }
            add_block(g, &s, w, h);
        }
    }
}

typedef struct {
    double dx, dy, sd; /* step, and its uncertainty [fine px] */
    double correlation;
} step;

/* a ~ gain b - gain (dx gx + dy gy).  False when the area has no contrast, or none in one direction. */
static bool least_squares_step(double g[TERMS][TERMS], double pixels, step *out)
{
    enum { N = 3 };
    double m[N * N], rhs[N], p[N], inverse[N * N];
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            m[i * N + j] = (i <= j ? g[i][j] : g[j][i]) / pixels;
        }
        rhs[i] = g[i][A] / pixels;
    }
    const double var_a = g[A][A] / pixels, var_b = g[B][B] / pixels;
    if (!(var_a > MIN_VARIANCE) || !(var_b > MIN_VARIANCE) || !(m[4] > 0) || !(m[8] > 0)) {
        return false;
    }
    size_t order[N];
    int sign;
    gsl_matrix_view mv = gsl_matrix_view_array(m, N, N), iv = gsl_matrix_view_array(inverse, N, N);
    gsl_vector_view bv = gsl_vector_view_array(rhs, N), xv = gsl_vector_view_array(p, N);
    gsl_permutation permutation = {.size = N, .data = order};
    gsl_linalg_LU_decomp(&mv.matrix, &permutation, &sign);
    for (int i = 0; i < N; i++) {
        if (!(fabs(m[i * N + i]) > 1e-12)) { /* singular: GSL would call its error handler */
            return false;
        }
    }
    gsl_linalg_LU_solve(&mv.matrix, &permutation, &bv.vector, &xv.vector);
    gsl_linalg_LU_invert(&mv.matrix, &permutation, &iv.matrix);
    double explained = 0;
    for (int i = 0; i < N; i++) {
        explained += p[i] * rhs[i];
    }
    const double noise = fmax(0, var_a - explained), spread = fmax(inverse[GX * N + GX], inverse[GY * N + GY]);
    *out = (step){.dx = -p[GX] / p[B],
                  .dy = -p[GY] / p[B],
                  .sd = sqrt(PIXELS_PER_NOISE * noise * spread / pixels) / fabs(p[B]),
                  .correlation = rhs[B] / sqrt(var_a * var_b)};
    return p[B] > 0 && isfinite(out->dx) && isfinite(out->dy) && isfinite(out->sd);
}

/* Gauss-Newton from the whole-pixel shift (ix, iy); false when it does not settle nearby. */
static bool settle(const fnr_plane *a, const fnr_plane *b, const rect *r, int ix, int iy, float *work, double *dx, double *dy,
                   step *last)
{
    float *column = work, *shifted = work + r->w + 5;
    double g[TERMS][TERMS];
    *dx = ix;
    *dy = iy;
    for (int i = 0; i < ITERATIONS; i++) {
        sample_shifted(b, r, *dx, *dy, column, shifted);
        gram(a, r, shifted, g);
        if (!least_squares_step(g, (double)r->w * r->h, last)) {
            return false;
        }
        *dx += last->dx;
        *dy += last->dy;
        if (!(fabs(*dx - ix) <= MAX_STEP) || !(fabs(*dy - iy) <= MAX_STEP)) {
            return false;
        }
        if (fabs(last->dx) < CONVERGED && fabs(last->dy) < CONVERGED) {
            return true;
        }
    }
    return false;
}

bool fnr_overlap_refine(const fnr_plane *a, const fnr_plane *b, int factor, int search, fnr_link *out, fnr_error *err)
{
    int ix = (int)lround(out->dx / factor), iy = (int)lround(out->dy / factor);
    const double significance = out->significance;
    out->significance = 0;
    if (!climb(a, b, search, &ix, &iy)) {
        return true;
    }
    const rect all = overlap_rect(a, b, ix, iy, 0, 0), r = overlap_rect(a, b, ix, iy, MARGIN_A, MARGIN_B);
    if (r.w < MIN_SIDE || r.h < MIN_SIDE) {
        return true;
    }
    const size_t floats = (size_t)r.w + 5 + (size_t)(r.w + 2) * (size_t)(r.h + 2);
    float *work = fnr_alloc_aligned(floats, sizeof *work, "an overlap", err);
    if (!work) {
        return false;
    }
    step last;
    double dx, dy;
    if (settle(a, b, &r, ix, iy, work, &dx, &dy, &last)) {
        out->significance = significance;
        out->dx = factor * dx;
        out->dy = factor * dy;
        out->sd = factor * last.sd;
        out->correlation = last.correlation;
        out->overlap = (double)all.w * (double)all.h / fmin((double)a->w * (double)a->h, (double)b->w * (double)b->h);
    }
    free(work);
    return true;
}
