#include "register/template.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"

enum { MAX_SAMPLES = 1 << 17 };

/* Drawn pixels are at least this many template pixels wide, where the prediction is fine enough. */
static const double oversampling = 1.33;

static bool read_prediction(const fnr_view *p, fnr_grid *g, fnr_error *err)
{
    if (!fnr_grid_new(g, p->w, p->h, "a prediction", err)) {
        return false;
    }
    for (int y = 0; y < p->h; y++) {
        fnr_grid_read_row(p, y, g->px + (size_t)y * (size_t)g->w);
    }
    return true;
}

/* The same compression as the montage's, so that both say "how much like myelin" on one scale.  linear (NULL: not wanted): a copy in
 * knees. */
static bool compress(fnr_grid *g, double knee_factor, fnr_grid *linear, fnr_error *err)
{
    const size_t n = (size_t)g->w * (size_t)g->h, stride = n / MAX_SAMPLES + 1;
    float *samples = fnr_alloc_aligned(n / stride + 1, sizeof *samples, "prediction samples", err);
    if (!samples || (linear && !fnr_grid_new(linear, g->w, g->h, "a prediction", err))) {
        free(samples);
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i += stride) {
        samples[count++] = g->px[i];
    }
    const fnr_compression c = fnr_compression_fit(samples, count, knee_factor);
    free(samples);
    for (size_t i = 0; i < n; i++) {
        if (linear) {
            linear->px[i] = (float)(((double)g->px[i] - c.background) / c.knee);
        }
        g->px[i] = fnr_compress(&c, g->px[i]);
    }
    return true;
}

static bool blur(fnr_grid *g, double sigma, fnr_error *err)
{
    fnr_grid out = {0};
    if (!fnr_grid_new(&out, g->w, g->h, "a prediction", err)) {
        return false;
    }
    const fnr_view src = fnr_view_f32(g->px, g->w, g->h);
    fnr_view dst = fnr_view_f32(out.px, g->w, g->h);
    if (!fnr_cv_blur(&src, sigma, &dst, err)) {
        fnr_grid_free(&out);
        return false;
    }
    fnr_grid_free(g);
    *g = out;
    return true;
}

/* The coarsest level whose pixels are fine enough for drawn ones of 2^level IF px. */
static int level_for(const fnr_template *t, double level)
{
    const double px = exp2(level);
    int j = 0;
    while (j + 1 < t->n_levels && ldexp(t->size.nominal, j + 1) * oversampling <= px) {
        j++;
    }
    return j;
}

bool fnr_template_new(fnr_template *t, const fnr_view *prediction, double if_nm, int coarsest, double knee_factor, double blur_px,
                      fnr_error *err)
{
    fnr_template out = {.size = {prediction->w, prediction->h, prediction->nm / if_nm}};
    fnr_grid fine = {0};
    bool ok = read_prediction(prediction, &fine, err) && (blur_px <= 0 || blur(&fine, blur_px / out.size.nominal, err));
    /* First to about the finest pixels that are drawn, then compress: the network's noise is averaged before it is rectified. */
    out.n_levels = 1;
    out.level[0] = fine;
    const double coarsest_px = ldexp(1.0, coarsest);
    while (ok && out.n_levels < FNR_TEMPLATE_LEVELS && ldexp(out.size.nominal, out.n_levels) * oversampling <= coarsest_px) {
        ok = fnr_grid_halve(&out.level[out.n_levels - 1], &out.level[out.n_levels], err);
        out.n_levels += ok;
    }
    const int drawn_at_0 = level_for(&out, 0);
    for (int i = 0; ok && i < out.n_levels; i++) {
        ok = compress(&out.level[i], knee_factor, i == drawn_at_0 ? &out.linear : NULL, err);
        /* Noise as fine as the pixels would be smoothed more half-way between them than on them, and pull the fit to half-way. */
        if (ok && ldexp(out.size.nominal, i) * oversampling <= 1.0) {
            ok = blur(&out.level[i], 1.0, err) && (i != drawn_at_0 || blur(&out.linear, 1.0, err));
        }
    }
    if (!ok) {
        fnr_template_free(&out);
        return false;
    }
    *t = out;
    return true;
}

void fnr_template_free(fnr_template *t)
{
    for (int i = 0; i < FNR_TEMPLATE_LEVELS; i++) {
        fnr_grid_free(&t->level[i]);
    }
    fnr_grid_free(&t->linear);
    *t = (fnr_template){0};
}

