#include "src/sim/simulate.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include "src/image/tiff.h"
#include "src/sim/case.h"
#include "src/sim/detector.h"
#include "src/sim/em.h"
#include "src/sim/montage.h"

void fnr_sim_defaults(fnr_sim_options *o)
{
    *o = (fnr_sim_options){.seed = 1,
                           .rows = 3,
                           .cols = 4,
                           .tile_px = 1000,
                           .overlap = 0.1,
                           .em_nm = 11.9,
                           .if_nm = 100.0,
                           .montage_w = 1100,
                           .montage_h = 900,
                           .rotation_deg = NAN,
                           .scale = NAN,
                           .deformation_px = 0.35,
                           .stage_error_px = 15.0,
                           .annotator_px = 0.32,
                           .empty_fraction = 0.15};
}

/* A folder that exists with something in it belongs to somebody. */
static bool claim_folder(const char *dir, fnr_error *err)
{
    DIR *d = opendir(dir);
    if (!d) {
        return errno == ENOENT ? fnr_mkdirs(dir, err) : fnr_fail_errno(err, errno, "simulate: cannot use %s as a folder", dir);
    }
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d));) {
        empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
    }
    closedir(d);
    return empty || fnr_fail(err, FNR_E_USAGE, "simulate: the folder %s is not empty; give a new one", dir);
}

static double mean_of(const fnr_view *v)
{
    double sum = 0;
    for (int j = 0; j < v->h; j++) {
        const float *row = fnr_at(v, 0, j, 0, 0);
        for (int i = 0; i < v->w; i++) {
            sum += (double)row[i];
        }
    }
    return sum / ((double)v->w * v->h);
}

/* Draws one tile where it truly lies, measures its myelin, writes it. `grey` and `out` are scratch of the tile's extents. */
static bool make_tile(fnr_sim_case *c, size_t index, const char *em_dir, fnr_image *grey, fnr_image *out, fnr_error *err)
{
    fnr_sim_tile *t = &c->tiles[index];
    const double nm = c->options.em_nm;
    const fnr_sim_window window = {.x0 = t->origin.x * nm, .y0 = t->origin.y * nm, .nm = nm};
    char path[FNR_PATH_MAX];
    fnr_sim_draw_myelin(&c->scene, &window, &grey->v);
    t->myelin_fraction = mean_of(&grey->v);
    fnr_sim_draw_em(&c->scene, &window, &grey->v);
    return fnr_sim_detect(c->options.seed, index, &grey->v, &out->v, err) && fnr_path_join(path, em_dir, t->name, err) &&
           fnr_tiff_write(path, &out->v, &(fnr_tiff_write_options){.compress = true}, err);
}

static bool make_tiles(fnr_sim_case *c, const char *dir, const fnr_cancel *cancel, fnr_error *err)
{
    bool ok = false;
    fnr_image grey = {0}, out = {0};
    char em_dir[FNR_PATH_MAX];
    if (!fnr_path_join(em_dir, dir, "em", err) || !fnr_mkdirs(em_dir, err) ||
        !fnr_image_new(&grey, c->tile_w, c->tile_h, 1, 1, FNR_F32, err) ||
        !fnr_image_new(&out, c->tile_w, c->tile_h, 1, 1, FNR_U8, err)) {
        goto done;
    }
    out.v.nm = c->options.em_nm;
    for (size_t i = 0; i < c->n_tiles; i++) {
        if (fnr_cancelled(cancel)) {
            fnr_fail(err, FNR_E_CANCELLED, "simulation stopped on request");
            goto done;
        }
        if (!make_tile(c, i, em_dir, &grey, &out, err)) {
            goto done;
        }
    }
    ok = true;
done:
    fnr_image_free(&grey);
    fnr_image_free(&out);
    return ok;
}

static bool make_montage(const fnr_sim_case *c, const char *dir, fnr_error *err)
{
    const fnr_sim_options *o = &c->options;
    const fnr_sim_optics optics = {.seed = o->seed, .em_nm = o->em_nm, .if_nm = o->if_nm, .widefield = o->widefield};
    fnr_image mbp = {0};
    char path[FNR_PATH_MAX];
    if (!fnr_image_new(&mbp, o->montage_w, o->montage_h, 1, 1, FNR_U16, err)) {
        return false;
    }
    mbp.v.nm = o->if_nm;
    const bool ok = fnr_sim_draw_montage(&c->scene, &c->map, &optics, &mbp.v, err) && fnr_path_join(path, dir, "mbp.tif", err) &&
                    fnr_tiff_write(path, &mbp.v, &(fnr_tiff_write_options){.compress = true}, err);
    fnr_image_free(&mbp);
    return ok;
}

bool fnr_simulate(const char *dir, const fnr_sim_options *o, const fnr_cancel *cancel, fnr_error *err)
{
    fnr_sim_case c;
    if (!fnr_sim_case_init(&c, o, cancel, err)) {
        return false;
    }
    const bool ok = claim_folder(dir, err) && make_tiles(&c, dir, cancel, err) && make_montage(&c, dir, err) &&
                    fnr_sim_write_manual(&c, dir, 'a', err) && fnr_sim_write_manual(&c, dir, 'b', err) &&
                    fnr_sim_write_truth(&c, dir, err) && fnr_sim_write_case(&c, dir, err);
    fnr_sim_case_free(&c);
    return ok;
}
