/* The order of the steps for one tile. */
#include "register/register.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "register/consensus.h"
#include "register/match.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

/* Candidates that live on after the coarse search, and after the fits of finer levels.  Dropping more of the first 160 early does not lose
 * the right one (first in 112 of 112 searches), but it loses second-best places, and with them the meaning of the peak ratio. */
enum { COARSE_KEEP = 160, MIDDLE_KEEP = 24, FINE_KEEP = 6 };

static const fnr_register_options defaults = {.scale_min = 0.92,
                                              .scale_max = 1.03,
                                              .rotation_min_deg = -180,
                                              .rotation_max_deg = 180,
                                              .content_level = 0.5,
                                              .content_fraction = 0.01,
                                              .candidates = 8,
                                              .min_score = 0.5,
                                              .min_peak_ratio = 1.1,
                                              .max_flow_px = 5,
                                              .model = FNR_MODEL_SIMILARITY,
                                              .content_contrast = 0.5,
                                              .min_overlap = 0.5,
                                              .min_flow_inliers = 0.6,
                                              .min_probability = 0.5,
                                              .max_expected_error_px = 1.5,
                                              .compression_knee = 0.3};

fnr_register_options fnr_register_defaults(void)
{
    return defaults;
}

/* Settings added after the first release may be left at zero by older callers. */
static bool complete_options(const fnr_register_options *given, fnr_register_options *o, fnr_error *err)
{
    *o = *given;
    o->min_overlap = o->min_overlap > 0 ? o->min_overlap : defaults.min_overlap;
    o->min_flow_inliers = o->min_flow_inliers > 0 ? o->min_flow_inliers : defaults.min_flow_inliers;
    o->max_expected_error_px = o->max_expected_error_px > 0 ? o->max_expected_error_px : defaults.max_expected_error_px;
    o->compression_knee = o->compression_knee > 0 ? o->compression_knee : defaults.compression_knee;
    if (o->model == FNR_MODEL_RIGID) {
        o->scale_min = o->scale_max = 1;
    }
    if (!(o->scale_min > 0) || !(o->scale_max >= o->scale_min) || !(o->scale_max < 10)) {
        return fnr_fail(err, FNR_E_USAGE, "the scale range %g .. %g is empty or not positive", o->scale_min, o->scale_max);
    }
    if (!(o->rotation_max_deg >= o->rotation_min_deg)) {
        return fnr_fail(err, FNR_E_USAGE, "the rotation range %g .. %g degrees is empty", o->rotation_min_deg,
                        o->rotation_max_deg);
    }
    return true;
}

static bool give_up(fnr_registration *out, fnr_verdict verdict, const char *fmt, double a, double b)
{
    out->verdict = verdict;
    snprintf(out->reason, sizeof out->reason, fmt, a, b);
    return true;
}

/* False when the prediction cannot be looked at; then *out says why. */
static bool check_prediction(const fnr_view *p, fnr_registration *out)
{
    size_t bad = 0;
    float lo = INFINITY, hi = -INFINITY;
    for (int y = 0; y < p->h; y++) {
        for (int x = 0; x < p->w; x++) {
            const float v = *(const float *)fnr_at(p, x, y, 0, 0);
            bad += !isfinite(v);
            lo = fminf(lo, v);
            hi = fmaxf(hi, v);
        }
    }
    if (bad) {
        give_up(out, FNR_FAILED, "the prediction holds %.0f values that are not finite", (double)bad, 0);
        return false;
    }
    if (!(hi > lo)) {
        give_up(out, FNR_NO_CONTENT, "the prediction is constant (%g)", (double)lo, 0);
        return false;
    }
    return true;
}

static int compare_hits(const void *a, const void *b)
{
    const fnr_hit *p = a, *q = b;
    if (p->score != q->score) {
        return p->score < q->score ? 1 : -1;
    }
    return p->pose.cx != q->pose.cx ? (p->pose.cx < q->pose.cx ? -1 : 1) : (p->pose.cy > q->pose.cy) - (p->pose.cy < q->pose.cy);
}

