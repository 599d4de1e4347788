/* Int8 inference: its kernels against plain integers, whole networks against the definition written out in plain C, against
 * float32 on images, and the same bits for any tiles, threads and instruction set. */
#include <oneapi/dnnl/dnnl.h>
#include "tests/support/int8_reference.h"
#include "tests/support/net_rig.h"

#include "net/model.h"
#include "net/onednn/int8_kernels.h"
#include "net/predict.h"
#include "src/pipeline/tile.h"
#include "src/sim/em.h"

/* ---- kernels --------------------------------------------------------------------------------------------------------------- */

static const fnr_i8_kernels *const tables[] = {&fnr_i8_kernels_avx2, &fnr_i8_kernels_vnni};

static bool runs_here(const fnr_i8_kernels *k)
{
    const dnnl_cpu_isa_t needed = k == &fnr_i8_kernels_avx2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_avx512_core_vnni;
    return (dnnl_get_effective_cpu_isa() & needed) == needed;
}

static unsigned next_number(unsigned *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

/* Words of the largest magnitudes: sums reach 0.99 * 2^31 and its negative. */
static void check_product(const fnr_i8_kernels *k, int vectors, int rows)
{
    enum { DEPTH = 48, A_ROW = 56 };
    static int16_t a[(FNR_I8_ROWS + 8) * A_ROW], b[DEPTH * 64];
    static int32_t c[(FNR_I8_ROWS + 8) * 64];
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
        a[i] = (int16_t)(i % 2 ? -28688 : 28688);
    }
    for (int i = 0; i < DEPTH * 64; i++) {
        b[i] = (int16_t)((i % 2 ? -1550 : 1550) * (i / 2 % 16 % 3 ? 1 : -1) + (int)(next_number(&seed) % 9));
    }
    const fnr_i8_product p = {.a = a, .a_row = A_ROW, .depth = DEPTH, .b = b, .vectors = vectors, .c = c, .c_row = (size_t)(16 * vectors)};
    k->product(&p, rows);
    for (int i = 0; i < rows * 16 * vectors; i++) {
        const int r = i / (16 * vectors), o = i % (16 * vectors);
        int64_t sum = 0;
        for (int n = 0; n < DEPTH; n++) {
            sum += (int64_t)a[r * A_ROW + n] * b[((n / 2 * vectors + o / 16) * 16 + o % 16) * 2 + n % 2];
        }
        if (c[i] != sum) {
            fail_msg("%s: %d vectors, row %d, output %d: %d, should be %lld", k->name, vectors, r, o, c[i], (long long)sum);
        }
    }
}

static void products_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int vectors = 1; vectors <= tables[i]->vectors && runs_here(tables[i]); vectors *= 2) {
            check_product(tables[i], vectors, 1);
            check_product(tables[i], vectors, 13);
            check_product(tables[i], vectors, FNR_I8_ROWS);
        }
    }
}

/* Patches of 0 and 255 reach the ends of the range: their signs follow one of the transform's own rows. */
static uint8_t extreme(int frequency, int position, bool high)
{
    int d[64] = {0}, v[64];
    d[position] = 255;
    fnr_int8_reference_patch(d, v);
    return (v[frequency] > 0) == high ? 255 : 0;
}

/* Three tiles of 32 channels; all but the last channels show the extremes of some frequencies. */
static void check_transform_in(const fnr_i8_kernels *k)
{
    enum { TILES = 3, CHANNELS = 32, PIXEL = 40, ROW = 24 * PIXEL, FREQUENCY = TILES * CHANNELS + 8 };
    static uint8_t src[8 * ROW + 64];
    static int16_t v[64 * FREQUENCY];
    unsigned seed = 7;
    for (int i = 0; i < 8 * 20 * CHANNELS; i++) {
        const int c = i % CHANNELS, x = i / CHANNELS % 20, y = i / CHANNELS / 20;
        const uint8_t wanted = x < 8 ? extreme(9 * (c % 7 + 1) - c % 3, 8 * y + x, c % 2) : (uint8_t)next_number(&seed);
        src[y * ROW + x * PIXEL + c] = c < CHANNELS - 4 ? wanted : (uint8_t)next_number(&seed);
    }
    k->transform_in(src, ROW, PIXEL, TILES, CHANNELS, v, CHANNELS, FREQUENCY);
    int largest = 0;
    for (int i = 0; i < TILES * CHANNELS; i++) {
        int d[64], wanted[64];
        for (int n = 0; n < 64; n++) {
            d[n] = src[n / 8 * ROW + (6 * (i / CHANNELS) + n % 8) * PIXEL + i % CHANNELS];
        }
        fnr_int8_reference_patch(d, wanted);
        for (int n = 0; n < 64; n++) {
            largest = abs(wanted[n]) > largest ? abs(wanted[n]) : largest;
            assert_int_equal(v[n * FREQUENCY + i], wanted[n]);
        }
    }
    assert_in_range(largest, 28000, 28692);
}

