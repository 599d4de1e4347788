/* Placements of one file, each by itself and against the others over the same montage. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/audit_parts.h"

/* A similarity is what a person makes; the 180 placements of the paper's two annotators stay below 0.01. */
static const double sheared = 0.02, strongly_sheared = 0.1;
/* Tiles of one section share rotation and scale. */
static const double odd_rotation_deg = 2.0, odd_scale = 0.02;
/* Two placements closer than this are the same one, listed twice [IF px]. */
static const double same_px = 0.01;
/* A folder whose tiles lie mostly over one montage; fewer tiles say nothing. */
static const double folder_majority = 0.75;
enum { FOLDER_LEAST = 4, GROUP_LEAST = 3 };

static bool usable(const fnr_eval_row *r)
{
    return r->has_transform && fnr_transform_scale(&r->t) > 0 && !fnr_transform_is_mirrored(&r->t);
}

/* How far the tile is from the nearest similarity about its centre, on average [IF px]. */
static double shear_px(const fnr_eval_row *r, int tile_px)
{
    const double a = (r->t.m00 + r->t.m11) / 2, b = (r->t.m10 - r->t.m01) / 2;
    const int w = fnr_audit_width(r, tile_px), h = fnr_audit_height(r, tile_px);
    const fnr_point c = fnr_audit_centre(r, tile_px), p = {(w - 1) / 2.0, (h - 1) / 2.0};
    const fnr_transform s = {a, b, -b, a, c.x - a * p.x + b * p.y, c.y - b * p.x - a * p.y, r->t.from, r->t.to};
    return fnr_transform_mean_distance(&r->t, &s, w, h);
}

static bool check_shape(const fnr_eval_row *r, const char *file, int tile_px, fnr_audit *a, fnr_error *err)
{
    fnr_audit_about about = {FNR_AUDIT_ERROR, NULL, r->tile, file, NAN, NULL, NULL};
    if (!(fnr_transform_scale(&r->t) > 0)) {
        about.kind = "flattened";
        about.advice = "Reset the patch's transform and place it again.";
        return fnr_audit_add(a, &about, err, "its transform squeezes the tile to a line or a point");
    }
    if (fnr_transform_is_mirrored(&r->t)) {
        about.kind = "mirrored";
        about.advice = "Flip it back; if all tiles are mirrored, flip the image files instead, so that tiles and montage show "
                       "the section from one side.";
        return fnr_audit_add(a, &about, err, "it is mirrored against the MBP image");
    }
    const double shear = fnr_transform_shear(&r->t);
    if (shear <= sheared) {
        return true;
    }
    about.grade = shear > strongly_sheared ? FNR_AUDIT_ERROR : FNR_AUDIT_WARNING;
    about.kind = "sheared";
    about.amount = shear_px(r, tile_px);
    about.unit = "IF px";
    about.advice = "Place it again with rotation and one scale only (hold Shift while scaling).";
    return fnr_audit_add(
        a, &about, err,
        "it is sheared or scaled differently along x and y by %.1f %%: %.1f IF px from the nearest similarity, on average",
        100 * shear, about.amount);
}

static bool agree(const fnr_eval_row *a, const fnr_eval_row *b)
{
    return fabs(remainder(fnr_transform_rotation_deg(&a->t) - fnr_transform_rotation_deg(&b->t), 360)) <= odd_rotation_deg &&
           fabs(log(fnr_transform_scale(&a->t) / fnr_transform_scale(&b->t))) <= odd_scale;
}

/* What most tiles of a group have in common, and how many they are. */
typedef struct {
    const fnr_eval_row *usual;
    size_t support, group;
} majority;

/* The tile that most others over the same montage agree with in rotation and scale. */
static majority usual_pose(const fnr_eval_set *set, const fnr_eval_row *like)
{
    majority m = {0};
    for (size_t i = 0; i < set->count; i++) {
        const fnr_eval_row *r = &set->rows[i];
        size_t n = 0;
        if (!usable(r) || strcmp(r->mbp, like->mbp)) {
            continue;
        }
        m.group++;
        for (size_t k = 0; k < set->count; k++) {
            const fnr_eval_row *q = &set->rows[k];
            n += usable(q) && !strcmp(q->mbp, like->mbp) && agree(r, q);
        }
        if (n > m.support) {
            m.support = n;
            m.usual = r;
        }
    }
    return m;
}

static bool check_odd(const fnr_eval_row *r, const majority *m, const char *file, fnr_audit *a, fnr_error *err)
{
    if (!usable(r) || m->group < GROUP_LEAST || 2 * m->support <= m->group || agree(r, m->usual)) {
        return true;
    }
    const double turned = remainder(fnr_transform_rotation_deg(&r->t) - fnr_transform_rotation_deg(&m->usual->t), 360);
    const double scaled = 100 * (fnr_transform_scale(&r->t) / fnr_transform_scale(&m->usual->t) - 1);
    const bool by_angle = fabs(turned) > odd_rotation_deg;
    const fnr_audit_about about = {
        FNR_AUDIT_ERROR,
        by_angle ? "turned" : "scaled",
        r->tile,
        file,
        by_angle ? turned : scaled,
        by_angle ? "degrees" : "%",
        "Look at it: tiles of one section share rotation and scale, so it is most likely in the wrong place."};
    return fnr_audit_add(
        a, &about, err,
        "it is turned by %+.1f degrees and scaled by %+.1f %% against %zu of the %zu tiles over the same MBP image", turned,
        scaled, m->support, m->group);
}

