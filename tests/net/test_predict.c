/* Prediction: seams must not exist. Tiled results are compared with the network run once on the whole padded image. */
#include "tests/support/net_rig.h"
#include "tests/support/predict_case.h"

typedef struct {
    const fnr_backend_ops *be;
    fnr_backend *device;
} device;

/* Walks from 0 to i and turns round at the ends: a mirror that no formula can get wrong. */
static int bounce(int i, int n)
{
    int at = 0, step = 1;
    for (int k = 0; k < i && n > 1; k++) {
        if (at + step < 0 || at + step >= n) {
            step = -step;
        }
        at += step;
    }
    return at;
}

static int up(int n, int grid)
{
    return (n + grid - 1) / grid * grid;
}

/* The definition: pad the whole image, run the network once, cut. Result is malloc'ed. */
static float *predict_whole(device d, const fnr_model *m, int depth, int h, int w, const float *in)
{
    const int grid = fnr_netdesc_grid(&m->desc), ci = m->desc.in_channels, co = m->desc.out_channels;
    const int pd = m->desc.spatial == 3 ? up(depth, grid) : 1, ph = up(h, grid), pw = up(w, grid);
    const fnr_shape shape = {m->desc.spatial, 1, ci, pd, ph, pw};
    const size_t plane = (size_t)pd * (size_t)ph * (size_t)pw;
    float *x = malloc(plane * (size_t)ci * sizeof *x), *y = malloc(plane * (size_t)co * sizeof *y);
    float *out = malloc((size_t)co * (size_t)depth * (size_t)h * (size_t)w * sizeof *out);
    assert_true(x && y && out);
    for (size_t i = 0; i < plane * (size_t)ci; i++) {
        const int c = (int)(i / plane), z = (int)(i / (size_t)(ph * pw)) % pd, r = (int)(i / (size_t)pw) % ph,
                  q = (int)(i % (size_t)pw);
        x[i] = in[((c * depth + bounce(z, depth)) * h + bounce(r, h)) * w + bounce(q, w)];
    }
    fnr_error err = {0};
    fnr_state *s;
    fnr_program *p;
    assert_ok(d.be->state_new(d.device, &m->graph, false, &s, &err), err);
    assert_ok(d.be->state_write(s, FNR_STATE_VALUES, m->values, &err), err);
    assert_ok(d.be->program_new(d.device, s, &shape, FNR_MODE_INFER, &p, &err), err);
    assert_ok(d.be->forward(p, x, y, &err), err);
    for (int i = 0; i < co * depth * h * w; i++) {
        const int c = i / (depth * h * w), z = i / (h * w) % depth, r = i / w % h, q = i % w;
        out[i] = y[((c * pd + z) * ph + r) * pw + q];
    }
    d.be->program_free(p);
    d.be->state_free(s);
    free(x);
    free(y);
    return out;
}

static fnr_predictor *must_open(device d, const fnr_model *m, fnr_predict_options o)
{
    fnr_error err = {0};
    fnr_predictor *p = fnr_predictor_new(d.be, d.device, m, &o, &err);
    if (!p) {
        fail_msg("%s", err.message);
    }
    return p;
}