/* Sums of known size back to bytes. */
static void check_transform_out(const fnr_i8_kernels *k, int vectors)
{
    enum { TILES = 3, MOST = 64, PIXEL = 72, ROW = 24 * PIXEL };
    const int OUTPUTS = 16 * vectors, FREQUENCY = TILES * OUTPUTS + 16;
    static uint8_t dst[6 * ROW];
    _Alignas(64) static int32_t m[64 * (TILES * MOST + 16)];
    _Alignas(64) static float alpha[64 * MOST], beta[MOST];
    unsigned seed = 3;
    for (int i = 0; i < 64 * FREQUENCY; i++) {
        m[i] = (int)next_number(&seed) % 2000001 - 1000000;
    }
    for (int i = 0; i < 64 * OUTPUTS; i++) {
        alpha[i] = 1e-6f * (float)(next_number(&seed) % 100) / (i / OUTPUTS / 8 % 7 > 4 || i / OUTPUTS % 8 > 4 ? 200.0f : 1.0f);
    }
    for (int i = 0; i < OUTPUTS; i++) {
        beta[i] = (float)(4 * i % 128) + 60;
    }
    k->transform_out(m, (size_t)OUTPUTS, (size_t)FREQUENCY, TILES, vectors, &(fnr_i8_requant){alpha, beta}, dst, ROW, PIXEL);
    int inside = 0;
    for (int i = 0; i < TILES * OUTPUTS; i++) {
        float mine[64], y[36];
        for (int n = 0; n < 64; n++) {
            mine[n] = (float)m[n * FREQUENCY + i] * alpha[n * OUTPUTS + i % OUTPUTS];
        }
        fnr_int8_reference_inverse(mine, y);
        for (int n = 0; n < 36; n++) {
            const float f = y[n] + beta[i % OUTPUTS];
            const int wanted = f <= 0 ? 0 : f >= 255 ? 255 : (int)lrintf(f);
            inside += wanted > 0 && wanted < 255;
            assert_int_equal(dst[n / 6 * ROW + (6 * (i / OUTPUTS) + n % 6) * PIXEL + i % OUTPUTS], wanted);
        }
    }
    assert_true(inside > 36 * TILES * OUTPUTS / 2);
}

static void transforms_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (runs_here(tables[i])) {
            check_transform_in(tables[i]);
            for (int vectors = 1; vectors <= tables[i]->vectors; vectors *= 2) {
                check_transform_out(tables[i], vectors);
            }
        }
    }
}

/* What there is no byte for becomes the nearest one; halves go to the even number. */
static void check_rounding(const fnr_i8_kernels *k)
{
    static const float x[16] = {-1e30f, -1, -0.5f, 0.5f, 0.51f, 1.5f, 2.5f, 100, 254.5f, 254.6f, 255.4f, 256, 1e30f, INFINITY, -INFINITY, 3.2f};
    static const uint8_t wanted[16] = {0, 0, 0, 0, 1, 2, 2, 100, 254, 255, 255, 255, 255, 255, 0, 3};
    _Alignas(64) int32_t sums[3 * 16];
    _Alignas(64) float alpha[16], beta[16], block[2 * 16];
    uint8_t dst[3 * 20], bytes[32];
    int16_t words[32];
    const int n = k == &fnr_i8_kernels_avx2 ? 8 : 16; /* floats in a block */
    for (int i = 0; i < 16; i++) {
        alpha[i] = 0.5f;
        beta[i] = x[i];
        sums[i] = 0;
        sums[16 + i] = 4;
        sums[32 + i] = -600;
    }
    k->requant(sums, 16, 3, 1, &(fnr_i8_requant){alpha, beta}, dst, 20);
    for (int i = 0; i < 48; i++) {
        const float y = fminf(fmaxf(fmaf((float)sums[i], 0.5f, x[i % 16]), 0), 255);
        assert_int_equal(dst[i / 16 * 20 + i % 16], i < 16 ? wanted[i] : (int)lrintf(y));
    }
    for (int part = 0; part < 16 / n; part++) {
        memcpy(block, x + n * part, (size_t)n * sizeof *x);
        memcpy(block + n, x + n * part, (size_t)n * sizeof *x);
        k->from_floats(block, 2, dst, 20);
        for (int i = 0; i < n; i++) {
            assert_int_equal(dst[i], wanted[n * part + i]);
            assert_int_equal(dst[20 + i], wanted[n * part + i]);
        }
    }
    for (int i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)(i % 3 ? 255 - i : i);
    }
    k->widen(bytes, 32, words);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(words[i], bytes[i]);
    }
}