/* Two poses mean the same match when their tiles nearly coincide: mean distance below a tenth of the tile's mean side.  The distance of
 * the centres, at once known, is never larger than the mean distance. */
static bool same_match(const fnr_pose *a, const fnr_pose *b, const fnr_tile_size *s)
{
    const double near = 0.05 * (s->w + s->h) * s->nominal, dx = a->cx - b->cx, dy = a->cy - b->cy;
    return dx * dx + dy * dy < near * near && fnr_pose_distance(a, b, s) < near;
}

/* Best first, one per distinct match, at most `keep`. */
static size_t best_distinct(fnr_hit *hits, size_t n, size_t keep, const fnr_tile_size *s)
{
    size_t kept = 0;
    qsort(hits, n, sizeof *hits, compare_hits);
    for (size_t i = 0; i < n && kept < keep; i++) {
        bool fresh = true;
        for (size_t k = 0; fresh && k < kept; k++) {
            fresh = !same_match(&hits[i].pose, &hits[k].pose, s);
        }
        if (fresh) {
            hits[kept++] = hits[i];
        }
    }
    return kept;
}

/* One level of one candidate, for the parallel loop. */
typedef struct {
    const fnr_match *m;
    fnr_hit *hits;
    fnr_error *errors;
    int level;
    int reach; /* whole-pixel search first [px of the level]; 0: none */
    int parameters;
    double tolerance_px;
} climb;

static void climb_one(void *ctx, size_t i)
{
    const climb *c = ctx;
    fnr_scratch s = {0};
    fnr_error *err = &c->errors[i];
    err->code = FNR_OK;
    if (fnr_cancelled(c->m->cancel)) {
        fnr_fail(err, FNR_E_CANCELLED, "stopped");
        return;
    }
    if (c->reach == 0 || fnr_refine_shift(c->m, c->level, c->reach, &c->hits[i], &s, err)) {
        fnr_fine(c->m, c->level, c->parameters, c->tolerance_px, &c->hits[i], &s, err);
    }
    fnr_scratch_free(&s);
}

static bool climb_all(climb *c, size_t n, fnr_error *err)
{
    fnr_parallel_for(n, climb_one, c);
    for (size_t i = 0; i < n; i++) {
        if (c->errors[i].code != FNR_OK) {
            if (err) {
                *err = c->errors[i];
            }
            return false;
        }
    }
    return true;
}

/* Coarse candidates climb the pyramid; fewer at each level. */
static bool search(const fnr_match *m, fnr_hit **out, size_t *n, fnr_error *err)
{
    fnr_hit *hits = NULL;
    if (!fnr_coarse_search(m, COARSE_KEEP, &hits, n, err)) {
        return false;
    }
    const int coarsest = m->target->n_levels - 1;
    const fnr_tile_size *size = &m->tpl->size;
    climb c = {.m = m,
               .hits = hits,
               .parameters = fnr_pose_parameter_count(m->opt->model == FNR_MODEL_RIGID ? FNR_MODEL_RIGID : FNR_MODEL_SIMILARITY)};
    c.errors = fnr_calloc(*n ? *n : 1, sizeof *c.errors, "candidates", err);
    bool ok = c.errors != NULL;
    for (int level = coarsest > 0 ? coarsest - 1 : 0; ok && level >= 0; level--) {
        c.level = level;
        c.tolerance_px = 0.05 * (double)(1 << level);
        c.reach = level >= coarsest - 1 ? 2 : 0;
        ok = climb_all(&c, *n, err);
        if (ok) {
            *n = best_distinct(hits, *n, level > 1 ? MIDDLE_KEEP : FINE_KEEP, size);
        }
    }
    free(c.errors);
    if (ok) {
        *out = hits;
    } else {
        free(hits);
    }
    return ok;
}

