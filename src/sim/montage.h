/* Drawing the MBP immunofluorescence montage: stained sheaths through the optics and onto the camera. */
#ifndef FNR_SIM_MONTAGE_H
#define FNR_SIM_MONTAGE_H

#include "src/image/view.h"
#include "src/sim/map.h"
#include "src/sim/scene.h"

typedef struct {
    uint64_t seed;
    double em_nm, if_nm;
    bool widefield; /* halo, background, camera noise; else deconvolved: sharp, background clipped to 0 */
} fnr_sim_optics;

/* Fills a dense 16-bit view. */
bool fnr_sim_draw_montage(const fnr_sim_scene *s, const fnr_sim_map *map, const fnr_sim_optics *optics, fnr_view *out,
                          fnr_error *err);

#endif
