/* Which EM tile lies over which MBP image: the part of pairs.h that reads projects. */
#include "src/pipeline/pairs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/mem.h"
#include "src/geom/trakem2.h"

/* Two placements of one tile further apart than this are no opinion about the same place [IF px]. */
static const double same_place_px = 5.0;

void fnr_placements_free(fnr_placements *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].em_path);
        free(p->items[i].mbp_path);
    }
    free(p->items);
    *p = (fnr_placements){0};
}

static bool contains_ignoring_case(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; text && *text; text++) {
        if (!strncasecmp(text, part, n)) {
            return true;
        }
    }
    return false;
}

bool fnr_patch_is_mbp(const fnr_t2_patch *p, const char *match)
{
    return contains_ignoring_case(p->title, match) || contains_ignoring_case(fnr_path_base(p->file_path), match);
}

bool fnr_patch_lies_over(const fnr_t2_patch *em, const fnr_t2_patch *mbp, fnr_transform *tile_to_if)
{
    fnr_transform from_world;
    if (em->layer != mbp->layer || !fnr_transform_invert(&mbp->to_world, &from_world, NULL) ||
        !fnr_transform_compose(&from_world, &em->to_world, tile_to_if, NULL)) {
        return false;
    }
    tile_to_if->from = FNR_FRAME_TILE;
    tile_to_if->to = FNR_FRAME_IF;
    const fnr_point c = fnr_transform_apply(tile_to_if, (fnr_point){(em->o_width - 1) / 2.0, (em->o_height - 1) / 2.0});
    return c.x >= 0 && c.y >= 0 && c.x <= mbp->o_width - 1 && c.y <= mbp->o_height - 1;
}

/* NULL when the patch can be used, else why not. */
static const char *why_unusable(const fnr_t2_patch *em, const fnr_t2_patch *mbp, const fnr_transform *tile_to_if)
{
    if (!mbp) {
        return "no MBP patch lies under it";
    }
    if (em->has_nonlinear || mbp->has_nonlinear) {
        return "it carries a non-linear coordinate transform";
    }
    if (fnr_transform_is_mirrored(tile_to_if)) {
        return "it is mirrored against the MBP patch";
    }
    if (fnr_transform_shear(tile_to_if) > 0.1) {
        return "it is strongly sheared";
    }
    return NULL;
}

static fnr_placement *find_same(fnr_placements *all, const char *em, const char *mbp, int page)
{
    for (size_t i = 0; i < all->count; i++) {
        fnr_placement *p = &all->items[i];
        if (!strcmp(p->em_path, em) && !strcmp(p->mbp_path, mbp) && p->mbp_page == page) {
            return p;
        }
    }
    return NULL;
}

/* Running mean of the matrices: near each other, similarities average to a similarity to second order. */
static void average_in(fnr_placement *p, const fnr_transform *t)
{
    fnr_transform *m = &p->tile_to_if;
    const double w = 1.0 / (p->annotators + 1);
    m->m00 += (t->m00 - m->m00) * w;
    m->m10 += (t->m10 - m->m10) * w;
    m->m01 += (t->m01 - m->m01) * w;
    m->m11 += (t->m11 - m->m11) * w;
    m->m02 += (t->m02 - m->m02) * w;
    m->m12 += (t->m12 - m->m12) * w;
    p->annotators++;
}

static bool add(fnr_placements *all, const fnr_t2_patch *em, const fnr_t2_patch *mbp, const fnr_transform *t, fnr_error *err)
{
    if (!fnr_grow(&all->items, &all->capacity, all->count, sizeof *all->items, "list of placements", err)) {
        return false;
    }
    fnr_placement *p = &all->items[all->count];
    *p = (fnr_placement){.mbp_page = mbp->slice > 0 ? mbp->slice - 1 : 0, .tile_to_if = *t, .em_width = em->o_width,
                         .em_height = em->o_height, .annotators = 1};
    p->em_path = fnr_strdup(em->file_path, err);
    p->mbp_path = fnr_strdup(mbp->file_path, err);
    all->count++; /* freed as part of the list from here on */
    return p->em_path && p->mbp_path;
}

/* A file that was resized since it was placed lies in the wrong place, and nobody can tell from the project alone. */
static void compare_size(const fnr_t2_project *project, const fnr_t2_patch *p, fnr_log *log)
{
    fnr_tiff_info file;
    if (p->o_width > 0 && fnr_tiff_probe(p->file_path, &file, NULL) && (file.w != p->o_width || file.h != p->o_height)) {
        fnr_log_warn(log, "%s: patch \"%s\" was placed as %d x %d px, but %s has %d x %d px: the file's pixels are used where the project puts them; "
                     "if the file was resized since, place it again", project->path, p->title, p->o_width, p->o_height, p->file_path, file.w, file.h);
    }
}

static bool take_patch(fnr_placements *all, const fnr_t2_project *project, const fnr_t2_patch *em, const fnr_config *config, fnr_log *log,
                       fnr_error *err)
{
    const fnr_t2_patch *under = NULL;
    fnr_transform t = fnr_transform_identity(FNR_FRAME_ANY);
    for (size_t i = 0; i < project->n_patches && !under; i++) {
        const fnr_t2_patch *mbp = &project->patches[i];
        if (fnr_patch_is_mbp(mbp, config->images.mbp_match) && fnr_patch_lies_over(em, mbp, &t)) {
            under = mbp;
        }
    }
    const char *why = why_unusable(em, under, &t);
    if (why) {
        fnr_log_warn(log, "%s: patch \"%s\" is left out: %s", project->path, em->title, why);
        return true;
    }
    fnr_placement *same = find_same(all, em->file_path, under->file_path, under->slice > 0 ? under->slice - 1 : 0);
    if (same && config->data.annotators == FNR_ANNOTATORS_MEAN) {
        const double apart = fnr_transform_mean_distance(&same->tile_to_if, &t, em->o_width, em->o_height);
        if (apart <= same_place_px) {
            average_in(same, &t);
            return true;
        }
        fnr_log_warn(log, "%s: patch \"%s\" lies %.1f IF px from where another project has it; both are kept", project->path, em->title, apart);
    }
    return add(all, em, under, &t, err);
}

bool fnr_placements_read(const char *const *projects, size_t n, const fnr_config *config, fnr_log *log, fnr_placements *out, fnr_error *err)
{
    fnr_placements all = {0};
    bool ok = true;
    for (size_t k = 0; k < n && ok; k++) {
        fnr_t2_project project;
        if (!fnr_t2_read(projects[k], &project, err)) {
            ok = false;
            break;
        }
        const size_t before = all.count;
        size_t em_patches = 0;
        for (size_t i = 0; i < project.n_patches && ok; i++) {
            const fnr_t2_patch *p = &project.patches[i];
            if (log && p->visible) {
                compare_size(&project, p, log);
            }
            if (p->visible && !fnr_patch_is_mbp(p, config->images.mbp_match)) {
                em_patches++;
                ok = take_patch(&all, &project, p, config, log, err);
            }
        }
        fnr_log_info(log, "%s: %zu EM patches, %zu new placements", projects[k], em_patches, all.count - before);
        fnr_t2_free(&project);
    }
    if (ok && all.count == 0) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: no EM patch lies over a patch whose title or file holds \"%s\" (setting images.mbp_match)",
                      projects[0], config->images.mbp_match);
    }
    if (!ok) {
        fnr_placements_free(&all);
        return false;
    }
    *out = all;
    return true;
}
