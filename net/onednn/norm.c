#include "net/onednn/norm.h"

#include <math.h>
#include "net/graph.h"
#include "src/core/threads.h"

/* Pixels handled at a time: a block of them stays in the second-level cache between two passes; sums of one chunk are single
 * precision, sums over chunks double. */
enum { CHUNK = 2048 };

static size_t chunks_of(const fnr_dn_extent *e)
{
    return (e->pixels + CHUNK - 1) / CHUNK;
}

static size_t rounded(const fnr_dn_extent *e, int block)
{
    return (size_t)e->blocks * (size_t)block;
}

size_t fnr_dn_norm_floats(const fnr_dn_extent *e, int block)
{
    return 6 * rounded(e, block);
}

size_t fnr_dn_norm_scratch_floats(const fnr_dn_extent *e, int block)
{
    return 2 * rounded(e, block) * (size_t)e->n * chunks_of(e);
}

void fnr_dn_norm_bind(fnr_dn_norm *n, const fnr_dn_kernels *k, const fnr_dn_extent *e, bool relu, float *buffer)
{
    const size_t c = rounded(e, k->block);
    *n = (fnr_dn_norm){.kernels = k, .extent = *e, .relu = relu};
    float **parts[] = {&n->scale, &n->shift, &n->mean, &n->inv_std, &n->slope, &n->offset};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i] = buffer + i * c; /* zero beyond the true channels, and stays so */
    }
}

/* One call of a kernel: a chunk of pixels of one block of one sample. */
typedef struct {
    int n, b;
    size_t first, pixels;
    size_t partial; /* where its sums go, in floats: chunks of one block lie side by side */
} piece;

static piece piece_at(const fnr_dn_extent *e, int block, size_t i)
{
    const size_t chunks = chunks_of(e), per_block = chunks * (size_t)e->n;
    piece p = {.b = (int)(i / per_block), .n = (int)(i % per_block / chunks), .first = i % chunks * CHUNK, .partial = i * (size_t)block};
    p.pixels = e->pixels - p.first < CHUNK ? e->pixels - p.first : CHUNK;
    return p;
}

typedef struct {
    const fnr_dn_norm *norm;
    fnr_dn_tensor x, y, copy, dy1, dy2, dx;
    float *partial1, *partial2;
} norm_job;

static float *at(const norm_job *j, fnr_dn_tensor t, const piece *p)
{
    const int block = j->norm->kernels->block;
    float *start = fnr_dn_block_at(t, &j->norm->extent, block, p->n, p->b);
    return start ? start + p->first * (size_t)block : NULL;
}

fnr_dn_affine fnr_dn_norm_affine(const fnr_dn_norm *n, int b)
{
    const size_t c = (size_t)b * (size_t)n->kernels->block;
    return (fnr_dn_affine){.mean = n->mean + c, .scale = n->scale + c, .shift = n->shift + c, .relu = n->relu};
}

static void for_pieces(norm_job *j, void (*body)(void *, size_t))
{
    const fnr_dn_extent *e = &j->norm->extent;
    fnr_parallel_for((size_t)e->blocks * (size_t)e->n * chunks_of(e), body, j);
}

static void apply_piece(void *ctx, size_t i)
{
    const norm_job *j = ctx;
    const piece p = piece_at(&j->norm->extent, j->norm->kernels->block, i);
    const fnr_dn_affine f = fnr_dn_norm_affine(j->norm, p.b);
    j->norm->kernels->affine(p.pixels, at(j, j->x, &p), &f, at(j, j->y, &p), at(j, j->copy, &p));
}

void fnr_dn_norm_apply(const fnr_dn_norm *n, fnr_dn_tensor x, fnr_dn_tensor y, fnr_dn_tensor copy)
{
    norm_job job = {.norm = n, .x = x, .y = y, .copy = copy};
    for_pieces(&job, apply_piece);
}

