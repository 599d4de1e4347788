#include "tests/support/support.h"

#include "src/sim/map.h"

static const double section_w = 3700, section_h = 2500, rms_px = 0.35;

static fnr_sim_map make(uint64_t seed)
{
    fnr_error err = {0};
    fnr_sim_map m;
    const fnr_transform s = fnr_transform_similarity(0.115, 93, 700, 120, FNR_FRAME_SECTION, FNR_FRAME_IF);
    assert_ok(fnr_sim_map_init(&m, seed, &s, section_w, section_h, rms_px, &err), err);
    return m;
}

/* rms distance between the map and a similarity over a rectangle, on a grid unlike the one the code uses. */
static double rms_from(const fnr_sim_map *m, const fnr_transform *t, fnr_point origin, double w, double h)
{
    double sum = 0;
    int n = 0;
    for (double y = 0.5; y < h; y += h / 61) {
        for (double x = 0.5; x < w; x += w / 67) {
            const fnr_point q = fnr_sim_map_apply(m, (fnr_point){origin.x + x, origin.y + y}),
                            p = fnr_transform_apply(t, (fnr_point){x, y});
            sum += (q.x - p.x) * (q.x - p.x) + (q.y - p.y) * (q.y - p.y);
            n++;
        }
    }
    return sqrt(sum / n);
}

static void the_deformation_has_the_stated_size(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const fnr_sim_map m = make(seed);
        const fnr_point zero = {0, 0};
        const double rms = rms_from(&m, &m.similarity, zero, section_w, section_h);
        assert_at_most(fabs(rms - rms_px), 0.02);
        /* and the similarity is the best one: turning, growing or moving it makes it worse */
        for (int k = 0; k < 4; k++) {
            fnr_transform t = m.similarity;
            const double sign = k & 1 ? 1 : -1, turn = k & 2 ? sign * 5e-5 : 0, grow = k & 2 ? 0 : sign * 5e-5;
            t.m00 += grow, t.m11 += grow, t.m10 += turn, t.m01 -= turn;
            t.m02 -= grow * section_w / 2 - turn * section_h / 2; /* about the centre */
            t.m12 -= grow * section_h / 2 + turn * section_w / 2;
            assert_true(rms_from(&m, &t, zero, section_w, section_h) > rms);
        }
    }
}

static void inverse_undoes_the_map(void **state)
{
    (void)state;
    const fnr_sim_map m = make(4);
    for (int k = 0; k < 200; k++) {
        const fnr_point p = {37.0 * k - 1000, 4000 - 29.0 * k}, back = fnr_sim_map_invert(&m, fnr_sim_map_apply(&m, p));
        assert_at_most(hypot(back.x - p.x, back.y - p.y), 1e-5);
    }
}

static void tile_truth_is_the_best_similarity(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_sim_map m = make(9);
    const fnr_point origin = {1234.5, 700.25};
    const int w = 900, h = 640;
    fnr_transform best;
    double residual;
    assert_ok(fnr_sim_map_tile(&m, origin, w, h, &best, &residual, &err), err);
    assert_at_most(fabs(rms_from(&m, &best, origin, w, h) - residual), 0.1 * residual);
    assert_true(residual > 0.005 && residual < rms_px); /* a tile is smaller than the waves, yet not flat */
    assert_at_most(fnr_transform_shear(&best), 1e-12);
    assert_int_equal(best.from, FNR_FRAME_TILE);
    assert_int_equal(best.to, FNR_FRAME_IF);
    for (int k = 0; k < 4; k++) {
        fnr_transform worse = best;
        worse.m02 += (k == 0) - (k == 1);
        worse.m12 += (k == 2) - (k == 3);
        assert_true(rms_from(&m, &worse, origin, w, h) > 0.9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deformation_has_the_stated_size),
        cmocka_unit_test(inverse_undoes_the_map),
        cmocka_unit_test(tile_truth_is_the_best_similarity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
