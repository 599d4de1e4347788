/* Every operation on every backend against numbers worked out by hand, 2D and 3D, with odd channel counts, no square images and
 * guard values round all buffers. */
#include "tests/support/net_rig.h"
#include "tests/backend/tolerances.h"

/* Shapes for the one-tap tests: {spatial, n, c, d, h, w}. */
static const fnr_shape shapes[] = {
    {2, 1, 1, 1, 4, 6}, {2, 3, 3, 1, 6, 4}, {2, 1, 17, 1, 10, 14}, {3, 1, 3, 2, 4, 6}, {3, 3, 5, 4, 2, 6}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

typedef struct {
    int n, c, z, y, x;
} place;

static size_t index_of(const fnr_shape *s, place p)
{
    return (size_t)((((p.n * s->c + p.c) * s->d + p.z) * s->h + p.y) * s->w + p.x);
}

static place place_of(const fnr_shape *s, size_t index)
{
    const int i = (int)index;
    return (place){.n = i / s->w / s->h / s->d / s->c,
                   .c = i / s->w / s->h / s->d % s->c,
                   .z = i / s->w / s->h % s->d,
                   .y = i / s->w % s->h,
                   .x = i % s->w};
}

static bool inside(const fnr_shape *s, place p)
{
    return p.z >= 0 && p.z < s->d && p.y >= 0 && p.y < s->h && p.x >= 0 && p.x < s->w;
}

/* A value, or 0 outside the image: zero padding. */
static double value_at(const float *values, const fnr_shape *s, place p)
{
    return inside(s, p) ? (double)values[index_of(s, p)] : 0;
}

/* Small whole numbers, all different from their neighbours. */
static void fill_whole(float *p, size_t n, int seed)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)((int)((i * 37 + (size_t)seed * 11) % 61) - 30);
    }
}

static void zero(float *p, size_t n)
{
    memset(p, 0, n * sizeof *p);
}

static void assert_close(const fnr_rig *rig, double got, double want)
{
    if (!(fabs(got - want) <= fnr_tolerance(FNR_TOL_HAND, rig->variant) * (1 + fabs(want)))) {
        fail_msg("%s: %.9g instead of %.9g", rig->variant->name, got, want);
    }
}

/* One weight is 2, all others 0, so that y is a shifted copy of one channel, and each gradient one of dy or x. */
typedef struct {
    int a, b; /* the weight's first two indices: output and input channel, in a transposed convolution input and output */
    int kz, ky, kx;
} one_tap;

static int taps_z(const fnr_rig *rig)
{
    return rig->graph.spatial == 3 ? rig->graph.ops[0].kernel : 1;
}

/* The k-th tap of a kernel, with channels that change from tap to tap. */
static one_tap tap_at(const fnr_rig *rig, int k)
{
    const fnr_param *w = &rig->graph.params[0];
    const int kernel = rig->graph.ops[0].kernel;
    return (one_tap){
        .a = k % w->dims[0], .b = (k + 1) % w->dims[1], .kz = k / (kernel * kernel), .ky = k / kernel % kernel, .kx = k % kernel};
}

/* Index of weight[a, b, kz, ky, kx]. */
static size_t weight_index(const fnr_rig *rig, const one_tap *t)
{
    const int kernel = rig->graph.ops[0].kernel;
    return (size_t)((((t->a * rig->graph.params[0].dims[1] + t->b) * taps_z(rig) + t->kz) * kernel + t->ky) * kernel + t->kx);
}

static one_tap tap_of_weight(const fnr_rig *rig, size_t index)
{
    const int kernel = rig->graph.ops[0].kernel, plane = kernel * kernel, deep = taps_z(rig), i = (int)index;
    return (one_tap){.a = i / plane / deep / rig->graph.params[0].dims[1],
                     .b = i / plane / deep % rig->graph.params[0].dims[1],
                     .kz = i / plane % deep,
                     .ky = i / kernel % kernel,
                     .kx = i % kernel};
}