void fnr_dn_norm_from_running(fnr_dn_norm *n, const fnr_dn_norm_params *p)
{
    for (int c = 0; c < n->extent.channels; c++) {
        n->scale[c] = p->gamma[c] / sqrtf(p->running_var[c] + FNR_BN_EPS);
        n->shift[c] = p->beta[c] + ((p->bias ? p->bias[c] : 0.0f) - p->running_mean[c]) * n->scale[c];
        n->mean[c] = 0.0f; /* all in the shift, which is what a convolution's bias can hold */
    }
}

void fnr_dn_norm_from_bias(fnr_dn_norm *n, const float *bias)
{
    for (int c = 0; c < n->extent.channels; c++) {
        n->scale[c] = 1.0f;
        n->shift[c] = bias ? bias[c] : 0.0f;
    }
}

static void moments_piece(void *ctx, size_t i)
{
    const norm_job *j = ctx;
    const piece p = piece_at(&j->norm->extent, j->norm->kernels->block, i);
    j->norm->kernels->moments(p.pixels, at(j, j->x, &p), j->partial1 + p.partial, j->partial2 + p.partial);
}

/* Mean and sum of squared deviations of a channel from those of its chunks (Chan, Golub, LeVeque 1979). */
static void combine_moments(const norm_job *j, int c, double *mean, double *m2)
{
    const fnr_dn_extent *e = &j->norm->extent;
    const int block = j->norm->kernels->block;
    const size_t per_block = chunks_of(e) * (size_t)e->n;
    double count = 0, m = 0, s = 0;
    for (size_t i = 0; i < per_block; i++) {
        const piece p = piece_at(e, block, (size_t)(c / block) * per_block + i);
        const size_t where = p.partial + (size_t)(c % block);
        const double k = (double)p.pixels, delta = (double)j->partial1[where] - m;
        m += delta * k / (count + k);
        s += (double)j->partial2[where] + delta * delta * count * k / (count + k);
        count += k;
    }
    *mean = m;
    *m2 = s;
}

static void statistics(fnr_dn_norm *n, const fnr_dn_norm_params *p, const norm_job *job)
{
    const double count = (double)n->extent.pixels * (double)n->extent.n;
    const double momentum = (double)FNR_BN_MOMENTUM;
    for (int c = 0; c < n->extent.channels; c++) {
        double mean, m2;
        combine_moments(job, c, &mean, &m2);
        const double inv_std = 1.0 / sqrt(m2 / count + (double)FNR_BN_EPS);
        n->mean[c] = (float)mean;
        n->inv_std[c] = (float)inv_std;
        n->scale[c] = (float)((double)p->gamma[c] * inv_std);
        n->shift[c] = p->beta[c];
        const double seen_mean = mean + (p->bias ? (double)p->bias[c] : 0.0);
        const double seen_var = m2 / (count > 1 ? count - 1 : 1);
        p->running_mean[c] = (float)((1 - momentum) * (double)p->running_mean[c] + momentum * seen_mean);
        p->running_var[c] = (float)((1 - momentum) * (double)p->running_var[c] + momentum * seen_var);
    }
}

static norm_job job_with_partials(const fnr_dn_norm *n, float *scratch)
{
    return (norm_job){.norm = n, .partial1 = scratch, .partial2 = scratch + fnr_dn_norm_scratch_floats(&n->extent, n->kernels->block) / 2};
}

void fnr_dn_norm_forward(fnr_dn_norm *n, const fnr_dn_norm_params *p, fnr_dn_tensor x, fnr_dn_tensor y, fnr_dn_tensor copy, float *scratch)
{
    norm_job job = job_with_partials(n, scratch);
    job.x = x;
    job.y = y;
    job.copy = copy;
    for_pieces(&job, moments_piece);
    statistics(n, p, &job);
    for_pieces(&job, apply_piece);
}

static fnr_dn_norm_in inputs_of(const norm_job *j, const piece *p)
{
    return (fnr_dn_norm_in){.x = at(j, j->x, p), .dy1 = at(j, j->dy1, p), .dy2 = at(j, j->dy2, p)};
}

