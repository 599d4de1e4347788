#include "net/tiling.h"

#include <limits.h>
#include <math.h>

static int round_up(int value, int grid)
{
    return (value + grid - 1) / grid * grid;
}

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

/* ---- one axis -------------------------------------------------------------------------------------------------------------- */

/* Where the piece begins whose core begins at `begin`, both from the beginning of the whole. */
static int start_of(const fnr_cut *cut, int whole, int begin)
{
    const int start = begin - cut->halo;
    return start > 0 ? at_most(start / cut->align * cut->align, whole - cut->extent) : 0;
}

void fnr_tile_core(const fnr_tile_axis *a, int i, int *begin, int *end)
{
    const int region = i / a->tiles.count, in_region = i % a->tiles.count * a->tiles.core;
    *begin = region * a->regions.core + in_region;
    *end = at_most(at_most(*begin + a->tiles.core, (region + 1) * a->regions.core), a->size);
}

int fnr_tile_start(const fnr_tile_axis *a, int i)
{
    const int region = start_of(&a->regions, a->padded, i / a->tiles.count * a->regions.core);
    int begin, end;
    fnr_tile_core(a, i, &begin, &end);
    return region + start_of(&a->tiles, a->regions.extent, begin - region);
}

/* What the pieces of an axis keep to. */
typedef struct {
    int grid, align, halo;
} step;

/* An axis that does not exist (z in 2D). */
static const step no_step = {1, 1, 0};

/* Input pixels of `pieces` pieces that cover `whole`.  Of two each has but one neighbour.  Beginnings are rounded down to `align`;
 * so that the last piece begins well too, the rest of its way to the end is a multiple of that. */
static int extent_of(int whole, step s, int core, int pieces)
{
    if (pieces == 1) {
        return whole;
    }
    const int wanted = core + (pieces > 2 ? 2 : 1) * s.halo + s.align - s.grid;
    return at_most(wanted + (whole % s.align - wanted % s.align + s.align) % s.align, whole);
}

static int pieces_of(int whole, int core)
{
    return (whole + core - 1) / core;
}

/* Regions that are a tile each. */
static fnr_tile_axis axis_of(int size, step s, int core)
{
    fnr_tile_axis a = {.size = size, .padded = round_up(size, s.grid)};
    a.regions = (fnr_cut){.core = at_most(core, a.padded), .halo = s.halo, .align = s.align};
    a.count = a.regions.count = pieces_of(size, a.regions.core);
    a.regions.extent = extent_of(a.padded, s, a.regions.core, a.count);
    a.tiles = (fnr_cut){.core = a.regions.core, .extent = a.regions.extent, .halo = 0, .align = 1, .count = 1};
    return a;
}

/* Cores as small as they can be for so many regions. */
static fnr_tile_axis axis_in(int size, step s, int regions)
{
    return axis_of(size, s, round_up(pieces_of(round_up(size, s.grid), regions), s.grid));
}

/* As few regions as possible of at most max_extent, all about equally large; false when max_extent leaves no core. */
static bool axis_within(int size, step s, int max_extent, fnr_tile_axis *out)
{
    for (int regions = 1; regions <= 2; regions++) {
        *out = axis_in(size, s, regions);
        if (out->regions.extent <= max_extent) {
            return true;
        }
    }
    const int most = (max_extent - 2 * s.halo) / s.grid * s.grid;
    if (most < s.grid) {
        return false;
    }
    *out = axis_in(size, s, pieces_of(out->padded, most));
    return out->regions.extent <= max_extent;
}

static void divide_axis(fnr_tile_axis *a, step s, int core)
{
    const fnr_cut *region = &a->regions;
    fnr_cut *tiles = &a->tiles;
    if (core >= region->core) {
        return;
    }
    *tiles = (fnr_cut){.core = core, .halo = s.halo, .align = s.align, .count = pieces_of(region->core, core)};
    /* A region with a neighbour on both sides has a core in its middle, with no end to be moved away from. */
    tiles->extent = extent_of(region->extent, s, core, region->count > 1 ? 3 : tiles->count);
    a->count = (region->count - 1) * tiles->count + pieces_of(a->size - (region->count - 1) * region->core, core);
}

/* ---- all axes -------------------------------------------------------------------------------------------------------------- */

/* As fnr_netdesc_receptive_field, which is that of blocks of one: a 3x3 convolution looks up to `block` px far, for an output at
 * one end of its block depends, in its last bits, on the input behind the other end. */