static void set_one_tap(fnr_rig *rig, const one_tap *t)
{
    zero(rig->values, rig->graph.param_floats);
    rig->values[weight_index(rig, t)] = 2;
    float *bias = fnr_rig_param(rig, rig->values, "bias");
    for (int c = 0; c < rig->out.c; c++) {
        bias[c] = (float)(c + 1);
    }
}

/* The input pixel that output pixel p of a convolution sees through a tap. */
static place seen_by(const fnr_rig *rig, place p, const one_tap *t)
{
    const fnr_op *op = &rig->graph.ops[0];
    const int z = rig->graph.spatial == 3 ? p.z * op->stride - op->pad + t->kz : 0;
    return (place){p.n, t->b, z, p.y * op->stride - op->pad + t->ky, p.x * op->stride - op->pad + t->kx};
}

static void check_conv_forward(const fnr_rig *rig, const one_tap *t)
{
    for (size_t i = 0; i < rig->n_out; i++) {
        const place p = place_of(&rig->out, i);
        const double shifted = p.c == t->a ? 2 * value_at(rig->x, &rig->in, seen_by(rig, p, t)) : 0;
        assert_close(rig, (double)rig->y[i], shifted + p.c + 1);
    }
}

/* With a one-pixel dy, dx is that pixel moved back, and the weight gradient is the window of x round it. */
static void check_conv_backward(fnr_rig *rig, const one_tap *t)
{
    const place p = {rig->out.n - 1, t->a, rig->out.d / 2, rig->out.h - 1, rig->out.w / 2};
    zero(rig->dy, rig->n_out);
    rig->dy[index_of(&rig->out, p)] = 3;
    fnr_rig_backward(rig);

    const place back = seen_by(rig, p, t);
    for (size_t i = 0; i < rig->n_in; i++) {
        assert_close(rig, (double)rig->dx[i], inside(&rig->in, back) && i == index_of(&rig->in, back) ? 6 : 0);
    }
    const float *dw = fnr_rig_param(rig, rig->grads, "weight"), *db = fnr_rig_param(rig, rig->grads, "bias");
    for (size_t i = 0; i < rig->graph.params[0].count; i++) {
        const one_tap u = tap_of_weight(rig, i);
        assert_close(rig, (double)dw[i], u.a == t->a ? 3 * value_at(rig->x, &rig->in, seen_by(rig, p, &u)) : 0);
    }
    for (int c = 0; c < rig->out.c; c++) {
        assert_close(rig, (double)db[c], c == t->a ? 3 : 0);
    }
}

static const int c_out[N_SHAPES] = {1, 5, 3, 17, 3};

/* Every tap for the first shape, every other one for the rest. */
static void conv_one_taps(const fnr_variant *variant, int kernel)
{
    for (int i = 0; i < N_SHAPES; i++) {
        fnr_rig rig;
        fnr_rig_new(&rig, variant, fnr_graph_of_conv(shapes[i].spatial, shapes[i].c, c_out[i], kernel), &shapes[i],
                    FNR_MODE_TRAIN);
        fill_whole(rig.x, rig.n_in, i);
        for (int k = 0; k < taps_z(&rig) * kernel * kernel; k += i == 0 ? 1 : 2) {
            const one_tap t = tap_at(&rig, k);
            set_one_tap(&rig, &t);
            fnr_rig_forward(&rig);
            check_conv_forward(&rig, &t);
            check_conv_backward(&rig, &t);
        }
        fnr_rig_free(&rig);
    }
}

static void conv3(void **state)
{
    conv_one_taps(*state, 3);
}

static void conv2_stride2(void **state)
{
    conv_one_taps(*state, 2);
}

static void conv1(void **state)
{
    conv_one_taps(*state, 1);
}

/* The input pixel that output pixel p of a transposed convolution comes from, in channel a; hit: through this tap. */
static place source_of(const fnr_rig *rig, place p, int a)
{
    return (place){p.n, a, rig->graph.spatial == 3 ? p.z / 2 : 0, p.y / 2, p.x / 2};
}

static bool hit(const fnr_rig *rig, place p, const one_tap *t)
{
    return p.c == t->b && (rig->graph.spatial == 2 || p.z % 2 == t->kz) && p.y % 2 == t->ky && p.x % 2 == t->kx;
}