static void check_tile_sizes(device d, const fnr_netdesc *desc, int depth, int h, int w, const int *tiles, int n_tiles)
{
    fnr_error err = {0};
    fnr_model m;
    fnr_test_model(desc, 9, false, &m);
    const size_t pixels = (size_t)depth * (size_t)h * (size_t)w, n = pixels * (size_t)desc->out_channels;
    float *in = fnr_test_noise(pixels * (size_t)desc->in_channels, 3), *whole = predict_whole(d, &m, depth, h, w, in);
    double spread = 0;
    for (size_t i = 0; i < n; i++) {
        spread = fmax(spread, fabs((double)whole[i] - (double)whole[0]));
    }
    assert_at_most(n > 50 ? 0.01 : 0, spread); /* a constant output would hide any mistake */
    for (int i = 0; i < n_tiles; i++) {
        float *out = fnr_test_guarded(n);
        fnr_predictor *p = must_open(d, &m, (fnr_predict_options){.tile = tiles[i]});
        assert_ok(fnr_predict_array(p, depth, h, w, in, out, NULL, &err), err);
        if (memcmp(out, whole, n * sizeof *out) != 0) {
            fail_msg("%s, %d x %d x %d px: tiles of %d px differ from the whole image by %g", d.be->name, w, h, depth, tiles[i],
                     fnr_test_max_abs(out, whole, n));
        }
        fnr_test_check_guards(out, n);
        fnr_test_guarded_free(out);
        fnr_predictor_free(p);
    }
    free(in);
    free(whole);
    fnr_model_free(&m);
}

static void any_tile_size_gives_the_same_bits(device d)
{
    const fnr_netdesc shallow = {2, 2, 3, 2, 1}, deep = {2, 1, 1, 2, 4};
    check_tile_sizes(d, &shallow, 1, 67, 101, (const int[]){0, 8, 14, 40, 100, 102}, 6);
    check_tile_sizes(d, &(fnr_netdesc){2, 1, 1, 3, 2}, 1, 45, 421, (const int[]){60, 200}, 2);
    check_tile_sizes(d, &deep, 1, 21, 301, (const int[]){0, 16, 80, 304}, 4);
    check_tile_sizes(d, &deep, 1, 289, 14, (const int[]){48}, 1);
}

static void volumes_have_no_seams_either(device d)
{
    const fnr_netdesc desc = {3, 1, 2, 2, 1}; /* halo 10 */
    check_tile_sizes(d, &desc, 25, 5, 26, (const int[]){4, 6, 26}, 3);
    check_tile_sizes(d, &desc, 1, 27, 3, (const int[]){0, 4}, 2);
    check_tile_sizes(d, &desc, 67, 4, 5, (const int[]){4, 6, 20}, 3); /* also where slices are computed in pairs */
    check_tile_sizes(d, &(fnr_netdesc){3, 1, 1, 9, 1}, 61, 2, 7, (const int[]){10}, 1);
}

static void small_and_odd_images_work(device d)
{
    const fnr_netdesc deep = {2, 1, 1, 2, 4};
    const int sizes[][2] = {{1, 1}, {1, 40}, {2, 3}, {5, 1}, {16, 16}, {17, 15}, {8, 9}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_tile_sizes(d, &deep, 1, sizes[i][0], sizes[i][1], (const int[]){0, 16}, 2);
    }
}

/* With positive weights every dependence shows. Over all positions within a grid cell, 108 px are reached and 109 never. */
static void a_pixel_is_felt_up_to_108_px_away(device d)
{
    enum { W = 304, H = 16, MIDDLE = 144 };
    const fnr_netdesc desc = {2, 1, 1, 1, 4};
    if (d.be->blocks && d.be->blocks(d.device, &desc).px > 1) {
        return; /* felt further away in the last bits */
    }
    fnr_error err = {0};
    fnr_model m;
    fnr_test_model(&desc, 9, true, &m);
    float *in = fnr_test_noise(W * H, 1), before[W * H], after[W * H];
    for (int i = 0; i < W * H; i++) {
        in[i] = fabsf(in[i]);
    }
    fnr_predictor *p = must_open(d, &m, (fnr_predict_options){.tile = W});
    assert_ok(fnr_predict_array(p, 1, H, W, in, before, NULL, &err), err);
    int furthest_left = 0, furthest_right = 0;
    for (int x = MIDDLE; x < MIDDLE + 16; x++) {
        float *pixel = &in[5 * W + x];
        const float kept = *pixel;
        *pixel = 1e6f;
        assert_ok(fnr_predict_array(p, 1, H, W, in, after, NULL, &err), err);
        *pixel = kept;
        for (int i = 0; i < W * H; i++) {
            const int away = after[i] != before[i] ? i % W - x : 0;
            furthest_left = away < furthest_left ? away : furthest_left;
            furthest_right = away > furthest_right ? away : furthest_right;
        }
    }
    assert_int_equal(furthest_left, -108);
    assert_int_equal(furthest_right, 108);
    free(in);
    fnr_predictor_free(p);
    fnr_model_free(&m);
}

