#include "register/match.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"

double fnr_sums_score(const fnr_sums *s)
{
    if (!(s->n > 0)) {
        return 0;
    }
    const double floor2 = FNR_NOISE_FLOOR * FNR_NOISE_FLOOR;
    const double vt = s->tt - s->t * s->t / s->n, vi = s->ii - s->i * s->i / s->n + s->n * floor2;
    return vt > 1e-12 * s->n ? (s->ti - s->t * s->i / s->n) / sqrt(vt * vi) : 0;
}

enum { PARTS = 12 }; /* of a scratch besides the rows */

bool fnr_scratch_fit(fnr_scratch *s, size_t pixels, fnr_error *err)
{
    if (pixels > s->capacity) {
        float *block = fnr_alloc_aligned(pixels * (PARTS + FNR_POSE_PARAMETERS), sizeof *block, "a search window", err);
        if (!block) {
            return false;
        }
        free(s->block);
        s->block = block;
        s->capacity = pixels;
    }
    float **parts[] = {&s->value, &s->valid, &s->drawn, &s->weight, &s->gx, &s->gy, &s->image, &s->mass, &s->work, &s->gain, &s->energy, &s->pull};
    for (size_t i = 0; i < PARTS; i++) {
        *parts[i] = s->block + i * s->capacity;
    }
    for (size_t i = 0; i < FNR_POSE_PARAMETERS; i++) {
        s->row[i] = s->block + (PARTS + i) * s->capacity;
    }
    return true;
}

void fnr_scratch_free(fnr_scratch *s)
{
    free(s->block);
    *s = (fnr_scratch){0};
}

bool fnr_match_score(const fnr_match *m, int level, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    const fnr_window win = fnr_window_around(&hit->pose, &m->tpl->size, level, 1);
    const size_t n = (size_t)win.w * (size_t)win.h;
    if (!fnr_scratch_fit(s, n, err)) {
        return false;
    }
    fnr_target_window(m->target, level, win.x, win.y, win.w, win.h, s->value, s->valid);
    fnr_template_draw(m->tpl, &hit->pose, &win, s->drawn, s->weight);
    fnr_sums sums = {0};
    double area = 0;
    for (size_t k = 0; k < n; k++) {
        const double w = (double)s->weight[k] * (double)s->valid[k], t = s->drawn[k], i = s->value[k];
        area += s->weight[k];
        sums.n += w;
        sums.t += w * t;
        sums.i += w * i;
        sums.tt += w * t * t;
        sums.ii += w * i * i;
        sums.ti += w * t * i;
    }
    hit->score = fnr_sums_score(&sums);
    hit->overlap = area > 0 ? sums.n / area : 0;
    return true;
}
