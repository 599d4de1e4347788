/* Sections with a known smooth deformation: predictions from noisy neighbours against what was put in. */
#include "register/deform.h"
#include "src/core/rng.h"
#include "tests/support/support.h"

enum { COLS = 6, ROWS = 5, TILES = COLS * ROWS, WAVES = 24 };

static const double spacing = 120, half = 65, reach = 120, size_px = 0.25;

typedef struct {
    double kx[WAVES], ky[WAVES], phase[2][WAVES];
} field;

/* A stationary field with a squared-exponential correlation: random waves (Rahimi & Recht 2007). */
static field field_new(uint64_t seed)
{
    field f;
    fnr_rng r = fnr_rng_at(seed, 1, 1);
    for (int i = 0; i < WAVES; i++) {
        f.kx[i] = fnr_rng_normal(&r) / reach;
        f.ky[i] = fnr_rng_normal(&r) / reach;
        f.phase[0][i] = 6.2831853 * fnr_rng_uniform(&r);
        f.phase[1][i] = 6.2831853 * fnr_rng_uniform(&r);
    }
    return f;
}

static double moved(const field *f, int axis, double x, double y)
{
    double sum = 0;
    for (int i = 0; i < WAVES; i++) {
        sum += cos(f->kx[i] * x + f->ky[i] * y + f->phase[axis][i]);
    }
    return size_px * sqrt(2.0 / WAVES) * sum;
}

/* The similarity nearest to the field over a tile, by its definition on a grid of points. */
static void truth_of(const field *f, fnr_point c, double value[4])
{
    enum { N = 9 };
    double moment = 0;
    memset(value, 0, 4 * sizeof *value);
    for (int i = 0; i < N * N; i++) {
        const double x = half * (2.0 * (i % N) / (N - 1) - 1), y = half * (2.0 * (i / N) / (N - 1) - 1);
        const double u = moved(f, 0, c.x + x, c.y + y), v = moved(f, 1, c.x + x, c.y + y);
        value[0] += u / (N * N);
        value[1] += v / (N * N);
        value[2] += x * v - y * u;
        value[3] += x * u + y * v;
        moment += x * x + y * y;
    }
    value[2] /= moment;
    value[3] /= moment;
}

static const double noise[4] = {0.15, 0.15, 0.002, 0.002};

/* scale_bias: what all tiles' log scales are off by; left: a tile that is not measured; bad: one that is 3 px off. */
static void make(fnr_deform_tile t[TILES], double truth[TILES][4], uint64_t seed, double scale_bias, int left, int bad)
{
    const field f = field_new(seed);
    fnr_rng r = fnr_rng_at(seed, 2, 2);
    memset(t, 0, TILES * sizeof *t);
    for (int i = 0; i < TILES; i++) {
        t[i].centre = (fnr_point){500 + spacing * (i % COLS), 300 + spacing * (i / COLS)};
        t[i].half_x = (fnr_point){0, half};
        t[i].half_y = (fnr_point){-half, 0};
        t[i].known = i != left;
        truth_of(&f, t[i].centre, truth[i]);
        for (int k = 0; k < 4; k++) {
            t[i].value[k] = truth[i][k] + noise[k] * fnr_rng_normal(&r) + (k == 3 ? scale_bias : 0) + (i == bad && k < 2 ? 3 : 0);
            t[i].cov[5 * k] = noise[k] * noise[k];
        }
    }
}

static double rms_of(const fnr_deform_tile *t, const double truth[4])
{
    return hypot(t->mean[0] - truth[0], t->mean[1] - truth[1]);
}

/* Without its own measurement each tile is known from the others better than from the section's similarity alone, and as well as
 * the covariance says. */
