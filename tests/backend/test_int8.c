/* Int8 inference: its kernels against plain integers, whole networks against the definition written out in plain C, against
 * float32 on images, and the same bits for any tiles, threads and instruction set. */
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
    return k == &fnr_i8_kernels_avx2 ? __builtin_cpu_supports("avx2") : __builtin_cpu_supports("avx512vnni");
}

static unsigned next_number(unsigned *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

/* Rows of 2 pieces of 32 bytes, at the largest magnitudes: 255 * -128 would saturate 16 bits. */
static void check_product(const fnr_i8_kernels *k, int vectors, int rows)
{
    enum { PIECE = 32, A_ROW = 48, SEGMENT = 4000, ROOM = 2 * FNR_I8_ROWS * A_ROW + SEGMENT };
    static uint8_t a[ROOM];
    static int8_t b[2 * PIECE * 64];
    static int32_t init[64], c[FNR_I8_ROWS * 64];
    unsigned seed = 1;
    for (int i = 0; i < ROOM; i++) {
        a[i] = i % 3 ? 255 : (uint8_t)next_number(&seed);
    }
    for (int i = 0; i < 2 * PIECE * 64; i++) {
        b[i] = i % 5 ? -128 : (int8_t)next_number(&seed);
    }
    for (int i = 0; i < 64; i++) {
        init[i] = (int)next_number(&seed) - 1000000;
    }
    const fnr_i8_product p = {.a = a, .a_row = A_ROW, .segments = 2, .segment_bytes = PIECE, .a_segment = SEGMENT, .b = b,
                              .vectors = vectors, .init = init, .c = c, .c_row = (size_t)(16 * vectors)};
    k->product(&p, rows);
    for (int i = 0; i < rows * 16 * vectors; i++) {
        const int r = i / (16 * vectors), o = i % (16 * vectors);
        int sum = init[o];
        for (int n = 0; n < 2 * PIECE; n++) {
            sum += a[r * A_ROW + n / PIECE * SEGMENT + n % PIECE] * b[((n / 4 * vectors + o / 16) * 16 + o % 16) * 4 + n % 4];
        }
        if (c[i] != sum) {
            fail_msg("%s: %d vectors, row %d, output %d: %d, should be %d", k->name, vectors, r, o, c[i], sum);
        }
    }
}

static void products_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int vectors = 1; vectors <= 4 && runs_here(tables[i]); vectors *= 2) {
            check_product(tables[i], vectors, 1);
            check_product(tables[i], vectors, 13);
            check_product(tables[i], vectors, FNR_I8_ROWS);
        }
    }
}

/* Three tiles of 32 channels, then sums of known size back to bytes. */
static void check_transforms(const fnr_i8_kernels *k)
{
    enum { TILES = 3, CHANNELS = 32, PIXEL = 40, ROW = 8 * PIXEL, POSITION = TILES * CHANNELS };
    uint8_t src[4 * ROW + 64], v[16 * POSITION], dst[2 * ROW];
    _Alignas(64) int32_t m[16 * POSITION];
    _Alignas(64) float alpha[CHANNELS], beta[CHANNELS];
    unsigned seed = 7;
    for (size_t i = 0; i < sizeof src; i++) {
        src[i] = i % 7 < 3 ? 255 : i % 7 < 5 ? 0 : (uint8_t)next_number(&seed);
    }
    k->transform_in(src, ROW, PIXEL, TILES, CHANNELS, v, CHANNELS, POSITION);
    for (int i = 0; i < POSITION; i++) {
        int d[16], wanted[16];
        for (int n = 0; n < 16; n++) {
            d[n] = src[n / 4 * ROW + (2 * (i / CHANNELS) + n % 4) * PIXEL + i % CHANNELS];
        }
        fnr_int8_reference_patch(d, wanted);
        for (int n = 0; n < 16; n++) {
            assert_int_equal(v[n * POSITION + i], wanted[n]);
        }
    }
    for (int i = 0; i < 16 * POSITION; i++) {
        m[i] = (int)next_number(&seed) % 200001 - 100000;
    }
    for (int i = 0; i < CHANNELS; i++) {
        alpha[i] = 1e-3f * (float)(i + 1);
        beta[i] = (float)(i - 10);
    }
    const fnr_i8_requant q = {alpha, beta};
    k->transform_out(m, CHANNELS, POSITION, TILES, CHANNELS / 16, &q, dst, ROW, PIXEL);
    for (int i = 0; i < POSITION; i++) {
        int mine[16], y[4];
        for (int n = 0; n < 16; n++) {
            mine[n] = m[n * POSITION + i];
        }
        fnr_int8_reference_inverse(mine, y);
        for (int n = 0; n < 4; n++) {
            const float f = fmaf((float)y[n], alpha[i % CHANNELS], beta[i % CHANNELS]);
            const int wanted = f <= 0 ? 0 : f >= 255 ? 255 : (int)lrintf(f);
            assert_int_equal(dst[n / 2 * ROW + (2 * (i / CHANNELS) + n % 2) * PIXEL + i % CHANNELS], wanted);
        }
    }
}

