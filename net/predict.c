#include "net/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/tile_pixels.h"
#include "net/tile_queue.h"
#include "src/core/mem.h"

/* Where a backend has blocks, a 2D region has at most the pixels for which one network takes this, however much may be used: what
 * comes out is then the same for whoever allows as much.  Volumes look too far, along three axes, to be cut without need. */
#define REGION_BYTES 1.25e9
#define DEFAULT_MAX_BYTES ((size_t)1 << 30)
/* Extents of the programs that are made to learn what a pixel costs in memory, and by how much the second is larger. */
enum { PROBE_2D = 256, MORE_2D = 128, PROBE_3D = 32, MORE_3D = 16 };

/* What is known about memory. */
typedef struct {
    double fixed, per_px; /* bytes of programs and of buffers, whatever the tile and per pixel of it; 0: not known yet */
    double most_px;       /* input pixels of a tile for which there is memory, learnt from a larger one; 0: not known */
} memory;

struct fnr_predictor {
    fnr_netdesc desc; /* of the models; the greatest depth and base channels */
    size_t max_bytes;
    int tile; /* 0 = chosen */
    fnr_blocks blocks;
    double region_px; /* at most; 0: as many as there is memory for */
    memory memory;
    fnr_tile_net *net;
    fnr_shape shape; /* that everything is ready for; all zero before the first */
    float *raw;      /* what was read, a tile at most */
};

/* ---- programs -------------------------------------------------------------------------------------------------------------- */

static void drop_program(fnr_predictor *p)
{
    if (p->net) {
        fnr_tile_net_drop(p->net);
    }
    free(p->raw);
    p->raw = NULL;
    p->shape = (fnr_shape){0};
}

static bool use_shape(fnr_predictor *p, const fnr_shape *shape, fnr_error *err)
{
    if (memcmp(shape, &p->shape, sizeof *shape) == 0) {
        return true;
    }
    drop_program(p);
    p->shape = *shape;
    const bool ok = (p->raw = fnr_alloc_aligned(fnr_shape_count(shape), sizeof *p->raw, "prediction tile", err)) &&
                    fnr_tile_net_use(p->net, shape, err);
    if (!ok) {
        drop_program(p);
    }
    return ok;
}

static fnr_shape shape_of(const fnr_predictor *p, int d, int h, int w)
{
    const fnr_netdesc *desc = &p->desc;
    return (fnr_shape){.spatial = desc->spatial, .n = 1, .c = desc->in_channels, .d = d, .h = h, .w = w};
}

static double bytes_in_use(const fnr_predictor *p)
{
    return (double)(fnr_tile_net_bytes(p->net) + fnr_shape_count(&p->shape) * sizeof *p->raw);
}

static bool nothing_fits(const fnr_shape *smallest, const fnr_error *failure, fnr_error *err)
{
    return fnr_fail(err, FNR_E_LIMIT,
                    "%s (even for the smallest tile, %d x %d x %d px (w, h, d): set compute.max_mb to what is free, predict smaller images or "
                    "with fewer models at a time, or use --device cpu)",
                    failure->message, smallest->w, smallest->h, smallest->d);
}

/* Two programs tell what they cost whatever their size, and per pixel. */
static bool learn_bytes(fnr_predictor *p, fnr_error *err)
{
    const bool solid = p->desc.spatial == 3;
    const int grid = fnr_netdesc_grid(&p->desc);
    double bytes[2], px[2];
    for (int i = 0; i < 2; i++) {
        const int side = solid ? PROBE_3D + i * MORE_3D : PROBE_2D + i * MORE_2D;
        const int extent = (side > grid ? side / grid : 1 + i) * grid;
        const fnr_shape shape = shape_of(p, solid ? extent : 1, extent, extent);
        fnr_error failure = {0};
        if (!use_shape(p, &shape, &failure)) {
            return failure.code == FNR_E_LIMIT ? nothing_fits(&shape, &failure, err) : fnr_fail(err, failure.code, "%s", failure.message);
        }
        bytes[i] = bytes_in_use(p);
        px[i] = (double)shape.d * shape.h * shape.w;
    }
    drop_program(p);
    const double slope = px[1] > px[0] ? (bytes[1] - bytes[0]) / (px[1] - px[0]) : 0;
    memory *m = &p->memory;
    m->per_px = slope > 0 ? slope : bytes[1] / px[1];
    m->fixed = bytes[0] > m->per_px * px[0] ? bytes[0] - m->per_px * px[0] : 0;
    return true;
}