static void bytes_are_rounded_and_saturate(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (runs_here(tables[i])) {
            check_rounding(tables[i]);
        }
    }
}

/* ---- networks ---------------------------------------------------------------------------------------------------------------- */

static void make_model(const fnr_netdesc *desc, fnr_model *m)
{
    fnr_error err = {0};
    assert_ok(fnr_model_new(desc, 9, m, &err), err);
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        const double fan_in = p->rank > 1 ? (double)p->count / p->dims[0] : 1, w = 2 / sqrt(fan_in);
        const double ranges[][2] = {{-w, w}, {-0.2, 0.2}, {-1.2, 1.2}, {-0.2, 0.2}, {-0.3, 0.3}, {0.5, 1.5}}; /* by role */
        fnr_test_fill(m->values + p->offset, p->count, (unsigned)i + 1, ranges[p->role][0], ranges[p->role][1]);
    }
}

/* x -> y by the oneDNN backend; the image's extents fit the network. */
static void infer(const fnr_model *m, int precision, bool winograd, const fnr_shape *s, const float *x, float *y)
{
    const fnr_backend_ops *be = &fnr_backend_onednn;
    const fnr_backend_options options = {.threads = 2, .precision = precision, .winograd = winograd};
    fnr_error err = {0};
    fnr_backend *b;
    fnr_state *state;
    fnr_program *p;
    assert_ok(be->open(&options, &b, &err), err);
    assert_ok(be->state_new(b, &m->graph, false, &state, &err), err);
    assert_ok(be->program_new(b, state, s, FNR_MODE_INFER, &p, &err), err);
    assert_ok(be->state_write(state, FNR_STATE_VALUES, m->values, &err), err); /* after the program: it must notice */
    assert_ok(be->forward(p, x, y, &err), err);
    be->program_free(p);
    be->state_free(state);
    be->close(b);
}

static void check_network(const fnr_netdesc *desc, const fnr_shape *in, bool each)
{
    fnr_model m;
    make_model(desc, &m);
    fnr_shape one = *in, out = one;
    one.n = 1;
    out.c = desc->out_channels;
    const size_t n_in = fnr_shape_count(&one), n = fnr_shape_count(&out);
    float *x = fnr_test_guarded(n_in * (size_t)out.n), *y = fnr_test_guarded(n), *wanted = fnr_test_guarded(n);
    fnr_test_fill(x, n_in * (size_t)out.n, 5, -2, 2);
    infer(&m, FNR_PRECISION_INT8, !each, in, x, y);
    for (int k = 0; k < out.n; k++) {
        fnr_int8_reference(&m.graph, m.values, &one, each, x + (size_t)k * n_in, wanted + (size_t)k * n / (size_t)out.n);
    }
    /* The last convolution's sum is a float: a byte that differed would show as 1e-3. */
    assert_at_most(fnr_test_rel_l2(y, wanted, n), 1e-5);
    fnr_test_check_guards(y, n);
    fnr_test_guarded_free(x);
    fnr_test_guarded_free(y);
    fnr_test_guarded_free(wanted);
    fnr_model_free(&m);
}

/* Channels that fill chunks, spill over them and make groups of 4, 2 and 1; a deepest level of odd extents; two samples; 4 inputs and
 * outputs; many channels, in one piece and in two; an image of one pixel. */
