#include "montage/plane.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/cv/cv.h"
#include "src/image/stats.h"

enum { COARSE_SIDE_MAX = 512, COARSE_SIDE_MIN = 8 };

static const double LOW_SIGMA = 6.0;  /* structures wider than this are removed [coarse px] */
static const double NOISE_SIGMA = 0.8; /* [fine px] */
static const double CLIP = 4.0;        /* speckles, charging: no pixel counts more [standard deviations] */

fnr_reduction fnr_reduction_choose(int w, int h, size_t tiles, size_t memory)
{
    fnr_reduction r = {.fine = 1, .coarse = 1};
    while ((w > h ? w : h) / r.coarse > COARSE_SIDE_MAX) {
        r.coarse *= 2;
    }
    const double bytes = (double)w * (double)h * (double)tiles * sizeof(float);
    /* Half resolution measures as well as full (see README.md) and costs a quarter. */
    r.fine = r.coarse >= 2 ? 2 : 1;
    while (r.fine < r.coarse && bytes / ((double)r.fine * r.fine) > (double)memory) {
        r.fine *= 2;
    }
    return r;
}

static void plane_free(fnr_plane *p)
{
    free(p->px);
    *p = (fnr_plane){0};
}

static bool plane_new(fnr_plane *p, int w, int h, fnr_error *err)
{
    p->px = fnr_alloc_aligned((size_t)w * (size_t)h, sizeof *p->px, "a reduced tile", err);
    p->w = w;
    p->h = h;
    return p->px;
}

/* Area-averaged by a whole factor; the rest of a row or column that makes no whole pixel is left out. */
static bool reduce(const fnr_view *v, int factor, fnr_plane *out, fnr_error *err)
{
    const int w = v->w / factor, h = v->h / factor;
    if (w < 1 || h < 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "the tile has %d x %d px: too small to be matched", v->w, v->h);
    }
    const fnr_view source = fnr_view_crop(v, 0, 0, w * factor, h * factor);
    if (!plane_new(out, w, h, err)) {
        return false;
    }
    fnr_view dst = fnr_view_f32(out->px, w, h);
    return fnr_cv_resize(&source, &dst, err);
}

/* Subtracts `mean` (or, when it is NULL, the mean), scales to standard deviation 1 and clips.  An image without contrast becomes all
 * zero: below the rounding of a float there is nothing but rounding. */
static void normalise(fnr_plane *p, const float *mean)
{
    const size_t n = (size_t)p->w * (size_t)p->h;
    double sum = 0, square = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)p->px[i]));
        p->px[i] -= mean ? mean[i] : 0.0f;
        sum += (double)p->px[i];
    }
    const double offset = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)p->px[i] - offset;
        square += d * d;
    }
    const double sd = sqrt(square / (double)n), gain = sd > 1e-6 * largest ? 1.0 / sd : 0.0;
    for (size_t i = 0; i < n; i++) {
        p->px[i] = (float)fmin(CLIP, fmax(-CLIP, gain * ((double)p->px[i] - offset)));
    }
}

/* Blurs away the finest noise. */
static bool finish_fine(fnr_plane *p, fnr_error *err)
{
    fnr_plane smooth = {0};
    if (!plane_new(&smooth, p->w, p->h, err)) {
        return false;
    }
    const fnr_view in = fnr_view_f32(p->px, p->w, p->h);
    fnr_view out = fnr_view_f32(smooth.px, p->w, p->h);
    const bool ok = fnr_cv_blur(&in, NOISE_SIGMA, &out, err);
    plane_free(p);
    *p = smooth;
    normalise(p, NULL);
    return ok;
}

/* Takes the slow part off. */
static bool finish_coarse(fnr_plane *p, fnr_error *err)
{
    fnr_plane low = {0};
    if (!plane_new(&low, p->w, p->h, err)) {
        return false;
    }
    const fnr_view in = fnr_view_f32(p->px, p->w, p->h);
    fnr_view out = fnr_view_f32(low.px, p->w, p->h);
    const bool ok = fnr_cv_blur(&in, LOW_SIGMA, &out, err);
    if (ok) {
        normalise(p, low.px);
    }
    plane_free(&low);
    return ok;
}

static void replace_nonfinite(fnr_view *v, double mean)
{
    const float value = isfinite(mean) ? (float)mean : 0.0f;
    for (int y = 0; y < v->h; y++) {
        float *row = fnr_at(v, 0, y, 0, 0);
        for (int x = 0; x < v->w; x++) {
            row[x] = isfinite(row[x]) ? row[x] : value;
        }
    }
}

bool fnr_tile_copy_new(fnr_tile_copy *out, const fnr_view *image, fnr_reduction r, fnr_error *err)
{
    fnr_tile_copy copy = {0};
    fnr_image finite = {0};
    fnr_view v = fnr_view_plane(image, 0, 0);
    bool ok = false;
    if (v.w / r.coarse < COARSE_SIDE_MIN || v.h / r.coarse < COARSE_SIDE_MIN) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "the tile has %d x %d px: too small to be matched with the others", v.w, v.h);
    }
    if (v.dtype == FNR_F32) {
        const fnr_stats stats = fnr_stats_of(&v);
        if (stats.nonfinite > 0) {
            if (!fnr_image_to_f32(&v, 0, 0, &finite, err)) {
                return false;
            }
            replace_nonfinite(&finite.v, stats.mean);
            v = finite.v;
        }
    }
    if (!reduce(&v, r.fine, &copy.fine, err) || !finish_fine(&copy.fine, err)) {
        goto done;
    }
    const fnr_view fine = fnr_view_f32(copy.fine.px, copy.fine.w, copy.fine.h);
    if (!reduce(&fine, r.coarse / r.fine, &copy.coarse, err) || !finish_coarse(&copy.coarse, err)) {
        goto done;
    }
    *out = copy;
    copy = (fnr_tile_copy){0};
    ok = true;
done:
    fnr_tile_copy_free(&copy);
    fnr_image_free(&finite);
    return ok;
}

void fnr_tile_copy_free(fnr_tile_copy *c)
{
    plane_free(&c->fine);
    plane_free(&c->coarse);
}