/* Do outputs depend on where regions begin? */
static bool has_blocks(const fnr_predictor *p)
{
    return p->blocks.px > 1;
}

/* Blocks, and what all networks together take; `turned`: with programs for turned tiles too.  Each network says what it takes. */
static void ask_for_blocks(fnr_predictor *p, const fnr_backend_ops *be, const fnr_backend *device, const fnr_model *const *models, size_t n,
                           bool turned)
{
    const int programs = turned ? 2 : 1;
    double widest = 0;
    p->blocks = (fnr_blocks){.px = 1, .slices = 1};
    for (size_t i = 0; be->blocks && i < n; i++) {
        p->blocks = be->blocks(device, &models[i]->desc);
        p->memory.fixed += programs * p->blocks.bytes;
        p->memory.per_px += programs * p->blocks.bytes_per_px;
        widest = fmax(widest, p->blocks.bytes_per_px);
    }
    p->region_px = widest > 0 && p->desc.spatial == 2 ? REGION_BYTES / widest : 0;
}

/* Half of what there is, where nobody says how much: for backends that compute in this memory and gain by it. */
static size_t default_max_bytes(const fnr_predictor *p)
{
    const size_t there_is = fnr_memory_there_is();
    return has_blocks(p) && there_is < SIZE_MAX ? there_is / 2 : DEFAULT_MAX_BYTES;
}

/* What a backend cannot do, it says when it compiles: the smallest tile there is. */
static bool try_to_compile(fnr_predictor *p, fnr_error *err)
{
    const int grid = fnr_netdesc_grid(&p->desc);
    const fnr_shape shape = shape_of(p, p->desc.spatial == 3 ? grid : 1, grid, grid);
    const bool ok = use_shape(p, &shape, err);
    drop_program(p);
    return ok;
}

/* Models can be averaged when they look at the same image and give the same channels at the same pixel size. */
static bool check_models(const fnr_model *const *models, size_t n, fnr_error *err)
{
    const fnr_model *first = models[0];
    for (size_t i = 1; i < n; i++) {
        const fnr_netdesc *a = &first->desc, *b = &models[i]->desc;
        if (a->spatial != b->spatial || a->in_channels != b->in_channels || a->out_channels != b->out_channels) {
            return fnr_fail(err, FNR_E_USAGE, "models 1 and %zu cannot be averaged: a %dD network from %d to %d channels, and a %dD one from %d to %d",
                            i + 1, a->spatial, a->in_channels, a->out_channels, b->spatial, b->in_channels, b->out_channels);
        }
        if (first->pixel_nm != models[i]->pixel_nm) {
            return fnr_fail(err, FNR_E_USAGE, "models 1 and %zu cannot be averaged: one works at %g nm per pixel, the other at %g", i + 1,
                            first->pixel_nm, models[i]->pixel_nm);
        }
    }
    return true;
}