static void networks_follow_the_definition(void **state)
{
    (void)state;
    static const struct {
        fnr_netdesc desc;
        fnr_shape in;
    } cases[] = {{{2, 2, 3, 5, 2}, {2, 2, 2, 1, 44, 28}},
                 {{2, 1, 1, 16, 1}, {2, 1, 1, 1, 6, 110}},
                 {{2, 1, 1, 28, 2}, {2, 1, 1, 1, 12, 4}},
                 {{2, 4, 4, 3, 0}, {2, 1, 4, 1, 1, 1}},
                 {{2, 1, 1, 130, 1}, {2, 1, 1, 1, 4, 8}},
                 {{2, 1, 1, 128, 1}, {2, 1, 1, 1, 2, 302}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_network(&cases[i].desc, &cases[i].in, false);
        if (i + 1 < sizeof cases / sizeof *cases) { /* the last is there for Winograd's pieces */
            check_network(&cases[i].desc, &cases[i].in, true);
        }
    }
}

static void check_tiles(const fnr_netdesc *desc, int h, int w, fnr_tta tta)
{
    static float x[289 * 421], first[289 * 421], y[289 * 421];
    const size_t n = (size_t)h * (size_t)w;
    fnr_error err = {0};
    fnr_model m;
    make_model(desc, &m);
    fnr_test_fill(x, n, 3, -2, 2);
    for (int i = 0; i < 5; i++) {
        const fnr_backend_options options = {.threads = 1 + i % 3, .precision = FNR_PRECISION_INT8, .winograd = true};
        const fnr_predict_options tiles = {.tile = (int[]){0, 8, 24, 48, 200}[i], .tta = (int)tta};
        fnr_backend *b;
        assert_ok(fnr_backend_onednn.open(&options, &b, &err), err);
        fnr_predictor *p = fnr_predictor_new(&fnr_backend_onednn, b, &m, &tiles, &err);
        assert_ok(p != NULL, err);
        assert_ok(fnr_predict_array(p, 1, h, w, x, i ? y : first, NULL, &err), err);
        if (i && memcmp(y, first, n * sizeof *y)) {
            fail_msg("tiles of %d px differ from the whole image by %g", tiles.tile, fnr_test_max_abs(y, first, n));
        }
        fnr_predictor_free(p);
        fnr_backend_onednn.close(b);
    }
    fnr_model_free(&m);
}

/* Reach 24 px, by Winograd 90: images must be longer than two of these for tiles to be cut. */
static void tiles_and_threads_change_no_bit(void **state)
{
    (void)state;
    const fnr_netdesc desc = {2, 1, 1, 6, 2};
    check_tiles(&desc, 45, 421, FNR_TTA_NONE);
    check_tiles(&desc, 289, 30, FNR_TTA_NONE);
    check_tiles(&desc, 45, 205, FNR_TTA_FLIPS);
}

static double correlation(const float *a, const float *b, size_t n)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++) {
        ma += (double)a[i] / (double)n;
        mb += (double)b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double u = (double)a[i] - ma, v = (double)b[i] - mb;
        aa += u * u;
        bb += v * v;
        ab += u * v;
    }
    return ab / sqrt(aa * bb);
}

/* int8 against float32 on the middle of a z-scored image. */
static void check_image(const char *model, const float *px, int h, int w)
{
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_model_read(model, &m, &err), err);
    const int grid = fnr_netdesc_grid(&m.desc);
    const fnr_shape s = {2, 1, 1, 1, h / grid * grid, w / grid * grid};
    const size_t n = fnr_shape_count(&s);
    float *x = malloc(n * sizeof *x), *f = malloc(n * sizeof *f), *q = malloc(n * sizeof *q);
    assert_true(x && f && q);
    for (int y = 0; y < s.h; y++) {
        memcpy(x + y * s.w, px + y * w, (size_t)s.w * sizeof *x);
    }
    infer(&m, FNR_PRECISION_FLOAT32, true, &s, x, f);
    for (int each = 0; each < 2; each++) {
        infer(&m, FNR_PRECISION_INT8, !each, &s, x, q);
        const double r = correlation(f, q, n);
        print_message("%s, %s: correlation with float32 %.7f\n", model, each ? "direct" : "Winograd", r);
        assert_at_most(1 - r, 1e-3);
    }
    free(x);
    free(f);
    free(q);
    fnr_model_free(&m);
}

/* A section as the simulation draws it, before the microscope's noise. */
static void simulated_images_agree_with_float32(void **state)
{
    (void)state;
    enum { H = 336, W = 256 };
    static float px[H * W];
    const double nm = 50;
    const fnr_sim_rect all = {0, 0, W * nm, H * nm};
    const fnr_sim_plan plan = {.world = all, .section = all};
    fnr_error err = {0};
    fnr_sim_scene scene;
    assert_ok(fnr_sim_scene_build(&scene, 3, &plan, NULL, &err), err);
    fnr_view v = fnr_view_f32(px, W, H);
    fnr_sim_draw_em(&scene, &(fnr_sim_window){.nm = nm}, &v);
    double mean = 0, square = 0;
    for (int i = 0; i < H * W; i++) {
        mean += (double)px[i] / (H * W);
        square += (double)px[i] * (double)px[i] / (H * W);
    }
    for (int i = 0; i < H * W; i++) {
        px[i] = (float)(((double)px[i] - mean) / sqrt(square - mean * mean));
    }
    check_image("examples/models/demo.safetensors", px, H, W);
    fnr_sim_scene_free(&scene);
}

