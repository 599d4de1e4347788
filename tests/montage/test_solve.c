#include "tests/support/support.h"

#include "montage/solve.h"

enum { COLS = 4, ROWS = 3, TILES = COLS * ROWS };

static double true_x(int i)
{
    return 90.25 * (i % COLS) + 3.5 * (i / COLS);
}
static double true_y(int i)
{
    return 70.5 * (i / COLS) - 2.25 * (i % COLS);
}

/* Exact links of a grid, right and down; the caller spoils some. */
static fnr_tileset grid_new(void)
{
    fnr_tileset set = {0};
    fnr_error err = {0};
    for (int i = 0; i < TILES; i++) {
        assert_ok(fnr_tileset_add(&set, "t.tif", &err), err);
    }
    set.links = calloc(2 * TILES, sizeof *set.links);
    assert_non_null(set.links);
    for (int i = 0; i < TILES; i++) {
        const int next[2] = {i % COLS + 1 < COLS ? i + 1 : -1, i + COLS < TILES ? i + COLS : -1};
        for (int k = 0; k < 2; k++) {
            if (next[k] >= 0) {
                set.links[set.n_links++] = (fnr_link){
                    .a = i, .b = next[k], .dx = true_x(next[k]) - true_x(i), .dy = true_y(next[k]) - true_y(i), .sd = 0.05};
            }
        }
    }
    return set;
}

static double worst_error(const fnr_tileset *set)
{
    double worst = 0;
    for (int i = 1; i < TILES; i++) {
        const double e = hypot(set->tiles[i].x - set->tiles[0].x - true_x(i) + true_x(0),
                               set->tiles[i].y - set->tiles[0].y - true_y(i) + true_y(0));
        worst = e > worst || isnan(e) ? e : worst;
    }
    return worst;
}

static void exact_links(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tileset set = grid_new();
    assert_int_equal(set.n_links, 17);
    assert_ok(fnr_tileset_solve(&set, 4, &err), err);
    assert_at_most(worst_error(&set), 1e-6);
    assert_at_most(set.max_residual, 1e-6);
    assert_int_equal(set.groups, 1);
    assert_int_equal(set.isolated, 0);
    fnr_tileset_free(&set);
}

static void wrong_links_are_dropped(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tileset set = grid_new();
    set.links[3].dx += 60;
    set.links[9].dy -= 25;
    assert_ok(fnr_tileset_solve(&set, 4, &err), err);
    for (size_t i = 0; i < set.n_links; i++) {
        assert_int_equal(set.links[i].used, i != 3 && i != 9);
    }
    assert_at_most(fabs(set.links[3].residual - 60), 1e-6);
    assert_at_most(worst_error(&set), 1e-6);
    assert_at_most(set.rms_residual, 1e-6);
    fnr_tileset_free(&set);
}

/* Two routes of equal length between two tiles, one link ten times as noisy: by hand, weights 1 / (sd^2 + 0.1^2). */
static void weights_follow_the_noise(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tileset set = {0};
    assert_ok(fnr_tileset_add(&set, "a", &err), err);
    assert_ok(fnr_tileset_add(&set, "b", &err), err);
    set.links = calloc(2, sizeof *set.links);
    set.n_links = 2;
    set.links[0] = (fnr_link){.a = 0, .b = 1, .dx = 10.00, .sd = 0};
    set.links[1] = (fnr_link){.a = 0, .b = 1, .dx = 10.02, .sd = sqrt(0.03)};
    assert_ok(fnr_tileset_solve(&set, 4, &err), err);
    /* 1/0.01 = 100 against 1/0.04 = 25: a fifth of the way, as long as the residuals stay far below the noise. */
    assert_at_most(fabs(set.tiles[1].x - set.tiles[0].x - 10.004), 1e-4);
    fnr_tileset_free(&set);
}

static void groups_and_lonely_tiles(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tileset set = grid_new();
    size_t kept = 0;
    for (size_t i = 0; i < set.n_links; i++) { /* rows 0 | 1, 2 come apart, and tile 11 loses all */
        const fnr_link l = set.links[i];
        if (!(l.a < COLS && l.b >= COLS) && l.b != 11) {
            set.links[kept++] = l;
        }
    }
    set.n_links = kept;
    assert_ok(fnr_tileset_solve(&set, 4, &err), err);
    assert_int_equal(set.groups, 2);
    assert_int_equal(set.isolated, 1);
    assert_int_equal(set.tiles[0].group, 0);
    assert_int_equal(set.tiles[3].group, 0);
    assert_int_equal(set.tiles[4].group, 1);
    assert_int_equal(set.tiles[10].group, 1);
    assert_int_equal(set.tiles[11].group, -1);
    set.n_links = 0;
    assert_ok(fnr_tileset_solve(&set, 4, &err), err);
    assert_int_equal(set.groups, 0);
    assert_int_equal(set.isolated, TILES);
    fnr_tileset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact_links), cmocka_unit_test(wrong_links_are_dropped),
                                       cmocka_unit_test(weights_follow_the_noise), cmocka_unit_test(groups_and_lonely_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