/* y[2 o + k] = 2 x[o] for the one tap and the bias elsewhere; backward likewise. */
static void check_convt(fnr_rig *rig, const one_tap *t)
{
    fnr_rig_forward(rig);
    for (size_t i = 0; i < rig->n_out; i++) {
        const place p = place_of(&rig->out, i);
        const double moved = hit(rig, p, t) ? 2 * value_at(rig->x, &rig->in, source_of(rig, p, t->a)) : 0;
        assert_close(rig, (double)rig->y[i], moved + p.c + 1);
    }
    fill_whole(rig->dy, rig->n_out, 5);
    fnr_rig_backward(rig);
    for (size_t i = 0; i < rig->n_in; i++) {
        const place p = place_of(&rig->in, i);
        const place to = {p.n, t->b, rig->graph.spatial == 3 ? 2 * p.z + t->kz : 0, 2 * p.y + t->ky, 2 * p.x + t->kx};
        assert_close(rig, (double)rig->dx[i], p.c == t->a ? 2 * value_at(rig->dy, &rig->out, to) : 0);
    }
}

/* With one pixel of dy set, a weight gradient is one value of x. */
static void check_convt_weights(fnr_rig *rig)
{
    const place p = {rig->out.n - 1, rig->out.c - 1, rig->out.d - 1, rig->out.h - 2, rig->out.w - 1};
    zero(rig->dy, rig->n_out);
    rig->dy[index_of(&rig->out, p)] = 3;
    fnr_rig_forward(rig);
    fnr_rig_backward(rig);
    const float *dw = fnr_rig_param(rig, rig->grads, "weight"), *db = fnr_rig_param(rig, rig->grads, "bias");
    for (size_t i = 0; i < rig->graph.params[0].count; i++) {
        const one_tap t = tap_of_weight(rig, i);
        assert_close(rig, (double)dw[i], hit(rig, p, &t) ? 3 * value_at(rig->x, &rig->in, source_of(rig, p, t.a)) : 0);
    }
    for (int c = 0; c < rig->out.c; c++) {
        assert_close(rig, (double)db[c], c == p.c ? 3 : 0);
    }
}

static void convt2_stride2(void **state)
{
    for (int i = 0; i < N_SHAPES; i++) {
        fnr_rig rig;
        fnr_rig_new(&rig, *state, fnr_graph_of_convt(shapes[i].spatial, shapes[i].c, c_out[i]), &shapes[i], FNR_MODE_TRAIN);
        fill_whole(rig.x, rig.n_in, i);
        for (int k = 0; k < taps_z(&rig) * 4; k++) {
            const one_tap t = tap_at(&rig, k);
            set_one_tap(&rig, &t);
            check_convt(&rig, &t);
        }
        check_convt_weights(&rig);
        fnr_rig_free(&rig);
    }
}