static void sums_piece(void *ctx, size_t i)
{
    const norm_job *j = ctx;
    const int block = j->norm->kernels->block;
    const piece p = piece_at(&j->norm->extent, block, i);
    const fnr_dn_affine f = fnr_dn_norm_affine(j->norm, p.b);
    const fnr_dn_norm_in in = inputs_of(j, &p);
    j->norm->kernels->norm_sums(p.pixels, &in, &f, j->partial1 + p.partial, j->partial2 + p.partial);
}

static void grad_piece(void *ctx, size_t i)
{
    const norm_job *j = ctx;
    const fnr_dn_norm *n = j->norm;
    const int block = n->kernels->block;
    const piece p = piece_at(&n->extent, block, i);
    const fnr_dn_affine f = fnr_dn_norm_affine(n, p.b);
    const fnr_dn_norm_in in = inputs_of(j, &p);
    n->kernels->norm_grad(p.pixels, &in, &f, n->slope + p.b * block, n->offset + p.b * block, at(j, j->dx, &p));
}

static double sum_partials(const fnr_dn_extent *e, int block, const float *partial, int c)
{
    const size_t per_block = chunks_of(e) * (size_t)e->n;
    const float *from = partial + (size_t)(c / block) * per_block * (size_t)block + (size_t)(c % block);
    double sum = 0;
    for (size_t i = 0; i < per_block; i++) {
        sum += (double)from[i * (size_t)block];
    }
    return sum;
}

/* With g the gradient behind the ReLU, xc = x - mean and N values per channel:
 *   dx = scale * (g - sum(g) / N - xc * inv_std^2 * sum(g * xc) / N) */
void fnr_dn_norm_backward(fnr_dn_norm *n, fnr_dn_tensor x, fnr_dn_tensor dy1, fnr_dn_tensor dy2, float *dgamma,
                          float *dbeta, fnr_dn_tensor dx, float *scratch)
{
    const fnr_dn_extent *e = &n->extent;
    const double count = (double)e->pixels * (double)e->n;
    norm_job job = job_with_partials(n, scratch);
    job.x = x;
    job.dy1 = dy1;
    job.dy2 = dy2;
    job.dx = dx;
    for_pieces(&job, sums_piece);
    for (int c = 0; c < e->channels; c++) {
        const double sum_g = sum_partials(e, n->kernels->block, job.partial1, c);
        const double sum_gx = sum_partials(e, n->kernels->block, job.partial2, c);
        const double scale = (double)n->scale[c], inv_std = (double)n->inv_std[c];
        dbeta[c] = (float)sum_g;
        dgamma[c] = (float)(sum_gx * inv_std);
        n->slope[c] = (float)(-scale * inv_std * inv_std * sum_gx / count);
        n->offset[c] = (float)(-scale * sum_g / count);
    }
    for_pieces(&job, grad_piece);
}

typedef struct {
    const fnr_dn_kernels *kernels;
    const fnr_dn_extent *extent;
    fnr_dn_tensor x;
    float *partial;
} sum_job;

static void sum_piece(void *ctx, size_t i)
{
    const sum_job *j = ctx;
    const int block = j->kernels->block;
    const piece p = piece_at(j->extent, block, i);
    j->kernels->sum(p.pixels, fnr_dn_block_at(j->x, j->extent, block, p.n, p.b) + p.first * (size_t)block, j->partial + p.partial);
}

void fnr_dn_channel_sums(const fnr_dn_kernels *k, const fnr_dn_extent *e, fnr_dn_tensor x, float *sums, float *scratch)
{
    sum_job job = {.kernels = k, .extent = e, .x = x, .partial = scratch};
    fnr_parallel_for((size_t)e->blocks * (size_t)e->n * chunks_of(e), sum_piece, &job);
    for (int c = 0; c < e->channels; c++) {
        sums[c] = (float)sum_partials(e, k->block, scratch, c);
    }
}
