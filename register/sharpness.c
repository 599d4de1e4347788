#include "register/match.h"

#include "src/core/threads.h"

/* Blurs tried, each on top of the prediction as it is (Gaussian sigma [IF px]); stops where the score does not gain. */
static const double blurs_px[] = {0, 0.6, 0.9, 1.3, 1.8, 2.5};
enum { BLURS = sizeof blurs_px / sizeof *blurs_px };
static const double least_gain = 0.002;

static const double tolerance_px = 1e-4;

/* The fit under one blur. */
typedef struct {
    const fnr_view *prediction;
    fnr_match m;
    fnr_template tpl; /* owned; all zero without blur */
    double blur_px;
    fnr_hit hit;
    fnr_flow_fit *flow; /* NULL: not wanted */
    fnr_error err;
} trial;

static bool fit(trial *t, fnr_error *err)
{
    fnr_scratch s = {0};
    if (t->blur_px > 0) { /* drawn at the montage's own pixels only */
        if (!fnr_template_new(&t->tpl, t->prediction, t->m.target->if_nm, 0, t->m.opt->compression_knee, t->blur_px, err)) {
            return false;
        }
        t->m.tpl = &t->tpl;
    }
    const bool ok = fnr_fine(&t->m, 0, fnr_pose_parameter_count(t->m.opt->model), tolerance_px, &t->hit, &s, err);
    fnr_scratch_free(&s);
    return ok;
}

static void fit_one(void *ctx, size_t i)
{
    trial *t = (trial *)ctx + i;
    if (t->flow) {
        fnr_flow(&t->m, &t->hit.pose, t->flow, &t->err);
    } else {
        fit(t, &t->err);
    }
}

static bool all_ok(const trial *t, size_t n, fnr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (t[i].err.code != FNR_OK) {
            if (err) {
                *err = t[i].err;
            }
            return false;
        }
    }
    return true;
}

/* Keeps next when it is better by enough. */
static bool prefer(trial *best, trial *next)
{
    const bool gained = next->hit.detail > best->hit.detail + least_gain;
    if (gained) {
        fnr_template_free(&best->tpl);
        *best = *next;
        next->tpl = (fnr_template){0};
    }
    fnr_template_free(&next->tpl);
    return gained;
}

bool fnr_match_sharpness(fnr_match *m, const fnr_view *prediction, fnr_hit *hit, fnr_template *blurred, double *blur_px, fnr_flow_fit *flow,
                         fnr_error *err)
{
    const bool known = m->opt->blur_known;
    const trial start = {.prediction = prediction, .m = *m, .hit = *hit};
    trial t[] = {start, start, start}; /* the best; the next blur; the flow */
    bool ok, gained = false;
    t[0].blur_px = known ? m->opt->blur_px : blurs_px[0];
    t[1].blur_px = blurs_px[1];
    t[2].flow = flow;
    if (known) {
        ok = fit(&t[0], err);
    } else { /* beside each other: mostly this is all */
        const size_t n = flow ? 3 : 2;
        fnr_parallel_for(n, fit_one, t);
        ok = all_ok(t, n, err);
        gained = ok && prefer(&t[0], &t[1]);
    }
    for (size_t i = 2; gained && i < BLURS; i++) {
        t[1] = start;
        t[1].blur_px = blurs_px[i];
        t[1].hit = t[0].hit;
        ok = fit(&t[1], err);
        gained = ok && prefer(&t[0], &t[1]);
    }
    if (!ok) {
        fnr_template_free(&t[0].tpl);
        fnr_template_free(&t[1].tpl);
        return false;
    }
    *hit = t[0].hit;
    *blurred = t[0].tpl;
    *blur_px = t[0].blur_px;
    m->tpl = *blur_px > 0 ? blurred : m->tpl;
    return !flow || !(known || *blur_px > 0) || fnr_flow(m, &hit->pose, flow, err);
}
