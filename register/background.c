#include "register/background.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/sort.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"

static const double low_quantile = 0.25;
static const double smooth_cells = 1.5; /* standard deviation of the final smoothing */

void fnr_background_read_row(const fnr_view *montage, int y, bool invert, float *row)
{
    fnr_grid_read_row(montage, y, row);
    for (int x = 0; invert && x < montage->w; x++) {
        row[x] = -row[x];
    }
}

/* Low quantile of the finite pixels of every cell in one row of cells; NaN where a cell has none.  rows: cell_rows x w floats. */
static void quantile_row(const float *rows, int w, int cell_rows, int cell, float *scratch, float *out, int cells)
{
    for (int c = 0; c < cells; c++) {
        const int x0 = c * cell, x1 = x0 + cell < w ? x0 + cell : w;
        size_t n = 0;
        for (int y = 0; y < cell_rows; y += 2) { /* every fourth pixel is plenty */
            for (int x = x0; x < x1; x += 2) {
                const float v = rows[(size_t)y * (size_t)w + (size_t)x];
                if (isfinite(v)) {
                    scratch[n++] = v;
                }
            }
        }
        out[c] = n ? fnr_nth_float(scratch, n, (size_t)(low_quantile * (double)(n - 1))) : NAN;
    }
}

/* Every row of cells for itself. */
typedef struct {
    const fnr_view *m;
    int cell;
    bool invert;
    fnr_grid *g;
    fnr_error *errors; /* one per row of cells */
} cells;

static void quantiles_of_row(void *ctx, size_t cy)
{
    const cells *c = ctx;
    const int w = c->m->w, cell = c->cell, y0 = (int)cy * cell, n = y0 + cell < c->m->h ? cell : c->m->h - y0;
    float *rows = fnr_alloc_aligned((size_t)w * (size_t)cell + (size_t)cell * (size_t)cell, sizeof *rows, "background rows", &c->errors[cy]);
    if (!rows) {
        return;
    }
    for (int y = 0; y < n; y += 2) { /* those that quantile_row looks at */
        fnr_background_read_row(c->m, y0 + y, c->invert, rows + (size_t)y * (size_t)w);
    }
    quantile_row(rows, w, n, cell, rows + (size_t)w * (size_t)cell, c->g->px + cy * (size_t)c->g->w, c->g->w);
    free(rows);
}

static bool quantiles(const fnr_view *m, int cell, bool invert, fnr_grid *g, fnr_error *err)
{
    cells c = {.m = m, .cell = cell, .invert = invert, .g = g, .errors = fnr_calloc((size_t)g->h, sizeof *c.errors, "background rows", err)};
    bool ok = c.errors != NULL;
    if (ok) {
        fnr_parallel_for((size_t)g->h, quantiles_of_row, &c);
    }
    for (int y = 0; ok && y < g->h; y++) {
        ok = c.errors[y].code == FNR_OK;
        if (!ok && err) {
            *err = c.errors[y];
        }
    }
    free(c.errors);
    return ok;
}

/* Median of the finite values of the (2r + 1)^2 cells around each cell; cells without any keep the median of all that have. */
static void median_filter(const fnr_grid *src, int r, fnr_grid *dst)
{
    float window[81];
    for (int y = 0; y < src->h; y++) {
        for (int x = 0; x < src->w; x++) {
            size_t n = 0;
            for (int dy = -r; dy <= r; dy++) {
                for (int dx = -r; dx <= r; dx++) {
                    const int sx = x + dx, sy = y + dy;
                    if (sx >= 0 && sy >= 0 && sx < src->w && sy < src->h &&
                        isfinite(src->px[(size_t)sy * (size_t)src->w + (size_t)sx])) {
                        window[n++] = src->px[(size_t)sy * (size_t)src->w + (size_t)sx];
                    }
                }
            }
            dst->px[(size_t)y * (size_t)src->w + (size_t)x] = n ? fnr_nth_float(window, n, n / 3) : 0.0f;
        }
    }
}

bool fnr_background_fit(const fnr_view *montage, int cell, bool invert, fnr_background *out, fnr_error *err)
{
    fnr_background b = {.cell = cell, .invert = invert};
    fnr_grid low = {0}, middle = {0};
    const int w = (montage->w + cell - 1) / cell, h = (montage->h + cell - 1) / cell;
    bool ok = fnr_grid_new(&low, w, h, "background cells", err) && fnr_grid_new(&middle, w, h, "background cells", err) &&
              fnr_grid_new(&b.grid, w, h, "background cells", err) && quantiles(montage, cell, invert, &low, err);
    if (ok) {
        median_filter(&low, 2, &middle);
        const fnr_view src = fnr_view_f32(middle.px, w, h);
        fnr_view dst = fnr_view_f32(b.grid.px, w, h);
        ok = fnr_cv_blur(&src, smooth_cells, &dst, err);
    }
    fnr_grid_free(&low);
    fnr_grid_free(&middle);
    if (ok) {
        *out = b;
    } else {
        fnr_grid_free(&b.grid);
    }
    return ok;
}

void fnr_background_free(fnr_background *b)
{
    fnr_grid_free(&b->grid);
}

static double clamp(double x, double hi)
{
    return x < 0 ? 0 : x > hi ? hi : x;
}

void fnr_background_row(const fnr_background *b, int y, int w, float *row)
{
    const fnr_grid *g = &b->grid;
    const double gy = clamp((y + 0.5) / b->cell - 0.5, g->h - 1);
    const int y0 = (int)gy, y1 = y0 + 1 < g->h ? y0 + 1 : y0;
    const float fy = (float)(gy - y0);
    for (int x = 0; x < w; x++) {
        const double gx = clamp((x + 0.5) / b->cell - 0.5, g->w - 1);
        const int x0 = (int)gx, x1 = x0 + 1 < g->w ? x0 + 1 : x0;
        const float fx = (float)(gx - x0);
        const float *r0 = g->px + (size_t)y0 * (size_t)g->w, *r1 = g->px + (size_t)y1 * (size_t)g->w;
        const float top = r0[x0] + fx * (r0[x1] - r0[x0]), bottom = r1[x0] + fx * (r1[x1] - r1[x0]);
        row[x] = top + fy * (bottom - top);
    }
}
