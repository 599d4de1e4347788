#include "src/pipeline/em_source.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/image/resample.h"

enum { BAND_ROWS = 128 };

static double scale_of(double em_nm, double net_nm)
{
    const double f = em_nm / net_nm;
    return fabs(f - 1) < 1e-4 ? 1 : f;
}

bool fnr_em_source_extent(const char *path, int w, int h, double em_nm, double net_nm, int *net_w, int *net_h, fnr_error *err)
{
    const double f = scale_of(em_nm, net_nm);
    const double wf = floor(w * f + 1e-6), hf = floor(h * f + 1e-6);
    if (wf < 1 || hf < 1 || wf > 1e6 || hf > 1e6) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: %d x %d px of %g nm would be %.0f x %.0f px at the network's %g nm; is the pixel size right?", path, w,
                        h, em_nm, wf, hf, net_nm);
    }
    *net_w = (int)wf;
    *net_h = (int)hf;
    return true;
}

typedef struct {
    double count, sum, squares, min, max;
} moments;

/* Sums row by row in a fixed order, so that bands of any height give the same bits. */
static void add_rows(moments *m, const float *px, int w, int rows)
{
    for (int y = 0; y < rows; y++) {
        double n = 0, sum = 0, squares = 0;
        for (int x = 0; x < w; x++) {
            const double v = px[(size_t)y * (size_t)w + (size_t)x];
            if (isfinite(v)) {
                n++;
                sum += v;
                squares += v * v;
                m->min = fmin(m->min, v);
                m->max = fmax(m->max, v);
            }
        }
        m->count += n;
        m->sum += sum;
        m->squares += squares;
    }
}

static const moments no_moments = {.min = INFINITY, .max = -INFINITY};

/* Mean of the file's finite pixels: stands in for the others. */
static bool measure_fill(fnr_em_source *s, float *band, fnr_error *err)
{
    moments m = no_moments;
    fnr_raster *r = s->raster;
    for (int y = 0; y < r->h; y += BAND_ROWS) {
        const int rows = r->h - y < BAND_ROWS ? r->h - y : BAND_ROWS;
        if (!r->read(r, 0, y, r->w, rows, band, err)) {
            return false;
        }
        add_rows(&m, band, r->w, rows);
    }
    s->fill = m.count > 0 ? (float)(m.sum / m.count) : 0;
    return true;
}

static bool measure_resampled(fnr_em_source *s, float *band, fnr_error *err)
{
    moments m = no_moments;
    for (int y = 0; y < s->h; y += BAND_ROWS) {
        const int rows = s->h - y < BAND_ROWS ? s->h - y : BAND_ROWS;
        if (!fnr_resample(s->raster, s->f, s->fill, 0, y, s->w, rows, band, err)) {
            return false;
        }
        add_rows(&m, band, s->w, rows);
    }
    const double variance = m.squares / m.count - (m.sum / m.count) * (m.sum / m.count);
    s->mean = m.sum / m.count;
    s->sd = sqrt(fmax(0, variance));
    s->lo = fmax(m.min, s->mean - 2.5 * s->sd);
    s->hi = fmin(m.max, s->mean + 2.5 * s->sd);
    return true;
}

bool fnr_em_source_open(fnr_em_source *s, fnr_raster *raster, const char *path, double em_nm, double net_nm, fnr_error *err)
{
    *s = (fnr_em_source){.raster = raster, .f = scale_of(em_nm, net_nm)};
    if (!fnr_em_source_extent(path, raster->w, raster->h, em_nm, net_nm, &s->w, &s->h, err)) {
        return false;
    }
    s->to_net = fnr_transform_resample(s->f, s->f, FNR_FRAME_TILE, FNR_FRAME_NET);
    const size_t widest = (size_t)(raster->w > s->w ? raster->w : s->w);
    float *band = fnr_alloc_aligned(widest * BAND_ROWS, sizeof *band, "band of pixels", err);
    const bool ok = band && measure_fill(s, band, err) && measure_resampled(s, band, err);
    free(band);
    if (!ok) {
        return false;
    }
    if (!(s->sd > 1e-6 * fmax(1, fabs(s->mean)))) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: every pixel has the same value; there is nothing to register", path);
    }
    return true;
}

bool fnr_em_source_read(fnr_em_source *s, int x, int y, int rw, int rh, float *dst, fnr_error *err)
{
    if (!fnr_resample(s->raster, s->f, s->fill, x, y, rw, rh, dst, err)) {
        return false;
    }
    const float mean = (float)s->mean, inverse = (float)(1 / s->sd);
    for (size_t i = 0; i < (size_t)rw * (size_t)rh; i++) {
        dst[i] = (dst[i] - mean) * inverse;
    }
    return true;
}
