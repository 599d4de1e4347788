/* Closed outlines in the plane of the section: star-shaped with respect to a bent, stretched polar frame, so that one formula
 * gives round, crenated, bean-shaped and folded cells.  All lengths in nm, section coordinates. */
#ifndef FNR_SIM_SHAPE_H
#define FNR_SIM_SHAPE_H

#include "src/core/rng.h"

enum { FNR_SIM_TURNS = 128 }; /* table entries round the outline */

/* A periodic table over the angle: entry i stands for the angle -180 degrees + i * 360 / FNR_SIM_TURNS; the last one repeats
 * the first so that reading needs no wrap. */
typedef struct {
    float at[FNR_SIM_TURNS + 1];
} fnr_sim_ring;

typedef struct {
    double x, y;         /* centre */
    float a, b;          /* semi-axes */
    float cos, sin;      /* direction of the first axis */
    float bend;          /* [1/nm]: the frame's second coordinate is shifted by bend * first^2 */
    float reach;         /* no point of the outline is further from the centre */
    fnr_sim_ring radius; /* relative to the ellipse */
    fnr_sim_ring scale;  /* nm per unit of radius, measured across the outline */
} fnr_sim_shape;

typedef struct {
    double a, b, angle; /* semi-axes [nm], direction [rad] */
    double roughness;   /* relative amplitude of the outline's waves, 0 .. 0.3 */
    double bend;        /* sagitta at the ends relative to b */
    double notch;       /* depth of one infolding relative to the radius, 0 = none */
} fnr_sim_shape_spec;

void fnr_sim_shape_make(fnr_sim_shape *out, const fnr_sim_shape_spec *spec, fnr_rng *rng);

/* Where a point lies with respect to an outline. */
typedef struct {
    float distance; /* to the outline [nm], negative inside; first order in the departure from it */
    float turn;     /* position in the tables, [0, FNR_SIM_TURNS) */
} fnr_sim_near;
fnr_sim_near fnr_sim_shape_near(const fnr_sim_shape *s, double x, double y);

static inline float fnr_sim_ring_at(const fnr_sim_ring *ring, float turn)
{
    const int i = (int)turn;
    return ring->at[i] + (ring->at[i + 1] - ring->at[i]) * (turn - (float)i);
}

/* A smooth periodic table: mean 0, of waves 1 .. max_wave with amplitudes falling as 1/wave; roughly in [-1, 1]. */
void fnr_sim_ring_waves(fnr_sim_ring *out, int min_wave, int max_wave, fnr_rng *rng);
/* A bump of height 1 at `turn`, falling to 0 over `width` entries on both sides. */
float fnr_sim_ring_bump(double turn, double centre, double width);

#endif
