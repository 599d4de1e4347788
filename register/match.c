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

/* Double sums side by side, which the compiler keeps in vectors. */
enum { LANES = 4 };

typedef struct {
    double n[LANES], t[LANES], i[LANES], tt[LANES], ii[LANES], ti[LANES];
} lanes;

static inline void add(lanes *s, int l, float weight, float t, float i)
{
    const double w = (double)weight, a = (double)t, b = (double)i, wa = w * a, wb = w * b;
    s->n[l] += w;
    s->t[l] += wa;
    s->i[l] += wb;
    s->tt[l] += wa * a;
    s->ii[l] += wb * b;
    s->ti[l] += wa * b;
}

static double total(const double lane[LANES])
{
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

fnr_sums fnr_sums_of(const float *weight, const float *t, const float *i, size_t n)
{
    lanes s = {0};
    const size_t whole = n - n % LANES;
    for (size_t k = 0; k < whole; k += LANES) {
        for (int l = 0; l < LANES; l++) {
            add(&s, l, weight[k + (size_t)l], t[k + (size_t)l], i[k + (size_t)l]);
        }
    }
    for (size_t k = whole; k < n; k++) {
        add(&s, 0, weight[k], t[k], i[k]);
    }
    return (fnr_sums){.n = total(s.n), .t = total(s.t), .i = total(s.i), .tt = total(s.tt), .ii = total(s.ii), .ti = total(s.ti)};
}

enum { PARTS = 13 }; /* of a scratch besides the rows */

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
    float **parts[PARTS] = {&s->value, &s->valid, &s->drawn, &s->weight, &s->gx,     &s->gy,  &s->image,
                            &s->mass,  &s->work,  &s->room,  &s->gain,   &s->energy, &s->pull};
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
    double area = 0;
    for (size_t k = 0; k < n; k++) {
        area += (double)s->weight[k];
        s->weight[k] *= s->valid[k];
    }
    const fnr_sums sums = fnr_sums_of(s->weight, s->drawn, s->value, n);
    hit->score = fnr_sums_score(&sums);
    hit->overlap = area > 0 ? sums.n / area : 0;
    return true;
}
