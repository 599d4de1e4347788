/* Patches of a TrakEM2 project: moved, never placed, over nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/geom/trakem2.h"
#include "src/image/tiff.h"
#include "src/pipeline/audit_parts.h"
#include "src/pipeline/pairs.h"

/* Channels of one stage position lie on each other to rounding, or one of them was dragged [px of the image]. */
static const double moved_px = 0.01;
/* Channels of one image have its pixel size; other images do not. */
static const double same_scale = 0.05;
/* Less of a tile over the montage than this leaves little to compare. */
static const double least_overlap = 0.5;
/* A scale this near 1 : 1 while the others have another is the one that TrakEM2 gives a new patch. */
static const double untouched = 1e-9;

typedef struct {
    const fnr_t2_project *project;
    const char *match;
    fnr_audit *audit;
    fnr_error *err;
    double usual_scale; /* of the EM patches in the world, median; NaN without */
    size_t files_absent;
} looking;

static bool say(const looking *l, fnr_audit_grade grade, const char *kind, const fnr_t2_patch *p, const char *what,
                const char *advice)
{
    const fnr_audit_about about = {grade, kind, p ? p->title : NULL, l->project->path, NAN, NULL, advice};
    return fnr_audit_add(l->audit, &about, l->err, "%s", what);
}

/* ---- the images that should stay where they are ---------------------------------------------------------------------------- */

static bool is_channel_of(const fnr_t2_patch *p, const fnr_t2_patch *mbp)
{
    return p != mbp && p->layer == mbp->layer && p->o_width == mbp->o_width && p->o_height == mbp->o_height &&
           fabs(fnr_transform_scale(&p->to_world) / fnr_transform_scale(&mbp->to_world) - 1) < same_scale;
}

/* Another channel of the same image lies elsewhere: one of the two was dragged, and what was placed by it is off by as much. */
static bool check_channels(const looking *l, const fnr_t2_patch *mbp)
{
    for (size_t i = 0; i < l->project->n_patches; i++) {
        const fnr_t2_patch *p = &l->project->patches[i];
        fnr_transform from_world, apart;
        if (!is_channel_of(p, mbp) || (fnr_patch_is_mbp(p, l->match) && p < mbp) ||
            !fnr_transform_invert(&mbp->to_world, &from_world, NULL) ||
            !fnr_transform_compose(&from_world, &p->to_world, &apart, NULL)) {
            continue;
        }
        const fnr_transform none = fnr_transform_identity(FNR_FRAME_ANY);
        const double px = fnr_transform_mean_distance(&apart, &none, mbp->o_width, mbp->o_height);
        if (px > moved_px) {
            const fnr_audit_about about = {
                FNR_AUDIT_ERROR,
                "moved image",
                mbp->title,
                l->project->path,
                px,
                "IF px",
                "Put both back on each other (Undo, or copy the transform), then check the tiles that lie over them."};
            if (!fnr_audit_add(l->audit, &about, l->err,
                               "it and the image \"%s\" of the same size in its layer lie %.2f px apart: one of them was moved",
                               p->title, px)) {
                return false;
            }
        }
    }
    return true;
}

static bool same_place(const fnr_t2_patch *a, const fnr_t2_patch *b)
{
    return fnr_transform_mean_distance(&a->to_world, &b->to_world, a->o_width, a->o_height) <=
           moved_px * fnr_transform_scale(&b->to_world);
}

/* With so few images there is no usual place to compare with: a turned or dragged one is only mentioned. */
enum { FEW = 3 };

static bool check_lone_montage(const looking *l, const fnr_t2_patch *mbp)
{
    const fnr_transform *t = &mbp->to_world;
    const double turned = fnr_transform_rotation_deg(t), away = hypot(t->m02, t->m12) / fnr_transform_scale(t);
    if (fabs(turned) < untouched && away <= moved_px) {
        return true;
    }
    const fnr_audit_about about = {FNR_AUDIT_NOTE,
                                   "moved image",
                                   mbp->title,
                                   l->project->path,
                                   away,
                                   "IF px",
                                   "Fine when it was done before the tiles were placed; otherwise they are all off by as much."};
    return fnr_audit_add(l->audit, &about, l->err, "the MBP image lies %.2f px from the origin and is turned by %.2f degrees",
                         away, turned);
}