fnr_window fnr_window_around(const fnr_pose *pose, const fnr_tile_size *s, double level, int margin)
{
    double hx, hy;
    fnr_pose_half_extent(pose, s, &hx, &hy);
    const double px = exp2(level);
    const int x0 = (int)floor((pose->cx - hx + 0.5) / px - 0.5) - margin,
              x1 = (int)ceil((pose->cx + hx + 0.5) / px - 0.5) + margin;
    const int y0 = (int)floor((pose->cy - hy + 0.5) / px - 0.5) - margin,
              y1 = (int)ceil((pose->cy + hy + 0.5) / px - 0.5) + margin;
    return (fnr_window){.level = level, .x = x0, .y = y0, .w = x1 - x0 + 1, .h = y1 - y0 + 1};
}

/* How a drawn pixel finds its place in the template. */
typedef struct {
    const fnr_grid *grid;
    double x0, y0;         /* template pixel of the window's pixel (0, 0) */
    double ux, uy, vx, vy; /* steps per window pixel along x and y */
    double inv_step;       /* template px per NET px */
    double edge;           /* drawn px per template px: 1 / width of the soft edge */
    double w, h;           /* the tile's extent [template px] */
} drawing;

static drawing drawing_of(const fnr_template *t, const fnr_pose *p, const fnr_window *win, bool linear)
{
    const int j = level_for(t, win->level);
    const fnr_grid *g = linear ? &t->linear : &t->level[j];
    const double px = exp2(win->level), s = ldexp(1.0, -j);
    const double dx = (win->x + 0.5) * px - 0.5 - p->cx, dy = (win->y + 0.5) * px - 0.5 - p->cy;
    const double nx = 0.5 * (t->size.w - 1) + p->m00 * dx + p->m01 * dy, ny = 0.5 * (t->size.h - 1) + p->m10 * dx + p->m11 * dy;
    return (drawing){.grid = g,
                     .x0 = (nx + 0.5) * s - 0.5,
                     .y0 = (ny + 0.5) * s - 0.5,
                     .ux = p->m00 * px * s,
                     .uy = p->m10 * px * s,
                     .vx = p->m01 * px * s,
                     .vy = p->m11 * px * s,
                     .inv_step = s,
                     .edge = 1 / (px * s * sqrt(fabs(p->m00 * p->m11 - p->m01 * p->m10))),
                     .w = t->size.w * s,
                     .h = t->size.h * s};
}

static inline double ramp(double distance_inside, double inverse_width)
{
    const double r = distance_inside * inverse_width + 0.5;
    return r <= 0 ? 0 : r >= 1 ? 1 : r;
}

static inline double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* Weight of the template position (x, y); the tile reaches from -0.5 to its extent - 0.5. */
static inline double inside(const drawing *d, double x, double y)
{
    return ramp(smaller(x + 0.5, d->w - 0.5 - x), d->edge) * ramp(smaller(y + 0.5, d->h - 0.5 - y), d->edge);
}

static int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Four numbers that one instruction handles (GCC's and clang's vectors). */
typedef float quad __attribute__((vector_size(16)));

static inline quad load(const float *p)
{
    quad q;
    memcpy(&q, p, sizeof q);
    return q;
}

static inline float sum(quad q)
{
    return (q[0] + q[1]) + (q[2] + q[3]);
}

/* Cubic B-spline basis at the four taps around a coordinate with fraction f, and its derivative: one cubic per tap. */
static const quad cubic[4] = {{1.0f / 6, 4.0f / 6, 1.0f / 6, 0}, {-0.5f, 0, 0.5f, 0}, {0.5f, -1, 0.5f, 0}, {-1.0f / 6, 0.5f, -0.5f, 1.0f / 6}};

static inline quad basis(float f)
{
    return cubic[0] + f * (cubic[1] + f * (cubic[2] + f * cubic[3]));
}

static inline quad basis_slope(float f)
{
    return cubic[1] + f * (2 * cubic[2] + f * (3 * cubic[3]));
}

/* The four rows of taps around (ix, iy): in place inside the grid, from a copy with replicated edges at its border. */
static inline void taps_at(const fnr_grid *g, int ix, int iy, float copy[16], const float *row[4])
{
    if (ix >= 1 && iy >= 1 && ix + 2 < g->w && iy + 2 < g->h) {
        const float *first = g->px + (size_t)(iy - 1) * (size_t)g->w + (size_t)(ix - 1);
        for (int j = 0; j < 4; j++) {
            row[j] = first + (size_t)j * (size_t)g->w;
        }
        return;
    }
    for (int j = 0; j < 4; j++) {
        const float *source = g->px + (size_t)clamp_index(iy - 1 + j, g->h) * (size_t)g->w;
        for (int i = 0; i < 4; i++) {
            copy[4 * j + i] = source[clamp_index(ix - 1 + i, g->w)];
        }
        row[j] = copy + 4 * j;
    }
}

