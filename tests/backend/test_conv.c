/* Convolutions on every backend with one weight at a time, so that it shows which pixel each weight reads: 2D and 3D, odd channel
 * counts, no square images, guard values round all buffers. */
#include "tests/backend/place.h"

/* Shapes for the one-tap tests: {spatial, n, c, d, h, w}. */
static const fnr_shape shapes[] = {
    {2, 1, 1, 1, 4, 6}, {2, 3, 3, 1, 6, 4}, {2, 1, 17, 1, 10, 14}, {3, 1, 3, 2, 4, 6}, {3, 3, 5, 4, 2, 6}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

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
static fnr_place seen_by(const fnr_rig *rig, fnr_place p, const one_tap *t)
{
    const fnr_op *op = &rig->graph.ops[0];
    const int z = rig->graph.spatial == 3 ? p.z * op->stride - op->pad + t->kz : 0;
    return (fnr_place){p.n, t->b, z, p.y * op->stride - op->pad + t->ky, p.x * op->stride - op->pad + t->kx};
}

static void check_conv_forward(const fnr_rig *rig, const one_tap *t)
{
    for (size_t i = 0; i < rig->n_out; i++) {
        const fnr_place p = place_of(&rig->out, i);
        const double shifted = p.c == t->a ? 2 * value_at(rig->x, &rig->in, seen_by(rig, p, t)) : 0;
        assert_close(rig, (double)rig->y[i], shifted + p.c + 1);
    }
}

/* With a one-pixel dy, dx is that pixel moved back, and the weight gradient is the window of x round it. */
static void check_conv_backward(fnr_rig *rig, const one_tap *t)
{
    const fnr_place p = {rig->out.n - 1, t->a, rig->out.d / 2, rig->out.h - 1, rig->out.w / 2};
    zero(rig->dy, rig->n_out);
    rig->dy[index_of(&rig->out, p)] = 3;
    fnr_rig_backward(rig);

    const fnr_place back = seen_by(rig, p, t);
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
static fnr_place source_of(const fnr_rig *rig, fnr_place p, int a)
{
    return (fnr_place){p.n, a, rig->graph.spatial == 3 ? p.z / 2 : 0, p.y / 2, p.x / 2};
}

static bool hit(const fnr_rig *rig, fnr_place p, const one_tap *t)
{
    return p.c == t->b && (rig->graph.spatial == 2 || p.z % 2 == t->kz) && p.y % 2 == t->ky && p.x % 2 == t->kx;
}

/* y[2 o + k] = 2 x[o] for the one tap and the bias elsewhere; backward likewise. */
static void check_convt(fnr_rig *rig, const one_tap *t)
{
    fnr_rig_forward(rig);
    for (size_t i = 0; i < rig->n_out; i++) {
        const fnr_place p = place_of(&rig->out, i);
        const double moved = hit(rig, p, t) ? 2 * value_at(rig->x, &rig->in, source_of(rig, p, t->a)) : 0;
        assert_close(rig, (double)rig->y[i], moved + p.c + 1);
    }
    fill_whole(rig->dy, rig->n_out, 5);
    fnr_rig_backward(rig);
    for (size_t i = 0; i < rig->n_in; i++) {
        const fnr_place p = place_of(&rig->in, i);
        const fnr_place to = {p.n, t->b, rig->graph.spatial == 3 ? 2 * p.z + t->kz : 0, 2 * p.y + t->ky, 2 * p.x + t->kx};
        assert_close(rig, (double)rig->dx[i], p.c == t->a ? 2 * value_at(rig->dy, &rig->out, to) : 0);
    }
}

/* With one pixel of dy set, a weight gradient is one value of x. */
static void check_convt_weights(fnr_rig *rig)
{
    const fnr_place p = {rig->out.n - 1, rig->out.c - 1, rig->out.d - 1, rig->out.h - 2, rig->out.w - 1};
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
        cmocka_unit_test(bias_before_norm_stays),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