fnr_predictor *fnr_predictor_new_mean(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *const *models, size_t n,
                                      const fnr_predict_options *opt, fnr_error *err)
{
    if (!check_models(models, n, err)) {
        return NULL;
    }
    fnr_netdesc desc = models[0]->desc;
    for (size_t i = 1; i < n; i++) {
        const fnr_netdesc *other = &models[i]->desc;
        desc.depth = other->depth > desc.depth ? other->depth : desc.depth;
        desc.base_channels = other->base_channels > desc.base_channels ? other->base_channels : desc.base_channels;
    }
    const int grid = fnr_netdesc_grid(&desc);
    if (opt->tile < 0 || opt->tile % grid) {
        fnr_fail(err, FNR_E_USAGE, "a prediction tile of %d px: must be a multiple of %d", opt->tile, grid);
        return NULL;
    }
    fnr_predictor *p = fnr_calloc(1, sizeof *p, "predictor", err);
    if (!p) {
        return NULL;
    }
    p->desc = desc;
    ask_for_blocks(p, be, device, models, n, opt->tta == FNR_TTA_ALL);
    p->max_bytes = opt->max_bytes ? opt->max_bytes : default_max_bytes(p);
    p->tile = opt->tile;
    p->net = fnr_tile_net_new(be, device, models, n, (fnr_tta)opt->tta, err);
    if (!p->net || !(has_blocks(p) ? try_to_compile(p, err) : p->tile > 0 || learn_bytes(p, err))) {
        fnr_predictor_free(p);
        return NULL;
    }
    return p;
}

fnr_predictor *fnr_predictor_new(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *model,
                                 const fnr_predict_options *opt, fnr_error *err)
{
    return fnr_predictor_new_mean(be, device, &model, 1, opt, err);
}

void fnr_predictor_free(fnr_predictor *p)
{
    if (p) {
        drop_program(p);
        fnr_tile_net_free(p->net);
        free(p);
    }
}

/* ---- which tiles ------------------------------------------------------------------------------------------------------------
 */

static double tile_px(const fnr_tiling *t)
{
    return (double)t->z.tiles.extent * t->y.tiles.extent * t->x.tiles.extent;
}

/* With blocks, a band of rows is counted in whether it is collected or not: an array is cut as its rows are.  band_floats: output
 * that is collected per pixel of a band. */
static fnr_tile_budget budget_of(const fnr_predictor *p, int band_floats)
{
    return (fnr_tile_budget){.max_bytes = (double)p->max_bytes - p->memory.fixed,
                             .most_px = p->region_px,
                             .bytes_per_px = p->memory.per_px,
                             .bytes_per_row_px = (double)sizeof(float) * (has_blocks(p) ? p->desc.out_channels : band_floats)};
}

/* seen: bytes of the smallest program that turned out to need too many. */
static bool choose_tiling(const fnr_predictor *p, int d, int h, int w, const fnr_tile_budget *budget, double seen, fnr_tiling *t,
                          fnr_error *err)
{
    const memory *m = &p->memory;
    if (p->tile > 0 && !has_blocks(p)) {
        fnr_tiling_of_core(&p->desc, d, h, w, p->tile, t);
        return true;
    }
    if (!fnr_tiling_choose(&p->desc, d, h, w, budget, t)) {
        const double needed = m->fixed + m->per_px * tile_px(t) + budget->bytes_per_row_px * t->y.tiles.core * w;
        return fnr_fail(err, FNR_E_LIMIT,
                        "predicting %d x %d x %d px (w, h, d) needs about %.0f MiB even in the smallest tiles; allowed are %.0f MiB "
                        "(compute.max_mb)",
                        w, h, d, (needed > seen ? needed : seen) / 0x1p20 + 1, (double)p->max_bytes / 0x1p20);
    }
    while (m->most_px > 0 && tile_px(t) > m->most_px && fnr_tiling_halve(&p->desc, t)) {
    }
    if (p->tile > 0) {
        fnr_tiling_divide(&p->desc, p->blocks, p->tile, t);
    }
    return true;
}

/* A device may have less memory than the budget allows. After such a failure tiles of this and of later images are at most half
 * as large, until nothing is left to halve. */