/* floor() of what fits an int, without a call. */
static inline int floor_of(double x)
{
    const int i = (int)x;
    return i - (x < i);
}

/* Value at (x, y) and, when asked for, its derivatives per template pixel. */
static inline float spline(const fnr_grid *g, double x, double y, bool gradient, float *dx, float *dy)
{
    const int ix = floor_of(x), iy = floor_of(y);
    const float fx = (float)(x - ix), fy = (float)(y - iy);
    float copy[16];
    const float *row[4];
    taps_at(g, ix, iy, copy, row);
    const quad bx = basis(fx), by = basis(fy), r0 = load(row[0]), r1 = load(row[1]), r2 = load(row[2]), r3 = load(row[3]);
    const quad column = by[0] * r0 + by[1] * r1 + by[2] * r2 + by[3] * r3;
    if (gradient) {
        const quad ey = basis_slope(fy);
        *dx = sum(basis_slope(fx) * column);
        *dy = sum(bx * (ey[0] * r0 + ey[1] * r1 + ey[2] * r2 + ey[3] * r3));
    }
    return sum(bx * column);
}

/* The run of pixels [*from, *to) of a window's row whose template positions lie within the tile and its soft edge. */
static void covered(const drawing *d, double x, double y, int w, int *from, int *to)
{
    const double rim = 1 / d->edge + 0.5, step[2] = {d->ux, d->uy}, start[2] = {x, y}, end[2] = {d->w + rim, d->h + rim};
    double lo = 0, hi = w;
    for (int k = 0; k < 2; k++) {
        if (fabs(step[k]) < 1e-12) {
            hi = start[k] < -rim || start[k] > end[k] ? 0 : hi;
            continue;
        }
        const double a = (-rim - start[k]) / step[k], b = (end[k] - start[k]) / step[k];
        lo = fmax(lo, fmin(a, b));
        hi = fmin(hi, fmax(a, b) + 1);
    }
    *from = lo < w ? (int)lo : w;
    *to = hi > lo ? (int)hi : *from;
}

typedef struct {
    drawing d;
    const fnr_window *win;
    int band; /* rows that one thread draws */
    float *value, *weight, *gx, *gy; /* gx, gy NULL: no derivatives */
} canvas;

static inline void draw_row(const canvas *c, int j)
{
    const drawing *d = &c->d;
    const size_t row = (size_t)j * (size_t)c->win->w;
    const double x0 = d->x0 + j * d->vx, y0 = d->y0 + j * d->vy;
    float *const out[] = {c->value, c->weight, c->gx, c->gy};
    int from, to;
    for (size_t k = 0; k < 4 && out[k]; k++) {
        memset(out[k] + row, 0, (size_t)c->win->w * sizeof *out[k]);
    }
    covered(d, x0, y0, c->win->w, &from, &to);
    for (int i = from; i < to; i++) {
        const double x = x0 + i * d->ux, y = y0 + i * d->uy, w = inside(d, x, y);
        float dx = 0, dy = 0;
        if (w > 0) {
            c->weight[row + i] = (float)w;
            c->value[row + i] = spline(d->grid, x, y, c->gx != NULL, &dx, &dy);
            if (c->gx) {
                c->gx[row + i] = dx * (float)d->inv_step;
                c->gy[row + i] = dy * (float)d->inv_step;
            }
        }
    }
}

static void draw_band(void *ctx, size_t i)
{
    const canvas *c = ctx;
    const int y0 = (int)i * c->band, y1 = y0 + c->band < c->win->h ? y0 + c->band : c->win->h;
    for (int y = y0; y < y1; y++) {
        draw_row(c, y);
    }
}

static void draw(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, bool linear, float *value, float *weight, float *gx,
                 float *gy)
{
    canvas c = {.d = drawing_of(t, pose, win, linear), .win = win, .value = value, .weight = weight, .gx = gx, .gy = gy};
    c.band = fnr_band_rows(win->w);
    fnr_parallel_for((size_t)(win->h + c.band - 1) / (size_t)c.band, draw_band, &c);
}

void fnr_template_draw(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight)
{
    draw(t, pose, win, false, value, weight, NULL, NULL);
}

void fnr_template_draw_gradient(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight,
                                float *gx, float *gy)
{
    draw(t, pose, win, false, value, weight, gx, gy);
}

void fnr_template_draw_linear(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight, float *gx,
                              float *gy)
{
    draw(t, pose, win, true, value, weight, gx, gy);
}
