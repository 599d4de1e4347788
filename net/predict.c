#include "net/predict.h"

#include <stdlib.h>
#include <string.h>

#include "net/tile_net.h"
#include "net/tiling.h"
#include "src/core/mem.h"
#include "src/core/reflect.h"

#define DEFAULT_MAX_BYTES ((size_t)1 << 30)
/* Extents of the programs that are made to learn what a pixel costs in memory, and by how much the second is larger. */
enum { PROBE_2D = 256, MORE_2D = 128, PROBE_3D = 32, MORE_3D = 16 };
/* Backends that compute blocks of pixels want tiles with a halo of 384 px where one of 112 will do without (depth 4).  That is no
 * matter for images that fit the default memory whole, nor is it worth its gain for larger ones.  The choice depends on the image
 * alone, so that the result does not depend on the memory allowed or on tiles.  In pixels times base channels. */
#define MOST_IN_BLOCKS 80e6

/* A way to compute. */
typedef struct {
    fnr_mode mode;
    fnr_tile_rule rule;
    double bytes, bytes_per_px; /* of a program, of a tile's input and the buffers below; 0: not known yet */
    double most_px;             /* input pixels of a tile for which there is memory, learnt from a larger one; 0: not known */
} method;

struct fnr_predictor {
    fnr_netdesc desc; /* of the models; the greatest depth and base channels */
    size_t max_bytes;
    int tile;            /* 0 = chosen */
    method each, blocks; /* the second has a block of 1 where it cannot be used */
    method *used;        /* by the program there is */
    fnr_tile_net *net;
    fnr_shape shape; /* that everything is ready for; all zero before the first */
    float *raw, *in, *out; /* what was read (a tile at most), what the network gets, what it gives */
};

/* A rectangle of an image, or of a volume. */
typedef struct {
    int z, y, x, d, h, w;
} box;

/* ---- programs -------------------------------------------------------------------------------------------------------------- */

static void drop_program(fnr_predictor *p)
{
    if (p->net) {
        fnr_tile_net_drop(p->net);
    }
    free(p->raw);
    free(p->in);
    free(p->out);
    p->raw = p->in = p->out = NULL;
    p->shape = (fnr_shape){0};
}

static bool use_shape(fnr_predictor *p, method *how, const fnr_shape *shape, fnr_error *err)
{
    if (how == p->used && memcmp(shape, &p->shape, sizeof *shape) == 0) {
        return true;
    }
    drop_program(p);
    p->shape = *shape;
    p->used = how;
    const size_t in = fnr_shape_count(shape), out = in / (size_t)shape->c * (size_t)p->desc.out_channels;
    const bool ok = (p->raw = fnr_alloc_aligned(in, sizeof *p->raw, "prediction tile", err)) &&
                    (p->in = fnr_alloc_aligned(in, sizeof *p->in, "prediction tile", err)) &&
                    (p->out = fnr_alloc_aligned(out, sizeof *p->out, "prediction tile", err)) && fnr_tile_net_use(p->net, shape, how->mode, err);
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
    const double px = (double)p->shape.d * p->shape.h * p->shape.w;
    return (double)fnr_tile_net_bytes(p->net) + px * sizeof(float) * (2 * p->shape.c + p->desc.out_channels);
}

static bool nothing_fits(const fnr_shape *smallest, const fnr_error *failure, fnr_error *err)
{
    return fnr_fail(err, FNR_E_LIMIT,
                    "%s (even for the smallest tile, %d x %d x %d px (w, h, d): set compute.max_mb to what is free, predict smaller images or "
                    "with fewer models at a time, or use --device cpu)",
                    failure->message, smallest->w, smallest->h, smallest->d);
}

