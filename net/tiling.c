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
    const int start = at_most(i * a->core - a->halo, a->padded - a->extent);
    return start > 0 ? start : 0;
}

void fnr_tile_core(const fnr_tile_axis *a, int i, int *begin, int *end)
{
    *begin = i * a->core;
    *end = at_most(*begin + a->core, a->size);
}

/* grid 1, halo 0: an axis that does not exist (z in 2D). */
static fnr_tile_axis axis_of(int size, int grid, int halo, int core)
{
    fnr_tile_axis a = {.size = size, .padded = round_up(size, grid), .halo = halo};
    a.core = at_most(core, a.padded);
    a.extent = a.core < a.padded ? at_most(a.core + 2 * halo, a.padded) : a.padded;
    a.count = (size + a.core - 1) / a.core;
    return a;
}

/* As few tiles as possible of at most max_extent, all about equally large; false when max_extent leaves no core. */
static bool axis_within(int size, int grid, int halo, int max_extent, fnr_tile_axis *out)
{
    const int padded = round_up(size, grid);
    int core = padded;
    if (max_extent < padded) {
        const int most = (max_extent - 2 * halo) / grid * grid;
        if (most < grid) {
            return false;
        }
        const int count = (padded + most - 1) / most;
        core = round_up((padded + count - 1) / count, grid);
    }
    *out = axis_of(size, grid, halo, core);
    return true;
}

static int halo_of(const fnr_netdesc *desc, int grid)
{
    return round_up(fnr_netdesc_receptive_field(desc), grid);
}

void fnr_tiling_of_core(const fnr_netdesc *desc, int cells, int d, int h, int w, int core, fnr_tiling *out)
{
    const int grid = cells * fnr_netdesc_grid(desc), halo = halo_of(desc, grid);
    out->z = desc->spatial == 3 ? axis_of(d, grid, halo, core) : axis_of(1, 1, 0, 1);
    out->y = axis_of(h, grid, halo, core);
    out->x = axis_of(w, grid, halo, core);
}

/* Input pixels of all tiles together: what prediction costs. */
static double cost_of(const fnr_tiling *t)
{
    return (double)t->z.count * t->z.extent * t->y.count * t->y.extent * t->x.count * t->x.extent;
}

bool fnr_tiling_choose(const fnr_netdesc *desc, int cells, int d, int h, int w, const fnr_tile_budget *budget, fnr_tiling *out)
{
    const int grid = cells * fnr_netdesc_grid(desc), halo = halo_of(desc, grid);
    const int grid_z = desc->spatial == 3 ? grid : 1, halo_z = desc->spatial == 3 ? halo : 0;
    bool found = false;
    fnr_tiling_of_core(desc, cells, d, h, w, grid, out); /* the smallest, for the message */
    for (int ez = grid_z; ez <= round_up(d, grid_z); ez += grid_z) {
        for (int ey = grid; ey <= round_up(h, grid); ey += grid) {
            fnr_tiling t;
            if (!axis_within(d, grid_z, halo_z, ez, &t.z) || !axis_within(h, grid, halo, ey, &t.y)) {
                continue;
            }
            const double left = budget->max_bytes - budget->bytes_per_row_px * t.y.core * w;
            const double ex = left / (budget->bytes_per_px * t.z.extent * t.y.extent);
            if (ex < 1 || !axis_within(w, grid, halo, ex < INT_MAX ? (int)ex : INT_MAX, &t.x)) {
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