static void real_images_agree_with_float32(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_em_tile tile;
    assert_ok(fnr_tile_load(fnr_test_need("data/nerve/visible/D/em/Tile_r2-c2.tif"), 11.9, 40, &tile, &err), err);
    check_image("examples/models/nerve-mbp-fast.safetensors", tile.net.v.px, tile.net.v.h, tile.net.v.w);
    fnr_tile_free(&tile);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------------- */

static void what_it_cannot_do_is_said(void **state)
{
    (void)state;
    const fnr_backend_ops *be = &fnr_backend_onednn;
    const fnr_backend_options options = {.threads = 1, .precision = FNR_PRECISION_INT8, .winograd = true, .max_bytes = 4 << 20};
    const fnr_shape solid = {3, 1, 1, 4, 4, 4}, flat = {2, 2, 1, 1, 8, 12}, five = {2, 1, 5, 1, 8, 12}, large = {2, 1, 1, 1, 512, 512};
    float x[192], y[192], again[192];
    fnr_error err = {0};
    fnr_backend *b;
    fnr_state *s;
    fnr_program *p;
    fnr_model m;
    assert_ok(be->open(&options, &b, &err), err);
    make_model(&(fnr_netdesc){3, 1, 1, 2, 1}, &m);
    assert_ok(be->state_new(b, &m.graph, true, &s, &err), err);
    assert_false(be->program_new(b, s, &solid, FNR_MODE_INFER, &p, &err));
    assert_int_equal(err.code, FNR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "three dimensions: use net.precision = float32"));
    assert_false(be->program_new(b, s, &solid, FNR_MODE_TRAIN, &p, &err));
    assert_non_null(strstr(err.message, "train with net.precision = float32"));
    assert_null(fnr_predictor_new(be, b, &m, &(fnr_predict_options){0}, &err)); /* before an image is read */
    assert_int_equal(err.code, FNR_E_UNSUPPORTED);
    be->state_free(s);
    fnr_model_free(&m);

    make_model(&(fnr_netdesc){2, 1, 1, 2, 1}, &m);
    assert_ok(be->state_new(b, &m.graph, false, &s, &err), err);
    assert_ok(be->state_write(s, FNR_STATE_VALUES, m.values, &err), err);
    assert_ok(be->program_new(b, s, &flat, FNR_MODE_INFER, &p, &err), err);
    fnr_test_fill(x, 192, 1, -1, 1);
    assert_ok(be->forward(p, x, y, &err), err);
    for (int i = 0; i < 4; i++) { /* in the first and in the second sample */
        const float kept = x[50 + i / 2 * 96];
        x[50 + i / 2 * 96] = i % 2 ? INFINITY : NAN;
        assert_false(be->forward(p, x, again, &err));
        assert_int_equal(err.code, FNR_E_NUMERIC);
        x[50 + i / 2 * 96] = kept;
    }
    m.values[0] += 0.5f; /* other weights: packed again */
    assert_ok(be->state_write(s, FNR_STATE_VALUES, m.values, &err), err);
    assert_ok(be->forward(p, x, again, &err), err);
    assert_true(memcmp(y, again, sizeof y) != 0);
    be->program_free(p);
    assert_false(be->program_new(b, s, &large, FNR_MODE_INFER, &p, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    be->state_free(s);
    fnr_model_free(&m);

    make_model(&(fnr_netdesc){2, 5, 1, 2, 1}, &m);
    assert_ok(be->state_new(b, &m.graph, false, &s, &err), err);
    assert_false(be->program_new(b, s, &five, FNR_MODE_INFER, &p, &err));
    assert_non_null(strstr(err.message, "more than 4 input or output channels"));
    be->state_free(s);
    be->close(b);
    fnr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_exact),
        cmocka_unit_test(transforms_are_exact),
        cmocka_unit_test(bytes_are_rounded_and_saturate),
        cmocka_unit_test(networks_follow_the_definition),
        cmocka_unit_test(tiles_and_threads_change_no_bit),
        cmocka_unit_test(simulated_images_agree_with_float32),
        cmocka_unit_test(real_images_agree_with_float32),
        cmocka_unit_test(what_it_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
