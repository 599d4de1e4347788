/* Where patches are centred: levels of the foreground, and how often it is hit, against plain counts. */
#include "tests/support/support.h"

#include "net/places.h"

enum { H = 30, W = 44, P = 8 };

static const fnr_netdesc flat = {2, 1, 1, 2, 2}, solid = {3, 1, 2, 2, 1};

/* A ramp with a bright disc: values of 0 to 1, and 5 to 6 inside. */
static bool in_disc(int y, int x)
{
    return (y - 12) * (y - 12) + (x - 30) * (x - 30) <= 36;
}

static void draw_disc(float *t)
{
    for (int i = 0; i < H * W; i++) {
        t[i] = (float)(i % W) / W + (in_disc(i / W, i % W) ? 5.0f : 0.0f);
    }
}

static void levels_by_hand(void **state)
{
    (void)state;
    static float t[H * W];
    draw_disc(t);
    const fnr_pair pair = {.name = "disc", .d = 1, .h = H, .w = W, .signal = t, .target = t};
    const float otsu = fnr_foreground_level(&pair, 0, 0);
    assert_true(otsu > 1 && otsu < 5.5f); /* any level in the gap (1, 5.5) divides equally well */
    float steps[100];
    for (int i = 0; i < 100; i++) {
        steps[i] = (float)((i * 37) % 100);
    }
    const fnr_pair ranks = {.name = "ranks", .d = 1, .h = 4, .w = 25, .signal = steps, .target = steps};
    const float q = fnr_foreground_level(&ranks, 0, 0.9); /* numpy.quantile: 89.1 */
    assert_true(q >= 89 && q < 90.01f);
    uint8_t valid[100];
    for (int i = 0; i < 100; i++) {
        valid[i] = steps[i] < 50;
    }
    fnr_pair masked = ranks;
    masked.valid = valid;
    const float half = fnr_foreground_level(&masked, 0, 0.9); /* of 0 .. 49: 44.1 */
    assert_true(half >= 44 && half < 45.01f);
    steps[3] = NAN;
    assert_true(isfinite(fnr_foreground_level(&ranks, 0, 0.5)));
    for (int i = 0; i < 100; i++) {
        steps[i] = 2;
    }
    assert_true(isinf(fnr_foreground_level(&ranks, 0, 0)) && isinf(fnr_foreground_level(&ranks, 0, 0.5)));
}

/* Two peaks that overlap; Otsu's formula written in numpy (256 bins) puts the border between the classes at 4.5060622. */
static void otsu_of_two_peaks(void **state)
{
    (void)state;
    static float t[40 * 50];
    for (int i = 0; i < 40 * 50; i++) {
        const double u = fmod(i * 0.6180339887498949, 1), v = fmod(i * 0.7548776662466927, 1);
        t[i] = (float)(u < 0.8 ? 2 + 4 * v : 5 + 3 * v);
    }
    const fnr_pair pair = {.name = "peaks", .d = 1, .h = 40, .w = 50, .signal = t, .target = t};
    const float level = fnr_foreground_level(&pair, 0, 0);
    assert_at_most(fabs((double)level - 4.5060622), 1e-4);
}

/* Share of patches with a marked centre, among all valid corners: the plain count. */
static double plain_share(const fnr_pair *pair, bool (*marked)(int y, int x))
{
    int all = 0, hit = 0;
    for (int y = 0; y <= H - P; y++) {
        for (int x = 0; x <= W - P; x++) {
            bool ok = true;
            for (int i = 0; pair->valid && i < P * P; i++) {
                ok = ok && pair->valid[(y + i / P) * W + x + i % P];
            }
            all += ok;
            hit += ok && marked(y + P / 2, x + P / 2);
        }
    }
    return (double)hit / all;
}