/* Numbers from scipy.signal.correlate2d(x, w, "same") + 0.5: a cross-correlation, not a convolution with a turned kernel. */
static void conv3_is_a_cross_correlation(void **state)
{
    static const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, w[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const double want[12] = {111.5, 178.5, 217.5, 145.5, 231.5, 348.5, 393.5, 252.5, 133.5, 190.5, 211.5, 127.5};
    fnr_rig rig;
    fnr_rig_new(&rig, *state, fnr_graph_of_conv(2, 1, 1, 3), &(fnr_shape){2, 1, 1, 1, 3, 4}, FNR_MODE_INFER);
    memcpy(rig.x, x, sizeof x);
    memcpy(rig.values, w, sizeof w);
    rig.values[9] = 0.5f;
    fnr_rig_forward(&rig);
    for (int i = 0; i < 12; i++) {
        assert_close(&rig, (double)rig.y[i], want[i]);
    }
    fnr_rig_free(&rig);
}

/* ---- batch norm ---- */

/* Channel 0 of two 1x2 images holds 1, 3 and 5, 7: mean 4, biased variance 5, unbiased 20/3.  Channel 1 is 10 - 2 * that: mean 2,
 * variances 20 and 80/3. */
static void norm_input(fnr_rig *rig)
{
    static const float x[8] = {1, 3, 8, 4, 5, 7, 0, -4};
    memcpy(rig->x, x, sizeof x);
    float *gamma = fnr_rig_param(rig, rig->values, "weight"), *beta = fnr_rig_param(rig, rig->values, "bias");
    float *mean = fnr_rig_param(rig, rig->values, "mean"), *var = fnr_rig_param(rig, rig->values, "var");
    gamma[0] = 2, gamma[1] = -1;
    beta[0] = 0.5f, beta[1] = 0.25f;
    mean[0] = 1, mean[1] = -1;
    var[0] = 4, var[1] = 0.25f;
}

static const fnr_shape norm_shape = {2, 2, 2, 1, 1, 2};

static void norm_training(void **state)
{
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_error err = {0};
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_TRAIN);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        const double sd0 = sqrt(5 + 1e-5), sd1 = sqrt(20 + 1e-5);
        const double want[8] = {-6 / sd0 + 0.5, -2 / sd0 + 0.5, -6 / sd1 + 0.25, -2 / sd1 + 0.25,
                                2 / sd0 + 0.5,  6 / sd0 + 0.5,  2 / sd1 + 0.25,  6 / sd1 + 0.25};
        for (int i = 0; i < 8; i++) {
            assert_close(&rig, (double)rig.y[i], relu && want[i] < 0 ? 0 : want[i]);
        }
        assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        const float *mean = fnr_rig_param(&rig, rig.values, "mean"), *var = fnr_rig_param(&rig, rig.values, "var");
        assert_close(&rig, (double)mean[0], 0.9 * 1 + 0.1 * 4);
        assert_close(&rig, (double)mean[1], 0.9 * -1 + 0.1 * 2);
        assert_close(&rig, (double)var[0], 0.9 * 4 + 0.1 * 20 / 3);
        assert_close(&rig, (double)var[1], 0.9 * 0.25 + 0.1 * 80 / 3);
        fnr_rig_free(&rig);
    }
}

/* dgamma = sum g xhat, dbeta = sum g, dx = gamma / sd * (g - mean g - xhat mean(g xhat)), with g = dy where y > 0. */
static void norm_backward(void **state)
{
    static const float dy[8] = {1, -2, 3, 1, 4, 2, -1, 2};
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_TRAIN);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        memcpy(rig.dy, dy, sizeof dy);
        fnr_rig_backward(&rig);
        for (int c = 0; c < 2; c++) {
            const int index[4] = {2 * c, 2 * c + 1, 2 * c + 4, 2 * c + 5};
            const double mean = c ? 2 : 4, sd = sqrt((c ? 20 : 5) + 1e-5), gamma = c ? -1 : 2, beta = c ? 0.25 : 0.5;
            double g[4], xhat[4], dgamma = 0, dbeta = 0;
            for (int i = 0; i < 4; i++) {
                xhat[i] = ((double)rig.x[index[i]] - mean) / sd;
                g[i] = relu && gamma * xhat[i] + beta <= 0 ? 0 : (double)dy[index[i]];
                dgamma += g[i] * xhat[i];
                dbeta += g[i];
            }
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "weight")[c], dgamma);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "bias")[c], dbeta);
            for (int i = 0; i < 4; i++) {
                assert_close(&rig, (double)rig.dx[index[i]], gamma / sd * (g[i] - dbeta / 4 - xhat[i] * dgamma / 4));
            }
        }
        assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "mean")[0], 0);
        assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "var")[1], 0);
        fnr_rig_free(&rig);
    }
}

static void norm_evaluation(void **state)
{
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_error err = {0};
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_INFER);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        for (int i = 0; i < 8; i++) {
            const double x = (double)rig.x[i];
            const double want = i / 2 % 2 ? -(x + 1) / sqrt(0.25 + 1e-5) + 0.25 : 2 * (x - 1) / sqrt(4 + 1e-5) + 0.5;
            assert_close(&rig, (double)rig.y[i], relu && want < 0 ? 0 : want);
        }
        float *before = rig.dy; /* any buffer of 8 floats */
        memcpy(before, rig.values, 8 * sizeof *before);
        assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        assert_memory_equal(before, rig.values, 8 * sizeof *before); /* evaluation leaves the running statistics alone */
        fnr_rig_free(&rig);
    }
}

