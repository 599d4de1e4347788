/* One cell of each kind, drawn from the sizes seen in peripheral nerve; not yet placed anywhere. */
#ifndef FNR_SIM_CELLS_H
#define FNR_SIM_CELLS_H

#include "src/sim/scene.h"

/* `grain`: the direction [rad] along which cut cells tend to be stretched. */
void fnr_sim_cell_make(fnr_sim_cell *out, fnr_sim_kind kind, double grain, fnr_rng *rng);

/* Moves a cell. */
static inline void fnr_sim_cell_move(fnr_sim_cell *c, double x, double y)
{
    c->outline.x = x;
    c->outline.y = y;
}

/* Organelles, axons of a bundle, erythrocytes of a placed cell; appended to the scene's parts. */
bool fnr_sim_cell_fill(fnr_sim_scene *scene, fnr_sim_cell *cell, fnr_rng *rng, fnr_error *err);

#endif