/* Two programs tell what they cost whatever their size, and per pixel. */
static bool learn_bytes(fnr_predictor *p, method *how, fnr_error *err)
{
    const bool solid = p->desc.spatial == 3;
    const int grid = how->rule.cells * fnr_netdesc_grid(&p->desc);
    double bytes[2], px[2];
    for (int i = 0; i < 2; i++) {
        const int side = solid ? PROBE_3D + i * MORE_3D : PROBE_2D + i * MORE_2D;
        const int extent = (side > grid ? side / grid : 1 + i) * grid;
        const fnr_shape shape = shape_of(p, solid ? extent : 1, extent, extent);
        fnr_error failure = {0};
        if (!use_shape(p, how, &shape, &failure)) {
            return failure.code == FNR_E_LIMIT ? nothing_fits(&shape, &failure, err) : fnr_fail(err, failure.code, "%s", failure.message);
        }
        bytes[i] = bytes_in_use(p);
        px[i] = (double)shape.d * shape.h * shape.w;
    }
    drop_program(p);
    const double slope = px[1] > px[0] ? (bytes[1] - bytes[0]) / (px[1] - px[0]) : 0;
    how->bytes_per_px = slope > 0 ? slope : bytes[1] / px[1];
    how->bytes = bytes[0] > how->bytes_per_px * px[0] ? bytes[0] - how->bytes_per_px * px[0] : 0;
    return true;
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
    p->max_bytes = opt->max_bytes ? opt->max_bytes : DEFAULT_MAX_BYTES;
    const int cells = be->tile_cells ? be->tile_cells(device) : 1;
    /* Turned and mirrored tiles would have their blocks elsewhere. */
    const int block = be->block_px && opt->tta == 0 ? be->block_px(device) : 1;
    p->each = (method){.mode = FNR_MODE_INFER_EACH, .rule = {cells, 1}};
    p->blocks = (method){.mode = FNR_MODE_INFER, .rule = {cells, block}};
    p->tile = (opt->tile + cells * grid - 1) / (cells * grid) * (cells * grid);
    p->net = fnr_tile_net_new(be, device, models, n, (fnr_tta)opt->tta, err);
    if (!p->net || !(p->tile > 0 || learn_bytes(p, block > 1 ? &p->blocks : &p->each, err))) {
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
    return (double)t->z.extent * t->y.extent * t->x.extent;
}

static bool choose_tiling(const fnr_predictor *p, const method *how, int d, int h, int w, const fnr_tile_budget *budget,
                          fnr_tiling *t, fnr_error *err)
{
    if (p->tile > 0) {
        fnr_tiling_of_core(&p->desc, how->rule, d, h, w, p->tile, t);
        return true;
    }
    if (fnr_tiling_choose(&p->desc, how->rule, d, h, w, budget, t)) {
        while (how->most_px > 0 && tile_px(t) > how->most_px && fnr_tiling_halve(&p->desc, how->rule, t)) {
        }
        return true;
    }
    const double tile = how->bytes + budget->bytes_per_px * tile_px(t),
                 band = budget->bytes_per_row_px * t->y.core * w;
    return fnr_fail(err, FNR_E_LIMIT,
                    "predicting %d x %d x %d px (w, h, d) needs about %.0f MiB even in the smallest tiles; allowed are %.0f MiB",
                    w, h, d, (tile + band) / 0x1p20 + 1, (double)p->max_bytes / 0x1p20);
}

static method *method_for(fnr_predictor *p, int d, int h, int w)
{
    const double work = (double)d * h * w * p->desc.base_channels;
    return p->blocks.rule.block > 1 && work <= MOST_IN_BLOCKS ? &p->blocks : &p->each;
}

/* A device may have less memory than the budget allows. After such a failure tiles of this and of later images are at most half
 * as large, until nothing is left to halve. */
static bool halve_tiles(const fnr_predictor *p, method *how, const fnr_tiling *t, const fnr_error *failure, fnr_error *err)
{
    fnr_tiling half = *t;
    if (p->tile > 0) {
        return fnr_fail(err, FNR_E_LIMIT, "%s (tiles of %d px, as predict.tile asks for: make it smaller, or 0 to have it chosen)", failure->message,
                        p->tile);
    }
    if (!fnr_tiling_halve(&p->desc, how->rule, &half)) {
        const fnr_shape smallest = shape_of(p, t->z.extent, t->y.extent, t->x.extent);
        return nothing_fits(&smallest, failure, err);
    }
    how->most_px = tile_px(&half);
    return true;
}

/* Chooses tiles and compiles for them. What a pixel costs was learnt on a small program; where a large one turns out to need
 * more, tiles are made smaller. band_floats: output that is collected per pixel of a band of rows. */
static bool prepare(fnr_predictor *p, int d, int h, int w, int band_floats, fnr_tiling *t, fnr_error *err)
{
    if (d < 1 || h < 1 || w < 1 || (p->desc.spatial == 2 && d != 1)) {
        return fnr_fail(err, FNR_E_USAGE, "an image of %d x %d x %d px (w, h, d) cannot be predicted by a %dD network", w, h, d,
                        p->desc.spatial);
    }
    method *how = method_for(p, d, h, w);
    if (p->tile == 0 && how->bytes_per_px <= 0 && !learn_bytes(p, how, err)) {
        return false;
    }
    fnr_tile_budget budget = {.max_bytes = (double)p->max_bytes - how->bytes,
                              .bytes_per_px = how->bytes_per_px,
                              .bytes_per_row_px = (double)band_floats * sizeof(float)};
    for (;;) {
        if (!choose_tiling(p, how, d, h, w, &budget, t, err)) {
            return false;
        }
        const fnr_shape shape = shape_of(p, t->z.extent, t->y.extent, t->x.extent);
        fnr_error failure = {0};
        if (!use_shape(p, how, &shape, &failure)) {
            if (failure.code != FNR_E_LIMIT) {
                return fnr_fail(err, failure.code, "%s", failure.message);
            }
            if (!halve_tiles(p, how, t, &failure, err)) {
                return false;
            }
        } else if (p->tile > 0 || bytes_in_use(p) + budget.bytes_per_row_px * t->y.core * w <= (double)p->max_bytes) {
            return true;
        } else {
            budget.max_bytes *= 0.8;
        }
    }
}

/* ---- pixels ------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const fnr_predict_source read; /* NULL: `array` */
    void *ctx;
    const float *array; /* (in_channels, d, h, w) */
    int d, h, w;        /* of the whole image */
} input;

