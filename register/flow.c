/* Residual dense optical flow and the model that explains most of it.  What a similarity leaves shows how trustworthy a match is:
 * a true match flows together, a chance match does not. */
#include <math.h>
#include <stdlib.h>

#include "register/match.h"
#include "src/core/mem.h"
#include "src/core/sort.h"
#include "src/cv/cv.h"

enum { ROUNDS = 12 };

static const double inlier_px = 1.0;
static const double texture_fraction = 0.2; /* of the steepest edge: flatter pixels have no flow of their own */
static const double tukey = 4.685;          /* 95 % efficiency for normal residuals (Huber 1981) */
static const double min_spread_px = 0.1;    /* residuals below this are not outliers, however tight the rest */

typedef struct {
    fnr_window half; /* the drawn tile at half an IF pixel */
    float *drawn, *weight, *image, *valid, *u, *v;
    float *block; /* owned */
} images;

typedef struct {
    fnr_point *from, *to; /* NET positions times the nominal scale, so that a rigid fit keeps that scale; IF positions */
    double *texture, *weight, *squared; /* squared: of the residual [IF px^2] */
    float *work;
    size_t n;
} vectors;

/* Weights of the four pixels around a place a quarter or three quarters of the way from the second to the third. */
typedef float phases[2][4];
static const phases cubic = {{-0.0703125f, 0.8671875f, 0.2265625f, -0.0234375f},
                             {-0.0234375f, 0.2265625f, 0.8671875f, -0.0703125f}};
static const phases linear = {{0, 0.75f, 0.25f, 0}, {0, 0.25f, 0.75f, 0}};

/* Along one axis, the first of the four pixels around half-pixel i of a window that begins at half-pixel `start`, in a window
 * that begins two whole pixels before; *late: three quarters of the way, not a quarter. */
static int taps_of(int start, int i, int *late)
{
    const int at = (start & 1) + i; /* half-pixels from the left half of a whole pixel */
    *late = !(at & 1);
    return at / 2 + (at & 1);
}

/* src (w pixels per row) at half its pixel size. */
static void halve_pixels(const float *src, int w, const phases weights, const fnr_window *half, float *line, float *out)
{
    int late;
    for (int j = 0; j < half->h; j++) {
        const float *row = src + (size_t)taps_of(half->y, j, &late) * (size_t)w, *c = weights[late];
        float *o = out + (size_t)j * (size_t)half->w;
        for (int x = 0; x < w; x++) {
            line[x] = c[0] * row[x] + c[1] * row[w + x] + c[2] * row[2 * w + x] + c[3] * row[3 * w + x];
        }
        for (int i = 0; i < half->w; i++) {
            const float *p = line + taps_of(half->x, i, &late), *d = weights[late];
            o[i] = d[0] * p[0] + d[1] * p[1] + d[2] * p[2] + d[3] * p[3];
        }
    }
}

/* The montage at half its pixel size, cubic. */
static bool enlarge(const fnr_match *m, const fnr_window *half, float *image, float *valid, fnr_error *err)
{
    const int x = (half->x >> 1) - 2, y = (half->y >> 1) - 2, w = half->w / 2 + 6, h = half->h / 2 + 6;
    const size_t n = (size_t)w * (size_t)h;
    float *b = fnr_alloc_aligned(2 * n + (size_t)w, sizeof *b, "a flow window", err);
    if (!b) {
        return false;
    }
    fnr_target_window(m->target, 0, x, y, w, h, b, b + n);
    halve_pixels(b, w, cubic, half, b + 2 * n, image);
    halve_pixels(b + n, w, linear, half, b + 2 * n, valid);
    free(b);
    return true;
}

static bool images_new(const fnr_match *m, const fnr_pose *pose, images *im, fnr_error *err)
{
    images o = {.half = fnr_window_around(pose, &m->tpl->size, -1, 8)};
    const size_t n = (size_t)o.half.w * (size_t)o.half.h;
    o.block = fnr_alloc_aligned(6 * n, sizeof *o.block, "flow images", err);
    if (!o.block) {
        return false;
    }
    float **parts[] = {&o.drawn, &o.weight, &o.image, &o.valid, &o.u, &o.v};
    for (size_t i = 0; i < 6; i++) {
        *parts[i] = o.block + i * n;
    }
    fnr_template_draw(m->tpl, pose, &o.half, o.drawn, o.weight);
    if (!enlarge(m, &o.half, o.image, o.valid, err)) {
        free(o.block);
        return false;
    }
    *im = o;
    return true;
}

