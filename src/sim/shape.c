#include "src/sim/shape.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double angle_of(int turn)
{
    return -pi + 2.0 * pi * turn / FNR_SIM_TURNS;
}

void fnr_sim_ring_waves(fnr_sim_ring *out, int min_wave, int max_wave, fnr_rng *rng)
{
    double sum[FNR_SIM_TURNS] = {0}, norm = 0;
    for (int k = min_wave; k <= max_wave; k++) {
        const double amplitude = (0.4 + fnr_rng_uniform(rng)) / k, phase = 2.0 * pi * fnr_rng_uniform(rng);
        norm += amplitude * amplitude;
        for (int i = 0; i < FNR_SIM_TURNS; i++) {
            sum[i] += amplitude * cos(k * angle_of(i) + phase);
        }
    }
    for (int i = 0; i < FNR_SIM_TURNS; i++) {
        out->at[i] = (float)(sum[i] / sqrt(norm));
    }
    out->at[FNR_SIM_TURNS] = out->at[0];
}

float fnr_sim_ring_bump(double turn, double centre, double width)
{
    double away = fabs(remainder(turn - centre, FNR_SIM_TURNS)) / width;
    return away < 1.0 ? (float)(0.5 + 0.5 * cos(pi * away)) : 0.0f;
}

/* With f = rho - radius(angle) in the bent and stretched frame, a small step across the outline changes f by |grad f| per nm.
 * Its inverse, smoothed a little round the outline, turns f into a distance, also at some depth: sheaths keep their thickness. */
static double nm_per_radius(const fnr_sim_shape *s, int turn)
{
    const int n = FNR_SIM_TURNS;
    const double c = cos(angle_of(turn)), d = sin(angle_of(turn)), rho = (double)s->radius.at[turn];
    const double slope = ((double)s->radius.at[(turn + 1) % n] - (double)s->radius.at[(turn + n - 1) % n]) * n / (4.0 * pi) / rho;
    const double u = rho * c * (double)s->a;
    const double gv = (d - slope * c) / (double)s->b, gu = (c + slope * d) / (double)s->a - 2.0 * (double)s->bend * u * gv;
    return 1.0 / hypot(gu, gv);
}

static void complete_outline(fnr_sim_shape *s)
{
    enum { N = FNR_SIM_TURNS, SMOOTH = 5 };
    double reach = 0, scale[N];
    for (int i = 0; i < N; i++) {
        const double u = (double)s->radius.at[i] * cos(angle_of(i)) * (double)s->a;
        const double v = (double)s->radius.at[i] * sin(angle_of(i)) * (double)s->b + (double)s->bend * u * u;
        reach = fmax(reach, hypot(u, v));
        scale[i] = nm_per_radius(s, i);
    }
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = -SMOOTH; k <= SMOOTH; k++) {
            sum += scale[(i + k + N) % N];
        }
        s->scale.at[i] = (float)(sum / (2 * SMOOTH + 1));
    }
    s->radius.at[N] = s->radius.at[0];
    s->scale.at[N] = s->scale.at[0];
    s->reach = (float)(1.02 * reach);
}

void fnr_sim_shape_make(fnr_sim_shape *out, const fnr_sim_shape_spec *spec, fnr_rng *rng)
{
    fnr_sim_ring waves;
    fnr_sim_ring_waves(&waves, 2, 8, rng);
    const double notch_at = FNR_SIM_TURNS * fnr_rng_uniform(rng),
                 notch_width = FNR_SIM_TURNS * (0.06 + 0.08 * fnr_rng_uniform(rng));
    *out = (fnr_sim_shape){.a = (float)spec->a,
                           .b = (float)spec->b,
                           .cos = (float)cos(spec->angle),
                           .sin = (float)sin(spec->angle),
                           .bend = (float)(spec->bend * spec->b / (spec->a * spec->a))};
    for (int i = 0; i < FNR_SIM_TURNS; i++) {
        const double fold = spec->notch * fnr_sim_ring_bump(i, notch_at, notch_width);
        out->radius.at[i] = (float)fmax(0.3, (1.0 + spec->roughness * waves.at[i]) * (1.0 - fold));
    }
    complete_outline(out);
}

fnr_sim_near fnr_sim_shape_near(const fnr_sim_shape *s, double x, double y)
{
    const float dx = (float)(x - s->x), dy = (float)(y - s->y);
    const float u = s->cos * dx + s->sin * dy, v = s->cos * dy - s->sin * dx - s->bend * u * u;
    const float p = u / s->a, q = v / s->b;
    float turn = (atan2f(q, p) + (float)pi) * (float)(FNR_SIM_TURNS / (2.0 * pi));
    turn = turn >= (float)FNR_SIM_TURNS ? 0.0f : fmaxf(turn, 0.0f);
    const float f = sqrtf(p * p + q * q) - fnr_sim_ring_at(&s->radius, turn);
    return (fnr_sim_near){.distance = f * fnr_sim_ring_at(&s->scale, turn), .turn = turn};
}