/* Rows [y0, y0 + h) of the output: all of them, or a band. */
typedef struct {
    float *data; /* (out_channels, d, h, w) */
    int d, h, w, y0;
} output;

static bool read_box(const input *from, int channels, const box *b, float *dst, fnr_error *err)
{
    if (from->read) {
        return from->read(from->ctx, b->x, b->y, b->w, b->h, dst, err);
    }
    for (int i = 0; i < channels * b->d * b->h; i++) {
        const int channel = i / (b->d * b->h), z = i / b->h % b->d, y = i % b->h;
        const size_t row = ((size_t)channel * (size_t)from->d + (size_t)(b->z + z)) * (size_t)from->h + (size_t)(b->y + y);
        memcpy(dst, from->array + row * (size_t)from->w + b->x, (size_t)b->w * sizeof *dst);
        dst += b->w;
    }
    return true;
}

/* The part of a tile that lies in the image. */
static box part_inside(const box *tile, const input *image)
{
    box b = *tile;
    b.d = image->d - tile->z < tile->d ? image->d - tile->z : tile->d;
    b.h = image->h - tile->y < tile->h ? image->h - tile->y : tile->h;
    b.w = image->w - tile->x < tile->w ? image->w - tile->x : tile->w;
    return b;
}

/* Fills the network's input: `inside` is in p->raw, the rest is its mirror image. Padding is less than a grid cell and a tile
 * reaches further back than that (or holds the whole axis), so the mirrored pixels are in raw. */
static void pad_tile(fnr_predictor *p, const box *tile, const box *inside, const input *image)
{
    float *dst = p->in;
    for (int i = 0; i < p->shape.c * tile->d * tile->h; i++) {
        const int channel = i / (tile->d * tile->h), z = i / tile->h % tile->d, y = i % tile->h;
        const int from_z = fnr_reflect(tile->z + z, image->d) - tile->z, from_y = fnr_reflect(tile->y + y, image->h) - tile->y;
        const size_t from_plane = (size_t)channel * (size_t)inside->d + (size_t)from_z;
        const float *row = p->raw + (from_plane * (size_t)inside->h + (size_t)from_y) * (size_t)inside->w;
        memcpy(dst, row, (size_t)inside->w * sizeof *dst);
        for (int x = inside->w; x < tile->w; x++) {
            dst[x] = row[fnr_reflect(tile->x + x, image->w) - tile->x];
        }
        dst += tile->w;
    }
}

