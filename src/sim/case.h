/* A simulated case: options made definite, geometry, and what is written about it.  Used by simulate.c and the tests. */
#ifndef FNR_SIM_CASE_H
#define FNR_SIM_CASE_H

#include "src/core/fs.h"
#include "src/sim/map.h"
#include "src/sim/scene.h"
#include "src/sim/simulate.h"

typedef struct {
    char name[32];           /* file name */
    int row, col;            /* from 1 */
    double stage_x, stage_y; /* where the stage says it is [EM px] */
    fnr_point origin;        /* where it is: its pixel (0,0) in the section [EM px] */
    fnr_transform truth;     /* TILE -> IF, best similarity */
    double residual_px;      /* rms of what that leaves [IF px] */
    double myelin_fraction;  /* of its pixels */
} fnr_sim_tile;

typedef struct {
    fnr_sim_options options; /* nothing left to be drawn */
    int tile_w, tile_h;
    double section_w, section_h; /* nominal extent of the tile grid [EM px] */
    fnr_sim_map map;             /* SECTION -> IF */
    fnr_sim_scene scene;
    fnr_sim_tile *tiles; /* row by row */
    size_t n_tiles;
} fnr_sim_case;

/* Checks the options and lays everything out; myelin_fraction is left at 0 until the tiles are drawn. */
bool fnr_sim_case_init(fnr_sim_case *out, const fnr_sim_options *options, const fnr_cancel *cancel, fnr_error *err);
void fnr_sim_case_free(fnr_sim_case *c);

/* truth.csv, case.json; manual_<annotator>.xml for annotator 'a' or 'b'. */
bool fnr_sim_write_truth(const fnr_sim_case *c, const char *dir, fnr_error *err);
bool fnr_sim_write_case(const fnr_sim_case *c, const char *dir, fnr_error *err);
bool fnr_sim_write_manual(const fnr_sim_case *c, const char *dir, char annotator, fnr_error *err);

/* The annotator's own idea of the tile's transform. */
bool fnr_sim_annotate(const fnr_sim_case *c, const fnr_sim_tile *tile, char annotator, fnr_transform *out, fnr_error *err);

#endif
