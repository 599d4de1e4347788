/* Arithmetic of tiles: they cover the image, have their halo, keep the budget and begin where backends want them to. */
#include "tests/support/support.h"

#include "net/tiling.h"

enum { GRID = 16, REACH = 108 }; /* of depth 4 */

/* 4 px for each convolution, in units of its level: 2 at the bottom, 4 on the levels above, conv_out; a 2x2 cell between levels. */
enum { BLOCK = 4, BLOCK_REACH = BLOCK * (2 * 16 + 4 * (8 + 4 + 2 + 1) + 1) + 8 + 4 + 2 + 1 };

/* A piece [start, stop) of [0, whole) with the core [begin, end). */
static void check_piece(int start, int stop, int whole, int begin, int end, int align, int reach)
{
    assert_int_equal(start % align, 0);
    assert_int_equal(stop % GRID, 0);
    assert_true(start >= 0 && stop <= whole);
    assert_true(start == 0 || begin - start >= reach);
    assert_true(stop == whole || stop - end >= reach);
}

/* Where tile i's region begins. */
static int region_start(const fnr_tile_axis *a, int i)
{
    const fnr_tile_axis undivided = {.padded = a->padded,
                                     .regions = a->regions,
                                     .tiles = {.core = a->regions.core, .extent = a->regions.extent, .align = 1, .count = 1}};
    return fnr_tile_start(&undivided, i / a->tiles.count);
}

/* tile_reach: within a region; align: where tiles of a region may begin. */
static void check_axis(const fnr_tile_axis *a, int align, int tile_reach)
{
    int covered = 0;
    assert_int_equal(a->padded % GRID, 0);
    assert_true(a->padded >= a->size && a->padded < a->size + GRID);
    for (int i = 0; i < a->count; i++) {
        int begin, end;
        fnr_tile_core(a, i, &begin, &end);
        const int region = region_start(a, i), start = fnr_tile_start(a, i) - region;
        assert_int_equal(begin, covered);
        assert_true(end > begin);
        check_piece(region, region + a->regions.extent, a->padded, begin, end, GRID, REACH);
        check_piece(start, start + a->tiles.extent, a->regions.extent, begin - region, end - region, align, tile_reach);
        /* Seen from the other end, where a mirrored tile begins, blocks lie alike too. */
        assert_int_equal((a->regions.extent - start - a->tiles.extent) % align, 0);
        covered = end;
    }
    assert_int_equal(covered, a->size);
}

static void regions_cover_and_have_their_halo(void **state)
{
    (void)state;
    const fnr_netdesc desc = {2, 1, 1, 2, 4}; /* grid 16, receptive field 108 */
    for (int size = 1; size < 900; size += 13) {
        for (int core = 16; core <= 320; core += 48) {
            fnr_tiling t;
            fnr_tiling_of_core(&desc, 1, size, 1000 - size, core, &t);
            check_axis(&t.y, 1, 0);
            check_axis(&t.x, 1, 0);
            assert_true(t.z.count == 1 && t.z.tiles.extent == 1);
            assert_true(t.y.tiles.extent <= core + (t.y.count == 2 ? 112 : 224));
        }
    }
}

static void blocks_lie_in_tiles_as_in_their_regions(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 2, 4}, solid = {3, 1, 1, 2, 4};
    const fnr_blocks blocks = {.px = BLOCK, .slices = 1}, pairs = {.px = BLOCK, .slices = 2};
    for (int size = 1; size < 2500; size += 37) {
        for (int core = 16; core <= 640; core += 48) {
            const int region = 16 + size * 7 % 2000 / 16 * 16;
            fnr_tiling t;
            fnr_tiling_of_core(&flat, 1, size, 2600 - size, region, &t);
            fnr_tiling_divide(&flat, blocks, core, &t);
            check_axis(&t.y, t.y.tiles.align, BLOCK_REACH);
            check_axis(&t.x, t.x.tiles.align, BLOCK_REACH);
            assert_true(t.y.tiles.align == 64 || t.y.tiles.count == 1);
            assert_true(t.x.tiles.align == 64 || t.x.tiles.count == 1);
        }
    }
    fnr_tiling t;
    fnr_tiling_of_core(&solid, 500, 40, 40, 512, &t);
    fnr_tiling_divide(&solid, blocks, 16, &t);
    check_axis(&t.z, 16, REACH); /* blocks of one slice */
    assert_true(t.z.tiles.halo == 112 && t.z.count > 1);
    fnr_tiling_of_core(&solid, 900, 40, 40, 608, &t);
    fnr_tiling_divide(&solid, pairs, 16, &t);
    check_axis(&t.z, 32, REACH);
    assert_true(t.z.tiles.halo == 112 && t.z.tiles.count > 1 && t.z.regions.count == 2);
}

