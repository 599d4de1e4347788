/* Internal to montage/: positions from links. */
#ifndef FNR_MONTAGE_SOLVE_H
#define FNR_MONTAGE_SOLVE_H

#include "montage/tileset.h"

/* Robust weighted least squares over set->links; drops links further than max_residual from the solution, the worst first; fills
 * x, y, group of the tiles, residual and used of the links, and the summary of the set. */
bool fnr_tileset_solve(fnr_tileset *set, double max_residual, fnr_error *err);

#endif