static int reach_of(const fnr_netdesc *desc, int block)
{
    int reach = 2 * block;
    for (int i = 0; i < desc->depth; i++) {
        reach = 2 * reach + 4 * block + 1;
    }
    return reach + block;
}

/* Pieces begin with a block of `block` outputs on every level, and know what blocks of `reach` look at. */
static step step_with(const fnr_netdesc *desc, int block, int reach)
{
    const int grid = fnr_netdesc_grid(desc);
    return (step){.grid = grid, .align = grid * block, .halo = round_up(reach_of(desc, reach), grid)};
}

/* Of regions: blocks begin anew in each. */
static step step_of(const fnr_netdesc *desc)
{
    return step_with(desc, 1, 1);
}

static step step_of_z(const fnr_netdesc *desc)
{
    return desc->spatial == 3 ? step_of(desc) : no_step;
}

void fnr_tiling_of_core(const fnr_netdesc *desc, int d, int h, int w, int core, fnr_tiling *out)
{
    const step s = step_of(desc), sz = step_of_z(desc);
    *out = (fnr_tiling){.z = axis_of(d, sz, desc->spatial == 3 ? core : 1), .y = axis_of(h, s, core), .x = axis_of(w, s, core)};
}

void fnr_tiling_divide(const fnr_netdesc *desc, fnr_blocks blocks, int core, fnr_tiling *t)
{
    const step s = step_with(desc, blocks.px, blocks.px);
    if (desc->spatial == 3) {
        divide_axis(&t->z, step_with(desc, blocks.slices, 1), core); /* slices of a block look no further than slices alone */
    }
    divide_axis(&t->y, s, core);
    divide_axis(&t->x, s, core);
}

/* Input pixels of all pieces of a cut. */
static double cost_along(const fnr_cut *cut)
{
    return (double)cut->count * cut->extent;
}

/* Input pixels of all regions together: what prediction costs. */
static double cost_of(const fnr_tiling *t)
{
    return cost_along(&t->z.regions) * cost_along(&t->y.regions) * cost_along(&t->x.regions);
}

bool fnr_tiling_choose(const fnr_netdesc *desc, int d, int h, int w, const fnr_tile_budget *budget, fnr_tiling *out)
{
    const step s = step_of(desc), sz = step_of_z(desc);
    bool found = false;
    fnr_tiling_of_core(desc, d, h, w, s.grid, out); /* the smallest, for the message */
    for (int ez = sz.grid; ez <= round_up(d, sz.grid); ez += sz.grid) {
        for (int ey = s.grid; ey <= round_up(h, s.grid); ey += s.grid) {
            fnr_tiling t;
            if (!axis_within(d, sz, ez, &t.z) || !axis_within(h, s, ey, &t.y)) {
                continue;
            }
            const double left = (budget->max_bytes - budget->bytes_per_row_px * t.y.regions.core * w) / budget->bytes_per_px;
            const double ex = fmin(left, budget->most_px > 0 ? budget->most_px : INFINITY) / ((double)t.z.regions.extent * t.y.regions.extent);
            if (ex < 1 || !axis_within(w, s, ex < INT_MAX ? (int)ex : INT_MAX, &t.x)) {
                continue;
            }
            if (!found || cost_of(&t) < cost_of(out)) {
                *out = t;
                found = true;
            }
        }
    }
    return found;
}

/* An axis in regions of half the extent, or in the smallest ones that there are; false when those are no smaller. */
static bool axis_halved(const fnr_tile_axis *a, step s, fnr_tile_axis *out)
{
    if (!axis_within(a->size, s, a->regions.extent / 2, out)) {
        *out = axis_of(a->size, s, s.grid);
    }
    return out->regions.extent < a->regions.extent;
}

bool fnr_tiling_halve(const fnr_netdesc *desc, fnr_tiling *t)
{
    const step s = step_of(desc), sz = step_of_z(desc);
    const struct {
        fnr_tile_axis *axis;
        step step;
    } axes[] = {{&t->x, s}, {&t->y, s}, {&t->z, sz}};
    int longest = -1;
    fnr_tile_axis halved = {0};
    for (int i = 0; i < 3; i++) {
        fnr_tile_axis half;
        if ((longest < 0 || axes[i].axis->regions.extent > axes[longest].axis->regions.extent) &&
            axis_halved(axes[i].axis, axes[i].step, &half)) {
            longest = i;
            halved = half;
        }
    }
    if (longest >= 0) {
        *axes[longest].axis = halved;
    }
    return longest >= 0;
}