static bool halve_tiles(fnr_predictor *p, const fnr_tiling *t, const fnr_error *failure, fnr_error *err)
{
    fnr_tiling half = *t;
    if (p->tile > 0) {
        return fnr_fail(err, FNR_E_LIMIT, "%s (tiles of %d px, as predict.tile asks for: set it to 0 to have it chosen)", failure->message, p->tile);
    }
    if (!fnr_tiling_halve(&p->desc, &half)) {
        const fnr_shape smallest = shape_of(p, t->z.tiles.extent, t->y.tiles.extent, t->x.tiles.extent);
        return nothing_fits(&smallest, failure, err);
    }
    p->memory.most_px = tile_px(&half);
    return true;
}

/* Chooses tiles and compiles for them. What a pixel costs was learnt on a small program; where a large one turns out to need more,
 * tiles are made smaller.  Not so with blocks: regions must not depend on what threads need for themselves. */
static bool prepare(fnr_predictor *p, int d, int h, int w, int band_floats, fnr_tiling *t, fnr_error *err)
{
    if (d < 1 || h < 1 || w < 1 || (p->desc.spatial == 2 && d != 1)) {
        return fnr_fail(err, FNR_E_USAGE, "an image of %d x %d x %d px (w, h, d) cannot be predicted by a %dD network", w, h, d,
                        p->desc.spatial);
    }
    fnr_tile_budget budget = budget_of(p, band_floats);
    for (double seen = 0;;) {
        if (!choose_tiling(p, d, h, w, &budget, seen, t, err)) {
            return false;
        }
        const fnr_shape shape = shape_of(p, t->z.tiles.extent, t->y.tiles.extent, t->x.tiles.extent);
        fnr_error failure = {0};
        if (!use_shape(p, &shape, &failure)) {
            if (failure.code != FNR_E_LIMIT) {
                return fnr_fail(err, failure.code, "%s", failure.message);
            }
            if (!halve_tiles(p, t, &failure, err)) {
                return false;
            }
            continue;
        }
        seen = bytes_in_use(p) + budget.bytes_per_row_px * t->y.tiles.core * w;
        if (p->tile > 0 || has_blocks(p) || seen <= (double)p->max_bytes) {
            return true;
        }
        budget.max_bytes *= 0.8;
    }
}

/* ---- images ----------------------------------------------------------------------------------------------------------------- */

/* One after the other, of one size. */
typedef struct {
    fnr_predictor *p;
    fnr_tiling t;
    fnr_tile_input from;
    size_t images, done, first; /* how many; of which so many are given to the sink; where this attempt began */
    fnr_tile_output to;         /* all of the only image, or a band of rows */
    fnr_series_sink sink;       /* of bands; NULL: there are none */
    void *sink_ctx;
    long kept;                  /* tiles of the band that is under way */
    int rows_given;             /* of the image that is under way */
} job;

static long tiles_per_image(const fnr_tiling *t)
{
    return (long)t->z.count * t->y.count * t->x.count;
}

typedef struct {
    size_t image;
    int iz, iy, ix;
} spot;

static spot spot_of(const job *j, long tile)
{
    const fnr_tiling *t = &j->t;
    const long in_image = tile % tiles_per_image(t);
    return (spot){.image = j->first + (size_t)(tile / tiles_per_image(t)),
                  .iz = (int)(in_image / ((long)t->y.count * t->x.count)),
                  .iy = (int)(in_image / t->x.count % t->y.count),
                  .ix = (int)(in_image % t->x.count)};
}

static bool load_tile(void *ctx, long tile, float *in, fnr_error *err)
{
    job *j = ctx;
    const spot s = spot_of(j, tile);
    const fnr_tile_box box = fnr_tile_box_of(&j->t, s.iz, s.iy, s.ix);
    j->from.number = s.image;
    return fnr_tile_fill(&j->from, &box, j->p->raw, in, err);
}