/* Copies the core of the tile from p->out. */
static void keep_core(const fnr_predictor *p, const box *tile, const box *core, const output *to)
{
    for (int i = 0; i < p->desc.out_channels * core->d * core->h; i++) {
        const int channel = i / (core->d * core->h), z = core->z + i / core->h % core->d, y = core->y + i % core->h;
        const size_t from_plane = (size_t)channel * (size_t)tile->d + (size_t)(z - tile->z);
        const size_t from_row = from_plane * (size_t)tile->h + (size_t)(y - tile->y);
        const size_t to_row = ((size_t)channel * (size_t)to->d + (size_t)z) * (size_t)to->h + (size_t)(y - to->y0);
        memcpy(to->data + to_row * (size_t)to->w + core->x, p->out + from_row * (size_t)tile->w + (core->x - tile->x),
               (size_t)core->w * sizeof *p->out);
    }
}

static box core_box(const fnr_tiling *t, int iz, int iy, int ix)
{
    box b;
    int end;
    fnr_tile_core(&t->z, iz, &b.z, &end);
    b.d = end - b.z;
    fnr_tile_core(&t->y, iy, &b.y, &end);
    b.h = end - b.y;
    fnr_tile_core(&t->x, ix, &b.x, &end);
    b.w = end - b.x;
    return b;
}

static bool run_tile(fnr_predictor *p, const fnr_tiling *t, int iz, int iy, int ix, const input *image, const output *to,
                     fnr_error *err)
{
    const box core = core_box(t, iz, iy, ix);
    const box tile = {.z = fnr_tile_start(&t->z, iz),
                      .y = fnr_tile_start(&t->y, iy),
                      .x = fnr_tile_start(&t->x, ix),
                      .d = t->z.extent,
                      .h = t->y.extent,
                      .w = t->x.extent};
    const box inside = part_inside(&tile, image);
    if (!read_box(image, p->shape.c, &inside, p->raw, err)) {
        return false;
    }
    pad_tile(p, &tile, &inside, image);
    if (!fnr_tile_net_run(p->net, p->in, p->out, err)) {
        return false;
    }
    keep_core(p, &tile, &core, to);
    return true;
}

static bool run_row(fnr_predictor *p, const fnr_tiling *t, int iz, int iy, const input *image, const output *to,
                    const fnr_cancel *cancel, fnr_error *err)
{
    for (int ix = 0; ix < t->x.count; ix++) {
        if (fnr_cancelled(cancel)) {
            return fnr_fail(err, FNR_E_CANCELLED, "prediction stopped");
        }
        if (!run_tile(p, t, iz, iy, ix, image, to, err)) {
            return false;
        }
    }
    return true;
}

bool fnr_predict_array(fnr_predictor *p, int d, int h, int w, const float *in, float *out, const fnr_cancel *cancel,
                       fnr_error *err)
{
    fnr_tiling t;
    if (!prepare(p, d, h, w, 0, &t, err)) {
        return false;
    }
    const input image = {.array = in, .d = d, .h = h, .w = w};
    const output to = {.data = out, .d = d, .h = h, .w = w};
    for (int iz = 0; iz < t.z.count; iz++) {
        for (int iy = 0; iy < t.y.count; iy++) {
            if (!run_row(p, &t, iz, iy, &image, &to, cancel, err)) {
                return false;
            }
        }
    }
    return true;
}

bool fnr_predict_stream(fnr_predictor *p, int w, int h, fnr_predict_source source, void *source_ctx, fnr_predict_sink sink,
                        void *sink_ctx, const fnr_cancel *cancel, fnr_error *err)
{
    if (p->desc.spatial != 2) {
        return fnr_fail(err, FNR_E_USAGE, "a 3D network cannot predict single images");
    }
    const int channels = p->desc.out_channels;
    fnr_tiling t;
    if (!prepare(p, 1, h, w, channels, &t, err)) {
        return false;
    }
    const size_t band_rows = (size_t)(t.y.core < h ? t.y.core : h);
    float *band = fnr_alloc_aligned((size_t)channels * band_rows * (size_t)w, sizeof *band, "band of predicted rows", err);
    bool ok = band != NULL;
    const input image = {.read = source, .ctx = source_ctx, .d = 1, .h = h, .w = w};
    for (int iy = 0; ok && iy < t.y.count; iy++) {
        output to = {.data = band, .d = 1, .w = w};
        int end;
        fnr_tile_core(&t.y, iy, &to.y0, &end);
        to.h = end - to.y0;
        ok = run_row(p, &t, 0, iy, &image, &to, cancel, err) && sink(sink_ctx, to.y0, to.h, band, err);
    }
    free(band);
    return ok;
}
