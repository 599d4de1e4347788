/* Preparing a montage once for many tiles. */
#include "register/target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/background.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

enum { MAX_SAMPLES = 1 << 18 };

static const double background_cell_um = 3.2; /* about one sheath */
static const double coarsest_nm = 900.0;      /* a pixel may not be larger than this: a sheath must stay a few pixels wide */

static uint16_t encode(float v)
{
    return (uint16_t)(32768.5f + v * 32767.0f);
}

static float decode_signed(uint16_t v)
{
    return (float)(v - 32768) * (1.0f / 32767.0f);
}

static float decode(uint16_t v)
{
    return fmaxf(0.0f, decode_signed(v));
}

/* Every stride-th finite pixel above the background; *n is 0 when the montage holds no finite pixel. */
static float *sample(const fnr_view *m, const fnr_background *b, size_t *n, fnr_error *err)
{
    int stride = 1;
    while ((size_t)(m->w / stride + 1) * (size_t)(m->h / stride + 1) > MAX_SAMPLES) {
        stride++;
    }
    float *out =
        fnr_alloc_aligned((size_t)(m->w / stride + 1) * (size_t)(m->h / stride + 1), sizeof *out, "montage samples", err);
    float *row = fnr_alloc_aligned((size_t)m->w * 2, sizeof *row, "a montage row", err);
    size_t count = 0;
    for (int y = 0; out && row && y < m->h; y += stride) {
        fnr_background_read_row(m, y, b->invert, row);
        fnr_background_row(b, y, m->w, row + m->w);
        for (int x = y / stride % stride; x < m->w; x += stride) {
            if (isfinite(row[x])) {
                out[count++] = row[x] - row[m->w + x];
            }
        }
    }
    if (!row) {
        free(out);
        out = NULL;
    }
    free(row);
    *n = count;
    return out;
}

static bool level_new(fnr_target_level *l, int w, int h, fnr_error *err)
{
    uint16_t *px = fnr_alloc_aligned((size_t)w * (size_t)h, sizeof *px, "the montage", err);
    if (!px) {
        return false;
    }
    *l = (fnr_target_level){.w = w, .h = h, .px = px};
    return true;
}

/* Rows are worked on in bands, each by one thread. */
enum { BAND = 64 };

typedef struct {
    const fnr_view *m;
    const fnr_background *b;
    const fnr_compression *c;
    fnr_target_level *out;
    struct {
        float lo, hi; /* of its finite pixels */
        fnr_error err;
    } *bands;
} compressing;

static void compress_row(const compressing *k, int y, float *row, float *lo, float *hi)
{
    const int w = k->m->w;
    fnr_background_read_row(k->m, y, k->b->invert, row);
    fnr_background_row(k->b, y, w, row + w);
    uint16_t *o = k->out->px + (size_t)y * (size_t)w;
    for (int x = 0; x < w; x++) {
        const bool finite = isfinite(row[x]);
        o[x] = finite ? encode(fnr_compress_signed(k->c, (double)row[x] - (double)row[w + x])) : 0;
        if (finite) {
            *lo = row[x] < *lo ? row[x] : *lo;
            *hi = row[x] > *hi ? row[x] : *hi;
        }
    }
}

static void compress_band(void *ctx, size_t i)
{
    const compressing *k = ctx;
    const int y0 = (int)i * BAND, y1 = y0 + BAND < k->m->h ? y0 + BAND : k->m->h;
    float *row = fnr_alloc_aligned((size_t)k->m->w * 2, sizeof *row, "a montage row", &k->bands[i].err);
    k->bands[i].lo = INFINITY;
    k->bands[i].hi = -INFINITY;
    for (int y = y0; row && y < y1; y++) {
        compress_row(k, y, row, &k->bands[i].lo, &k->bands[i].hi);
    }
    free(row);
}