/* ---- streaming
 * ------------------------------------------------------------------------------------------------------------------ */

static void streaming_gives_the_same_in_bands(device d)
{
    enum { H = 67, W = 101 };
    const fnr_netdesc desc = {2, 2, 3, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    fnr_test_model(&desc, 9, false, &m);
    static float out[3 * H * W];
    float *in = fnr_test_noise(2 * H * W, 3), *whole = predict_whole(d, &m, 1, H, W, in);
    fnr_predictor *p = must_open(d, &m, (fnr_predict_options){.tile = 14});
    const fnr_test_stream fresh = {
        .in = in, .out = out, .channels_in = 2, .channels_out = 3, .h = H, .w = W, .fail_read = -1, .fail_band = -1};
    fnr_test_stream s = fresh;
    assert_ok(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err), err);
    assert_int_equal(s.next_row, H);
    assert_int_equal(s.bands, 5); /* ceil(67 / 14) */
    assert_memory_equal(out, whole, sizeof out);

    s = fresh;
    s.fail_read = 11;
    assert_false(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err));
    assert_string_equal(err.message, "tape torn");
    assert_int_equal(s.bands, 1); /* 8 tiles a band */
    s = fresh;
    s.fail_band = 3;
    assert_false(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err));
    assert_string_equal(err.message, "disk full");
    fnr_cancel cancel = {0};
    s = fresh;
    s.cancel = &cancel;
    assert_false(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, &cancel, &err));
    assert_int_equal(err.code, FNR_E_CANCELLED);
    assert_int_equal(s.next_row, 28);
    fnr_predictor_free(p);
    free(in);
    free(whole);
    fnr_model_free(&m);
}

/* ---- memory
 * ----------------------------------------------------------------------------------------------------------------------- */

/* The reference backend, with every program counted. */
static int programs_made;
static size_t most_bytes;

static bool counting_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out,
                                 fnr_error *err)
{
    const bool ok = fnr_backend_ref.program_new(b, s, shape, mode, out, err);
    if (ok) {
        programs_made++;
        const size_t bytes = fnr_backend_ref.program_bytes(*out);
        most_bytes = bytes > most_bytes ? bytes : most_bytes;
    }
    return ok;
}

