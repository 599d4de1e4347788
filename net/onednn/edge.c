#include "net/onednn/edge.h"

#include <string.h>
#include "src/core/threads.h"

enum {
    ITEM_PIXELS = 2048, /* pixels of one piece of work */
    SHRINK_ROWS = 16,   /* rows of one piece of work that reads each of them three times */
    MAX_ROWS = 9 * FNR_DN_EDGE_BLOCKED / 8
};

/* Kernel rows: (dz, dy) pairs. */
static int kernel_rows(const fnr_dn_edge *e)
{
    return e->plain.spatial == 3 ? 9 : 3;
}

static int rows_per_item(const fnr_dn_edge *e)
{
    return e->plain.w >= ITEM_PIXELS ? 1 : ITEM_PIXELS / e->plain.w;
}

static int image_rows(const fnr_dn_edge *e)
{
    return e->plain.n * e->plain.d * e->plain.h;
}

static size_t items(const fnr_dn_edge *e)
{
    const int per = rows_per_item(e);
    return (size_t)((image_rows(e) + per - 1) / per);
}

size_t fnr_dn_edge_floats(const fnr_dn_edge *e)
{
    return (size_t)e->extent.blocks * (size_t)e->kernels->block * (size_t)e->plain.c * (size_t)kernel_rows(e) * 3;
}

size_t fnr_dn_edge_scratch_floats(const fnr_dn_edge *e)
{
    return fnr_dn_edge_floats(e) * items(e);
}

/* PyTorch's place of the weight between blocked channel c and plain channel p. */
static size_t weight_at(const fnr_dn_edge *e, int c, int p, int tap)
{
    const int taps = kernel_rows(e) * 3;
    const int out = e->last ? p : c, in = e->last ? c : p, n_in = e->last ? e->extent.channels : e->plain.c;
    return ((size_t)out * (size_t)n_in + (size_t)in) * (size_t)taps + (size_t)tap;
}

void fnr_dn_edge_pack(fnr_dn_edge *e, const float *weights)
{
    const int block = e->kernels->block, taps = kernel_rows(e) * 3, planes = e->plain.c, blocks = e->extent.blocks;
    for (int c = 0; c < e->extent.channels; c++) {
        for (int p = 0; p < planes; p++) {
            for (int t = 0; t < taps; t++) {
                const float forward = weights[weight_at(e, c, p, t)], reversed = weights[weight_at(e, c, p, taps - 1 - t)];
                if (e->expand) {
                    e->expand[((c / block * planes + p) * taps + t) * block + c % block] = e->last ? reversed : forward;
                }
                if (e->shrink) {
                    e->shrink[((p * blocks + c / block) * taps + t) * block + c % block] = e->last ? forward : reversed;
                }
            }
        }
    }
}

typedef struct {
    const fnr_dn_edge *edge;
    const fnr_dn_planes *planes;
    fnr_dn_tensor blocks;
    const fnr_dn_norm *norm;
    const float *bias;
    float *dense, *partial;
} edge_job;

typedef struct {
    int n, z, y;
} image_row;

static image_row row_at(const fnr_dn_edge *e, int row)
{
    return (image_row){.n = row / (e->plain.h * e->plain.d), .z = row / e->plain.h % e->plain.d, .y = row % e->plain.h};
}

static float *blocked_row(const fnr_dn_edge *e, fnr_dn_tensor t, image_row r, int b)
{
    const size_t pixel = ((size_t)r.z * (size_t)e->plain.h + (size_t)r.y) * (size_t)e->plain.w;
    return fnr_dn_block_at(t, &e->extent, e->kernels->block, r.n, b) + pixel * (size_t)e->kernels->block;
}

/* The rows of all plain channels under the kernel at image row r. */
static void gather_planes(const fnr_dn_edge *e, const fnr_dn_planes *planes, image_row r, const float **rows)
{
    const int kr = kernel_rows(e);
    for (int i = 0; i < e->plain.c * kr; i++) {
        rows[i] = fnr_dn_planes_row(planes, r.n, i / kr, r.z + i % kr / 3, r.y + i % 3);
    }
}

static void expand_item(void *ctx, size_t index)
{
    const edge_job *j = ctx;
    const fnr_dn_edge *e = j->edge;
    const int block = e->kernels->block, n_rows = e->plain.c * kernel_rows(e), per = rows_per_item(e), total = image_rows(e);
    const float *rows[9 * FNR_DN_EDGE_PLAIN];
    for (int i = (int)index * per; i < ((int)index + 1) * per && i < total; i++) {
        const image_row r = row_at(e, i);
        gather_planes(e, j->planes, r, rows);
        for (int b = 0; b < e->extent.blocks; b++) {
            const fnr_dn_affine f = fnr_dn_norm_affine(j->norm, b);
            e->kernels->expand_row((size_t)e->plain.w, n_rows, rows, e->expand + (size_t)b * (size_t)n_rows * 3 * (size_t)block, &f,
                                   blocked_row(e, j->blocks, r, b));
        }
    }
}