/* An MBP patch that lies elsewhere than those of the other layers, when these all lie at one place. */
static bool check_montage(const looking *l, const fnr_t2_patch *mbp)
{
    const fnr_t2_patch *usual = NULL;
    size_t all = 0, most = 0;
    for (size_t i = 0; i < l->project->n_patches; i++) {
        const fnr_t2_patch *p = &l->project->patches[i];
        size_t n = 0;
        if (!fnr_patch_is_mbp(p, l->match)) {
            continue;
        }
        all++;
        for (size_t k = 0; k < l->project->n_patches; k++) {
            const fnr_t2_patch *q = &l->project->patches[k];
            n += fnr_patch_is_mbp(q, l->match) && same_place(p, q);
        }
        if (n > most) {
            most = n;
            usual = p;
        }
    }
    if (all < FEW) {
        return check_lone_montage(l, mbp);
    }
    if (4 * most < 3 * all || same_place(mbp, usual)) {
        return true;
    }
    const double px = fnr_transform_mean_distance(&mbp->to_world, &usual->to_world, mbp->o_width, mbp->o_height) /
                      fnr_transform_scale(&usual->to_world);
    const fnr_audit_about about = {
        FNR_AUDIT_WARNING,
        "moved image",
        mbp->title,
        l->project->path,
        px,
        "IF px",
        "If it was moved after its tiles were placed, they are all off by as much: put it back, or place them again."};
    return fnr_audit_add(l->audit, &about, l->err, "it lies %.2f px from where the MBP images of the other %zu layers lie", px,
                         most);
}

/* ---- EM tiles -------------------------------------------------------------------------------------------------------------- */

/* The montage under the tile, or the first one of its layer; *over tells which. */
static const fnr_t2_patch *montage_of(const looking *l, const fnr_t2_patch *em, fnr_transform *tile_to_if, bool *over)
{
    const fnr_t2_patch *any = NULL;
    fnr_transform t;
    *over = false;
    for (size_t i = 0; i < l->project->n_patches; i++) {
        const fnr_t2_patch *p = &l->project->patches[i];
        if (p->layer != em->layer || !fnr_patch_is_mbp(p, l->match)) {
            continue;
        }
        const bool under = fnr_patch_lies_over(em, p, &t);
        if (under || !any) {
            any = p;
            *tile_to_if = t;
            *over = under;
        }
        if (under) {
            break;
        }
    }
    return any;
}

static double overlap(const fnr_t2_patch *em, const fnr_t2_patch *mbp, const fnr_transform *t)
{
    enum { STEPS = 32 };
    int inside = 0;
    for (int i = 0; i < STEPS * STEPS; i++) {
        const fnr_point p = {(i % STEPS + 0.5) / STEPS * em->o_width - 0.5, (i / STEPS + 0.5) / STEPS * em->o_height - 0.5};
        const fnr_point q = fnr_transform_apply(t, p);
        inside += q.x >= -0.5 && q.y >= -0.5 && q.x <= mbp->o_width - 0.5 && q.y <= mbp->o_height - 0.5;
    }
    return inside / (double)(STEPS * STEPS);
}

static bool unit_scale(const fnr_transform *t)
{
    return fabs(t->m00 - 1) < untouched && fabs(t->m11 - 1) < untouched && fabs(t->m01) < untouched && fabs(t->m10) < untouched;
}

/* *placed: somebody has put it over the montage; what was not says nothing about the others. */
static bool check_place(const looking *l, const fnr_t2_patch *em, const fnr_t2_patch *mbp, const fnr_transform *t, bool over,
                        bool *placed)
{
    *placed = false;
    if (unit_scale(t) || (unit_scale(&em->to_world) && fabs(l->usual_scale - 1) > same_scale)) {
        return say(l, FNR_AUDIT_ERROR, "never placed", em, "it still has the scale and rotation that TrakEM2 gives a new patch",
                   "Place it, or delete it from the project.");
    }
    if (!over) {
        return say(l, FNR_AUDIT_ERROR, "over nothing", em, "its centre lies on no MBP image of its layer",
                   "Place it, or delete it from the project.");
    }
    *placed = true;
    const double part = overlap(em, mbp, t);
    const fnr_audit_about about = {
        FNR_AUDIT_WARNING, "off the image", em->title, l->project->path, 100 * part, "%", "Check it: little is left to compare."};
    return part >= least_overlap ||
           fnr_audit_add(l->audit, &about, l->err, "only %.0f %% of it lie on the MBP image", 100 * part);
}

/* What the project says about the file against the file itself, when that is there. */
static bool check_file(looking *l, const fnr_t2_patch *p)
{
    fnr_tiff_info info;
    if (!p->file_path[0] || !fnr_is_file(p->file_path)) {
        l->files_absent++;
        return true;
    }
    if (!fnr_tiff_probe(p->file_path, &info, NULL) || (info.w == p->o_width && info.h == p->o_height)) {
        return true;
    }
    const fnr_audit_about about = {FNR_AUDIT_ERROR,
                                   "other size",
                                   p->title,
                                   l->project->path,
                                   NAN,
                                   NULL,
                                   "The file was replaced after it was placed: reload it in TrakEM2 and place it again."};
    return fnr_audit_add(l->audit, &about, l->err, "the project says %d x %d px, its file has %d x %d", p->o_width, p->o_height,
                         info.w, info.h);
}

