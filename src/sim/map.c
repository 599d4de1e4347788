#include "src/sim/map.h"

#include <math.h>
#include "src/core/rng.h"

enum { STREAM_WAVES = 0xDEF0, GRID = 24 };

static fnr_point wave_sum(const fnr_sim_map *m, fnr_point q)
{
    fnr_point d = {0, 0};
    for (int i = 0; i < FNR_SIM_WAVES; i++) {
        const double s = sin(m->wave[i].kx * q.x + m->wave[i].ky * q.y + m->wave[i].phase);
        d.x += m->wave[i].ax * s;
        d.y += m->wave[i].ay * s;
    }
    return d;
}

/* What the map adds to its similarity at a point of the section whose similarity image is q. */
static fnr_point deformation(const fnr_sim_map *m, fnr_point section, fnr_point q)
{
    const fnr_point d = wave_sum(m, q), e = fnr_transform_apply(&m->slack, section);
    return (fnr_point){d.x - e.x, d.y - e.y};
}

fnr_point fnr_sim_map_apply(const fnr_sim_map *m, fnr_point section)
{
    const fnr_point q = fnr_transform_apply(&m->similarity, section), d = deformation(m, section, q);
    return (fnr_point){q.x + d.x, q.y + d.y};
}

fnr_point fnr_sim_map_invert(const fnr_sim_map *m, fnr_point montage)
{
    /* q = montage - deformation(q): the deformation changes by some percent per px at most, so each round gains digits. */
    fnr_point q = montage, p = fnr_transform_apply(&m->inverse, q);
    for (int round = 0; round < 20; round++) {
        const fnr_point d = deformation(m, p, q);
        const double change = fabs(montage.x - d.x - q.x) + fabs(montage.y - d.y - q.y);
        q = (fnr_point){montage.x - d.x, montage.y - d.y};
        p = fnr_transform_apply(&m->inverse, q);
        if (!(change > 1e-7)) {
            break;
        }
    }
    return p;
}

/* Best similarity of the map over a w x h rectangle at `origin`, in coordinates relative to it, and the rms of the rest. */
static bool fit_rectangle(const fnr_sim_map *m, fnr_point origin, double w, double h, fnr_transform *best, double *rms,
                          fnr_error *err)
{
    fnr_point from[GRID * GRID], to[GRID * GRID];
    for (int i = 0; i < GRID * GRID; i++) {
        from[i] = (fnr_point){w * (i % GRID + 0.5) / GRID - 0.5, h * (i / GRID + 0.5) / GRID - 0.5};
        to[i] = fnr_sim_map_apply(m, (fnr_point){origin.x + from[i].x, origin.y + from[i].y});
    }
    if (!fnr_transform_fit(FNR_MODEL_SIMILARITY, from, to, NULL, GRID * GRID, best, err)) {
        return false;
    }
    double sum = 0;
    for (int i = 0; i < GRID * GRID; i++) {
        const fnr_point q = fnr_transform_apply(best, from[i]);
        sum += (q.x - to[i].x) * (q.x - to[i].x) + (q.y - to[i].y) * (q.y - to[i].y);
    }
    *rms = sqrt(sum / (GRID * GRID));
    return true;
}

/* Wavelengths of the section's own size: the deformation bends the section as a whole and hardly a single tile. */
static void draw_waves(fnr_sim_map *m, uint64_t seed, double section_px)
{
    const double pi = 3.14159265358979323846;
    fnr_rng rng = fnr_rng_at(seed, STREAM_WAVES, 0);
    for (int i = 0; i < FNR_SIM_WAVES; i++) {
        const double length = fmax(section_px, 100.0) * (0.7 + 0.9 * fnr_rng_uniform(&rng)),
                     along = 2.0 * pi * fnr_rng_uniform(&rng);
        const double shift = 2.0 * pi * fnr_rng_uniform(&rng);
        m->wave[i].kx = 2.0 * pi / length * cos(along);
        m->wave[i].ky = 2.0 * pi / length * sin(along);
        m->wave[i].phase = 2.0 * pi * fnr_rng_uniform(&rng);
        m->wave[i].ax = cos(shift);
        m->wave[i].ay = sin(shift);
    }
}

bool fnr_sim_map_init(fnr_sim_map *out, uint64_t seed, const fnr_transform *similarity, double section_w, double section_h,
                      double rms_px, fnr_error *err)
{
    fnr_sim_map m = {.similarity = *similarity};
    if (!fnr_transform_invert(similarity, &m.inverse, err)) {
        return false;
    }
    draw_waves(&m, seed, fmax(section_w, section_h) * fnr_transform_scale(similarity));
    /* The fit is linear in the deformation, so removing its similarity part and scaling the rest to the wanted rms is exact. */
    fnr_transform best;
    double rms;
    if (!fit_rectangle(&m, (fnr_point){0, 0}, section_w, section_h, &best, &rms, err)) {
        return false;
    }
    if (!(rms > 0)) {
        return fnr_fail(err, FNR_E_INTERNAL, "the simulated deformation is a similarity");
    }
    const double gain = rms_px / rms;
    for (int i = 0; i < FNR_SIM_WAVES; i++) {
        m.wave[i].ax *= gain;
        m.wave[i].ay *= gain;
    }
    m.slack = (fnr_transform){.m00 = gain * (best.m00 - similarity->m00),
                              .m10 = gain * (best.m10 - similarity->m10),
                              .m01 = gain * (best.m01 - similarity->m01),
                              .m11 = gain * (best.m11 - similarity->m11),
                              .m02 = gain * (best.m02 - similarity->m02),
                              .m12 = gain * (best.m12 - similarity->m12)};
    *out = m;
    return true;
}

bool fnr_sim_map_tile(const fnr_sim_map *m, fnr_point origin, int w, int h, fnr_transform *best, double *residual_px,
                      fnr_error *err)
{
    if (!fit_rectangle(m, origin, w, h, best, residual_px, err)) {
        return false;
    }
    best->from = FNR_FRAME_TILE;
    best->to = FNR_FRAME_IF;
    return true;
}
