#include "src/sim/montage.h"

#include <math.h>
#include "src/core/rng.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"
#include "src/sim/em.h"
#include "src/sim/noise.h"

enum { STREAM_MONTAGE = 0x3BB0, STREAM_SPECKS, BAND_ROWS = 16 };

typedef struct {
    const fnr_sim_scene *scene;
    const fnr_sim_map *map;
    const fnr_sim_optics *optics;
    const fnr_view *signal; /* float: amount of MBP, 1 = a median sheath filling the pixel */
} staining;

/* Stain of a sheath varies along and across it. */
static float stain_at(const fnr_sim_cell *fibre, float turn, double x, double y)
{
    const float along = fnr_sim_noise(fibre->key + 20, (double)turn / 12.0, 0.5);
    const float patches = fnr_sim_noise(fibre->key + 21, x / 500.0, y / 500.0);
    return fibre->stain * fmaxf(0.0f, 1.0f + 0.35f * along + 0.3f * patches);
}

/* One sheath into rows y0 .. y1-1: pixels are taken back through the exact map into the section. */
static void stain_fibre(const staining *s, const fnr_sim_cell *fibre, int y0, int y1)
{
    const double em_nm = s->optics->em_nm, scale = fnr_transform_scale(&s->map->similarity);
    const fnr_point centre = fnr_sim_map_apply(s->map, (fnr_point){fibre->outline.x / em_nm, fibre->outline.y / em_nm});
    const double reach = (double)fibre->outline.reach / em_nm * scale * 1.05 + 3.0;
    const int left = (int)fmax(0.0, floor(centre.x - reach)), right = (int)fmin(s->signal->w - 1.0, ceil(centre.x + reach));
    const int top = (int)fmax(y0, floor(centre.y - reach)), bottom = (int)fmin(y1 - 1.0, ceil(centre.y + reach));
    for (int j = top; j <= bottom; j++) {
        float *row = fnr_at(s->signal, 0, j, 0, 0);
        for (int i = left; i <= right; i++) {
            const fnr_point p = fnr_sim_map_invert(s->map, (fnr_point){i, j});
            const fnr_sim_near near = fnr_sim_shape_near(&fibre->outline, p.x * em_nm, p.y * em_nm);
            const float share = fnr_sim_myelin_share(fibre, &near, (float)(em_nm / scale));
            if (share > 0.0f) {
                row[i] = fmaxf(row[i], share * stain_at(fibre, near.turn, p.x * em_nm, p.y * em_nm));
            }
        }
    }
}

static void stain_band(void *ctx, size_t band)
{
    const staining *s = ctx;
    const int y0 = (int)band * BAND_ROWS, y1 = y0 + BAND_ROWS < s->signal->h ? y0 + BAND_ROWS : s->signal->h;
    for (size_t k = 0; k < s->scene->n_cells; k++) {
        const fnr_sim_cell *cell = &s->scene->cells[k];
        if (cell->kind == FNR_SIM_FIBRE && cell->stain > 0.0f) {
            stain_fibre(s, cell, y0, y1);
        }
    }
}

/* Bright specks without myelin: precipitated antibody, lipofuscin. */
static void add_specks(const staining *s)
{
    fnr_rng rng = fnr_rng_at(s->optics->seed, STREAM_SPECKS, 0);
    const fnr_view *v = s->signal;
    const int count = (int)((double)v->w * v->h / 25000.0);
    for (int k = 0; k < count; k++) {
        const int x = (int)fnr_rng_below(&rng, (uint64_t)v->w), y = (int)fnr_rng_below(&rng, (uint64_t)v->h);
        float *px = fnr_at(v, x, y, 0, 0);
        *px += (float)(1.0 + 3.0 * fnr_rng_uniform(&rng));
    }
}

typedef struct {
    const fnr_view *sharp, *halo, *out;
    const fnr_sim_optics *optics;
} exposure;

/* Photons with shot noise (normal approximation: counts are never small where it matters), read noise, camera units. */
static void expose_row(void *ctx, size_t j)
{
    const exposure *e = ctx;
    const bool wide = e->optics->widefield;
    fnr_rng rng = fnr_rng_at(e->optics->seed, STREAM_MONTAGE, j);
    const float *sharp = fnr_at(e->sharp, 0, (int)j, 0, 0), *halo = fnr_at(e->halo, 0, (int)j, 0, 0);
    uint16_t *out = fnr_at(e->out, 0, (int)j, 0, 0);
    for (int i = 0; i < e->out->w; i++) {
        const double uneven = (double)fnr_sim_fractal(e->optics->seed + 30, i / 350.0, (double)j / 350.0);
        const double background = wide ? 55.0 + 45.0 * uneven : 4.0;
        const double photons = background + 380.0 * (wide ? 0.7 * (double)sharp[i] + 0.3 * (double)halo[i] : (double)sharp[i]);
        const double counts = photons + sqrt(fmax(photons, 1.0)) * fnr_rng_normal(&rng) + 2.5 * fnr_rng_normal(&rng);
        const double value = wide ? 110.0 + 7.5 * counts : 24.0 * (counts - 14.0);
        out[i] = (uint16_t)fmax(0.0, fmin(65535.0, rint(value)));
    }
}

bool fnr_sim_draw_montage(const fnr_sim_scene *s, const fnr_sim_map *map, const fnr_sim_optics *optics, fnr_view *out,
                          fnr_error *err)
{
    bool ok = false;
    fnr_image signal = {0}, sharp = {0}, halo = {0};
    if (!fnr_image_new(&signal, out->w, out->h, 1, 1, FNR_F32, err) ||
        !fnr_image_new(&sharp, out->w, out->h, 1, 1, FNR_F32, err) || !fnr_image_new(&halo, out->w, out->h, 1, 1, FNR_F32, err)) {
        goto done;
    }
    staining st = {.scene = s, .map = map, .optics = optics, .signal = &signal.v};
    fnr_parallel_for((size_t)((out->h + BAND_ROWS - 1) / BAND_ROWS), stain_band, &st);
    add_specks(&st);
    /* Standard deviations of the point spread: 110 nm after deconvolution, 150 nm before, and light from out of focus. */
    if (!fnr_cv_blur(&signal.v, (optics->widefield ? 150.0 : 110.0) / optics->if_nm, &sharp.v, err) ||
        !fnr_cv_blur(&signal.v, 900.0 / optics->if_nm, &halo.v, err)) {
        goto done;
    }
    fnr_parallel_for((size_t)out->h, expose_row, &(exposure){.sharp = &sharp.v, .halo = &halo.v, .out = out, .optics = optics});
    ok = true;
done:
    fnr_image_free(&signal);
    fnr_image_free(&sharp);
    fnr_image_free(&halo);
    return ok;
}