static void check_share(const fnr_pair *pair, double probability, double expected)
{
    enum { DRAWS = 20000 };
    fnr_error err = {0};
    fnr_places p;
    const fnr_sampler_options o = {.patch_d = 1, .patch_h = P, .patch_w = P, .batch = 1, .foreground = probability};
    assert_ok(fnr_places_find(&flat, pair, &o, &p, &err), err);
    int hit = 0;
    for (int i = 0; i < DRAWS; i++) {
        int z, y, x;
        fnr_rng rng = fnr_rng_at(5, (uint64_t)i, 0);
        fnr_places_draw(&p, &o, &rng, &z, &y, &x);
        assert_true(z == 0 && y >= 0 && x >= 0 && y + P <= H && x + P <= W);
        for (int k = 0; pair->valid && k < P * P; k++) {
            assert_true(pair->valid[(y + k / P) * W + x + k % P]);
        }
        hit += in_disc(y + P / 2, x + P / 2);
    }
    fnr_places_free(&p);
    const double sd = sqrt(fmax(expected * (1 - expected), 1e-9) / DRAWS);
    assert_at_most(fabs((double)hit / DRAWS - expected), 4 * sd);
}

static void the_foreground_is_hit_as_often_as_asked(void **state)
{
    (void)state;
    static float t[H * W];
    static uint8_t valid[H * W];
    draw_disc(t);
    fnr_pair pair = {.name = "disc", .d = 1, .h = H, .w = W, .signal = t, .target = t};
    const double share = plain_share(&pair, in_disc);
    assert_true(share > 0.05 && share < 0.2);
    check_share(&pair, 0, share);
    check_share(&pair, 0.5, 0.5 + 0.5 * share);
    check_share(&pair, 1, 1);
    for (int i = 0; i < H * W; i++) {
        valid[i] = i % W < 34 && !(i / W == 25 && i % W == 10);
    }
    pair.valid = valid;
    check_share(&pair, 0.3, 0.3 + 0.7 * plain_share(&pair, in_disc));
    for (int i = 0; i < H * W; i++) { /* nothing stands out: as if it were off */
        t[i] = 1;
    }
    check_share(&pair, 1, plain_share(&pair, in_disc));
}

/* Three bright voxels in two channels: with probability 1 the patches' centres are these and no other, each as often. */
static void volumes_and_channels(void **state)
{
    (void)state;
    enum { D = 9, SIZE = D * H * W, DRAWS = 6000 };
    static float t[2 * SIZE];
    static const int bright[3][4] = {{0, 4, 10, 20}, {0, 5, 10, 20}, {1, 3, 22, 31}}; /* channel, z, y, x */
    for (int i = 0; i < 3; i++) {
        t[bright[i][0] * SIZE + (bright[i][1] * H + bright[i][2]) * W + bright[i][3]] = 9;
    }
    fnr_error err = {0};
    fnr_places p;
    const fnr_pair pair = {.name = "volume", .d = D, .h = H, .w = W, .signal = t, .target = t};
    const fnr_sampler_options o = {.patch_d = 4, .patch_h = P, .patch_w = P, .batch = 1, .foreground = 1};
    assert_ok(fnr_places_find(&solid, &pair, &o, &p, &err), err);
    assert_int_equal(p.foreground.corners, 3);
    int hits[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int z, y, x, found = -1;
        fnr_rng rng = fnr_rng_at(6, (uint64_t)i, 0);
        fnr_places_draw(&p, &o, &rng, &z, &y, &x);
        for (int k = 0; k < 3; k++) {
            found = z + 2 == bright[k][1] && y + P / 2 == bright[k][2] && x + P / 2 == bright[k][3] ? k : found;
        }
        assert_true(found >= 0);
        hits[found]++;
    }
    for (int k = 0; k < 3; k++) {
        assert_in_range(hits[k], 2000 - 150, 2000 + 150); /* 4 standard deviations of 36.5 */
    }
    fnr_places_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_by_hand),
        cmocka_unit_test(otsu_of_two_peaks),
        cmocka_unit_test(the_foreground_is_hit_as_often_as_asked),
        cmocka_unit_test(volumes_and_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