/* A large mean over a small spread: sum of squares minus squared mean would lose every digit in float32. */
static void norm_is_stable(void **state)
{
    fnr_rig rig;
    const fnr_shape shape = {3, 2, 3, 2, 6, 4};
    fnr_rig_new(&rig, *state, fnr_graph_of_norm(3, 3, false), &shape, FNR_MODE_TRAIN);
    for (size_t i = 0; i < rig.n_in; i++) {
        rig.x[i] = 4096 + (i % 2 ? 1.0f : -1.0f);
    }
    for (int c = 0; c < 3; c++) {
        fnr_rig_param(&rig, rig.values, "weight")[c] = 1;
        fnr_rig_param(&rig, rig.values, "bias")[c] = 0;
        fnr_rig_param(&rig, rig.values, "mean")[c] = 0;
        fnr_rig_param(&rig, rig.values, "var")[c] = 1;
    }
    fnr_rig_forward(&rig);
    for (size_t i = 0; i < rig.n_out; i++) {
        assert_close(&rig, (double)rig.y[i], (i % 2 ? 1 : -1) / sqrt(1 + 1e-5));
    }
    fnr_rig_free(&rig);
}

/* ---- concatenation, loss, Adam ---- */

static void concat_order_and_fan_out(void **state)
{
    static const fnr_shape inputs[] = {{2, 3, 3, 1, 4, 6}, {3, 1, 5, 2, 4, 6}, {2, 1, 17, 1, 6, 2}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const fnr_shape *s = &inputs[i];
        const int fresh = 3;
        fnr_rig rig;
        fnr_rig_new(&rig, *state, fnr_graph_of_concat(s->spatial, s->c, fresh), s, FNR_MODE_TRAIN);
        fill_whole(rig.x, rig.n_in, 1);
        fill_whole(rig.dy, rig.n_out, 2);
        zero(rig.values, rig.graph.param_floats);
        rig.values[0] = 2; /* channel 0 of the new ones is twice channel 0 of the input */
        fnr_rig_forward(&rig);
        fnr_rig_backward(&rig);
        for (size_t k = 0; k < rig.n_out; k++) {
            const place p = place_of(&rig.out, k);
            const double x = value_at(rig.x, s, (place){p.n, p.c < fresh ? 0 : p.c - fresh, p.z, p.y, p.x});
            assert_close(&rig, (double)rig.y[k], p.c == 0 ? 2 * x : p.c < fresh ? 0 : x);
        }
        for (size_t k = 0; k < rig.n_in; k++) {
            const place p = place_of(s, k);
            const double direct = value_at(rig.dy, &rig.out, (place){p.n, p.c + fresh, p.z, p.y, p.x});
            const double through = p.c == 0 ? 2 * value_at(rig.dy, &rig.out, p) : 0;
            assert_close(&rig, (double)rig.dx[k], direct + through);
        }
        fnr_rig_free(&rig);
    }
}

/* y = x through a 1x1 convolution with weight 1: the loss and its gradient show themselves. */
static void mean_squared_error(void **state)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6}, target[6] = {1, 0, 3, 7, 5, 5};
    static const double dx[6] = {0, 2.0 / 3, 0, -1, 0, 1.0 / 3}; /* 2 (y - t) / 6 */
    fnr_rig rig;
    fnr_error err = {0};
    fnr_rig_new(&rig, *state, fnr_graph_of_conv(2, 1, 1, 1), &(fnr_shape){2, 1, 1, 1, 2, 3}, FNR_MODE_TRAIN);
    memcpy(rig.x, x, sizeof x);
    rig.values[0] = 1;
    rig.values[1] = 0;
    fnr_rig_forward(&rig);
    memcpy(rig.dy, target, sizeof target);
    double loss = 0;
    assert_ok(rig.variant->ops->mse(rig.program, rig.dy, &loss, &err), err);
    assert_close(&rig, loss, (4 + 9 + 1) / 6.0);
    assert_ok(rig.variant->ops->backward(rig.program, rig.dx, &err), err);
    for (int i = 0; i < 6; i++) {
        assert_close(&rig, (double)rig.dx[i], dx[i]);
    }
    assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_GRADS, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 2 * 2.0 / 3 - 4 + 2);
    assert_close(&rig, (double)rig.grads[1], 0); /* 2/3 - 1 + 1/3 */
    fnr_rig_free(&rig);
}