static void chosen_regions_keep_the_budget(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 32, 4}, solid = {3, 1, 1, 32, 4};
    const fnr_tile_budget budget = {.max_bytes = 1e9, .bytes_per_px = 1500, .bytes_per_row_px = 4};
    const int sizes[][2] = {{1504, 1504}, {1, 1}, {300, 20000}, {20000, 300}, {30000, 40000}, {700, 701}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fnr_tiling t;
        assert_true(fnr_tiling_choose(&flat, 1, sizes[i][0], sizes[i][1], &budget, &t));
        check_axis(&t.y, 1, 0);
        check_axis(&t.x, 1, 0);
        assert_at_most(1500.0 * t.y.tiles.extent * t.x.tiles.extent + 4.0 * t.y.tiles.core * sizes[i][1], 1e9);
        const double waste = (double)t.y.count * t.y.tiles.extent * t.x.count * t.x.tiles.extent / ((double)t.y.padded * t.x.padded);
        assert_at_most(waste, 2.1);
    }
    fnr_tiling t;
    assert_true(fnr_tiling_choose(&flat, 1, 700, 900, &budget, &t)); /* fits whole: no halo at all */
    assert_true(t.y.count == 1 && t.x.count == 1 && t.y.tiles.extent == 704 && t.x.tiles.extent == 912);
    const fnr_tile_budget half = {.max_bytes = 6e8, .bytes_per_px = 1500};
    assert_true(fnr_tiling_choose(&flat, 1, 400, 1600, &half, &t)); /* two regions, each with one neighbour: 800 + 112 px */
    assert_true(t.y.count == 1 && t.x.count == 2 && t.x.tiles.core == 800 && t.x.tiles.extent == 912);
    const fnr_tile_budget capped = {.max_bytes = 1e12, .most_px = 912 * 400, .bytes_per_px = 1500}; /* memory is not all */
    assert_true(fnr_tiling_choose(&flat, 1, 400, 1600, &capped, &t) && t.x.count == 2 && t.x.tiles.extent == 912);
    const fnr_tile_budget large = {.max_bytes = 4e9, .bytes_per_px = 1500};
    assert_true(fnr_tiling_choose(&solid, 30, 300, 500, &large, &t));
    check_axis(&t.z, 1, 0);
    check_axis(&t.y, 1, 0);
    check_axis(&t.x, 1, 0);
    assert_at_most(1500.0 * t.z.tiles.extent * t.y.tiles.extent * t.x.tiles.extent, 4e9);
    const fnr_tile_budget small = {.max_bytes = 80e6, .bytes_per_px = 1500};
    assert_false(fnr_tiling_choose(&flat, 1, 1504, 1504, &small, &t)); /* 240 x 240 px need 86 MB */
}

/* Down to the smallest region: each step makes one side smaller, to about half where the halo leaves that. */
static void halving_ends_at_the_smallest_region(void **state)
{
    (void)state;
    const fnr_netdesc flat = {2, 1, 1, 2, 4}, solid = {3, 1, 1, 2, 4};
    for (int i = 0; i < 2; i++) {
        const fnr_netdesc *desc = i ? &solid : &flat;
        fnr_tiling t, before;
        fnr_tiling_of_core(desc, i ? 300 : 1, 3000, 4001, 5000, &t);
        int steps = 0;
        for (before = t; fnr_tiling_halve(desc, &t); before = t, steps++) {
            const int was[] = {before.z.tiles.extent, before.y.tiles.extent, before.x.tiles.extent},
                      is[] = {t.z.tiles.extent, t.y.tiles.extent, t.x.tiles.extent};
            int changed = 0;
            for (int k = 0; k < 3; k++) {
                assert_true(is[k] <= was[k]);
                changed += is[k] < was[k];
            }
            assert_int_equal(changed, 1);
            assert_true(is[2] == was[2] || is[2] <= was[2] / 2 || t.x.tiles.core == 16);
            check_axis(&t.y, 1, 0);
            check_axis(&t.x, 1, 0);
        }
        assert_in_range(steps, 4, 14);
        assert_memory_equal(&t, &before, sizeof t);
        assert_true(t.y.tiles.core == 16 && t.x.tiles.core == 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_cover_and_have_their_halo),
        cmocka_unit_test(chosen_regions_keep_the_budget),
        cmocka_unit_test(blocks_lie_in_tiles_as_in_their_regions),
        cmocka_unit_test(halving_ends_at_the_smallest_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
