#include "src/sim/detector.h"

#include <math.h>
#include "src/core/rng.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"
#include "src/sim/noise.h"

enum { STREAM_SECTION = 0xEE00, STREAM_TILE, STREAM_PIXELS = 0xEE10 };

typedef struct {
    double gain, offset, gamma; /* grey levels out of grey levels in */
    double noise;               /* sd at mid grey */
    double slope_x, slope_y;    /* brightness across the tile [grey levels] */
    double charging;            /* amplitude of charging clouds [grey levels] */
    double focus_px;            /* sd of the blur */
    uint64_t key;               /* of clouds and pixel noise */
} camera;

/* The operator sets the contrast per section; it drifts from tile to tile. */
static camera camera_of(uint64_t seed, uint64_t tile)
{
    fnr_rng s = fnr_rng_at(seed, STREAM_SECTION, 0), t = fnr_rng_at(seed, STREAM_TILE, tile);
    camera c = {.gain = 0.8 + 0.3 * fnr_rng_uniform(&s),
                .offset = 20.0 * fnr_rng_uniform(&s) - 8.0,
                .gamma = 0.85 + 0.3 * fnr_rng_uniform(&s),
                .noise = 7.0 + 7.0 * fnr_rng_uniform(&s)};
    c.gain *= 1.0 + 0.05 * fnr_rng_normal(&t);
    c.offset += 4.0 * fnr_rng_normal(&t);
    c.slope_x = 6.0 * fnr_rng_normal(&t);
    c.slope_y = 6.0 * fnr_rng_normal(&t);
    c.charging = fnr_rng_uniform(&t) < 0.25 ? 14.0 * fnr_rng_uniform(&t) : 3.0;
    c.focus_px = 0.65 + 0.6 * fnr_rng_uniform(&t);
    c.key = fnr_rng_u64(&t);
    return c;
}

typedef struct {
    const camera *camera;
    const fnr_view *grey, *out;
} exposure;

static void expose_row(void *ctx, size_t j)
{
    const exposure *e = ctx;
    const camera *c = e->camera;
    const int w = e->out->w, h = e->out->h;
    const float *grey = fnr_at(e->grey, 0, (int)j, 0, 0);
    uint8_t *out = fnr_at(e->out, 0, (int)j, 0, 0);
    fnr_rng rng = fnr_rng_at(c->key, STREAM_PIXELS, j);
    /* charging shows as clouds and, along the scan, as lines that are a little brighter or darker */
    const double line = 0.35 * c->charging * (double)fnr_sim_noise(c->key + 1, 0.5, (double)j / 3.0);
    const double across_y = ((double)j / h - 0.5) * c->slope_y;
    for (int i = 0; i < w; i++) {
        const double cloud = c->charging * (double)fnr_sim_fractal(c->key, i / 500.0, (double)j / 300.0);
        const double level = 255.0 * pow(fmax((double)grey[i], 0.0) / 255.0, c->gamma);
        double value = c->gain * level + c->offset + cloud + line + across_y + ((double)i / w - 0.5) * c->slope_x;
        value += c->noise * sqrt(fmax(value, 8.0) / 128.0) * fnr_rng_normal(&rng);
        out[i] = (uint8_t)fmax(0.0, fmin(255.0, rint(value)));
    }
}

bool fnr_sim_detect(uint64_t seed, uint64_t tile, fnr_view *grey, fnr_view *out, fnr_error *err)
{
    const camera c = camera_of(seed, tile);
    fnr_image blurred = {0};
    if (!fnr_image_new(&blurred, grey->w, grey->h, 1, 1, FNR_F32, err)) {
        return false;
    }
    const bool ok = fnr_cv_blur(grey, c.focus_px, &blurred.v, err);
    if (ok) {
        fnr_parallel_for((size_t)out->h, expose_row, &(exposure){.camera = &c, .grey = &blurred.v, .out = out});
    }
    fnr_image_free(&blurred);
    return ok;
}
