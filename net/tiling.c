#include "net/tiling.h"

#include <limits.h>

static int round_up(int value, int grid)
{
    return (value + grid - 1) / grid * grid;
}

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

int fnr_tile_start(const fnr_tile_axis *a, int i)
{
    const int start = i * a->core - a->halo;
    return start > 0 ? at_most(start / a->align * a->align, a->padded - a->extent) : 0;
}

void fnr_tile_core(const fnr_tile_axis *a, int i, int *begin, int *end)
{
    *begin = i * a->core;
    *end = at_most(*begin + a->core, a->size);
}

/* What the tiles of an axis keep to. */
typedef struct {
    int grid, align, halo;
} step;

/* An axis that does not exist (z in 2D). */
static const step no_step = {1, 1, 0};

static fnr_tile_axis axis_of(int size, step s, int core)
{
    fnr_tile_axis a = {.size = size, .padded = round_up(size, s.grid), .halo = s.halo, .align = s.align};
    a.core = at_most(core, a.padded);
    a.extent = a.padded;
    if (a.core < a.padded) {
        /* Beginnings are rounded down to `align`; so that the last tile begins well too, the rest of its way to the end is a
         * multiple of that. */
        const int wanted = a.core + 2 * s.halo + s.align - s.grid;
        a.extent = at_most(wanted + (a.padded % s.align - wanted % s.align + s.align) % s.align, a.padded);
    }
    a.count = (size + a.core - 1) / a.core;
    return a;
}

/* As few tiles as possible of at most max_extent, all about equally large; false when max_extent leaves no core. */
static bool axis_within(int size, step s, int max_extent, fnr_tile_axis *out)
{
    const int padded = round_up(size, s.grid);
    int core = padded;
    if (max_extent < padded) {
        const int most = (max_extent - 2 * s.halo - 2 * (s.align - s.grid)) / s.grid * s.grid;
        if (most < s.grid) {
            return false;
        }
        const int count = (padded + most - 1) / most;
        core = round_up((padded + count - 1) / count, s.grid);
    }
    *out = axis_of(size, s, core);
    return true;
}

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

/* Tiles begin with a block of `block` outputs on every level, and know what blocks of `reach` look at. */
static step step_with(const fnr_netdesc *desc, int block, int reach)
{
    const int grid = fnr_netdesc_grid(desc);
    return (step){.grid = grid, .align = grid * block, .halo = round_up(reach_of(desc, reach), grid)};
}

static step step_of(const fnr_netdesc *desc, fnr_blocks blocks)
{
    return step_with(desc, blocks.px, blocks.px);
}

/* Slices of a block look no further than slices alone. */
static step step_of_z(const fnr_netdesc *desc, fnr_blocks blocks)
{
    return desc->spatial == 3 ? step_with(desc, blocks.slices, 1) : no_step;
}

void fnr_tiling_of_core(const fnr_netdesc *desc, fnr_blocks blocks, int d, int h, int w, int core, fnr_tiling *out)
{
    const step s = step_of(desc, blocks);
    out->z = desc->spatial == 3 ? axis_of(d, step_of_z(desc, blocks), core) : axis_of(1, no_step, 1);
    out->y = axis_of(h, s, core);
    out->x = axis_of(w, s, core);
}

/* Input pixels of all tiles together: what prediction costs. */
static double cost_of(const fnr_tiling *t)
{
    return (double)t->z.count * t->z.extent * t->y.count * t->y.extent * t->x.count * t->x.extent;
}

bool fnr_tiling_choose(const fnr_netdesc *desc, fnr_blocks blocks, int d, int h, int w, const fnr_tile_budget *budget,
                       fnr_tiling *out)
{
    const step s = step_of(desc, blocks), sz = step_of_z(desc, blocks);
    bool found = false;
    fnr_tiling_of_core(desc, blocks, d, h, w, s.grid, out); /* the smallest, for the message */
    for (int ez = sz.grid; ez <= round_up(d, sz.grid); ez += sz.grid) {
        for (int ey = s.grid; ey <= round_up(h, s.grid); ey += s.grid) {
            fnr_tiling t;
            if (!axis_within(d, sz, ez, &t.z) || !axis_within(h, s, ey, &t.y)) {
                continue;
            }
            const double left = budget->max_bytes - budget->bytes_per_row_px * t.y.core * w;
            const double ex = left / (budget->bytes_per_px * t.z.extent * t.y.extent);
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

/* An axis in tiles of half the extent, or in the smallest ones that there are; false when those are no smaller. */
static bool axis_halved(const fnr_tile_axis *a, step s, fnr_tile_axis *out)
{
    if (!axis_within(a->size, s, a->extent / 2, out)) {
        *out = axis_of(a->size, s, s.grid);
    }
    return out->extent < a->extent;
}

bool fnr_tiling_halve(const fnr_netdesc *desc, fnr_blocks blocks, fnr_tiling *t)
{
    const step s = step_of(desc, blocks), sz = step_of_z(desc, blocks);
    const struct {
        fnr_tile_axis *axis;
        step step;
    } axes[] = {{&t->x, s}, {&t->y, s}, {&t->z, sz}};
    int longest = -1;
    fnr_tile_axis halved = {0};
    for (int i = 0; i < 3; i++) {
        fnr_tile_axis half;
        if ((longest < 0 || axes[i].axis->extent > axes[longest].axis->extent) && axis_halved(axes[i].axis, axes[i].step, &half)) {
            longest = i;
            halved = half;
        }
    }
    if (longest >= 0) {
        *axes[longest].axis = halved;
    }
    return longest >= 0;
}