static void memory_is_bounded_and_programs_are_reused(void **state)
{
    (void)state;
    enum { H = 150, W = 420 };
    const fnr_netdesc desc = {2, 1, 1, 2, 1};
    fnr_backend_ops counting = fnr_backend_ref;
    counting.program_new = counting_program_new;
    fnr_error err = {0};
    fnr_model m;
    const fnr_backend_options options = {.threads = 1};
    device d = {.be = &counting};
    assert_ok(counting.open(&options, &d.device, &err), err);
    fnr_test_model(&desc, 9, false, &m);
    float *in = fnr_test_noise(H * W, 3), *whole = predict_whole(d, &m, 1, H, W, in), *out = malloc(H * W * sizeof *out);
    programs_made = 0;
    most_bytes = 0;
    const size_t limit = 2 << 20;
    fnr_predictor *p = must_open(d, &m, (fnr_predict_options){.max_bytes = limit});
    const int probes = programs_made;
    most_bytes = 0; /* the probe was larger than the limit: it has a fixed size */
    for (int i = 0; i < 2; i++) {
        fnr_test_stream s = {.in = in, .out = out, .channels_in = 1, .channels_out = 1, .h = H, .w = W, .fail_read = -1, .fail_band = -1};
        assert_ok(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err), err);
        assert_true(s.reads > 3);
        assert_memory_equal(out, whole, H * W * sizeof *out);
    }
    assert_true(most_bytes > limit / 3 && most_bytes <= limit);
    assert_in_range(programs_made - probes, 1, 3); /* one, after at most two that were too large */
    fnr_predictor_free(p);

    p = must_open(d, &m, (fnr_predict_options){.max_bytes = 10000});
    assert_false(fnr_predict_array(p, 1, H, W, in, out, NULL, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_non_null(strstr(err.message, "420 x 150 x 1 px (w, h, d) needs about"));
    fnr_predictor_free(p);
    fnr_model_free(&m);
    counting.close(d.device);
    free(in);
    free(whole);
    free(out);
}

static void bad_requests_are_refused(device d)
{
    const fnr_netdesc flat = {2, 1, 1, 1, 2}, solid = {3, 1, 1, 1, 1};
    fnr_error err = {0};
    fnr_model m;
    float px[8] = {0};
    fnr_test_model(&flat, 9, false, &m);
    assert_null(fnr_predictor_new(d.be, d.device, &m, &(fnr_predict_options){.tile = 6}, &err));
    assert_non_null(strstr(err.message, "multiple of 4"));
    assert_null(fnr_predictor_new(d.be, d.device, &m, &(fnr_predict_options){.tile = -4}, &err));
    fnr_predictor *p = must_open(d, &m, (fnr_predict_options){.tile = 4});
    assert_false(fnr_predict_array(p, 2, 2, 2, px, px, NULL, &err));
    assert_non_null(strstr(err.message, "2D network"));
    assert_false(fnr_predict_array(p, 1, 0, 2, px, px, NULL, &err));
    fnr_predictor_free(p);
    fnr_model_free(&m);
    fnr_test_model(&solid, 9, false, &m);
    p = must_open(d, &m, (fnr_predict_options){.tile = 4});
    assert_false(fnr_predict_series(p, 1, 2, 2, fnr_test_read_rect, NULL, fnr_test_take_rows, NULL, NULL, &err));
    fnr_predictor_free(p);
    fnr_model_free(&m);
}

static void on_every_backend(void (*test)(device))
{
    for (const fnr_backend_ops *const *be = fnr_test_backends(); *be; be++) {
        device d = {.be = *be};
        fnr_error err = {0};
        const fnr_backend_options options = {.threads = 1}; /* the work is tiny */
        assert_ok(d.be->open(&options, &d.device, &err), err);
        test(d);
        d.be->close(d.device);
    }
    device d = {.be = &fnr_backend_onednn};
    fnr_error err = {0};
    const fnr_backend_options options = {.threads = 2, .winograd = true};
    assert_ok(d.be->open(&options, &d.device, &err), err);
    test(d);
    d.be->close(d.device);
}

#define EACH(name)                                                                                                               \
    static void name##_(void **state)                                                                                            \
    {                                                                                                                            \
        (void)state;                                                                                                             \
        on_every_backend(name);                                                                                                  \
    }

EACH(any_tile_size_gives_the_same_bits)
EACH(volumes_have_no_seams_either)
EACH(small_and_odd_images_work)
EACH(a_pixel_is_felt_up_to_108_px_away)
EACH(streaming_gives_the_same_in_bands)
EACH(bad_requests_are_refused)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_tile_size_gives_the_same_bits_),
        cmocka_unit_test(volumes_have_no_seams_either_),
        cmocka_unit_test(small_and_odd_images_work_),
        cmocka_unit_test(a_pixel_is_felt_up_to_108_px_away_),
        cmocka_unit_test(streaming_gives_the_same_in_bands_),
        cmocka_unit_test(memory_is_bounded_and_programs_are_reused),
        cmocka_unit_test(bad_requests_are_refused_),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