static bool keep_tile(void *ctx, long tile, const float *result, fnr_error *err)
{
    job *j = ctx;
    const spot s = spot_of(j, tile);
    const fnr_tile_box box = fnr_tile_box_of(&j->t, s.iz, s.iy, s.ix), core = fnr_tile_core_of(&j->t, s.iz, s.iy, s.ix);
    if (j->sink && j->kept == 0) { /* a new band */
        int end;
        fnr_tile_core(&j->t.y, s.iy, &j->to.y0, &end);
        j->to.h = end - j->to.y0;
    }
    fnr_tile_keep_core(&box, &core, result, &j->to);
    if (!j->sink || ++j->kept < j->t.x.count) {
        return true;
    }
    const bool last = j->to.y0 + j->to.h == j->from.h;
    j->kept = 0;
    j->rows_given = last ? 0 : j->to.y0 + j->to.h;
    j->done += last;
    return j->sink(j->sink_ctx, s.image, j->to.y0, j->to.h, j->to.data, err);
}

static bool run_tiles(job *j, const fnr_cancel *cancel, bool *in_net, fnr_error *err)
{
    fnr_predictor *p = j->p;
    const fnr_tile_work work = {.tiles = (long)(j->images - j->first) * tiles_per_image(&j->t),
                                .group = j->sink ? j->t.x.count : tiles_per_image(&j->t),
                                .load = load_tile,
                                .keep = keep_tile,
                                .ctx = j,
                                .cancel = cancel};
    *in_net = false;
    j->kept = 0;
    if (j->sink) {
        const size_t rows = (size_t)(j->t.y.tiles.core < j->from.h ? j->t.y.tiles.core : j->from.h);
        j->to.data = fnr_alloc_aligned((size_t)j->to.channels * rows * (size_t)j->to.w, sizeof(float), "band of predicted rows", err);
    }
    const bool ok = j->to.data && fnr_tile_queue_run(p->net, &work, in_net, err);
    if (j->sink) {
        free(j->to.data);
        j->to.data = NULL;
    }
    return ok;
}

/* A device may also run out of memory at work (libraries load what they need at the first use): then once more from the image that
 * is under way, unless rows of it are given away. */
static bool run_job(job *j, const fnr_cancel *cancel, fnr_error *err)
{
    fnr_predictor *p = j->p;
    for (;; j->first = j->done) {
        bool in_net;
        fnr_error failure = {0};
        if (!prepare(p, j->from.d, j->from.h, j->from.w, j->sink ? j->to.channels : 0, &j->t, err)) {
            return false;
        }
        if (run_tiles(j, cancel, &in_net, &failure)) {
            return true;
        }
        if (in_net) {
            drop_program(p);
        }
        if (!in_net || failure.code != FNR_E_LIMIT || j->rows_given > 0) {
            return fnr_fail(err, failure.code, "%s", failure.message);
        }
        if (!halve_tiles(p, &j->t, &failure, err)) {
            return false;
        }
    }
}

bool fnr_predict_array(fnr_predictor *p, int d, int h, int w, const float *in, float *out, const fnr_cancel *cancel,
                       fnr_error *err)
{
    job j = {.p = p,
             .images = 1,
             .from = {.array = in, .channels = p->desc.in_channels, .d = d, .h = h, .w = w},
             .to = {.data = out, .channels = p->desc.out_channels, .d = d, .h = h, .w = w}};
    return run_job(&j, cancel, err);
}

bool fnr_predict_series(fnr_predictor *p, size_t images, int w, int h, fnr_series_source source, void *source_ctx, fnr_series_sink sink,
                        void *sink_ctx, const fnr_cancel *cancel, fnr_error *err)
{
    if (p->desc.spatial != 2) {
        return fnr_fail(err, FNR_E_USAGE, "a 3D network cannot predict single images");
    }
    job j = {.p = p,
             .images = images,
             .from = {.read = source, .ctx = source_ctx, .channels = p->desc.in_channels, .d = 1, .h = h, .w = w},
             .to = {.channels = p->desc.out_channels, .d = 1, .w = w},
             .sink = sink,
             .sink_ctx = sink_ctx};
    return run_job(&j, cancel, err);
}
