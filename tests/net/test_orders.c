/* A batch made pixel by pixel from the sampler's orders, as a device does it, is the batch that the sampler makes. */
#include "tests/support/net_rig.h"

#include "net/sampler.h"

enum { H = 40, W = 52, D = 5, PATCH = 16, DEPTH = 4, BATCH = 12, PLANE = PATCH * PATCH };

static float signal[D * H * W], target[D * H * W];

/* Blurs a plane, rows first. */
static void blur(const fnr_patch_order *o, float *plane)
{
    float rows[PLANE];
    for (int i = 0; i < PLANE; i++) {
        rows[i] = fnr_patch_blurred(plane + i / PATCH * PATCH, 1, PATCH, i % PATCH, o->taps, o->radius);
    }
    for (int i = 0; i < PLANE; i++) {
        plane[i] = fnr_patch_blurred(rows + i % PATCH, PATCH, PATCH, i / PATCH, o->taps, o->radius);
    }
}

static void compare(const fnr_netdesc *desc, const fnr_sampler_options *options)
{
    const fnr_pair pair = {.name = "noise", .d = desc->spatial == 3 ? D : 1, .h = H, .w = W, .signal = signal, .target = target};
    const fnr_pair pairs[] = {pair, pair};
    const int planes = options->patch_d;
    const size_t n = (size_t)(BATCH * planes * PLANE);
    fnr_error err = {0};
    fnr_sampler *s = fnr_sampler_new(desc, pairs, 2, options, &err);
    assert_non_null(s);
    assert_int_equal(fnr_sampler_images(s), 2);
    assert_true(fnr_sampler_image(s, 1)->signal == signal);
    float *x = fnr_test_guarded(n), *y = fnr_test_guarded(n), *got = fnr_test_guarded(n);
    fnr_patch_order orders[BATCH];
    for (long step = 0; step < 5; step++) {
        assert_ok(fnr_sampler_batch(s, step, x, y, &err), err);
        fnr_sampler_orders(s, step, orders);
        for (int i = 0; i < BATCH * planes; i++) {
            const fnr_patch_order *o = &orders[i / planes];
            const int plane = i % planes;
            float *to = got + i * PLANE;
            assert_true(o->image == 0 || o->image == 1);
            for (int k = 0; k < PLANE; k++) {
                const float *from = target + (o->z + plane) * H * W;
                assert_true(fnr_patch_pixel(o, from, H, W, k / PATCH, k % PATCH, PATCH) == y[i * PLANE + k]);
                to[k] = fnr_patch_pixel(o, signal + (o->z + plane) * H * W, H, W, k / PATCH, k % PATCH, PATCH);
            }
            if (o->radius > 0) {
                blur(o, to);
            }
            for (int k = 0; k < PLANE; k++) {
                to[k] = fnr_patch_tone(o, to[k], (uint64_t)(plane * PLANE + k));
            }
        }
        assert_at_most(fnr_test_max_abs(got, x, n), 1e-6);
    }
    fnr_test_guarded_free(x);
    fnr_test_guarded_free(y);
    fnr_test_guarded_free(got);
    fnr_sampler_free(s);
}

static void orders_make_the_same_batch(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 2, 2}, deep = {3, 1, 1, 2, 2};
    fnr_sampler_options o = {.patch_d = 1, .patch_h = PATCH, .patch_w = PATCH, .batch = BATCH, .seed = 5};
    fnr_test_fill(signal, D * H * W, 1, -2, 2);
    fnr_test_fill(target, D * H * W, 2, -2, 2);
    compare(&flat, &o);
    o.flip = o.turn = true;
    compare(&flat, &o);
    o.gain_jitter = o.offset_jitter = 0.25;
    o.noise_sd = 0.1;
    o.gamma_jitter = 0.5;
    compare(&flat, &o);
    o.blur_px = 2;
    o.scale_jitter = 0.2;
    compare(&flat, &o);
    o.patch_d = DEPTH;
    compare(&deep, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders_make_the_same_batch)};
    return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
