#include "src/geom/warp.h"

#include <math.h>

#include "src/core/threads.h"

enum { MAX_TAPS = 8 };

static const double pi = 3.14159265358979323846;

/* Weights of the taps around one coordinate. */
typedef struct {
    int first; /* index of the first tap */
    float weight[MAX_TAPS];
} taps;

typedef struct {
    const fnr_view *src;
    int count; /* taps per axis */
    void (*weigh)(double fraction, float *weight);
    fnr_border border;
} sampler;

static void weigh_linear(double f, float *weight)
{
    weight[0] = (float)(1 - f);
    weight[1] = (float)f;
}

static void weigh_cubic(double f, float *weight)
{
    const double f2 = f * f, f3 = f2 * f;
    weight[0] = (float)(-0.5 * f3 + f2 - 0.5 * f);
    weight[1] = (float)(1.5 * f3 - 2.5 * f2 + 1);
    weight[2] = (float)(-1.5 * f3 + 2 * f2 + 0.5 * f);
    weight[3] = (float)(0.5 * f3 - 0.5 * f2);
}

static void weigh_lanczos(double f, float *weight)
{
    double w[8], sum = 0;
    if (f < 1e-9) { /* sinc at whole numbers */
        for (int i = 0; i < 8; i++) {
            weight[i] = i == 3 ? 1.0f : 0.0f;
        }
        return;
    }
    /* Tap i lies at distance d = f + 3 - i; sin(pi d) only changes its sign from tap to tap. */
    const double s = sin(pi * f);
    for (int i = 0; i < 8; i++) {
        const double d = f + 3 - i;
        w[i] = (i % 2 ? s : -s) * sin(0.25 * pi * d) / (d * d);
        sum += w[i];
    }
    for (int i = 0; i < 8; i++) {
        weight[i] = (float)(w[i] / sum);
    }
}

static sampler sampler_new(const fnr_view *src, fnr_interp interp, fnr_border border)
{
    switch (interp) {
    case FNR_INTERP_CUBIC:
        return (sampler){src, 4, weigh_cubic, border};
    case FNR_INTERP_LANCZOS:
        return (sampler){src, 8, weigh_lanczos, border};
    case FNR_INTERP_LINEAR:
    default:
        return (sampler){src, 2, weigh_linear, border};
    }
}

static taps place(const sampler *s, double x)
{
    /* Far outside, the fraction has no meaning any more, but the index has to fit an int. */
    const double limit = 1e9, inside = x < -limit ? -limit : x > limit ? limit : x;
    const double base = floor(inside);
    taps t = {.first = (int)base - (s->count / 2 - 1)};
    s->weigh(inside - base, t.weight);
    return t;
}

/* Index of the pixel that stands for index i of a row of n; -1 where the value is zero. */
static int border_index(fnr_border border, int i, int n)
{
    if (i >= 0 && i < n) {
        return i;
    }
    switch (border) {
    case FNR_BORDER_REPLICATE:
        return i < 0 ? 0 : n - 1;
    case FNR_BORDER_REFLECT: {
        if (n == 1) {
            return 0;
        }
        const int period = 2 * (n - 1);
        const int r = ((i % period) + period) % period;
        return r < n ? r : period - r;
    }
    case FNR_BORDER_ZERO:
    default:
        return -1;
    }
}

static float sample_inside(const sampler *s, const taps *tx, const taps *ty)
{
    const fnr_view *v = s->src;
    const char *row = fnr_at(v, tx->first, ty->first, 0, 0);
    float sum = 0;
    for (int j = 0; j < s->count; j++, row += v->sy) {
        const char *p = row;
        float line = 0;
        for (int i = 0; i < s->count; i++, p += v->sx) {
            line += tx->weight[i] * *(const float *)p;
        }
        sum += ty->weight[j] * line;
    }
    return sum;
}