/* Level 0; fails when the montage is constant or holds no finite pixel. */
static bool compress_montage(const fnr_view *m, const fnr_background *b, const fnr_compression *c, fnr_target_level *out,
                             fnr_error *err)
{
    const int bands = (m->h + BAND - 1) / BAND;
    if (!level_new(out, m->w, m->h, err)) {
        return false;
    }
    compressing k = {.m = m, .b = b, .c = c, .out = out, .bands = fnr_calloc((size_t)bands, sizeof *k.bands, "montage rows", err)};
    if (!k.bands) {
        return false;
    }
    fnr_parallel_for((size_t)bands, compress_band, &k);
    float lo = INFINITY, hi = -INFINITY;
    fnr_error failed = {0};
    for (int i = 0; i < bands; i++) {
        lo = fminf(lo, k.bands[i].lo);
        hi = fmaxf(hi, k.bands[i].hi);
        failed = k.bands[i].err.code != FNR_OK ? k.bands[i].err : failed;
    }
    free(k.bands);
    if (failed.code != FNR_OK) {
        if (err) {
            *err = failed;
        }
        return false;
    }
    if (!(lo <= hi)) {
        return fnr_fail(err, FNR_E_NUMERIC, "the montage has no finite pixel");
    }
    return lo < hi || fnr_fail(err, FNR_E_NUMERIC,
                               "every pixel of the montage has the same value, %g: check that it is the MBP channel", (double)lo);
}

static int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Pixels of a row that are made at a time. */
enum { RUN = 256, RUN_FROM = 2 * RUN + 2 };

static const float binomial[4] = {0.125f, 0.375f, 0.375f, 0.125f};

/* n pixels of row y from x on, the edge repeated beyond it. */
static void take_pixels(const fnr_target_level *l, int x, int y, int n, uint16_t *out)
{
    const uint16_t *row = l->px + (size_t)clamp_index(y, l->h) * (size_t)l->w;
    if (x >= 0 && x + n <= l->w) {
        memcpy(out, row + x, (size_t)n * sizeof *out);
        return;
    }
    for (int i = 0; i < n; i++) {
        out[i] = row[clamp_index(x + i, l->w)];
    }
}

/* Pixels x0 ... x0 + n - 1 (at most RUN) of row y of the next level: binomial weights over the pixels that exist, down the columns and
 * then along the row; 0 when fewer than half the weight exists. */
static void halve_run(const fnr_target_level *src, int y, int x0, int n, uint16_t *out)
{
    uint16_t px[RUN_FROM];
    float sum[RUN_FROM] = {0}, weight[RUN_FROM] = {0};
    const int columns = 2 * n + 2;
    for (int j = 0; j < 4; j++) {
        take_pixels(src, 2 * x0 - 1, 2 * y - 1 + j, columns, px);
        for (int i = 0; i < columns; i++) {
            const float w = px[i] ? binomial[j] : 0.0f;
            sum[i] += w * decode(px[i]);
            weight[i] += w;
        }
    }
    for (int x = 0; x < n; x++) {
        const float *s = sum + 2 * x, *w = weight + 2 * x;
        const float total = binomial[0] * (w[0] + w[3]) + binomial[1] * (w[1] + w[2]);
        out[x] = total >= 0.5f ? encode((binomial[0] * (s[0] + s[3]) + binomial[1] * (s[1] + s[2])) / total) : 0;
    }
}

typedef struct {
    const fnr_target_level *src;
    fnr_target_level *dst;
} halving;

static void halve_band(void *ctx, size_t i)
{
    const halving *k = ctx;
    const int y0 = (int)i * BAND, y1 = y0 + BAND < k->dst->h ? y0 + BAND : k->dst->h;
    for (int y = y0; y < y1; y++) {
        uint16_t *row = k->dst->px + (size_t)y * (size_t)k->dst->w;
        for (int x = 0; x < k->dst->w; x += RUN) {
            halve_run(k->src, y, x, k->dst->w - x < RUN ? k->dst->w - x : RUN, row + x);
        }
    }
}

static bool halve_level(const fnr_target_level *src, fnr_target_level *dst, fnr_error *err)
{
    if (!level_new(dst, (src->w + 1) / 2, (src->h + 1) / 2, err)) {
        return false;
    }
    halving k = {src, dst};
    fnr_parallel_for((size_t)(dst->h + BAND - 1) / BAND, halve_band, &k);
    return true;
}

