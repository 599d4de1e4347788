/* Writes a changed copy of a montage: bench_change_montage CHANGE IN.tif OUT.tif
 *   mirror          left and right exchanged: nothing can be registered on it rightly
 *   noise           the same grey values at random places, smoothed to sheath-sized blobs: likewise
 *   invert          bright and dark exchanged
 *   widefield:SD    what a camera behind a wide-field microscope would see of a deconvolved montage: blur of SD px, 0.3 of the light
 *                   as a halo, an uneven background, shot and read noise */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/rng.h"
#include "src/cv/cv.h"
#include "src/image/stats.h"
#include "src/image/tiff.h"

static void mirror(fnr_view *v)
{
    float *px = v->px;
    for (int y = 0; y < v->h; y++) {
        float *row = px + (size_t)y * (size_t)v->w;
        for (int x = 0; x < v->w / 2; x++) {
            const float t = row[x];
            row[x] = row[v->w - 1 - x];
            row[v->w - 1 - x] = t;
        }
    }
}

static void invert(fnr_view *v)
{
    const double top = fnr_stats_of(v).max, bottom = fnr_stats_of(v).min;
    float *px = v->px;
    for (size_t i = 0; i < (size_t)v->w * (size_t)v->h; i++) {
        px[i] = (float)(top + bottom) - px[i];
    }
}

static bool noise(fnr_view *v, fnr_error *err)
{
    const size_t n = (size_t)v->w * (size_t)v->h;
    float *px = v->px;
    fnr_image smooth;
    fnr_rng r = fnr_rng_at(4, 2, 0);
    for (size_t i = n - 1; i > 0; i--) {
        const size_t k = fnr_rng_below(&r, i + 1);
        const float t = px[i];
        px[i] = px[k];
        px[k] = t;
    }
    if (!fnr_image_new(&smooth, v->w, v->h, 1, 1, FNR_F32, err)) {
        return false;
    }
    const bool ok = fnr_cv_blur(v, 4, &smooth.v, err);
    memcpy(px, smooth.v.px, n * sizeof *px);
    fnr_image_free(&smooth);
    return ok;
}

/* A bright sheath sends 400 photons to a pixel, the background 60 to 120. */
static bool widefield(fnr_view *v, double sd, fnr_error *err)
{
    const size_t n = (size_t)v->w * (size_t)v->h;
    fnr_image sharp = {0}, halo = {0};
    fnr_rng rng = fnr_rng_at(9, 9, 9);
    const double low = fnr_quantile(v, 0.25), gain = 400 / (fnr_quantile(v, 0.995) - low);
    float *px = v->px;
    bool ok = fnr_image_new(&sharp, v->w, v->h, 1, 1, FNR_F32, err) && fnr_image_new(&halo, v->w, v->h, 1, 1, FNR_F32, err) &&
              fnr_cv_blur(v, sd, &sharp.v, err) && fnr_cv_blur(v, 9, &halo.v, err);
    for (size_t i = 0; ok && i < n; i++) {
        const double x = (double)(i % (size_t)v->w) / v->w, y = (double)(i / (size_t)v->w) / v->h;
        const double signal = 0.7 * ((const float *)sharp.v.px)[i] + 0.3 * ((const float *)halo.v.px)[i] - low;
        const double photons = fmax(1, 90 + 30 * sin(5 * x + 2) * sin(4 * y + 1) + gain * signal);
        px[i] = (float)rint(fmax(0, 110 + 7.5 * (photons + sqrt(photons) * fnr_rng_normal(&rng) + 2.5 * fnr_rng_normal(&rng))));
    }
    fnr_image_free(&sharp);
    fnr_image_free(&halo);
    return ok;
}

static bool change(const char *what, fnr_view *v, fnr_error *err)
{
    if (!strcmp(what, "mirror")) {
        mirror(v);
    } else if (!strcmp(what, "invert")) {
        invert(v);
    } else if (!strcmp(what, "noise")) {
        return noise(v, err);
    } else if (!strncmp(what, "widefield:", 10)) {
        return widefield(v, strtod(what + 10, NULL), err);
    } else {
        return fnr_fail(err, FNR_E_USAGE, "%s: mirror, noise, invert or widefield:SD", what);
    }
    return true;
}

int main(int argc, char **argv)
{
    fnr_error err = {0};
    fnr_image file = {0}, im = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: %s mirror|noise|invert|widefield:SD IN.tif OUT.tif\n", argv[0]);
        return 2;
    }
    const bool ok = fnr_tiff_read(argv[2], NULL, &file, &err) && fnr_image_to_f32(&file.v, 0, 0, &im, &err) && change(argv[1], &im.v, &err) &&
                    fnr_tiff_write(argv[3], &im.v, NULL, &err);
    if (!ok) {
        fprintf(stderr, "%s\n", err.message);
    }
    fnr_image_free(&file);
    fnr_image_free(&im);
    return ok ? 0 : 1;
}