static bool measure_uncertainty(const fnr_match *m, const fnr_pose *pose, fnr_registration *out, fnr_error *err)
{
    const fnr_tile_size *size = &m->tpl->size;
    if (!fnr_pose_covariance(m, pose, out->covariance, &out->has_covariance, err)) {
        return false;
    }
    out->expected_error_px =
        out->has_covariance ? fnr_covariance_rms_px(out->covariance, size->w, size->h, size->nominal * fnr_pose_scale(pose, size)) : NAN;
    return true;
}

/* Fits that begin this close to each other end at the same place: what they look at is four pixels wide (normal.c). */
static const double same_basin_px = 1.0;

/* Fits from where the flow points too, when that is elsewhere: kept when it matches better.  The flow's agreement with the final pose is
 * reported. */
static bool settle(const fnr_match *m, const fnr_flow_fit *flow, fnr_hit *hit, fnr_registration *out, fnr_error *err)
{
    const fnr_tile_size *size = &m->tpl->size;
    bool ok = true;
    if (flow->found) {
        out->flow_inliers = flow->inliers;
        out->flow_rms_px = flow->rms_px;
        if (fnr_pose_distance(&flow->pose, &hit->pose, size) >= same_basin_px) {
            fnr_scratch s = {0};
            fnr_hit moved = {.pose = flow->pose};
            ok = fnr_fine(m, 0, fnr_pose_parameter_count(m->opt->model), 1e-4, &moved, &s, err);
            *hit = ok && moved.detail > hit->detail ? moved : *hit;
            fnr_scratch_free(&s);
        }
        out->flow_apart_px = fnr_pose_distance(&flow->pose, &hit->pose, size);
    }
    return ok && measure_uncertainty(m, &hit->pose, out, err);
}

static bool report(const fnr_match *m, const fnr_hit *hits, size_t n, fnr_registration *out, fnr_error *err)
{
    const fnr_tile_size *size = &m->tpl->size;
    if (!fnr_pose_to_transform(&hits[0].pose, size, &out->t, err)) {
        return false;
    }
    out->has_transform = true;
    out->scale = fnr_pose_scale(&hits[0].pose, size);
    out->rotation_deg = fnr_pose_rotation_deg(&hits[0].pose);
    out->score = hits[0].score;
    out->overlap = hits[0].overlap;
    out->peak_ratio = n > 1 && hits[1].score > 0 ? hits[0].score / hits[1].score : INFINITY;
    const size_t room = m->opt->candidates < FNR_MAX_CANDIDATES ? (size_t)m->opt->candidates : FNR_MAX_CANDIDATES;
    for (size_t i = 0; i < n && i < room; i++) {
        fnr_candidate *c = &out->candidates[i];
        if (!fnr_pose_to_transform(&hits[i].pose, size, &c->t, err)) {
            return false;
        }
        c->scale = fnr_pose_scale(&hits[i].pose, size);
        c->rotation_deg = fnr_pose_rotation_deg(&hits[i].pose);
        c->score = hits[i].score;
        out->n_candidates = (int)i + 1;
    }
    fnr_probability_of(out);
    fnr_verdict_decide(m->opt, out);
    return true;
}

static bool match_tile(fnr_match *m, const fnr_view *prediction, fnr_registration *out, fnr_error *err)
{
    fnr_template blurred = {0};
    fnr_flow_fit flow;
    fnr_hit *hits = NULL;
    size_t n = 0;
    if (!search(m, &hits, &n, err)) {
        return false;
    }
    bool ok = true;
    if (n == 0 || !(hits[0].score > 0)) {
        give_up(out, FNR_DOUBTFUL, "no place in the montage resembles the prediction", 0, 0);
    } else {
        m->local = true;
        ok = fnr_match_sharpness(m, prediction, &hits[0], &blurred, &out->blur_px, &flow, err) && settle(m, &flow, &hits[0], out, err) &&
             report(m, hits, n, out, err);
    }
    fnr_template_free(&blurred);
    free(hits);
    return ok;
}

