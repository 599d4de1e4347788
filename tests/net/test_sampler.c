/* The sampler: which patches it draws (statistics against counting by hand), what it does to them, and that it repeats itself. */
#include "tests/support/support.h"

#include "net/sampler.h"
#include "src/core/threads.h"

static const fnr_netdesc flat_desc = {
    .spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = 2, .depth = 2}; /* grid 4 */

/* An image whose pixel values tell where they come from: image * 1e6 + y * 1000 + x (exact in float up to 16 images). */
typedef struct {
    fnr_pair pair;
    float *pixels;
    uint8_t *valid;
} coded_image;

static coded_image make_coded(const char *name, int index, int h, int w)
{
    coded_image c = {.pixels = malloc((size_t)h * (size_t)w * sizeof(float)), .valid = malloc((size_t)h * (size_t)w)};
    assert_true(c.pixels && c.valid);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            c.pixels[y * w + x] = (float)(index * 1000000 + y * 1000 + x);
            c.valid[y * w + x] = 1;
        }
    }
    c.pair = (fnr_pair){.name = name, .d = 1, .h = h, .w = w, .signal = c.pixels, .target = c.pixels};
    return c;
}

static void free_coded(coded_image *c)
{
    free(c->pixels);
    free(c->valid);
}

static fnr_sampler *must_make(const fnr_netdesc *desc, const fnr_pair *pairs, size_t n, const fnr_sampler_options *o)
{
    fnr_error err = {0};
    fnr_sampler *s = fnr_sampler_new(desc, pairs, n, o, &err);
    if (!s) {
        fail_msg("%s", err.message);
    }
    return s;
}

