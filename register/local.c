/* What the fit looks at on the montage's own pixels (local.h). */
#include "register/local.h"

#include <math.h>
#include <string.h>

#include "register/blur.h"

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

static void centre_by_one_mean(const fnr_scratch *s, size_t n, float *x)
{
    const fnr_sums sums = fnr_sums_of(s->weight, x, x, n);
    const float mean = sums.n > 0 ? (float)(sums.t / sums.n) : 0;
    for (size_t k = 0; k < n; k++) {
        x[k] = s->weight[k] > 0 ? x[k] - mean : 0;
    }
}

bool fnr_local_centre(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err)
{
    const size_t n = (size_t)win->w * (size_t)win->h;
    if (sd == 0) {
        centre_by_one_mean(s, n, x);
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        s->work[k] = s->weight[k] * x[k];
    }
    if (!fnr_blur(s->work, win->w, win->h, sd, s->room, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        x[k] = s->weight[k] > 0 ? x[k] - s->room[k] / s->mass[k] : 0;
    }
    return true;
}

bool fnr_local_centre_back(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err)
{
    const size_t n = (size_t)win->w * (size_t)win->h;
    if (sd == 0) { /* one mean: its own adjoint */
        centre_by_one_mean(s, n, x);
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        s->work[k] = s->weight[k] > 0 ? s->weight[k] * x[k] / s->mass[k] : 0;
    }
    if (!fnr_blur(s->work, win->w, win->h, sd, s->room, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        x[k] -= s->room[k];
    }
    return true;
}

/* Squares of the montage without its local mean, into s->image. */
static bool local_squares(const fnr_window *win, const fnr_scratch *s, double sd, size_t n, fnr_error *err)
{
    memcpy(s->weight, s->valid, n * sizeof *s->weight);
    memcpy(s->image, s->value, n * sizeof *s->image);
    if (!fnr_blur(s->weight, win->w, win->h, sd, s->mass, err) || !fnr_local_centre(win, s, sd, s->image, err)) {
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
    if (!fnr_blur(s->image, win->w, win->h, sd, s->room, err)) {
        return false;
    }
    const float half = (float)(half_trust * sum / count);
    for (size_t k = 0; k < n; k++) {
        s->valid[k] = s->valid[k] > 0 ? half / (half + s->room[k] / s->mass[k]) : 0;
    }
    return true;
}

bool fnr_local_gain(const fnr_scratch *s, double sd, fnr_view_of_pose *v, fnr_error *err)
{
    const int w = v->win.w, h = v->win.h;
    const size_t n = (size_t)w * (size_t)h;
    const float usual = v->detail.tt > 0 ? (float)fmax(0, v->detail.ti / v->detail.tt) : 0;
    const float floor = (float)(gain_prior * v->detail.tt / fmax(v->detail.n, 1)) + 1e-12f;
    for (size_t k = 0; k < n; k++) {
        s->work[k] = s->weight[k] * s->drawn[k] * s->image[k];
        s->room[k] = s->weight[k] * s->drawn[k] * s->drawn[k];
    }
    if (!fnr_blur(s->work, w, h, sd, s->gain, err) || !fnr_blur(s->room, w, h, sd, s->energy, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        s->energy[k] += floor;
        const float gain = (s->gain[k] + usual * floor) / s->energy[k];
        s->gain[k] = gain > 0 ? gain : 0;
        s->work[k] = s->image[k] - s->gain[k] * s->drawn[k];
    }
    const double left = fnr_sums_of(s->weight, s->work, s->work, n).tt;
    v->match = sqrt(fmax(0, 1 - left / (v->detail.ii + v->detail.n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR)));
    return true;
}

/* What the whole tile's gain adds to the blurred x everywhere: the local gain is a regression under the Gaussian and a constant. */
static float from_all(const float *x, size_t n, const fnr_view_of_pose *v)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        sum += (double)x[k];
    }
    return (float)(gain_prior * sum / fmax(v->detail.n, 1));
}

bool fnr_local_pull(const fnr_scratch *s, double sd, const fnr_view_of_pose *v, fnr_error *err)
{
    const int w = v->win.w, h = v->win.h;
    const size_t n = (size_t)w * (size_t)h;
    for (size_t k = 0; k < n; k++) {
        const float r = s->image[k] - s->gain[k] * s->drawn[k];
        s->work[k] = s->gain[k] > 0 ? s->weight[k] * r * s->drawn[k] / s->energy[k] : 0;
    }
    const float u_all = from_all(s->work, n, v);
    if (!fnr_blur(s->work, w, h, sd, s->pull, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        s->work[k] *= s->gain[k];
    }
    const float gu_all = from_all(s->work, n, v);
    if (!fnr_blur(s->work, w, h, sd, s->room, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        const float r = s->image[k] - s->gain[k] * s->drawn[k];
        s->pull[k] = s->gain[k] * r + s->image[k] * (s->pull[k] + u_all) - 2 * s->drawn[k] * (s->room[k] + gu_all);
    }
    return true;
}
