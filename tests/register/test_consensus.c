/* A section of tiles whose places are known by construction: some right, some wrong, some missing. */
#include "tests/support/support.h"

#include "register/consensus.h"
#include "src/core/rng.h"

enum { COLS = 4, ROWS = 3, TILES = COLS * ROWS, W = 900, H = 700 };

static const double step_x = 800, step_y = 600;

static fnr_transform true_section(void)
{
    return fnr_transform_similarity(0.115, -87.0, 400, 700, FNR_FRAME_SECTION, FNR_FRAME_IF);
}

static fnr_transform true_place(const fnr_consensus_tile *t)
{
    const fnr_transform s = true_section();
    fnr_transform shift = fnr_transform_identity(FNR_FRAME_ANY), out;
    fnr_error err = {0};
    shift.m02 = t->x;
    shift.m12 = t->y;
    assert_ok(fnr_transform_compose(&s, &shift, &out, &err), err);
    out.from = FNR_FRAME_TILE;
    out.to = FNR_FRAME_IF;
    return out;
}

static fnr_transform wrong_place(fnr_rng *r)
{
    return fnr_transform_similarity(0.11 + 0.01 * fnr_rng_uniform(r), 360 * fnr_rng_uniform(r), 1000 * fnr_rng_uniform(r), 900 * fnr_rng_uniform(r),
                                    FNR_FRAME_TILE, FNR_FRAME_IF);
}

/* Every tile has three wrong places; `right` tells at which rank the true one stands (-1: nowhere). */
static void make(fnr_consensus_tile tiles[TILES], const int right[TILES], double noise_px)
{
    fnr_rng r = fnr_rng_at(3, 1, 4);
    memset(tiles, 0, TILES * sizeof *tiles);
    for (int i = 0; i < TILES; i++) {
        fnr_consensus_tile *t = &tiles[i];
        t->on_grid = true;
        t->x = step_x * (i % COLS);
        t->y = step_y * (i / COLS);
        t->w = W;
        t->h = H;
        t->n_places = 4;
        for (int k = 0; k < 4; k++) {
            t->places[k] = k == right[i] ? true_place(t) : wrong_place(&r);
            t->scores[k] = 0.6 - 0.05 * k;
            if (k == right[i]) {
                t->places[k].m02 += noise_px * fnr_rng_normal(&r);
                t->places[k].m12 += noise_px * fnr_rng_normal(&r);
            }
        }
    }
}

static void finds_the_section_among_wrong_places(void **state)
{
    (void)state;
    const int right[TILES] = {0, 2, -1, 0, 1, 0, 3, -1, 0, 1, -1, 0};
    fnr_consensus_tile tiles[TILES];
    fnr_consensus c;
    fnr_error err = {0};
    const fnr_consensus_options o = fnr_consensus_defaults();
    make(tiles, right, 0.3);
    assert_ok(fnr_consensus_find(tiles, TILES, &o, &c, &err), err);
    assert_true(c.found);
    assert_int_equal(c.agreeing, 9);
    for (int i = 0; i < TILES; i++) {
        assert_int_equal(tiles[i].chosen, right[i]);
        assert_true(tiles[i].has_prediction);
        const fnr_transform truth = true_place(&tiles[i]);
        assert_at_most(fnr_transform_mean_distance(&tiles[i].predicted, &truth, W, H), 0.6); /* 0.3 px noise, averaged over nine */
    }
    const fnr_transform truth = true_section();
    assert_at_most(fabs(fnr_transform_scale(&c.section) - fnr_transform_scale(&truth)), 2e-4);
    assert_at_most(c.sd_px, 0.6);
    assert_true(c.sd_px > 0.1);
}

/* Wrong places do not agree by chance: nothing must be found, for any seed of wrongness. */
static void wrong_places_alone_are_no_section(void **state)
{
    (void)state;
    const int right[TILES] = {-1, -1, -1, 0, -1, -1, -1, -1, 1, -1, -1, -1}; /* two right ones are too few */
    fnr_consensus_tile tiles[TILES];
    fnr_consensus c;
    fnr_error err = {0};
    const fnr_consensus_options o = fnr_consensus_defaults();
    make(tiles, right, 0);
    assert_ok(fnr_consensus_find(tiles, TILES, &o, &c, &err), err);
    assert_false(c.found);
    assert_false(tiles[0].has_prediction);
}