static void neighbours_show_the_deformation(void **state)
{
    (void)state;
    fnr_deform_tile t[TILES];
    fnr_deform_model model;
    fnr_error err = {0};
    double truth[TILES][4], squares = 0, stated = 0, flat = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        make(t, truth, seed, 0, 8, -1);
        assert_ok(fnr_deform_predict(t, TILES, 100, 4, &model, &err), err);
        for (int i = 0; i < TILES; i++) {
            squares += pow(rms_of(&t[i], truth[i]), 2) / TILES;
            stated += (t[i].mean_cov[0] + t[i].mean_cov[5]) / TILES;
            flat += (pow(truth[i][0], 2) + pow(truth[i][1], 2)) / TILES;
        }
    }
    print_message("rms found %.3f, stated %.3f, without the deformation %.3f px\n", sqrt(squares / 6), sqrt(stated / 6), sqrt(flat / 6));
    assert_at_most(squares, 0.7 * flat);
    assert_at_most(squares, 2 * stated);
    assert_at_most(stated, 2 * squares);
}

static void a_common_scale_error_is_noticed(void **state)
{
    (void)state;
    fnr_deform_tile t[TILES];
    fnr_deform_model model;
    fnr_error err = {0};
    double truth[TILES][4], worst = 0;
    make(t, truth, 3, -0.004, -1, -1);
    assert_ok(fnr_deform_predict(t, TILES, 100, 4, &model, &err), err);
    assert_at_most(fabs(model.log_scale_bias + 0.004), 0.0008);
    for (int i = 0; i < TILES; i++) {
        worst = fmax(worst, rms_of(&t[i], truth[i]));
    }
    print_message("bias %.5f (-0.004 put in), worst tile %.3f px\n", model.log_scale_bias, worst);
    assert_at_most(worst, 0.8); /* the bias alone would move the corners by 1.6 px */
}

static void a_contradicting_tile_misleads_nobody(void **state)
{
    (void)state;
    fnr_deform_tile t[TILES];
    fnr_deform_model model;
    fnr_error err = {0};
    double truth[TILES][4];
    make(t, truth, 4, 0, -1, 14);
    assert_ok(fnr_deform_predict(t, TILES, 100, 4, &model, &err), err);
    assert_true(t[14].chi2 > 9);
    for (int i = 0; i < TILES; i++) {
        assert_at_most(rms_of(&t[i], truth[i]), 0.6);
    }
}

/* A section stretched by 2 % along one axis: an affine section predicts a tile far from the others, a similarity does worse. */
static void an_affine_section(void **state)
{
    (void)state;
    fnr_deform_tile t[TILES];
    fnr_deform_model model;
    fnr_error err = {0};
    double truth[TILES][4], off[2];
    for (int k = 0; k < 2; k++) {
        make(t, truth, 5, 0, 0, -1);
        t[0].centre.x -= 500;
        memset(truth[0], 0, sizeof truth[0]);
        for (int i = 0; i < TILES; i++) {
            const double stretch = 0.02 * (t[i].centre.x - 800);
            t[i].value[0] += stretch;
            truth[i][0] += stretch;
            t[i].value[3] += 0.01;
        }
        assert_ok(fnr_deform_predict(t, TILES, 100, k ? 4 : 6, &model, &err), err);
        off[k] = rms_of(&t[0], truth[0]);
    }
    print_message("far tile without its own measurement: affine %.3f, similarity %.3f px\n", off[0], off[1]);
    assert_at_most(off[0], 1.5);
    assert_at_most(1.5 * off[0], off[1]);
}

static void nothing_known_is_an_error(void **state)
{
    (void)state;
    fnr_deform_tile t[1] = {{.half_x = {half, 0}, .half_y = {0, half}}};
    fnr_deform_model model;
    fnr_error err = {0};
    assert_false(fnr_deform_predict(t, 1, 100, 4, &model, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);
    t[0].known = true; /* a covariance of zero or below is none */
    t[0].cov[0] = -10000;
    assert_false(fnr_deform_predict(t, 1, 100, 4, &model, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_show_the_deformation), cmocka_unit_test(a_common_scale_error_is_noticed),
        cmocka_unit_test(a_contradicting_tile_misleads_nobody), cmocka_unit_test(an_affine_section),
        cmocka_unit_test(nothing_known_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
