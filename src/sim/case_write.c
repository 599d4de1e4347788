#include "src/sim/case.h"

#include <math.h>
#include <stdlib.h>
#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/geom/trakem2.h"

enum { STREAM_ANNOTATOR = 0xA770, LANDMARKS = 8 };

/* Tiles with less myelin than this cannot be registered by hand either. */
static const double least_myelin = 0.01;

static bool write_into(const char *dir, const char *name, fnr_atomic *a, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    return fnr_path_join(path, dir, name, err) && fnr_atomic_open(a, path, err);
}

bool fnr_sim_write_truth(const fnr_sim_case *c, const char *dir, fnr_error *err)
{
    fnr_atomic a;
    if (!write_into(dir, "truth.csv", &a, err)) {
        return false;
    }
    fputs("tile,row,col,stage_x,stage_y,true_x,true_y,transform,residual_px,myelin_fraction\n", a.file);
    for (size_t i = 0; i < c->n_tiles; i++) {
        const fnr_sim_tile *t = &c->tiles[i];
        const fnr_transform *m = &t->truth;
        fprintf(a.file, "%s,%d,%d,%.0f,%.0f,%.4f,%.4f,%.12f %.12f %.12f %.12f %.10f %.10f,%.4f,%.5f\n", t->name, t->row, t->col,
                t->stage_x, t->stage_y, t->origin.x, t->origin.y, m->m00, m->m10, m->m01, m->m11, m->m02, m->m12, t->residual_px,
                t->myelin_fraction);
    }
    return fnr_atomic_commit(&a, err);
}

bool fnr_sim_write_case(const fnr_sim_case *c, const char *dir, fnr_error *err)
{
    fnr_atomic a;
    if (!write_into(dir, "case.json", &a, err)) {
        return false;
    }
    const fnr_transform *m = &c->map.similarity;
    const fnr_sim_options *o = &c->options;
    fprintf(a.file,
            "{\n \"seed\": %llu,\n \"mode\": \"%s\",\n \"nm_em\": %.17g,\n \"nm_if\": %.17g,\n \"section_transform\": [\n"
            "  %.17g,\n  %.17g,\n  %.17g,\n  %.17g,\n  %.17g,\n  %.17g\n ],\n",
            (unsigned long long)o->seed, o->widefield ? "widefield" : "deconvolved", o->em_nm, o->if_nm, m->m00, m->m10, m->m01,
            m->m11, m->m02, m->m12);
    fprintf(a.file, " \"scale\": %.17g,\n \"angle_deg\": %.17g,\n \"tiles\": [\n  %d,\n  %d\n ]\n}\n", fnr_transform_scale(m),
            fnr_transform_rotation_deg(m), o->rows, o->cols);
    return fnr_atomic_commit(&a, err);
}

bool fnr_sim_annotate(const fnr_sim_case *c, const fnr_sim_tile *tile, char annotator, fnr_transform *out, fnr_error *err)
{
    /* A person clicks a few landmarks in both images and takes the similarity that fits them.  With n landmarks and a click
     * noise of s per axis, the fit is off by s sqrt(2/n) per axis on average over the landmarks (4 parameters for 2n numbers);
     * two annotators differ by sqrt(2) times that, and the mean length of a 2D normal vector is sqrt(pi/2) sd. */
    const double click = c->options.annotator_px / (sqrt(3.14159265358979 / 2.0) * sqrt(2.0) * sqrt(2.0 / LANDMARKS));
    fnr_rng rng = fnr_rng_at(c->options.seed, STREAM_ANNOTATOR + (uint64_t)annotator, (uint64_t)(tile - c->tiles));
    fnr_point from[LANDMARKS], to[LANDMARKS];
    for (int i = 0; i < LANDMARKS; i++) { /* one in each part of the tile: 4 x 2 */
        from[i].x = (c->tile_w - 1) * (i % 4 + fnr_rng_uniform(&rng)) / 4.0;
        from[i].y = (c->tile_h - 1) * (i / 4 + fnr_rng_uniform(&rng)) / 2.0;
        to[i] = fnr_transform_apply(&tile->truth, from[i]);
        to[i].x += click * fnr_rng_normal(&rng);
        to[i].y += click * fnr_rng_normal(&rng);
    }
    if (!fnr_transform_fit(FNR_MODEL_SIMILARITY, from, to, NULL, LANDMARKS, out, err)) {
        return false;
    }
    out->from = FNR_FRAME_ANY;
    out->to = FNR_FRAME_WORLD; /* the montage lies in the world by the identity */
    return true;
}

/* Titles and paths point into the case and into `paths`. */
static bool fill_project(const fnr_sim_case *c, const char *dir, char annotator, fnr_t2_project *p, char (*paths)[FNR_PATH_MAX],
                         fnr_error *err)
{
    static char mbp_title[] = "mbp.tif";
    fnr_t2_patch *mbp = &p->patches[p->n_patches];
    *mbp = (fnr_t2_patch){.title = mbp_title,
                          .file_path = paths[p->n_patches++],
                          .o_width = c->options.montage_w,
                          .o_height = c->options.montage_h,
                          .type = 1,
                          .max = 20000,
                          .visible = true,
                          .to_world = fnr_transform_identity(FNR_FRAME_WORLD)};
    mbp->to_world.from = FNR_FRAME_ANY;
    if (!fnr_path_join(mbp->file_path, dir, mbp_title, err)) {
        return false;
    }
    for (size_t i = 0; i < c->n_tiles; i++) {
        fnr_sim_tile *t = &c->tiles[i];
        if (t->myelin_fraction < least_myelin) {
            continue;
        }
        char name[64];
        snprintf(name, sizeof name, "em/%s", t->name);
        fnr_t2_patch *em = &p->patches[p->n_patches];
        *em = (fnr_t2_patch){.title = t->name,
                             .file_path = paths[p->n_patches++],
                             .o_width = c->tile_w,
                             .o_height = c->tile_h,
                             .max = 255,
                             .visible = true};
        if (!fnr_path_join(em->file_path, dir, name, err) || !fnr_sim_annotate(c, t, annotator, &em->to_world, err)) {
            return false;
        }
    }
    return true;
}

bool fnr_sim_write_manual(const fnr_sim_case *c, const char *dir, char annotator, fnr_error *err)
{
    bool ok = false;
    char path[FNR_PATH_MAX], name[32], section[] = "section 0";
    fnr_t2_layer layer = {.z = 0, .thickness = 70.0 / c->options.if_nm, .title = section};
    fnr_t2_project p = {.pixel_nm = c->options.if_nm, .layers = &layer, .n_layers = 1};
    fnr_t2_style *styles = fnr_calloc(c->n_tiles + 1, sizeof *styles, "TrakEM2 styles", err);
    char(*paths)[FNR_PATH_MAX] = fnr_calloc(c->n_tiles + 1, sizeof *paths, "TrakEM2 paths", err);
    p.patches = fnr_calloc(c->n_tiles + 1, sizeof *p.patches, "TrakEM2 patches", err);
    if (!styles || !paths || !p.patches || !fill_project(c, dir, annotator, &p, paths, err)) {
        goto done;
    }
    for (size_t i = 0; i < p.n_patches; i++) {
        styles[i] = (fnr_t2_style){.opacity = i ? 0.5 : 1.0, .stroke_rgb = 0xffff00};
    }
    snprintf(name, sizeof name, "manual_%c.xml", annotator);
    ok = fnr_path_join(path, dir, name, err) && fnr_t2_write(path, "manual", &p, styles, err);
done:
    free(p.patches);
    free(paths);
    free(styles);
    return ok;
}