void fnr_dn_edge_expand(const fnr_dn_edge *e, const fnr_dn_planes *planes, const fnr_dn_norm *norm, fnr_dn_tensor blocks)
{
    edge_job job = {.edge = e, .planes = planes, .blocks = blocks, .norm = norm};
    fnr_parallel_for(items(e), expand_item, &job);
}

/* The rows of all blocks under the kernel at image row r; NULL outside the image. */
static void gather_blocks(const fnr_dn_edge *e, fnr_dn_tensor t, image_row r, const float **rows)
{
    const int kr = kernel_rows(e);
    for (int i = 0; i < e->extent.blocks * kr; i++) {
        const image_row s = {.n = r.n, .z = kr == 9 ? r.z + i % kr / 3 - 1 : r.z, .y = r.y + i % 3 - 1};
        const bool inside = s.z >= 0 && s.z < e->plain.d && s.y >= 0 && s.y < e->plain.h;
        rows[i] = inside ? blocked_row(e, t, s, i / kr) : NULL;
    }
}

static void shrink_item(void *ctx, size_t index)
{
    const edge_job *j = ctx;
    const fnr_dn_edge *e = j->edge;
    const int n_rows = e->extent.blocks * kernel_rows(e), first = (int)index * SHRINK_ROWS, total = image_rows(e);
    const size_t w = (size_t)e->plain.w, plane = (size_t)e->plain.d * (size_t)e->plain.h * w;
    const float *rows[MAX_ROWS];
    for (int i = first; i < first + SHRINK_ROWS && i < total; i++) {
        const image_row r = row_at(e, i);
        gather_blocks(e, j->blocks, r, rows);
        for (int p = 0; p < e->plain.c; p++) {
            float *out = j->dense + ((size_t)r.n * (size_t)e->plain.c + (size_t)p) * plane + ((size_t)r.z * (size_t)e->plain.h + (size_t)r.y) * w;
            e->kernels->shrink_row(w, n_rows, rows, e->shrink + (size_t)p * (size_t)n_rows * 3 * (size_t)e->kernels->block,
                                   j->bias ? j->bias[p] : 0.0f, out);
        }
    }
}

void fnr_dn_edge_shrink(const fnr_dn_edge *e, fnr_dn_tensor blocks, const float *bias, float *dense)
{
    edge_job job = {.edge = e, .blocks = blocks, .bias = bias, .dense = dense};
    fnr_parallel_for((size_t)((image_rows(e) + SHRINK_ROWS - 1) / SHRINK_ROWS), shrink_item, &job);
}

static void correlate_item(void *ctx, size_t index)
{
    const edge_job *j = ctx;
    const fnr_dn_edge *e = j->edge;
    const int n_rows = e->plain.c * kernel_rows(e), per = rows_per_item(e), total = image_rows(e);
    const size_t floats = fnr_dn_edge_floats(e), per_block = floats / (size_t)e->extent.blocks;
    float *acc = j->partial + index * floats;
    const float *rows[9 * FNR_DN_EDGE_PLAIN];
    memset(acc, 0, floats * sizeof *acc);
    for (int i = (int)index * per; i < ((int)index + 1) * per && i < total; i++) {
        const image_row r = row_at(e, i);
        gather_planes(e, j->planes, r, rows);
        for (int b = 0; b < e->extent.blocks; b++) {
            e->kernels->correlate_row((size_t)e->plain.w, n_rows, rows, blocked_row(e, j->blocks, r, b), acc + (size_t)b * per_block);
        }
    }
}

void fnr_dn_edge_correlate(const fnr_dn_edge *e, const fnr_dn_planes *planes, fnr_dn_tensor blocks, float *dweights, float *scratch)
{
    const int block = e->kernels->block, taps = kernel_rows(e) * 3;
    const size_t floats = fnr_dn_edge_floats(e), n_items = items(e);
    edge_job job = {.edge = e, .planes = planes, .blocks = blocks, .partial = scratch};
    fnr_parallel_for(n_items, correlate_item, &job);
    for (int c = 0; c < e->extent.channels; c++) {
        for (int p = 0; p < e->plain.c; p++) {
            for (int t = 0; t < taps; t++) {
                const float *from = scratch + ((c / block * e->plain.c + p) * taps + t) * block + c % block;
                double sum = 0;
                for (size_t i = 0; i < n_items; i++) {
                    sum += (double)from[i * floats];
                }
                /* Of a last convolution the plain side is the output: what it saw at offset t, the input had at the reversed one. */
                dweights[weight_at(e, c, p, e->last ? taps - 1 - t : t)] = (float)sum;
            }
        }
    }
}