static bool check_montage(const fnr_view *m, double if_nm, fnr_error *err)
{
    if (!m->px || m->w < 1 || m->h < 1) {
        return fnr_fail(err, FNR_E_USAGE, "the montage is empty");
    }
    if (m->c != 1 || m->d != 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "the montage must be one plane of one channel, not %d planes of %d channels",
                        m->d, m->c);
    }
    if (!(if_nm > 0) || !isfinite(if_nm)) {
        return fnr_fail(err, FNR_E_USAGE, "the montage's pixel size is %g nm; it must be positive", if_nm);
    }
    return true;
}

static bool build(fnr_target *t, const fnr_view *m, const fnr_register_options *opt, fnr_error *err)
{
    const int cell = (int)fmax(4.0, background_cell_um * 1000.0 / t->if_nm);
    fnr_background b = {0};
    size_t n = 0;
    if (!fnr_background_fit(m, cell, opt->invert, &b, err)) {
        return false;
    }
    float *samples = sample(m, &b, &n, err);
    bool ok = samples != NULL;
    if (ok) {
        const fnr_compression c = fnr_compression_fit(samples, n, opt->compression_knee > 0 ? opt->compression_knee : 1.0);
        ok = compress_montage(m, &b, &c, &t->level[0], err);
        t->n_levels = 1;
    }
    free(samples);
    fnr_background_free(&b);
    while (ok && t->n_levels < FNR_TARGET_LEVELS && t->if_nm * (double)(1 << t->n_levels) <= coarsest_nm) {
        ok = halve_level(&t->level[t->n_levels - 1], &t->level[t->n_levels], err);
        t->n_levels += ok;
    }
    return ok;
}

fnr_target *fnr_target_new(const fnr_view *montage, double if_nm, const fnr_register_options *opt, fnr_error *err)
{
    if (!check_montage(montage, if_nm, err)) {
        return NULL;
    }
    fnr_target *t = fnr_calloc(1, sizeof *t, "the montage", err);
    if (!t) {
        return NULL;
    }
    t->if_nm = if_nm;
    if (!build(t, montage, opt, err)) {
        fnr_target_free(t);
        return NULL;
    }
    return t;
}

void fnr_target_free(fnr_target *t)
{
    if (t) {
        for (int i = 0; i < FNR_TARGET_LEVELS; i++) {
            free(t->level[i].px);
        }
        free(t);
    }
}

bool fnr_target_window(const fnr_target *t, int level, int x, int y, int w, int h, float *value, float *valid)
{
    const fnr_target_level *l = &t->level[level];
    const int xa = x > 0 ? x : 0, xb = x + w < l->w ? x + w : l->w;
    bool all = xa == x && xb == x + w;
    memset(value, 0, (size_t)w * (size_t)h * sizeof *value);
    memset(valid, 0, (size_t)w * (size_t)h * sizeof *valid);
    for (int j = 0; j < h; j++) {
        if (y + j < 0 || y + j >= l->h) {
            all = false;
            continue;
        }
        const uint16_t *row = l->px + (size_t)(y + j) * (size_t)l->w;
        float *v = value + (size_t)j * (size_t)w, *m = valid + (size_t)j * (size_t)w;
        for (int i = xa; i < xb; i++) {
            if (row[i]) {
                v[i - x] = decode(row[i]);
                m[i - x] = 1.0f;
            } else {
                all = false;
            }
        }
    }
    return all;
}

void fnr_target_linear(const fnr_target *t, int x, int y, int w, int h, float *value)
{
    const fnr_target_level *l = &t->level[0];
    const int xa = x > 0 ? x : 0, xb = x + w < l->w ? x + w : l->w, ya = y > 0 ? y : 0, yb = y + h < l->h ? y + h : l->h;
    memset(value, 0, (size_t)w * (size_t)h * sizeof *value);
    for (int j = ya; j < yb; j++) {
        const uint16_t *row = l->px + (size_t)j * (size_t)l->w;
        float *v = value + (size_t)(j - y) * (size_t)w;
        for (int i = xa; i < xb; i++) {
            v[i - x] = row[i] ? fnr_decompress(decode_signed(row[i])) : 0;
        }
    }
}
