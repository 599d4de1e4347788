/* What the microscope makes of the section: one tile of 8-bit grey levels. */
#ifndef FNR_SIM_DETECTOR_H
#define FNR_SIM_DETECTOR_H

#include "src/image/view.h"

/* Focus, contrast and brightness of the section and of the tile, charging, shot noise; everything is drawn from (seed, tile).
 * `grey` (dense 2D float) is used up; `out` is a dense 8-bit view of the same extents. */
bool fnr_sim_detect(uint64_t seed, uint64_t tile, fnr_view *grey, fnr_view *out, fnr_error *err);

#endif