static void images_are_drawn_uniformly(void **state)
{
    (void)state;
    enum { IMAGES = 5, BATCH = 20, STEPS = 500 };
    coded_image images[IMAGES];
    fnr_pair pairs[IMAGES];
    for (int i = 0; i < IMAGES; i++) {
        images[i] = make_coded("image", i, 12 + 7 * i, 9 + 5 * i); /* sizes differ: large images must not count more */
        pairs[i] = images[i].pair;
    }
    const fnr_sampler_options o = {.patch_d = 1, .patch_h = 4, .patch_w = 8, .batch = BATCH, .seed = 3};
    fnr_sampler *s = must_make(&flat_desc, pairs, IMAGES, &o);
    float x[BATCH * 32], y[BATCH * 32];
    double counts[IMAGES] = {0};
    for (long step = 0; step < STEPS; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        assert_memory_equal(x, y, sizeof x);
        for (int i = 0; i < BATCH; i++) {
            const int image = (int)(x[i * 32] / 1000000);
            counts[image]++;
            int pz, py, px;
            assert_ptr_equal(fnr_sampler_where(s, step, i, &pz, &py, &px)->signal, pairs[image].signal);
            assert_true(pz == 0 && x[i * 32] == (float)(image * 1000000 + py * 1000 + px));
        }
    }
    double chi2 = 0;
    for (int i = 0; i < IMAGES; i++) {
        const double expected = BATCH * STEPS / IMAGES;
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_at_most(chi2, 18.5); /* 4 degrees of freedom, p = 0.001 */
    assert_true(chi2 > 0.01);   /* drawn, not dealt out */
    fnr_sampler_free(s);
    for (int i = 0; i < IMAGES; i++) {
        free_coded(&images[i]);
    }
}

/* Valid corners by the plainest count there is. */
static bool corner_is_valid(const coded_image *c, int y0, int x0, int ph, int pw)
{
    for (int y = y0; y < y0 + ph; y++) {
        for (int x = x0; x < x0 + pw; x++) {
            if (!c->valid[y * c->pair.w + x]) {
                return false;
            }
        }
    }
    return true;
}

/* Every valid position is hit, corners of the image included, all about equally often, and no other. */
static void check_positions(const coded_image *c, int ph, int pw)
{
    enum { BATCH = 64, STEPS = 400, MAX = 64 * 64 };
    const int h = c->pair.h, w = c->pair.w;
    const fnr_sampler_options o = {.patch_d = 1, .patch_h = ph, .patch_w = pw, .batch = BATCH, .seed = 11};
    fnr_sampler *s = must_make(&flat_desc, &c->pair, 1, &o);
    float *x = malloc(2 * BATCH * (size_t)(ph * pw) * sizeof *x), *y = x + BATCH * ph * pw;
    static int hits[MAX];
    memset(hits, 0, sizeof hits);
    assert_true(x && h * w <= MAX);
    for (long step = 0; step < STEPS; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        for (int i = 0; i < BATCH; i++) {
            const float *p = x + i * ph * pw;
            const int y0 = (int)p[0] / 1000, x0 = (int)p[0] % 1000;
            assert_true(p[ph * pw - 1] == (float)((y0 + ph - 1) * 1000 + x0 + pw - 1));
            hits[y0 * w + x0]++;
        }
    }
    int positions = 0;
    for (int i = 0; i < (h - ph + 1) * w; i++) {
        positions += i % w <= w - pw && corner_is_valid(c, i / w, i % w, ph, pw);
    }
    const double expected = (double)BATCH * STEPS / positions;
    double chi2 = 0;
    for (int i = 0; i < h * w; i++) {
        const bool possible = i / w <= h - ph && i % w <= w - pw && corner_is_valid(c, i / w, i % w, ph, pw);
        assert_int_equal(hits[i] > 0, possible);
        chi2 += possible ? (hits[i] - expected) * (hits[i] - expected) / expected : 0;
    }
    const double dof = positions - 1;
    assert_at_most(fabs(chi2 - dof), 4 * sqrt(2 * dof)); /* 4 standard deviations */
    free(x);
    fnr_sampler_free(s);
}

static void positions_are_uniform_over_the_valid_ones(void **state)
{
    (void)state;
    coded_image c = make_coded("mask", 0, 19, 26);
    check_positions(&c, 4, 8); /* no mask */
    c.pair.valid = c.valid;
    for (int y = 0; y < 19; y++) {
        for (int x = 0; x < 26; x++) {
            const bool leg = x < 11, foot = y >= 12,
                       tower = x >= 16 && x < 24; /* between them a gap that is narrower than a patch */
            c.valid[y * 26 + x] = (leg || foot || tower) && !(x == 3 && y == 9);
        }
    }
    check_positions(&c, 4, 8);
    check_positions(&c, 8, 4);
    free_coded(&c);
}

/* ---- symmetries ----------------------------------------------------------------------------------------------------------- */

/* Which of the 8 symmetries a patch of coded pixels shows: from its steps down and to the right. Checks every pixel. */
static int symmetry_of(const float *p, int ph, int pw)
{
    static const int steps[8][2] = {{1000, 1}, {1000, -1}, {-1000, 1}, {-1000, -1},
                                    {1, 1000}, {1, -1000}, {-1, 1000}, {-1, -1000}};
    const int down = (int)(p[pw] - p[0]), right = (int)(p[1] - p[0]);
    for (int r = 0; r < ph; r++) {
        for (int c = 0; c < pw; c++) {
            assert_true(p[r * pw + c] == p[0] + (float)(r * down + c * right));
        }
    }
    for (int i = 0; i < 8; i++) {
        if (steps[i][0] == down && steps[i][1] == right) {
            return i;
        }
    }
    fail_msg("steps %d, %d are no symmetry of the grid", down, right);
    return -1;
}

static void count_symmetries(bool flip, bool turn, int ph, int pw, int counts[8])
{
    enum { BATCH = 16, STEPS = 200 };
    coded_image c = make_coded("image", 0, 21, 30);
    const fnr_sampler_options o = {
        .patch_d = 1, .patch_h = ph, .patch_w = pw, .batch = BATCH, .flip = flip, .turn = turn, .seed = 1};
    fnr_sampler *s = must_make(&flat_desc, &c.pair, 1, &o);
    float x[BATCH * 128], y[BATCH * 128];
    assert_true(ph * pw <= 128);
    memset(counts, 0, 8 * sizeof *counts);
    for (long step = 0; step < STEPS; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        assert_memory_equal(x, y, sizeof(float) * (size_t)(BATCH * ph * pw));
        for (int i = 0; i < BATCH; i++) {
            counts[symmetry_of(x + i * ph * pw, ph, pw)]++;
        }
    }
    fnr_sampler_free(s);
    free_coded(&c);
}

static void flips_and_turns_give_each_symmetry(void **state)
{
    (void)state;
    int counts[8];
    count_symmetries(true, true, 8, 8, counts);
    for (int i = 0; i < 8; i++) {
        assert_in_range(counts[i], 400 - 80, 400 + 80); /* 3200 / 8, 4 standard deviations of 19 */
    }
    count_symmetries(true, false, 8, 12, counts);
    assert_in_range(counts[0], 1600 - 120, 1600 + 120);
    assert_int_equal(counts[0] + counts[1], 3200); /* as it is, and mirrored in x */
    count_symmetries(false, true, 8, 8, counts);
    assert_int_equal(counts[0] + counts[3] + counts[5] + counts[6], 3200); /* rotations keep the handedness */
    assert_true(counts[3] > 650 && counts[5] > 650 && counts[6] > 650);
    count_symmetries(false, false, 12, 8, counts);
    assert_int_equal(counts[0], 3200);
}

/* ---- resampling ------------------------------------------------------------------------------------------------------------ */

/* On images that are the coordinates themselves bilinear interpolation is exact, so each pixel tells where it was taken. */
static void rotation_and_scale_stay_inside_and_move_both(void **state)
{
    (void)state;
    enum { H = 70, W = 90, P = 16, BATCH = 8, STEPS = 100 };
    static float signal[2 * H * W], target[2 * H * W], x[BATCH * 2 * P * P], y[BATCH * 2 * P * P];
    static uint8_t valid[H * W];
    for (int i = 0; i < H * W; i++) {
        const int px = i % W, py = i / W;
        valid[i] = (px < 60 || py > 40) && !(px == 30 && (py == 20 || py == 50)); /* single pixels count too */
        signal[i] = target[H * W + i] = (float)px;
        signal[H * W + i] = target[i] = valid[i] ? (float)py : NAN; /* a single pixel that is not valid spoils the patch */
    }
    const fnr_netdesc desc = {2, 2, 2, 2, 2};
    const fnr_pair pair = {.name = "ramp", .d = 1, .h = H, .w = W, .signal = signal, .target = target, .valid = valid};
    const fnr_sampler_options o = {
        .patch_d = 1, .patch_h = P, .patch_w = P, .batch = BATCH, .flip = true, .scale_jitter = 0.25, .seed = 5};
    fnr_sampler *s = must_make(&desc, &pair, 1, &o);
    int mirrored = 0, resampled = 0, quadrant[4] = {0};
    double smallest = 9, largest = 0;
    for (long step = 0; step < STEPS; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        for (int i = 0; i < BATCH; i++) {
            const float *px = x + i * 2 * P * P, *py = px + P * P;
            assert_memory_equal(px, y + i * 2 * P * P + P * P, P * P * sizeof(float)); /* target planes are swapped */
            assert_memory_equal(py, y + i * 2 * P * P, P * P * sizeof(float));
            const double right_x = (px[P - 1] - px[0]) / (P - 1), right_y = (py[P - 1] - py[0]) / (P - 1);
            const double down_x = (px[(P - 1) * P] - px[0]) / (P - 1), down_y = (py[(P - 1) * P] - py[0]) / (P - 1);
            const double scale = hypot(right_x, right_y);
            for (int k = 0; k < P * P; k++) {
                assert_at_most(fabs(px[k] - (px[0] + right_x * (k % P) + down_x * (k / P))), 2e-4);
                assert_at_most(fabs(py[k] - (py[0] + right_y * (k % P) + down_y * (k / P))), 2e-4);
            }
            assert_at_most(fabs(scale - hypot(down_x, down_y)), 1e-4); /* a similarity */
            assert_at_most(fabs(right_x * down_x + right_y * down_y), 1e-4);
            mirrored += right_x * down_y - right_y * down_x < 0;
            resampled += fabs(right_x) > 1e-3 && fabs(right_y) > 1e-3;
            quadrant[(right_x > 0) + 2 * (right_y > 0)]++;
            smallest = fmin(smallest, scale);
            largest = fmax(largest, scale);
        }
    }
    assert_true(smallest > 0.7999 && smallest < 0.82 && largest < 1.2501 && largest > 1.22);
    assert_in_range(mirrored, 400 - 60, 400 + 60);
    assert_in_range(resampled, 760, 800); /* nearly no patch has to be taken as it is */
    for (int q = 0; q < 4; q++) {
        assert_in_range(quadrant[q], 200 - 50, 200 + 50);
    }
    fnr_sampler_free(s);
}

static void a_patch_as_large_as_the_image_is_taken_as_it_is(void **state)
{
    (void)state;
    coded_image c = make_coded("image", 0, 8, 12);
    const fnr_sampler_options o = {.patch_d = 1, .patch_h = 8, .patch_w = 12, .batch = 1, .scale_jitter = 0.1, .seed = 5};
    fnr_sampler *s = must_make(&flat_desc, &c.pair, 1, &o);
    float x[96], y[96];
    for (long step = 0; step < 20; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        for (int i = 0; i < 96; i++) { /* or seen the right way up through a smaller window, never outside */
            assert_true(y[i] >= 0 && y[i] <= 7011);
        }
        assert_memory_equal(x, y, sizeof x);
    }
    fnr_sampler_free(s);
    free_coded(&c);
}

/* ---- 3D -------------------------------------------------------------------------------------------------------------------- */

static void volumes_are_cut_in_z_too(void **state)
{
    (void)state;
    enum { D = 7, H = 11, W = 14, N = D * H * W, BATCH = 8 };
    const fnr_netdesc desc = {3, 2, 1, 2, 2};
    static float signal[2 * N], target[N], x[BATCH * 2 * 4 * 8 * 4], y[BATCH * 4 * 8 * 4];
    for (int i = 0; i < N; i++) {
        signal[i] = target[i] = (float)(i / (H * W) * 10000 + i / W % H * 100 + i % W);
        signal[N + i] = -signal[i];
    }
    const fnr_pair pair = {.name = "volume", .d = D, .h = H, .w = W, .signal = signal, .target = target};
    const fnr_sampler_options o = {.patch_d = 4, .patch_h = 8, .patch_w = 4, .batch = BATCH, .flip = true, .seed = 2};
    fnr_sampler *s = must_make(&desc, &pair, 1, &o);
    bool seen[4] = {false};
    for (long step = 0; step < 50; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        for (int i = 0; i < BATCH; i++) {
            const float *p = y + i * 128, *q = x + i * 256;
            const int right = (int)(p[1] - p[0]);
            assert_true(right == 1 || right == -1);
            for (int k = 0; k < 128; k++) {
                assert_true(p[k] == p[0] + (float)(k / 32 * 10000 + k / 4 % 8 * 100 + k % 4 * right));
                assert_true(q[k] == p[k] && q[128 + k] == -p[k]);
            }
            seen[(int)p[0] / 10000] = true;
        }
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    fnr_sampler_free(s);
}

/* ---- intensity ------------------------------------------------------------------------------------------------------------- */

static void gain_and_offset_touch_the_signal_alone(void **state)
{
    (void)state;
    enum { BATCH = 10, STEPS = 100 };
    coded_image c = make_coded("image", 0, 20, 24);
    for (int i = 0; i < 20 * 24; i++) {
        c.pixels[i] = (float)((i * 7919) % 101) / 50 - 1;
    }
    const fnr_sampler_options o = {
        .patch_d = 1, .patch_h = 8, .patch_w = 12, .batch = BATCH, .gain_jitter = 0.5, .offset_jitter = 0.3, .seed = 9};
    fnr_sampler *s = must_make(&flat_desc, &c.pair, 1, &o);
    float x[BATCH * 96], y[BATCH * 96];
    double low_gain = 9, high_gain = 0, low_offset = 9, high_offset = -9;
    for (long step = 0; step < STEPS; step++) {
        assert_true(fnr_sampler_batch(s, step, x, y, NULL));
        for (int i = 0; i < BATCH; i++) {
            const float *a = x + i * 96, *b = y + i * 96;
            const double gain = (double)(a[1] - a[0]) / (double)(b[1] - b[0]), offset = (double)a[0] - gain * (double)b[0];
            for (int k = 0; k < 96; k++) {
                assert_at_most(fabs((double)a[k] - (gain * (double)b[k] + offset)), 1e-4);
            }
            low_gain = fmin(low_gain, gain);
            high_gain = fmax(high_gain, gain);
            low_offset = fmin(low_offset, offset);
            high_offset = fmax(high_offset, offset);
        }
    }
    assert_true(low_gain > 1 / 1.5 - 1e-4 && low_gain < 0.68 && high_gain < 1.5 + 1e-4 && high_gain > 1.47);
    assert_true(low_offset > -0.3001 && low_offset < -0.29 && high_offset < 0.3001 && high_offset > 0.29);
    fnr_sampler_free(s);
    free_coded(&c);
}

/* ---- a pure function of (seed, step) -----------------------------------------------------------------------------------------
 */

enum { PURE_STEPS = 24, PURE_FLOATS = 3 * 8 * 8 };

typedef struct {
    const fnr_sampler *sampler;
    float x[PURE_STEPS][PURE_FLOATS], y[PURE_STEPS][PURE_FLOATS];
} pure_job;
static void pure_step(void *ctx, size_t i)
{
    pure_job *job = ctx;
    assert_true(fnr_sampler_batch(job->sampler, (long)i, job->x[i], job->y[i], NULL));
}

static void is_a_pure_function_of_seed_and_step(void **state)
{
    (void)state;
    coded_image c = make_coded("image", 0, 40, 50);
    fnr_sampler_options o = {.patch_d = 1,
                             .patch_h = 8,
                             .patch_w = 8,
                             .batch = 3,
                             .flip = true,
                             .turn = true,
                             .scale_jitter = 0.1,
                             .gain_jitter = 0.1,
                             .offset_jitter = 0.1,
                             .noise_sd = 0.1,
                             .gamma_jitter = 0.001,
                             .blur_px = 1,
                             .seed = 4};
    static pure_job a, b;
    a.sampler = must_make(&flat_desc, &c.pair, 1, &o);
    b.sampler = must_make(&flat_desc, &c.pair, 1, &o);
    fnr_threads_set(4);
    fnr_parallel_for(PURE_STEPS, pure_step, &a);
    fnr_threads_set(0);
    for (size_t i = PURE_STEPS; i-- > 0;) {
        pure_step(&b, i);
    }
    assert_memory_equal(a.x, b.x, sizeof a.x);
    assert_memory_equal(a.y, b.y, sizeof a.y);
    assert_memory_not_equal(a.y[0], a.y[1], sizeof a.y[0]);
    assert_memory_not_equal(a.y[0], a.y[0] + 64, sizeof a.y[0] / 3); /* nor are two items of a batch the same */
    fnr_sampler_free((fnr_sampler *)b.sampler);
    o.seed = 5;
    b.sampler = must_make(&flat_desc, &c.pair, 1, &o);
    pure_step(&b, 0);
    assert_memory_not_equal(a.y[0], b.y[0], sizeof a.y[0]);
    fnr_sampler_free((fnr_sampler *)a.sampler);
    fnr_sampler_free((fnr_sampler *)b.sampler);
    free_coded(&c);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------------
 */

static void refuses_what_cannot_work(void **state)
{
    (void)state;
    coded_image a = make_coded("small", 0, 12, 9), b = make_coded("large", 1, 30, 20);
    const fnr_pair pairs[] = {a.pair, b.pair};
    const fnr_sampler_options good = {.patch_d = 1, .patch_h = 8, .patch_w = 8, .batch = 2};
    const struct {
        fnr_sampler_options o;
        const char *message;
    } cases[] = {
        {{.patch_d = 1, .patch_h = 8, .patch_w = 24, .batch = 2},
         "holds a patch of 24 x 8 px: the largest, 'large', has 20 x 30 px, 100 %"},
        {{.patch_d = 1, .patch_h = 6, .patch_w = 8, .batch = 2}, "needs multiples of 4"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = -8, .batch = 2}, "needs multiples of 4"},
        {{.patch_d = 4, .patch_h = 8, .patch_w = 8, .batch = 2}, "d = 1 in 2D"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 8192, .batch = 2}, "at most 4096"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 8, .batch = 0}, "a batch of 0"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 12, .batch = 2, .turn = true}, "square patches, not 8 x 12"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 8, .batch = 2, .noise_sd = -1}, "augmentation of -1"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 8, .batch = 2, .blur_px = NAN}, "augmentation of"},
        {{.patch_d = 1, .patch_h = 8, .patch_w = 8, .batch = 2, .blur_px = 11}, "augmentation of 11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_error err = {0};
        assert_null(fnr_sampler_new(&flat_desc, pairs, 2, &cases[i].o, &err));
        assert_int_equal(err.code, FNR_E_USAGE);
        if (!strstr(err.message, cases[i].message)) {
            fail_msg("expected '%s', got '%s'", cases[i].message, err.message);
        }
    }
    fnr_error err = {0};
    assert_null(fnr_sampler_new(&flat_desc, pairs, 0, &good, &err));
    assert_string_equal(err.message, "there are no training images");
    b.pair.valid = b.valid;
    for (int i = 0; i < 600; i++) {
        b.valid[i] = i % 20 % 7 != 0; /* never 8 in a row */
    }
    assert_null(fnr_sampler_new(&flat_desc, &b.pair, 1, &good, &err));
    assert_non_null(strstr(err.message, "'large', has 20 x 30 px, 85 % of them with a known target"));
    free_coded(&a);
    free_coded(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_drawn_uniformly),
        cmocka_unit_test(positions_are_uniform_over_the_valid_ones),
        cmocka_unit_test(flips_and_turns_give_each_symmetry),
        cmocka_unit_test(rotation_and_scale_stay_inside_and_move_both),
        cmocka_unit_test(a_patch_as_large_as_the_image_is_taken_as_it_is),
        cmocka_unit_test(volumes_are_cut_in_z_too),
        cmocka_unit_test(gain_and_offset_touch_the_signal_alone),
        cmocka_unit_test(is_a_pure_function_of_seed_and_step),
        cmocka_unit_test(refuses_what_cannot_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