static bool check_em(looking *l, const fnr_t2_patch *em, fnr_eval_set *set)
{
    fnr_transform t = fnr_transform_identity(FNR_FRAME_ANY);
    bool over = false, placed;
    if (!em->visible) {
        return say(l, FNR_AUDIT_NOTE, "hidden", em, "it is hidden, and therefore left out everywhere",
                   "Show it if it should count.");
    }
    const fnr_t2_patch *mbp = montage_of(l, em, &t, &over);
    if (!mbp) {
        return say(l, FNR_AUDIT_ERROR, "over nothing", em, "there is no MBP image in its layer",
                   "Add the image, or tell what marks it (evaluate --mbp-match, setting images.mbp_match)");
    }
    if (em->has_nonlinear &&
        !say(l, FNR_AUDIT_WARNING, "bent", em, "it carries a non-linear transform, which is ignored here and by training",
             "Remove the transform and place the tile by rotation and scale.")) {
        return false;
    }
    if (!check_place(l, em, mbp, &t, over, &placed)) {
        return false;
    }
    fnr_eval_row *row = &set->rows[set->count++];
    *row = (fnr_eval_row){.has_transform = placed, .t = t, .w = em->o_width, .h = em->o_height, .myelin_fraction = NAN};
    row->tile = fnr_strdup(em->file_path[0] ? fnr_path_base(em->file_path) : em->title, l->err);
    row->path = fnr_strdup(em->file_path[0] ? em->file_path : em->title, l->err);
    row->mbp = fnr_strdup(mbp->file_path, l->err);
    return row->tile && row->path && row->mbp;
}

static double median_scale(const fnr_t2_project *p, const char *match)
{
    double *scales = calloc(p->n_patches + 1, sizeof *scales);
    size_t n = 0;
    for (size_t i = 0; scales && i < p->n_patches; i++) {
        if (!fnr_patch_is_mbp(&p->patches[i], match)) {
            scales[n++] = fnr_transform_scale(&p->patches[i].to_world);
        }
    }
    const double m = fnr_audit_median(scales, n);
    free(scales);
    return m;
}

static bool is_channel(const looking *l, const fnr_t2_patch *p)
{
    for (size_t i = 0; i < l->project->n_patches; i++) {
        const fnr_t2_patch *mbp = &l->project->patches[i];
        if (fnr_patch_is_mbp(mbp, l->match) && is_channel_of(p, mbp)) {
            return true;
        }
    }
    return false;
}

static bool look(looking *l, fnr_eval_set *set)
{
    for (size_t i = 0; i < l->project->n_patches; i++) {
        const fnr_t2_patch *p = &l->project->patches[i];
        const bool mbp = fnr_patch_is_mbp(p, l->match);
        if (!check_file(l, p) || (mbp && (!check_channels(l, p) || !check_montage(l, p))) ||
            (!mbp && !is_channel(l, p) && !check_em(l, p, set))) {
            return false;
        }
    }
    if (l->files_absent == 0) {
        return true;
    }
    const fnr_audit_about about = {FNR_AUDIT_NOTE,
                                   "files absent",
                                   NULL,
                                   l->project->path,
                                   (double)l->files_absent,
                                   "files",
                                   "Nothing to do, unless their sizes should be checked too."};
    return fnr_audit_add(l->audit, &about, l->err, "%zu of %zu image files are not where the project says", l->files_absent,
                         l->project->n_patches);
}

bool fnr_audit_project(const char *path, const char *mbp_match, fnr_audit *audit, fnr_eval_set *set, fnr_error *err)
{
    fnr_t2_project project;
    fnr_eval_set own = {0};
    if (!fnr_t2_read(path, &project, err)) {
        return false;
    }
    looking l = {
        .project = &project, .match = mbp_match, .audit = audit, .err = err, .usual_scale = median_scale(&project, mbp_match)};
    own.rows = fnr_calloc(project.n_patches + 1, sizeof *own.rows, "placements", err);
    const bool ok = own.rows && look(&l, &own) && fnr_audit_placements(&own, path, 0, audit, err);
    fnr_t2_free(&project);
    if (ok && set) {
        *set = own;
    } else {
        fnr_eval_free(&own);
    }
    return ok;
}
