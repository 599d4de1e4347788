/* Indices of a dense (n, c, d, h, w) tensor as coordinates, whole-number contents, and comparison with hand-computed values. */
#ifndef FNR_TESTS_BACKEND_PLACE_H
#define FNR_TESTS_BACKEND_PLACE_H

#include "tests/backend/tolerances.h"

typedef struct {
    int n, c, z, y, x;
} fnr_place;

static inline size_t index_of(const fnr_shape *s, fnr_place p)
{
    return (size_t)((((p.n * s->c + p.c) * s->d + p.z) * s->h + p.y) * s->w + p.x);
}

static inline fnr_place place_of(const fnr_shape *s, size_t index)
{
    const int i = (int)index;
    return (fnr_place){.n = i / s->w / s->h / s->d / s->c,
                       .c = i / s->w / s->h / s->d % s->c,
                       .z = i / s->w / s->h % s->d,
                       .y = i / s->w % s->h,
                       .x = i % s->w};
}

static inline bool inside(const fnr_shape *s, fnr_place p)
{
    return p.z >= 0 && p.z < s->d && p.y >= 0 && p.y < s->h && p.x >= 0 && p.x < s->w;
}

/* A value, or 0 outside the image: zero padding. */
static inline double value_at(const float *values, const fnr_shape *s, fnr_place p)
{
    return inside(s, p) ? (double)values[index_of(s, p)] : 0;
}

/* Small whole numbers, all different from their neighbours. */
static inline void fill_whole(float *p, size_t n, int seed)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)((int)((i * 37 + (size_t)seed * 11) % 61) - 30);
    }
}

static inline void zero(float *p, size_t n)
{
    memset(p, 0, n * sizeof *p);
}

static inline void assert_close(const fnr_rig *rig, double got, double want)
{
    if (!(fabs(got - want) <= fnr_tolerance(FNR_TOL_HAND, rig->variant) * (1 + fabs(want)))) {
        fail_msg("%s: %.9g instead of %.9g", rig->variant->name, got, want);
    }
}

#endif
