/* Arithmetic of tiles: they cover the image, have their halo, keep the budget and begin where backends want them to. */
#include "tests/support/support.h"

#include "net/tiling.h"

static const fnr_blocks each = {1, 1, 0};

static void check_axis(const fnr_tile_axis *a, int grid, int halo)
{
    int covered = 0;
    assert_int_equal(a->padded % grid, 0);
    assert_true(a->padded >= a->size && a->padded < a->size + grid);
    for (int i = 0; i < a->count; i++) {
        int begin, end;
        fnr_tile_core(a, i, &begin, &end);
        const int start = fnr_tile_start(a, i), stop = start + a->extent;
        assert_int_equal(begin, covered);
        assert_true(end > begin);
        assert_int_equal(start % grid, 0);
        assert_int_equal(start % a->align, 0);
        assert_int_equal(stop % grid, 0);
        assert_true(start >= 0 && stop <= a->padded);
        assert_true(start == 0 || begin - start >= halo);
        assert_true(stop == a->padded || stop - end >= halo);
        covered = end;
    }
    assert_int_equal(covered, a->size);
}

static void tiles_cover_and_have_their_halo(void **state)
{
    (void)state;
    const fnr_netdesc desc = {2, 1, 1, 2, 4}; /* grid 16, receptive field 108 */
    for (int size = 1; size < 900; size += 13) {
        for (int core = 16; core <= 320; core += 48) {
            fnr_tiling t;
            fnr_tiling_of_core(&desc, each, 1, size, 1000 - size, core, &t);
            check_axis(&t.y, 16, 108);
            check_axis(&t.x, 16, 108);
            assert_true(t.z.count == 1 && t.z.extent == 1);
            assert_true(t.y.extent <= core + 224);
        }
    }
}

static void blocks_lie_alike_in_all_tiles(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 2, 4}, solid = {3, 1, 1, 2, 4};
    const fnr_blocks blocks = {4, 1, 0};
    /* 4 px for each convolution, in units of its level: 2 at the bottom, 4 on the levels above, conv_out; a 2x2 cell between
     * levels. */
    enum { BLOCK_REACH = 4 * (2 * 16 + 4 * (8 + 4 + 2 + 1) + 1) + 8 + 4 + 2 + 1 };
    for (int size = 1; size < 2500; size += 37) {
        for (int core = 16; core <= 640; core += 48) {
            fnr_tiling t;
            fnr_tiling_of_core(&flat, blocks, 1, size, 2600 - size, core, &t);
            assert_true((t.y.count == 1 || t.y.align == 64) && (t.x.count == 1 || t.x.align == 64));
            check_axis(&t.y, 16, BLOCK_REACH);
            check_axis(&t.x, 16, BLOCK_REACH);
        }
    }
    fnr_tiling t;
    const fnr_tile_budget budget = {.max_bytes = 1e9, .bytes_per_px = 400};
    assert_true(fnr_tiling_choose(&flat, blocks, 1, 2000, 3001, &budget, &t));
    check_axis(&t.y, 16, BLOCK_REACH);
    check_axis(&t.x, 16, BLOCK_REACH);
    assert_at_most(400.0 * t.y.extent * t.x.extent, 1e9);
    fnr_tiling_of_core(&solid, blocks, 500, 40, 40, 16, &t);
    check_axis(&t.z, 16, 108); /* blocks of one slice */
    assert_int_equal(t.z.halo, 112);
    fnr_tiling_of_core(&solid, (fnr_blocks){4, 2, 0}, 900, 40, 40, 16, &t);
    check_axis(&t.z, 16, 108);
    assert_true(t.z.align == 32 && t.z.halo == 112 && t.z.count > 1);
}

static void chosen_tiles_keep_the_budget(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 32, 4}, solid = {3, 1, 1, 32, 4};
    const fnr_tile_budget budget = {.max_bytes = 1e9, .bytes_per_px = 1500, .bytes_per_row_px = 4};
    const int sizes[][2] = {{1504, 1504}, {1, 1}, {300, 20000}, {20000, 300}, {30000, 40000}, {700, 701}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fnr_tiling t;
        assert_true(fnr_tiling_choose(&flat, each, 1, sizes[i][0], sizes[i][1], &budget, &t));
        check_axis(&t.y, 16, 108);
        check_axis(&t.x, 16, 108);
        assert_at_most(1500.0 * t.y.extent * t.x.extent + 4.0 * t.y.core * sizes[i][1], 1e9);
        const double waste = (double)t.y.count * t.y.extent * t.x.count * t.x.extent / ((double)t.y.padded * t.x.padded);
        assert_at_most(waste, 2.1);
    }
    fnr_tiling t;
    assert_true(fnr_tiling_choose(&flat, each, 1, 700, 900, &budget, &t)); /* fits whole: no halo at all */
    assert_true(t.y.count == 1 && t.x.count == 1 && t.y.extent == 704 && t.x.extent == 912);
    const fnr_tile_budget large = {.max_bytes = 4e9, .bytes_per_px = 1500};
    assert_true(fnr_tiling_choose(&solid, each, 30, 300, 500, &large, &t));
    check_axis(&t.z, 16, 108);
    check_axis(&t.y, 16, 108);
    check_axis(&t.x, 16, 108);
    assert_at_most(1500.0 * t.z.extent * t.y.extent * t.x.extent, 4e9);
    const fnr_tile_budget small = {.max_bytes = 80e6, .bytes_per_px = 1500};
    assert_false(fnr_tiling_choose(&flat, each, 1, 1504, 1504, &small, &t)); /* 240 x 240 px need 86 MB */
}

/* Down to the smallest tile: each step makes one side smaller, to about half where the halo leaves that, and keeps to the rules. */
static void halving_ends_at_the_smallest_tile(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 2, 4}, solid = {3, 1, 1, 2, 4};
    const fnr_blocks rules[] = {each, {6, 1, 0}, {6, 2, 0}};
    for (int i = 0; i < 6; i++) {
        const fnr_netdesc *desc = i % 2 ? &solid : &flat;
        const fnr_blocks rule = rules[i / 2];
        fnr_tiling t, before;
        fnr_tiling_of_core(desc, rule, i % 2 ? 300 : 1, 3000, 4001, 5000, &t);
        int steps = 0;
        for (before = t; fnr_tiling_halve(desc, rule, &t); before = t, steps++) {
            const int was[] = {before.z.extent, before.y.extent, before.x.extent}, is[] = {t.z.extent, t.y.extent, t.x.extent};
            int changed = 0;
            for (int k = 0; k < 3; k++) {
                assert_true(is[k] <= was[k]);
                changed += is[k] < was[k];
            }
            assert_int_equal(changed, 1);
            assert_true(t.x.extent == before.x.extent || t.x.extent <= before.x.extent / 2 || t.x.core == 16);
            check_axis(&t.y, 16, 108);
            check_axis(&t.x, 16, 108);
        }
        assert_in_range(steps, 4, 14);
        assert_memory_equal(&t, &before, sizeof t);
        assert_true(t.y.core == 16 && t.x.core == 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_cover_and_have_their_halo),
        cmocka_unit_test(chosen_tiles_keep_the_budget),
        cmocka_unit_test(blocks_lie_alike_in_all_tiles),
        cmocka_unit_test(halving_ends_at_the_smallest_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