bool fnr_register_tile(const fnr_target *target, const fnr_view *prediction, const fnr_register_options *opt,
                       const fnr_cancel *cancel, fnr_registration *out, fnr_error *err)
{
    fnr_register_options o;
    if (!complete_options(opt, &o, err)) {
        return false;
    }
    if (prediction->dtype != FNR_F32 || prediction->w < 1 || prediction->h < 1 || !(prediction->nm > 0)) {
        return fnr_fail(err, FNR_E_USAGE, "a prediction must be a float image with a pixel size");
    }
    fnr_registration r = {.flow_inliers = NAN, .flow_rms_px = NAN, .flow_apart_px = NAN, .expected_error_px = NAN};
    fnr_content content;
    if (!check_prediction(prediction, &r)) {
        *out = r;
        return true;
    }
    if (!fnr_content_measure(prediction, o.content_level, target->if_nm, &content, err)) {
        return false;
    }
    r.content = content.fraction;
    if (!(content.fraction > o.content_fraction)) {
        give_up(&r, FNR_NO_CONTENT, "%.2f %% of the prediction shows myelin (more than %.2f %% needed)", 100 * content.fraction,
                100 * o.content_fraction);
        *out = r;
        return true;
    }
    if (content.contrast < o.content_contrast) {
        give_up(&r, FNR_NO_CONTENT, "the prediction rises only %.3f above its background (%.3f needed)", content.contrast,
                o.content_contrast);
        *out = r;
        return true;
    }
    fnr_template tpl;
    if (!fnr_template_new(&tpl, prediction, target->if_nm, target->n_levels - 1, o.compression_knee, 0, err)) {
        return false;
    }
    fnr_match m = {.target = target, .tpl = &tpl, .opt = &o, .cancel = cancel};
    const bool ok = match_tile(&m, prediction, &r, err);
    fnr_template_free(&tpl);
    if (ok) {
        *out = r;
    }
    return ok;
}

bool fnr_register_near(const fnr_target *target, const fnr_view *prediction, const fnr_transform *start, const fnr_register_options *opt,
                       fnr_registration *out, fnr_error *err)
{
    fnr_register_options o;
    fnr_registration r = {.flow_inliers = NAN, .flow_rms_px = NAN, .flow_apart_px = NAN, .expected_error_px = NAN};
    fnr_template tpl;
    fnr_scratch s = {0};
    fnr_hit hit = {0};
    if (!complete_options(opt, &o, err)) {
        return false;
    }
    if (!check_prediction(prediction, &r)) {
        *out = r;
        return true;
    }
    if (!fnr_template_new(&tpl, prediction, target->if_nm, target->n_levels - 1, o.compression_knee, 0, err)) {
        return false;
    }
    fnr_match m = {.target = target, .tpl = &tpl, .opt = &o, .local = true};
    fnr_template blurred = {0};
    const int parameters = fnr_pose_parameter_count(o.model), finer = target->n_levels > 1 ? 1 : 0;
    bool ok = fnr_pose_from_transform(start, &tpl.size, &hit.pose, err);
    for (int level = finer; ok && level >= 0; level--) {
        ok = fnr_fine(&m, level, parameters, 1e-4, &hit, &s, err);
    }
    if (ok && hit.score > 0) {
        ok = fnr_match_sharpness(&m, prediction, &hit, &blurred, &r.blur_px, NULL, err);
    }
    if (ok && hit.score > 0) {
        ok = measure_uncertainty(&m, &hit.pose, &r, err) && report(&m, &hit, 1, &r, err);
    }
    fnr_scratch_free(&s);
    fnr_template_free(&blurred);
    fnr_template_free(&tpl);
    if (ok) {
        *out = r;
    }
    return ok;
}
