#include "register/match.h"

/* Blurs tried, each on top of the prediction as it is (Gaussian sigma [IF px]); stops where the score does not gain. */
static const double blurs_px[] = {0.6, 0.9, 1.3, 1.8, 2.5};
static const double least_gain = 0.002;

bool fnr_match_sharpness(fnr_match *m, const fnr_view *prediction, fnr_hit *hit, fnr_template *blurred, double *blur_px, fnr_error *err)
{
    const int parameters = fnr_pose_parameter_count(m->opt->model);
    fnr_scratch s = {0};
    bool ok = true, gained = true;
    *blurred = (fnr_template){0};
    *blur_px = 0;
    if (m->opt->blur_known) {
        *blur_px = m->opt->blur_px;
        ok = !(*blur_px > 0) || fnr_template_new(blurred, prediction, m->target->if_nm, m->target->n_levels - 1, m->opt->compression_knee, *blur_px, err);
        m->tpl = ok && *blur_px > 0 ? blurred : m->tpl;
        ok = ok && fnr_fine(m, 0, parameters, 1e-3, hit, &s, err);
        fnr_scratch_free(&s);
        return ok;
    }
    for (size_t i = 0; ok && gained && i < sizeof blurs_px / sizeof *blurs_px; i++) {
        fnr_template tpl;
        fnr_hit next = *hit;
        ok = fnr_template_new(&tpl, prediction, m->target->if_nm, m->target->n_levels - 1, m->opt->compression_knee, blurs_px[i], err);
        if (!ok) {
            break;
        }
        const fnr_match with = {.target = m->target, .tpl = &tpl, .opt = m->opt, .cancel = m->cancel, .local = m->local};
        ok = fnr_fine(&with, 0, parameters, 1e-3, &next, &s, err);
        gained = ok && next.detail > hit->detail + least_gain;
        if (gained) {
            fnr_template_free(blurred);
            *blurred = tpl;
            *hit = next;
            *blur_px = blurs_px[i];
        } else {
            fnr_template_free(&tpl);
        }
    }
    if (*blur_px > 0) {
        m->tpl = blurred;
    }
    fnr_scratch_free(&s);
    return ok;
}
