/* Writes a montage on which nothing can be registered rightly: bench_wrong_montage mirror|noise IN.tif OUT.tif.
 * mirror: left and right exchanged; noise: the same grey values at random places, smoothed to sheath-sized blobs. */
#include <stdio.h>
#include <string.h>

#include "src/core/rng.h"
#include "src/cv/cv.h"
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

int main(int argc, char **argv)
{
    fnr_error err = {0};
    fnr_image file = {0}, im = {0};
    if (argc != 4 || (strcmp(argv[1], "mirror") && strcmp(argv[1], "noise"))) {
        fprintf(stderr, "usage: %s mirror|noise IN.tif OUT.tif\n", argv[0]);
        return 2;
    }
    bool ok = fnr_tiff_read(argv[2], NULL, &file, &err) && fnr_image_to_f32(&file.v, 0, 0, &im, &err);
    if (ok && !strcmp(argv[1], "mirror")) {
        mirror(&im.v);
    } else if (ok) {
        ok = noise(&im.v, &err);
    }
    ok = ok && fnr_tiff_write(argv[3], &im.v, NULL, &err);
    if (!ok) {
        fprintf(stderr, "%s\n", err.message);
    }
    fnr_image_free(&file);
    fnr_image_free(&im);
    return ok ? 0 : 1;
}
