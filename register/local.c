/* What the fit looks at on the montage's own pixels (local.h). */
#include "register/local.h"

#include <math.h>
#include <string.h>

#include "src/cv/cv.h"

/* Standard deviation of the neighbourhood whose mean is taken away and whose gain is its own, about a sheath's thickness; measured in
 * README.md.  Levels whose pixels are too large for it take one mean from all. */
static const double local_nm = 400, least_local_px = 2;

/* How strongly a local gain is drawn to the whole tile's: share of the tile's mean energy. */
static const double gain_prior = 0.05;

/* Variance of the montage's surroundings at which a pixel counts half, relative to the mean: brighter sheaths must not decide alone,
 * and where there is noise only, nothing is to be learnt. */
static const double half_trust = 0.3;

double fnr_local_sd_px(const fnr_match *m, int level)
{
    const double reach = local_nm / (m->target->if_nm * (double)(1 << level));
    return !m->local || reach < least_local_px ? 0 : reach;
}

bool fnr_local_is_linear(const fnr_match *m, int level)
{
    return level == 0 && fnr_local_sd_px(m, level) > 0;
}

bool fnr_local_blur(const fnr_window *win, double sd, float *px, fnr_error *err)
{
    const fnr_view src = fnr_view_f32(px, win->w, win->h);
    fnr_view dst = src;
    return fnr_cv_blur(&src, sd, &dst, err);
}

/* x -= its weighted mean around each pixel; 0 where there is no weight.  sd 0: one mean. */
bool fnr_local_centre(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err)
{
    const size_t n = (size_t)win->w * (size_t)win->h;
    if (sd == 0) {
        double sum = 0, mass = 0;
        for (size_t k = 0; k < n; k++) {
            sum += (double)s->weight[k] * (double)x[k];
            mass += (double)s->weight[k];
        }
        const float mean = mass > 0 ? (float)(sum / mass) : 0;
        for (size_t k = 0; k < n; k++) {
            x[k] = s->weight[k] > 0 ? x[k] - mean : 0;
        }
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        s->work[k] = s->weight[k] * x[k];
    }
    if (!fnr_local_blur(win, sd, s->work, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        x[k] = s->weight[k] > 0 ? x[k] - s->work[k] / s->mass[k] : 0;
    }
    return true;
}

/* Squares of the montage without its local mean, into s->image. */
static bool local_squares(const fnr_window *win, const fnr_scratch *s, double sd, size_t n, fnr_error *err)
{
    memcpy(s->weight, s->valid, n * sizeof *s->weight);
    memcpy(s->mass, s->valid, n * sizeof *s->mass);
    memcpy(s->image, s->value, n * sizeof *s->image);
    if (!fnr_local_blur(win, sd, s->mass, err) || !fnr_local_centre(win, s, sd, s->image, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        s->image[k] *= s->image[k];
    }
    return true;
}

bool fnr_local_trust(const fnr_window *win, const fnr_scratch *s, double sd, fnr_error *err)
{
    const size_t n = (size_t)win->w * (size_t)win->h;
    double sum = 0, count = 0;
    if (!local_squares(win, s, sd, n, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        sum += (double)s->image[k];
        count += (double)s->valid[k];
    }
    if (!(sum > 0)) { /* flat: all alike */
        return true;
    }
    if (!fnr_local_blur(win, sd, s->image, err)) {
        return false;
    }
    const float half = (float)(half_trust * sum / count);
    for (size_t k = 0; k < n; k++) {
        s->valid[k] *= half / (half + s->image[k]);
    }
    return true;
}

bool fnr_local_gain(const fnr_scratch *s, double sd, fnr_view_of_pose *v, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const float usual = v->detail.tt > 0 ? (float)fmax(0, v->detail.ti / v->detail.tt) : 0;
    const float floor = (float)(gain_prior * v->detail.tt / fmax(v->detail.n, 1)) + 1e-12f;
    double left = 0;
    for (size_t k = 0; k < n; k++) {
        const float wt = s->weight[k] * s->drawn[k];
        s->gain[k] = wt * s->image[k];
        s->energy[k] = wt * s->drawn[k];
    }
    if (!fnr_local_blur(&v->win, sd, s->gain, err) || !fnr_local_blur(&v->win, sd, s->energy, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        s->energy[k] += floor;
        s->gain[k] = fmaxf(0, (s->gain[k] + usual * floor) / s->energy[k]);
        const double r = (double)s->image[k] - (double)s->gain[k] * (double)s->drawn[k];
        left += (double)s->weight[k] * r * r;
    }
    v->match = sqrt(fmax(0, 1 - left / (v->detail.ii + v->detail.n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR)));
    return true;
}

bool fnr_local_pull(const fnr_scratch *s, double sd, const fnr_view_of_pose *v, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    for (size_t k = 0; k < n; k++) {
        const float r = s->image[k] - s->gain[k] * s->drawn[k], u = s->gain[k] > 0 ? s->weight[k] * r * s->drawn[k] / s->energy[k] : 0;
        s->pull[k] = u;
        s->work[k] = s->gain[k] * u;
    }
    if (!fnr_local_blur(&v->win, sd, s->pull, err) || !fnr_local_blur(&v->win, sd, s->work, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        const float r = s->image[k] - s->gain[k] * s->drawn[k];
        s->pull[k] = s->gain[k] * r + s->image[k] * s->pull[k] - 2 * s->drawn[k] * s->work[k];
    }
    return true;
}
