#include "src/sim/case.h"

#include <math.h>
#include <stdlib.h>
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { STREAM_POSE = 0xCA5E, STREAM_STAGE };

typedef struct {
    const char *name;
    double value, min, max;
} range;

static bool check_options(const fnr_sim_options *o, fnr_error *err)
{
    const range ranges[] = {
        {"rows", o->rows, 1, 200},
        {"columns", o->cols, 1, 200},
        {"tile width [px]", o->tile_px, 64, 16384},
        {"tile height [px]", o->tile_h_px ? o->tile_h_px : o->tile_px, 64, 16384},
        {"overlap", o->overlap, 0, 0.5},
        {"EM pixel size [nm]", o->em_nm, 1, 200},
        {"IF pixel size [nm]", o->if_nm, 20, 1000},
        {"montage width [px]", o->montage_w, 64, 16384},
        {"montage height [px]", o->montage_h, 64, 16384},
        {"rotation [degrees]", isnan(o->rotation_deg) ? 0 : o->rotation_deg, -360, 360},
        {"scale", isnan(o->scale) ? 1 : o->scale, 0.5, 2},
        {"deformation [IF px]", o->deformation_px, 0, 5},
        {"stage error [EM px]", o->stage_error_px, 0, 1000},
        {"annotators' difference [IF px]", o->annotator_px, 0, 20},
        {"empty fraction", o->empty_fraction, 0, 1},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const range *r = &ranges[i];
        if (!(r->value >= r->min && r->value <= r->max)) {
            return fnr_fail(err, FNR_E_USAGE, "simulate: %s is %g, but must lie between %g and %g", r->name, r->value, r->min,
                            r->max);
        }
    }
    if (o->em_nm >= o->if_nm) {
        return fnr_fail(err, FNR_E_USAGE, "simulate: EM pixels (%g nm) must be smaller than IF pixels (%g nm)", o->em_nm,
                        o->if_nm);
    }
    return true;
}

/* Rotation and scale as real sections show them, and a place in the montage where the whole section fits. */
static bool draw_pose(fnr_sim_case *c, fnr_transform *similarity, fnr_error *err)
{
    fnr_sim_options *o = &c->options;
    fnr_rng rng = fnr_rng_at(o->seed, STREAM_POSE, 0);
    const double side = fnr_rng_uniform(&rng) < 0.5 ? -90.0 : 90.0, angle = side + 3.0 * fnr_rng_normal(&rng);
    const double scale = 0.95 + 0.05 * fnr_rng_uniform(&rng), at_x = fnr_rng_uniform(&rng), at_y = fnr_rng_uniform(&rng);
    o->rotation_deg = isnan(o->rotation_deg) ? angle : o->rotation_deg;
    o->scale = isnan(o->scale) ? scale : o->scale;
    *similarity =
        fnr_transform_similarity(o->scale * o->em_nm / o->if_nm, o->rotation_deg, 0, 0, FNR_FRAME_SECTION, FNR_FRAME_IF);

    double lo_x = 0, hi_x = 0, lo_y = 0, hi_y = 0;
    for (int corner = 1; corner < 4; corner++) {
        const fnr_point q =
            fnr_transform_apply(similarity, (fnr_point){corner & 1 ? c->section_w : 0, corner & 2 ? c->section_h : 0});
        lo_x = fmin(lo_x, q.x), hi_x = fmax(hi_x, q.x), lo_y = fmin(lo_y, q.y), hi_y = fmax(hi_y, q.y);
    }
    /* Stage errors move tiles out of the nominal section. */
    const double margin = 8.0 + 4.0 * o->deformation_px + 4.0 * o->stage_error_px * o->em_nm / o->if_nm;
    const double room_x = o->montage_w - (hi_x - lo_x) - 2.0 * margin, room_y = o->montage_h - (hi_y - lo_y) - 2.0 * margin;
    if (room_x < 0 || room_y < 0) {
        return fnr_fail(err, FNR_E_USAGE,
                        "simulate: the section covers %.0f x %.0f px of the montage, which is only %d x %d px; make the montage "
                        "larger or the "
                        "grid of tiles smaller",
                        hi_x - lo_x + 2.0 * margin, hi_y - lo_y + 2.0 * margin, o->montage_w, o->montage_h);
    }
    similarity->m02 = margin + room_x * at_x - lo_x;
    similarity->m12 = margin + room_y * at_y - lo_y;
    return true;
}

