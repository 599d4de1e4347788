/* What lies in the section: cells with outlines, before anything is drawn.  EM tiles and the MBP montage are both drawn from
 * the same list, so the truth between them is exact. */
#ifndef FNR_SIM_SCENE_H
#define FNR_SIM_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include "src/core/cancel.h"
#include "src/core/err.h"
#include "src/sim/shape.h"

/* In painting order: later kinds cover earlier ones. */
typedef enum {
    FNR_SIM_VESSEL,  /* endothelium round a bright lumen, sometimes with erythrocytes */
    FNR_SIM_NUCLEUS, /* a cell body: thin cytoplasm, dark nucleus with heterochromatin */
    FNR_SIM_PROCESS, /* thin dark processes of fibroblasts and glia */
    FNR_SIM_BUNDLE,  /* unmyelinated axons in one Schwann cell (Remak bundle), down to a single axon */
    FNR_SIM_BODY,    /* lipid droplets, precipitate: as dark as myelin, without MBP */
    FNR_SIM_FIBRE    /* a myelinated axon */
} fnr_sim_kind;

/* Things inside a cell. */
typedef enum { FNR_SIM_MITOCHONDRION, FNR_SIM_VESICLE, FNR_SIM_AXON, FNR_SIM_ERYTHROCYTE } fnr_sim_part_kind;
typedef struct {
    fnr_sim_part_kind kind;
    double x, y;    /* centre [nm] */
    float a, b;     /* semi-axes [nm] */
    float cos, sin; /* direction of the first axis */
    float shade;    /* grey level relative to the palette's, around 1 */
    uint64_t key;
} fnr_sim_part;

typedef struct {
    fnr_sim_kind kind;
    fnr_sim_shape outline;
    uint64_t key;       /* of its textures */
    float shade;        /* grey level relative to the palette's, around 1 */
    float reach;        /* outline and skirt: nothing of the cell is further from the centre [nm] */
    fnr_sim_ring wall;  /* fibre: thickness of the myelin; vessel and nucleus: of the cytoplasm [nm], inwards */
    fnr_sim_ring skirt; /* fibre: Schwann cytoplasm outside the outline [nm] */
    float stain;        /* fibre: brightness of its MBP, 0 = unstained, 1 = median */
    size_t first_part, n_parts;
} fnr_sim_cell;

typedef struct {
    double x0, y0, x1, y1; /* [nm] */
} fnr_sim_rect;

typedef struct {
    fnr_sim_cell *cells; /* in painting order */
    size_t n_cells, cells_capacity;
    fnr_sim_part *parts;
    size_t n_parts, parts_capacity;
    uint64_t seed;
} fnr_sim_scene;

typedef struct {
    fnr_sim_rect world;    /* everything the montage shows: myelinated axons */
    fnr_sim_rect section;  /* what EM shows: everything */
    double empty_fraction; /* of the section's area, without myelin */
} fnr_sim_plan;

bool fnr_sim_scene_build(fnr_sim_scene *out, uint64_t seed, const fnr_sim_plan *plan, const fnr_cancel *cancel, fnr_error *err);
void fnr_sim_scene_free(fnr_sim_scene *s);

/* How far outside its outline a cell reaches at that place [nm]. */
static inline float fnr_sim_cell_skirt(const fnr_sim_cell *c, float turn)
{
    return c->kind == FNR_SIM_FIBRE ? fnr_sim_ring_at(&c->skirt, turn) : 0.0f;
}

/* Does the cell's disc of `reach` touch the rectangle? */
static inline bool fnr_sim_touches(const fnr_sim_cell *c, const fnr_sim_rect *r)
{
    const double x = c->outline.x, y = c->outline.y, d = (double)c->reach;
    return x + d >= r->x0 && x - d <= r->x1 && y + d >= r->y0 && y - d <= r->y1;
}

#endif
