/* Synthetic array tomography with exact truth, realistic enough to learn from: EM tiles with myelinated axons, membranes and
 * mitochondria; an MBP montage; manual TrakEM2 projects by two "annotators"; truth.csv (layout in examples/README.md). */
#ifndef FNR_SIM_SIMULATE_H
#define FNR_SIM_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>
#include "src/core/cancel.h"
#include "src/core/err.h"

typedef struct {
    uint64_t seed;
    int rows, cols; /* EM tile grid */
    int tile_px;    /* extent of a tile [EM px] */
    int tile_h_px;  /* its height, 0 = tile_px */
    double overlap; /* fraction of a tile */
    double em_nm, if_nm;
    int montage_w, montage_h; /* IF px */
    double rotation_deg;      /* NaN = drawn near +90 or -90 */
    double scale;             /* relative to nominal; NaN = drawn in [0.95, 1.0] */
    double deformation_px;    /* rms of the smooth residual deformation [IF px] */
    double stage_error_px;    /* sd [EM px] */
    double annotator_px;      /* mean distance between the two annotators [IF px] */
    bool widefield;           /* raw wide-field MBP: halo, background, camera noise; else deconvolved */
    double empty_fraction;    /* share of the section's area without myelin (tiles without content) */
} fnr_sim_options;

void fnr_sim_defaults(fnr_sim_options *o);

/* Writes DIR/em/Tile_r<r>-c<c>.tif, mbp.tif, manual_a.xml, manual_b.xml (tiles with more than 1 % myelin), truth.csv, and
 * case.json last.  DIR may exist when it is empty; anything else in it is refused.  The files are a pure function of the
 * options: the number of threads changes nothing.  About 30 MB of memory for the default case, whatever the number of tiles. */
bool fnr_simulate(const char *dir, const fnr_sim_options *o, const fnr_cancel *cancel, fnr_error *err);

#endif