/* lr 0.1, betas 0.5 and 0.9, eps 0.01; gradients 4, then 1; weight 1.
 * Step 1: m 2, v 1.6; corrected 4 and 16; 1 - 0.1 * 4 / (4 + 0.01).
 * Step 2: m 1.5, v 1.54; corrected 1.5 / 0.75 = 2 and 1.54 / 0.19; minus 0.1 * 2 / (sqrt(1.54 / 0.19) + 0.01). */
static void adam_by_hand(void **state)
{
    static const fnr_adam hyper = {.lr = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.01};
    fnr_rig rig;
    fnr_error err = {0};
    fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, true), &norm_shape, FNR_MODE_TRAIN);
    const fnr_backend_ops *ops = rig.variant->ops;
    const size_t n = rig.graph.param_floats;
    for (size_t i = 0; i < n; i++) {
        rig.values[i] = 1;
    }
    assert_ok(ops->state_write(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
    const double first = 1 - 0.1 * 4 / 4.01, second = first - 0.1 * 2 / (sqrt(1.54 / 0.19) + 0.01);
    for (long step = 1; step <= 2; step++) {
        for (size_t i = 0; i < n; i++) {
            rig.grads[i] = step == 1 ? 4 : 1;
        }
        assert_ok(ops->state_write(rig.state, FNR_STATE_GRADS, rig.grads, &err), err);
        assert_ok(ops->adam(rig.state, &hyper, step, &err), err);
        assert_ok(ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        for (int c = 0; c < 2; c++) {
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "weight")[c], step == 1 ? first : second);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "bias")[c], step == 1 ? first : second);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "mean")[c], 1); /* not Adam's */
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "var")[c], 1);
        }
    }
    assert_ok(ops->state_read(rig.state, FNR_STATE_MOMENT1, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 1.5);
    assert_ok(ops->state_read(rig.state, FNR_STATE_MOMENT2, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 1.54);
    fnr_rig_free(&rig);
}

/* A bias that feeds a norm has a gradient of exactly zero, even where rounding would leave something. */
static void bias_before_norm_stays(void **state)
{
    fnr_graph g = fnr_graph_of_conv(2, 3, 5, 3);
    g.ops[0].bias_feeds_norm = true;
    fnr_rig rig;
    fnr_rig_new(&rig, *state, g, &shapes[1], FNR_MODE_TRAIN);
    fnr_test_fill(rig.x, rig.n_in, 1, -1, 1);
    fnr_test_fill(rig.dy, rig.n_out, 2, -1, 1);
    fnr_test_fill(rig.values, rig.graph.param_floats, 3, -1, 1);
    fnr_rig_forward(&rig);
    fnr_rig_backward(&rig);
    for (int c = 0; c < 5; c++) {
        assert_true(fnr_rig_param(&rig, rig.grads, "bias")[c] == 0);
    }
    fnr_rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv3),
        cmocka_unit_test(conv2_stride2),
        cmocka_unit_test(conv1),
        cmocka_unit_test(convt2_stride2),
        cmocka_unit_test(conv3_is_a_cross_correlation),
        cmocka_unit_test(norm_training),
        cmocka_unit_test(norm_backward),
        cmocka_unit_test(norm_evaluation),
        cmocka_unit_test(norm_is_stable),
        cmocka_unit_test(concat_order_and_fan_out),
        cmocka_unit_test(mean_squared_error),
        cmocka_unit_test(adam_by_hand),
        cmocka_unit_test(bias_before_norm_stays),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