/* The same evidence seen by overlapping tiles counts once. */
static void overlapping_tiles_are_one_witness(void **state)
{
    (void)state;
    fnr_consensus_tile tiles[4] = {{0}};
    fnr_consensus c;
    fnr_error err = {0};
    const fnr_consensus_options o = fnr_consensus_defaults();
    for (int i = 0; i < 4; i++) {
        tiles[i] = (fnr_consensus_tile){.on_grid = true, .x = 60.0 * i, .y = 0, .w = W, .h = H, .n_places = 1, .scores = {0.9}};
        tiles[i].places[0] = true_place(&tiles[i]);
    }
    assert_ok(fnr_consensus_find(tiles, 4, &o, &c, &err), err);
    assert_int_equal(c.agreeing, 4);
    assert_at_most(fabs(c.independent - 1.2), 0.15); /* (900 + 180) / 900 */
    assert_false(c.found);
}

/* A montage that shows the section twice: both places have all tiles behind them, and the rival says so. */
static void a_section_seen_twice_is_ambiguous(void **state)
{
    (void)state;
    const int right[TILES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    fnr_consensus_tile tiles[TILES];
    fnr_consensus c;
    fnr_error err = {0};
    const fnr_consensus_options o = fnr_consensus_defaults();
    make(tiles, right, 0.3);
    assert_ok(fnr_consensus_find(tiles, TILES, &o, &c, &err), err);
    assert_at_most(c.rival, 0.25); /* wrong places support each other by chance alone: two or three of twelve at most */
    for (int i = 0; i < TILES; i++) {
        tiles[i].places[1] = tiles[i].places[0];
        tiles[i].places[1].m02 += 300;
        tiles[i].scores[1] = tiles[i].scores[0] - 0.01;
    }
    assert_ok(fnr_consensus_find(tiles, TILES, &o, &c, &err), err);
    assert_true(c.found);
    assert_true(c.rival > 0.9);
}

static void nothing_to_agree_on(void **state)
{
    (void)state;
    fnr_consensus_tile tiles[2] = {{.on_grid = true, .w = W, .h = H}, {.on_grid = false, .w = W, .h = H}};
    fnr_consensus c;
    fnr_error err = {0};
    const fnr_consensus_options o = fnr_consensus_defaults();
    assert_ok(fnr_consensus_find(tiles, 2, &o, &c, &err), err);
    assert_false(c.found);
    assert_ok(fnr_consensus_find(NULL, 0, &o, &c, &err), err);
    assert_false(c.found);
}

/* Hand-computed: one axis, variances 1 and 4, difference 5 -> mean at 1, variance 0.8; the other axes equal weights. */
static void fusion_by_hand(void **state)
{
    (void)state;
    const double a[16] = {1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1e-4, 0, 0, 0, 0, 1e-4}, b[16] = {4, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1e-4, 0, 0, 0, 0, 1e-4};
    const fnr_transform ta = fnr_transform_similarity(0.1, 179, 10, 20, FNR_FRAME_TILE, FNR_FRAME_IF);
    fnr_transform tb = fnr_transform_similarity(0.1, -179, 0, 0, FNR_FRAME_TILE, FNR_FRAME_IF), out;
    const fnr_point c = {(W - 1) / 2.0, (H - 1) / 2.0}, pa = fnr_transform_apply(&ta, c), pb = fnr_transform_apply(&tb, c);
    double cov[16];
    fnr_error err = {0};
    tb.m02 += pa.x + 5 - pb.x;
    tb.m12 += pa.y - pb.y;
    assert_ok(fnr_fuse_similarities(&ta, a, &tb, b, W, H, &out, cov, &err), err);
    const fnr_point p = fnr_transform_apply(&out, c);
    assert_at_most(fabs(p.x - pa.x - 1), 1e-9);
    assert_at_most(fabs(p.y - pa.y), 1e-9);
    assert_at_most(fabs(cov[0] - 0.8), 1e-12);
    assert_at_most(fabs(cov[5] - 1), 1e-12);
    assert_at_most(fabs(fabs(fnr_transform_rotation_deg(&out)) - 180), 1e-9); /* halfway over the wrap */
    /* rms by hand: 0.8 + 1 + 0.01 (900^2 + 700^2) / 12 * 1e-4 */
    assert_at_most(fabs(fnr_covariance_rms_px(cov, W, H, 0.1) - sqrt(1.8 + 0.01 * (810000 + 490000) / 12 * 1e-4)), 1e-9);
    double broken[16];
    memcpy(broken, a, sizeof a);
    broken[0] = -1;
    assert_false(fnr_fuse_similarities(&ta, broken, &tb, b, W, H, &out, cov, &err));
    broken[0] = NAN;
    assert_false(fnr_fuse_similarities(&ta, broken, &tb, b, W, H, &out, cov, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_section_among_wrong_places),
        cmocka_unit_test(wrong_places_alone_are_no_section),
        cmocka_unit_test(overlapping_tiles_are_one_witness),
        cmocka_unit_test(a_section_seen_twice_is_ambiguous),
        cmocka_unit_test(nothing_to_agree_on),
        cmocka_unit_test(fusion_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