static void transforms_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (runs_here(tables[i])) {
            check_transforms(tables[i]);
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
static void infer(const fnr_model *m, int precision, int threads, const fnr_shape *s, const float *x, float *y)
{
    const fnr_backend_ops *be = &fnr_backend_onednn;
    const fnr_backend_options options = {.threads = threads, .precision = precision};
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

/* Channels that fill chunks, spill over them and make groups of 4, 2 and 1; a deepest level of odd extents; two samples. */
static void networks_follow_the_definition(void **state)
{
    (void)state;
    static const struct {
        fnr_netdesc desc;
        fnr_shape in;
    } cases[] = {{{2, 2, 3, 5, 2}, {2, 2, 2, 1, 20, 28}}, {{2, 1, 1, 16, 1}, {2, 1, 1, 1, 6, 110}}, {{2, 1, 1, 28, 2}, {2, 1, 1, 1, 12, 4}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_model m;
        make_model(&cases[i].desc, &m);
        fnr_shape one = cases[i].in, out = one;
        one.n = 1;
        out.c = cases[i].desc.out_channels;
        const size_t n_in = fnr_shape_count(&one), n = fnr_shape_count(&out);
        float *x = fnr_test_guarded(n_in * (size_t)out.n), *y = fnr_test_guarded(n), *wanted = fnr_test_guarded(n);
        fnr_test_fill(x, n_in * (size_t)out.n, 5, -2, 2);
        infer(&m, FNR_PRECISION_INT8, 2, &cases[i].in, x, y);
        for (int k = 0; k < out.n; k++) {
            fnr_int8_reference(&m.graph, m.values, &one, x + (size_t)k * n_in, wanted + (size_t)k * n / (size_t)out.n);
        }
        /* The last convolution sums floats: a byte that differed would show as 1e-3. */
        assert_at_most(fnr_test_rel_l2(y, wanted, n), 1e-5);
        fnr_test_check_guards(y, n);
        fnr_test_guarded_free(x);
        fnr_test_guarded_free(y);
        fnr_test_guarded_free(wanted);
        fnr_model_free(&m);
    }
}

static void tiles_and_threads_change_no_bit(void **state)
{
    (void)state;
    enum { H = 130, W = 205 };
    const fnr_netdesc desc = {2, 1, 1, 6, 2}; /* halo 24; int8 tiles lie on multiples of 8 */
    static float x[H * W], first[H * W], y[H * W];
    fnr_error err = {0};
    fnr_model m;
    make_model(&desc, &m);
    fnr_test_fill(x, H * W, 3, -2, 2);
    for (int i = 0; i < 6; i++) {
        const fnr_backend_options options = {.threads = 1 + i % 3, .precision = FNR_PRECISION_INT8};
        const fnr_predict_options tiles = {.tile = (int[]){0, 4, 8, 20, 44, 200}[i]};
        fnr_backend *b;
        assert_ok(fnr_backend_onednn.open(&options, &b, &err), err);
        fnr_predictor *p = fnr_predictor_new(&fnr_backend_onednn, b, &m, &tiles, &err);
        assert_ok(p != NULL, err);
        assert_ok(fnr_predict_array(p, 1, H, W, x, i ? y : first, NULL, &err), err);
        if (i && memcmp(y, first, sizeof y)) {
            fail_msg("tiles of %d px differ from the whole image by %g", tiles.tile, fnr_test_max_abs(y, first, H * W));
        }
        fnr_predictor_free(p);
        fnr_backend_onednn.close(b);
    }
    fnr_model_free(&m);
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
    infer(&m, FNR_PRECISION_FLOAT32, 2, &s, x, f);
    infer(&m, FNR_PRECISION_INT8, 2, &s, x, q);
    const double r = correlation(f, q, n);
    print_message("%s: correlation with float32 %.6f\n", model, r);
    assert_at_most(1 - r, 1e-3);
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
    const fnr_backend_options options = {.threads = 1, .precision = FNR_PRECISION_INT8};
    const fnr_shape solid = {3, 1, 1, 4, 4, 4}, flat = {2, 1, 1, 1, 8, 12};
    float x[96], y[96];
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
    be->state_free(s);
    fnr_model_free(&m);

    make_model(&(fnr_netdesc){2, 1, 1, 2, 1}, &m);
    assert_ok(be->state_new(b, &m.graph, false, &s, &err), err);
    assert_ok(be->state_write(s, FNR_STATE_VALUES, m.values, &err), err);
    assert_ok(be->program_new(b, s, &flat, FNR_MODE_INFER, &p, &err), err);
    fnr_test_fill(x, 96, 1, -1, 1);
    assert_ok(be->forward(p, x, y, &err), err);
    for (int i = 0; i < 2; i++) {
        x[50] = i ? INFINITY : NAN;
        assert_false(be->forward(p, x, y, &err));
        assert_int_equal(err.code, FNR_E_NUMERIC);
    }
    be->program_free(p);
    be->state_free(s);
    be->close(b);
    fnr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_exact),
        cmocka_unit_test(transforms_are_exact),
        cmocka_unit_test(networks_follow_the_definition),
        cmocka_unit_test(tiles_and_threads_change_no_bit),
        cmocka_unit_test(simulated_images_agree_with_float32),
        cmocka_unit_test(real_images_agree_with_float32),
        cmocka_unit_test(what_it_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
