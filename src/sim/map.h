/* Where the section lies in the montage: a similarity and a smooth deformation that no similarity takes away. */
#ifndef FNR_SIM_MAP_H
#define FNR_SIM_MAP_H

#include <stdint.h>
#include "src/geom/transform.h"

enum { FNR_SIM_WAVES = 6 };

typedef struct {
    fnr_transform similarity; /* SECTION [EM px] -> IF, the best one over the section */
    fnr_transform inverse;
    struct {
        double kx, ky, phase, ax, ay; /* [rad per IF px], [rad], [IF px] */
    } wave[FNR_SIM_WAVES];
    fnr_transform slack; /* what a similarity would take away of the waves, subtracted: SECTION -> IF vector */
} fnr_sim_map;

/* section_w, section_h: extent of the section [EM px]; rms_px: of the deformation's length over the section [IF px]. */
bool fnr_sim_map_init(fnr_sim_map *out, uint64_t seed, const fnr_transform *similarity, double section_w, double section_h,
                      double rms_px, fnr_error *err);

fnr_point fnr_sim_map_apply(const fnr_sim_map *m, fnr_point section);  /* [EM px] -> [IF px] */
fnr_point fnr_sim_map_invert(const fnr_sim_map *m, fnr_point montage); /* back, to better than 1e-6 px */

/* The best similarity TILE -> IF of a w x h tile whose pixel (0,0) lies at `origin` of the section, and the rms length of what
 * it leaves [IF px], both over the same grid of points. */
bool fnr_sim_map_tile(const fnr_sim_map *m, fnr_point origin, int w, int h, fnr_transform *best, double *residual_px,
                      fnr_error *err);

#endif
