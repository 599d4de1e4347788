#include "src/sim/noise.h"

#include <math.h>
#include "src/core/rng.h"

/* Product of a random gradient at a lattice point with the way from there. */
static float gradient(uint64_t key, int64_t ix, int64_t iy, float dx, float dy)
{
    const uint64_t bits = fnr_mix64(key + (uint64_t)ix * 0xD1B54A32D192ED03ull + (uint64_t)iy * 0xABC98388FB8FAC03ull);
    return (float)(int32_t)(bits >> 32) * 0x1.0p-31f * dx + (float)(int32_t)bits * 0x1.0p-31f * dy;
}

static float fade(float t)
{
    return t * t * t * (t * (t * 6.0f - 15.0f) + 10.0f);
}

float fnr_sim_noise(uint64_t key, double x, double y)
{
    /* The lattice lies askew, so that what little is left of it is not taken for pixels or scan lines. */
    const double s = 0.8290375725 * x - 0.5591929035 * y, t = 0.5591929035 * x + 0.8290375725 * y;
    const double fs = floor(s), ft = floor(t);
    const int64_t i = (int64_t)fs, j = (int64_t)ft;
    const float ds = (float)(s - fs), dt = (float)(t - ft), u = fade(ds), v = fade(dt);
    const float a = gradient(key, i, j, ds, dt), b = gradient(key, i + 1, j, ds - 1.0f, dt);
    const float c = gradient(key, i, j + 1, ds, dt - 1.0f), d = gradient(key, i + 1, j + 1, ds - 1.0f, dt - 1.0f);
    const float top = a + (b - a) * u, bottom = c + (d - c) * u;
    const float value = 1.6f * (top + (bottom - top) * v);
    return fmaxf(-1.0f, fminf(1.0f, value));
}

float fnr_sim_fractal(uint64_t key, double x, double y)
{
    return (2.0f * fnr_sim_noise(key, x, y) + fnr_sim_noise(~key, 2.0 * x, 2.0 * y)) / 3.0f;
}