static float sample_border(const sampler *s, const taps *tx, const taps *ty)
{
    const fnr_view *v = s->src;
    int column[MAX_TAPS];
    for (int i = 0; i < s->count; i++) {
        column[i] = border_index(s->border, tx->first + i, v->w);
    }
    float sum = 0;
    for (int j = 0; j < s->count; j++) {
        const int y = border_index(s->border, ty->first + j, v->h);
        if (y < 0) {
            continue;
        }
        float line = 0;
        for (int i = 0; i < s->count; i++) {
            line += column[i] < 0 ? 0 : tx->weight[i] * *(const float *)fnr_at(v, column[i], y, 0, 0);
        }
        sum += ty->weight[j] * line;
    }
    return sum;
}

static float sample(const sampler *s, double x, double y)
{
    const taps tx = place(s, x), ty = place(s, y);
    const bool inside = tx.first >= 0 && ty.first >= 0 && tx.first + s->count <= s->src->w && ty.first + s->count <= s->src->h;
    return inside ? sample_inside(s, &tx, &ty) : sample_border(s, &tx, &ty);
}

static bool is_plane(const fnr_view *v)
{
    return v->px && v->dtype == FNR_F32 && v->d == 1 && v->c == 1 && v->w > 0 && v->h > 0;
}

static bool check_planes(const fnr_view *src, const fnr_view *dst, fnr_error *err)
{
    return (is_plane(src) && is_plane(dst)) || fnr_fail(err, FNR_E_INTERNAL, "resampling needs single-channel 2D float images");
}

typedef struct {
    sampler sampler;
    const fnr_transform *t;
    fnr_view *dst;
} affine_job;

static void affine_row(void *ctx, size_t row)
{
    const affine_job *job = ctx;
    const int y = (int)row;
    for (int x = 0; x < job->dst->w; x++) {
        const fnr_point p = fnr_transform_apply(job->t, (fnr_point){x, y});
        *(float *)fnr_at(job->dst, x, y, 0, 0) = sample(&job->sampler, p.x, p.y);
    }
}

bool fnr_warp_affine(const fnr_view *src, const fnr_transform *dst_to_src, fnr_interp interp, fnr_border border, fnr_view *dst,
                     fnr_error *err)
{
    if (!check_planes(src, dst, err)) {
        return false;
    }
    if (!fnr_transform_is_finite(dst_to_src)) {
        return fnr_fail(err, FNR_E_NUMERIC, "cannot resample an image: the transform is not finite");
    }
    affine_job job = {sampler_new(src, interp, border), dst_to_src, dst};
    fnr_parallel_for((size_t)dst->h, affine_row, &job);
    return true;
}

typedef struct {
    sampler sampler;
    const fnr_view *flow_x, *flow_y;
    fnr_view *dst;
} flow_job;

static void flow_row(void *ctx, size_t row)
{
    const flow_job *job = ctx;
    const int y = (int)row;
    for (int x = 0; x < job->dst->w; x++) {
        const double sx = x + (double)*(const float *)fnr_at(job->flow_x, x, y, 0, 0);
        const double sy = y + (double)*(const float *)fnr_at(job->flow_y, x, y, 0, 0);
        *(float *)fnr_at(job->dst, x, y, 0, 0) = isfinite(sx) && isfinite(sy) ? sample(&job->sampler, sx, sy) : NAN;
    }
}

bool fnr_warp_flow(const fnr_view *src, const fnr_view *flow_x, const fnr_view *flow_y, fnr_view *dst, fnr_error *err)
{
    if (!check_planes(src, dst, err) || !check_planes(flow_x, flow_y, err)) {
        return false;
    }
    if (flow_x->w != dst->w || flow_x->h != dst->h || flow_y->w != dst->w || flow_y->h != dst->h) {
        return fnr_fail(err, FNR_E_INTERNAL, "a flow of %d x %d pixels cannot warp onto %d x %d", flow_x->w, flow_x->h, dst->w,
                        dst->h);
    }
    flow_job job = {sampler_new(src, FNR_INTERP_LINEAR, FNR_BORDER_REPLICATE), flow_x, flow_y, dst};
    fnr_parallel_for((size_t)dst->h, flow_row, &job);
    return true;
}