/* Brings the drawn tile to the montage's brightness, and shows the montage itself where there is no tile or no montage, so that
 * edges of the tile are not seen as motion.  *top: the brightest value. */
static void level_images(images *im, double *top)
{
    const size_t n = (size_t)im->half.w * (size_t)im->half.h;
    fnr_sums s = {0};
    for (size_t i = 0; i < n; i++) {
        im->weight[i] *= im->valid[i];
        const double w = im->weight[i], t = im->drawn[i], v = im->image[i];
        s.n += w;
        s.t += w * t;
        s.i += w * v;
        s.tt += w * t * t;
        s.ti += w * t * v;
    }
    const double var = s.tt - s.t * s.t / s.n, gain = var > 0 ? (s.ti - s.t * s.i / s.n) / var : 0;
    const double offset = (s.i - gain * s.t) / s.n;
    *top = 0;
    for (size_t i = 0; i < n; i++) {
        const float w = im->weight[i];
        im->drawn[i] = w * (float)(gain * (double)im->drawn[i] + offset) + (1 - w) * im->image[i];
        *top = fmax(*top, fmax(w * im->drawn[i], w * im->image[i]));
    }
}

static double slope(const images *im, int x, int y)
{
    const float *p = im->drawn + (size_t)y * (size_t)im->half.w + (size_t)x;
    const double dx = (double)p[1] - (double)p[-1], dy = (double)p[im->half.w] - (double)p[-im->half.w];
    return sqrt(dx * dx + dy * dy);
}

static void vectors_free(vectors *v)
{
    free(v->from);
    free(v->to);
    free(v->texture);
    free(v->work);
    *v = (vectors){0};
}

static bool vectors_new(size_t n, vectors *out, fnr_error *err)
{
    vectors v = {.from = fnr_calloc(n, sizeof *v.from, "flow vectors", err),
                 .to = fnr_calloc(n, sizeof *v.to, "flow vectors", err),
                 .texture = fnr_calloc(3 * n, sizeof *v.texture, "flow vectors", err),
                 .work = fnr_calloc(n, sizeof *v.work, "flow vectors", err)};
    if (!v.from || !v.to || !v.texture || !v.work) {
        vectors_free(&v);
        return false;
    }
    v.weight = v.texture + n;
    v.squared = v.texture + 2 * n;
    *out = v;
    return true;
}

/* One vector per IF pixel that has texture, lies inside the tile and does not run away. */
static void collect(const fnr_match *m, const fnr_pose *pose, const images *im, vectors *v)
{
    const fnr_window *win = &im->half;
    const double nominal = m->tpl->size.nominal;
    double steepest = 0;
    for (int y = 1; y < win->h - 1; y += 2) {
        for (int x = 1; x < win->w - 1; x += 2) {
            if (im->weight[(size_t)y * (size_t)win->w + (size_t)x] > 0.99f) {
                steepest = fmax(steepest, slope(im, x, y));
            }
        }
    }
    for (int y = 1; y < win->h - 1; y += 2) {
        for (int x = 1; x < win->w - 1; x += 2) {
            const size_t i = (size_t)y * (size_t)win->w + (size_t)x;
            const double texture = slope(im, x, y);
            if (!(im->weight[i] > 0.99f) || !(texture > texture_fraction * steepest)) {
                continue;
            }
            const double qx = (win->x + x + 0.5) * 0.5 - 0.5, qy = (win->y + y + 0.5) * 0.5 - 0.5;
            const double dx = qx - pose->cx, dy = qy - pose->cy, fx = 0.5 * (double)im->u[i], fy = 0.5 * (double)im->v[i];
            v->from[v->n] = (fnr_point){nominal * (0.5 * (m->tpl->size.w - 1) + pose->m00 * dx + pose->m01 * dy),
                                        nominal * (0.5 * (m->tpl->size.h - 1) + pose->m10 * dx + pose->m11 * dy)};
            v->to[v->n] = (fnr_point){qx + fx, qy + fy};
            v->texture[v->n] = isfinite(fx + fy) && hypot(fx, fy) <= m->opt->max_flow_px ? texture / steepest : 0;
            if (v->texture[v->n] > 0) {
                v->n++;
            }
        }
    }
}