static bool lay_tiles(fnr_sim_case *c, fnr_error *err)
{
    const fnr_sim_options *o = &c->options;
    c->n_tiles = (size_t)o->rows * (size_t)o->cols;
    c->tiles = fnr_calloc(c->n_tiles, sizeof *c->tiles, "the simulated tiles", err);
    if (!c->tiles) {
        return false;
    }
    for (size_t i = 0; i < c->n_tiles; i++) {
        fnr_sim_tile *t = &c->tiles[i];
        fnr_rng rng = fnr_rng_at(o->seed, STREAM_STAGE, i);
        t->row = 1 + (int)i / o->cols;
        t->col = 1 + (int)i % o->cols;
        snprintf(t->name, sizeof t->name, "Tile_r%d-c%d.tif", t->row, t->col);
        t->stage_x = rint((t->col - 1) * c->tile_w * (1.0 - o->overlap));
        t->stage_y = rint((t->row - 1) * c->tile_h * (1.0 - o->overlap));
        t->origin.x = t->stage_x + o->stage_error_px * fnr_rng_normal(&rng);
        t->origin.y = t->stage_y + o->stage_error_px * fnr_rng_normal(&rng);
        if (!fnr_sim_map_tile(&c->map, t->origin, c->tile_w, c->tile_h, &t->truth, &t->residual_px, err)) {
            return false;
        }
    }
    return true;
}

/* The part of the section plane [nm] that the montage shows. */
static fnr_sim_rect montage_world(const fnr_sim_case *c)
{
    fnr_sim_rect r = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    const double nm = c->options.em_nm, rim = 4000.0;
    for (int corner = 0; corner < 4; corner++) {
        const fnr_point q = {corner & 1 ? c->options.montage_w : 0, corner & 2 ? c->options.montage_h : 0};
        const fnr_point p = fnr_sim_map_invert(&c->map, q);
        r.x0 = fmin(r.x0, p.x * nm - rim), r.x1 = fmax(r.x1, p.x * nm + rim);
        r.y0 = fmin(r.y0, p.y * nm - rim), r.y1 = fmax(r.y1, p.y * nm + rim);
    }
    return r;
}

bool fnr_sim_case_init(fnr_sim_case *out, const fnr_sim_options *options, const fnr_cancel *cancel, fnr_error *err)
{
    fnr_sim_case c = {.options = *options};
    fnr_transform similarity;
    if (!check_options(options, err)) {
        return false;
    }
    c.tile_w = options->tile_px;
    c.tile_h = options->tile_h_px ? options->tile_h_px : options->tile_px;
    c.section_w = c.tile_w * (1.0 + (options->cols - 1) * (1.0 - options->overlap));
    c.section_h = c.tile_h * (1.0 + (options->rows - 1) * (1.0 - options->overlap));
    if (!draw_pose(&c, &similarity, err) ||
        !fnr_sim_map_init(&c.map, options->seed, &similarity, c.section_w, c.section_h, options->deformation_px, err) ||
        !lay_tiles(&c, err)) {
        goto fail;
    }
    const double nm = options->em_nm;
    const fnr_sim_plan plan = {.world = montage_world(&c),
                               .section = {0, 0, c.section_w * nm, c.section_h * nm},
                               .empty_fraction = options->empty_fraction};
    if (!fnr_sim_scene_build(&c.scene, options->seed, &plan, cancel, err)) {
        goto fail;
    }
    *out = c;
    return true;
fail:
    fnr_sim_case_free(&c);
    return false;
}

void fnr_sim_case_free(fnr_sim_case *c)
{
    fnr_sim_scene_free(&c->scene);
    free(c->tiles);
    *c = (fnr_sim_case){0};
}