static bool check_twice(const fnr_eval_set *set, size_t i, const char *file, int tile_px, fnr_audit *a, fnr_error *err)
{
    const fnr_eval_row *r = &set->rows[i];
    for (size_t k = 0; k < i; k++) {
        const fnr_eval_row *q = &set->rows[k];
        if (!q->has_transform || strcmp(q->path, r->path)) {
            continue;
        }
        if (strcmp(q->mbp, r->mbp)) {
            const fnr_audit_about about = {
                FNR_AUDIT_ERROR, "two sections", r->tile, file, NAN, NULL, "Keep the one over the tile's own section."};
            return fnr_audit_add(a, &about, err, "the same file lies over two MBP images: %s and %s", fnr_path_base(q->mbp),
                                 fnr_path_base(r->mbp));
        }
        const double px = fnr_transform_mean_distance(&q->t, &r->t, fnr_audit_width(r, tile_px), fnr_audit_height(r, tile_px));
        const bool same = px <= same_px;
        const fnr_audit_about about = {same ? FNR_AUDIT_NOTE : FNR_AUDIT_ERROR,
                                       "twice",
                                       r->tile,
                                       file,
                                       px,
                                       "IF px",
                                       same ? "Delete one of the two." : "Delete the wrong one."};
        return fnr_audit_add(a, &about, err,
                             same ? "it is placed twice at one place (%.2f IF px apart)" : "it is placed twice, %.1f IF px apart",
                             px);
    }
    return true;
}

static bool same_folder(const char *a, const char *b)
{
    const size_t n = (size_t)(fnr_path_base(a) - a);
    return n > 0 && n == (size_t)(fnr_path_base(b) - b) && !strncmp(a, b, n);
}

/* EM tiles of one section lie in one folder, as the microscope wrote them: over which montage do most of them lie? */
static majority usual_montage(const fnr_eval_set *set, const fnr_eval_row *like)
{
    majority m = {0};
    for (size_t i = 0; i < set->count; i++) {
        const fnr_eval_row *r = &set->rows[i];
        size_t n = 0;
        if (!same_folder(r->path, like->path)) {
            continue;
        }
        m.group++;
        for (size_t k = 0; k < set->count; k++) {
            n += same_folder(set->rows[k].path, like->path) && !strcmp(set->rows[k].mbp, r->mbp);
        }
        if (n > m.support) {
            m.support = n;
            m.usual = r;
        }
    }
    return m;
}

static bool check_section(const fnr_eval_row *r, const majority *m, const char *file, fnr_audit *a, fnr_error *err)
{
    if (m->group < FOLDER_LEAST || (double)m->support < folder_majority * (double)m->group || !strcmp(m->usual->mbp, r->mbp)) {
        return true;
    }
    const fnr_audit_about about = {
        FNR_AUDIT_ERROR, "wrong section", r->tile, file, NAN, NULL, "Move it to the layer of its own section."};
    return fnr_audit_add(a, &about, err, "it lies over %s, but %zu of the %zu tiles of its folder lie over %s",
                         fnr_path_base(r->mbp), m->support, m->group, fnr_path_base(m->usual->mbp));
}

typedef struct {
    majority pose, montage;
} standards;

/* Groups are looked at once, at their first tile. */
static void find_standards(const fnr_eval_set *set, standards *s)
{
    for (size_t i = 0; i < set->count; i++) {
        const fnr_eval_row *r = &set->rows[i];
        size_t k = 0, m = 0;
        while (strcmp(set->rows[k].mbp, r->mbp)) {
            k++;
        }
        while (m < i && !same_folder(set->rows[m].path, r->path)) {
            m++;
        }
        s[i].pose = k < i ? s[k].pose : usual_pose(set, r);
        s[i].montage = m < i ? s[m].montage : usual_montage(set, r);
    }
}

bool fnr_audit_placements(const fnr_eval_set *set, const char *name, int tile_px, fnr_audit *audit, fnr_error *err)
{
    standards *s = fnr_calloc(set->count + 1, sizeof *s, "placements", err);
    bool ok = s != NULL;
    audit->files++;
    if (ok) {
        find_standards(set, s);
    }
    for (size_t i = 0; ok && i < set->count; i++) {
        const fnr_eval_row *r = &set->rows[i];
        if (!r->has_transform) {
            continue;
        }
        audit->tiles++;
        ok = check_shape(r, name, tile_px, audit, err) && check_odd(r, &s[i].pose, name, audit, err) &&
             check_twice(set, i, name, tile_px, audit, err) && check_section(r, &s[i].montage, name, audit, err);
    }
    free(s);
    return ok && fnr_audit_grid(set, name, tile_px, audit, err);
}