static void residuals(const fnr_transform *t, vectors *v)
{
    for (size_t i = 0; i < v->n; i++) {
        const fnr_point q = fnr_transform_apply(t, v->from[i]);
        const double dx = q.x - v->to[i].x, dy = q.y - v->to[i].y;
        v->squared[i] = dx * dx + dy * dy;
    }
}

/* Iteratively reweighted least squares with Tukey's biweight. */
static bool robust_fit(int model, vectors *v, fnr_transform *t, fnr_error *err)
{
    if (!fnr_transform_fit((fnr_model_kind)model, v->from, v->to, v->texture, v->n, t, err)) {
        return false;
    }
    for (int k = 0; k < ROUNDS; k++) {
        residuals(t, v);
        for (size_t i = 0; i < v->n; i++) {
            v->work[i] = (float)v->squared[i];
        }
        const double median = sqrt((double)fnr_nth_float(v->work, v->n, v->n / 2));
        const double limit = tukey * fmax(min_spread_px, median / 1.1774); /* median of a Rayleigh distribution */
        for (size_t i = 0; i < v->n; i++) {
            const double r2 = v->squared[i] / (limit * limit);
            v->weight[i] = r2 < 1 ? v->texture[i] * (1 - r2) * (1 - r2) : 0;
        }
        if (!fnr_transform_fit((fnr_model_kind)model, v->from, v->to, v->weight, v->n, t, err)) {
            return false;
        }
    }
    residuals(t, v);
    return true;
}

static void judge(const vectors *v, fnr_flow_fit *out)
{
    double all = 0, inside = 0, squares = 0;
    for (size_t i = 0; i < v->n; i++) {
        all += v->texture[i];
        if (v->squared[i] <= inlier_px * inlier_px) {
            inside += v->texture[i];
            squares += v->texture[i] * v->squared[i];
        }
    }
    out->inliers = all > 0 ? inside / all : 0;
    out->rms_px = inside > 0 ? sqrt(squares / inside) : NAN;
}

/* The model that explains most of the flow in *im. */
static bool explain(const fnr_match *m, const fnr_pose *pose, const images *im, vectors *v, fnr_flow_fit *out, fnr_error *err)
{
    fnr_transform t;
    collect(m, pose, im, v);
    if (v->n < 16) {
        return fnr_fail(err, FNR_E_NUMERIC, "only %zu flow vectors", v->n);
    }
    if (!robust_fit(m->opt->model, v, &t, err)) {
        return false;
    }
    judge(v, out);
    t.m00 *= m->tpl->size.nominal, t.m01 *= m->tpl->size.nominal;
    t.m10 *= m->tpl->size.nominal, t.m11 *= m->tpl->size.nominal;
    t.from = FNR_FRAME_NET;
    t.to = FNR_FRAME_IF;
    return fnr_pose_from_transform(&t, &m->tpl->size, &out->pose, err);
}

bool fnr_flow(const fnr_match *m, const fnr_pose *pose, fnr_flow_fit *out, fnr_error *err)
{
    images im = {0};
    vectors v = {0};
    fnr_error why = {0};
    *out = (fnr_flow_fit){0};
    if (!images_new(m, pose, &im, err)) {
        return false;
    }
    double top;
    level_images(&im, &top);
    const fnr_view fixed = fnr_view_f32(im.drawn, im.half.w, im.half.h), moving = fnr_view_f32(im.image, im.half.w, im.half.h);
    fnr_view fu = fnr_view_f32(im.u, im.half.w, im.half.h), fv = fnr_view_f32(im.v, im.half.w, im.half.h);
    out->found = top > 0 && fnr_cv_flow_dis(&fixed, &moving, 0, top, &fu, &fv, &why) &&
                 vectors_new((size_t)(im.half.w / 2 + 1) * (size_t)(im.half.h / 2 + 1), &v, &why) &&
                 explain(m, pose, &im, &v, out, &why);
    vectors_free(&v);
    free(im.block);
    if (why.code != FNR_OK && why.code != FNR_E_NUMERIC) {
        if (err) {
            *err = why;
        }
        return false;
    }
    return true;
}
