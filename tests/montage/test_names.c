#include "tests/support/support.h"

#include "montage/neighbours.h"
#include "montage/tileset.h"

static void grids_in_names(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int row, col; /* -1: none */
    } cases[] = {{"Tile_r3-c2.tif", 3, 2},
                 {"r03_c02.tif", 3, 2},
                 {"Tile_r2-c1_S_000_209886_flip_flip.tif", 2, 1},
                 {"site5_R10C7.TIF", 10, 7},
                 {"x row4_col11 y.tif", 4, 11},
                 {"Row_4_Column_5.tif", 4, 5},
                 {"Tile_003-002.tif", 3, 2},
                 {"tile-7_12.tif", 7, 12},
                 {"thr3-c2.tif", -1, -1},   /* inside a word */
                 {"r3.tif", -1, -1},        /* no column */
                 {"r-c2.tif", -1, -1},
                 {"A1_0_2.tif", -1, -1},    /* numbers alone say nothing */
                 {"r9999999999999-c2", -1, -1},
                 {"Tile_7.tif", -1, -1},
                 {"Tile_7-", -1, -1},
                 {"r1-c", -1, -1},
                 {"", -1, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int row = -1, col = -1;
        const bool found = fnr_tile_grid_from_name(cases[i].name, &row, &col);
        if (found != (cases[i].row >= 0) || row != cases[i].row || col != cases[i].col) {
            fail_msg("%s: row %d column %d", cases[i].name, row, col);
        }
    }
}

static void write_text(char *path, size_t size, const char *name, const char *text)
{
    snprintf(path, size, "%s/%s", fnr_test_tmpdir(), name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void positions_from_a_table(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tileset set = {0};
    char path[512];
    size_t matched = 99;
    assert_ok(fnr_tileset_add(&set, "some/where/a.tif", &err), err);
    assert_ok(fnr_tileset_add(&set, "some/where/b.tif", &err), err);
    write_text(path, sizeof path, "p.csv", "stage_y,tile,stage_x\n-2.5,b,10\n7,other.tif,8\n");
    assert_ok(fnr_tileset_read_positions(&set, path, &matched, &err), err);
    assert_int_equal(matched, 1);
    assert_false(set.tiles[0].has_nominal);
    assert_true(set.tiles[1].has_nominal);
    assert_true(set.tiles[1].nominal_x == 10 && set.tiles[1].nominal_y == -2.5);

    write_text(path, sizeof path, "q.csv", "tile,x\na,1\n");
    assert_false(fnr_tileset_read_positions(&set, path, NULL, &err));
    assert_non_null(strstr(err.message, "stage_x"));
    write_text(path, sizeof path, "r.csv", "tile,x,y\na,1,two\n");
    assert_false(fnr_tileset_read_positions(&set, path, NULL, &err));
    assert_non_null(strstr(err.message, "two"));
    write_text(path, sizeof path, "s.csv", "tile,x,y\na,1,2\na.tif,1,3\n");
    assert_false(fnr_tileset_read_positions(&set, path, NULL, &err));
    assert_non_null(strstr(err.message, "two positions"));
    fnr_tileset_free(&set);
}

static size_t pairs_of(const char *const *paths, size_t n)
{
    fnr_error err = {0};
    fnr_tileset set = {0};
    fnr_neighbours pairs;
    const fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    for (size_t i = 0; i < n; i++) {
        assert_ok(fnr_tileset_add(&set, paths[i], &err), err);
        set.tiles[i].w = 100;
        set.tiles[i].h = 80;
    }
    assert_ok(fnr_neighbours_find(&pairs, &set, &opt, &err), err);
    const size_t count = pairs.count;
    fnr_neighbours_free(&pairs);
    fnr_tileset_free(&set);
    return count;
}

/* Grids join within one site only, but a set with one tile per cell is one site whatever its names. */
static void neighbours_within_a_site(void **state)
{
    (void)state;
    const char *one[] = {"a/r1-c1_77.tif", "a/r1-c2_78.tif", "b/r2-c1_79.tif", "b/r2-c2_80.tif"};
    const char *folders[] = {"a/r1-c1_77.tif", "a/r1-c2_78.tif", "b/r1-c1_79.tif", "b/r1-c2_80.tif"};
    const char *naming[] = {"r1-c1_S1.tif", "r1-c2_S1.tif", "r1-c1_S2.tif", "r2-c1_S2.tif", "r1-c2_S3.tif"};
    const char *none[] = {"p.tif", "q.tif", "r.tif"};
    assert_int_equal(pairs_of(one, 4), 4);
    assert_int_equal(pairs_of(folders, 4), 2);
    assert_int_equal(pairs_of(naming, 5), 2);
    assert_int_equal(pairs_of(none, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grids_in_names), cmocka_unit_test(positions_from_a_table),
                                       cmocka_unit_test(neighbours_within_a_site)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
