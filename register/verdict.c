/* From measurements to a verdict and its reason.  Thresholds come from trials on training sections; README.md has the numbers. */
#include <math.h>
#include <stdio.h>

#include "register/match.h"

const char *fnr_verdict_name(fnr_verdict v)
{
    switch (v) {
    case FNR_REGISTERED:
        return "registered";
    case FNR_DOUBTFUL:
        return "doubtful";
    case FNR_NO_CONTENT:
        return "no-content";
    case FNR_FAILED:
        return "failed";
    case FNR_BY_NEIGHBOURS:
        return "by-neighbours";
    case FNR_UNFINISHED:
        return "unfinished";
    case FNR_VERDICTS:
        break;
    }
    return "unknown";
}

static void doubt(fnr_registration *r, const char *fmt, double value, double limit)
{
    r->verdict = FNR_DOUBTFUL;
    snprintf(r->reason, sizeof r->reason, fmt, value, limit);
}

void fnr_verdict_decide(const fnr_register_options *opt, fnr_registration *r)
{
    const double edge = 0.999 * FNR_SCALE_SLACK;
    if (!(r->score >= opt->min_score)) {
        doubt(r, "correlation %.2f is below %.2f", r->score, opt->min_score);
    } else if (!(r->peak_ratio >= opt->min_peak_ratio)) {
        doubt(r, "the second-best place scores nearly as high (ratio %.2f, at least %.2f wanted)", r->peak_ratio,
              opt->min_peak_ratio);
    } else if (!(r->flow_inliers >= opt->min_flow_inliers)) {
        doubt(r, "only %.0f %% of the residual flow agrees with the fit (at least %.0f %% wanted)", 100 * r->flow_inliers,
              100 * opt->min_flow_inliers);
    } else if (!r->has_covariance) {
        doubt(r, "its content does not fix position, rotation and scale (score %.2f, overlap %.2f)", r->score, r->overlap);
    } else if (!(r->expected_error_px <= opt->max_expected_error_px)) {
        doubt(r, "its content fixes the place only to about %.1f px (%.1f px wanted)", r->expected_error_px, opt->max_expected_error_px);
    } else if (!(r->probability >= opt->min_probability)) {
        doubt(r, "right within 1 px with a probability of %.2f only (%.2f wanted)", r->probability, opt->min_probability);
    } else if (opt->scale_max > opt->scale_min && (r->scale < opt->scale_min - edge || r->scale > opt->scale_max + edge)) {
        doubt(r, "scale %.4f lies at the edge of the search; rotation %.1f degrees", r->scale, r->rotation_deg);
    } else {
        r->verdict = FNR_REGISTERED;
        r->reason[0] = '\0';
    }
}
