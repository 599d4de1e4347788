/* A field of stained rings that goes on forever, a pure function of place: montages of any size and tiles anywhere in them. */
#ifndef FNR_BENCH_RING_FIELD_H
#define FNR_BENCH_RING_FIELD_H

#include <math.h>

#include "src/core/rng.h"
#include "src/core/threads.h"
#include "src/geom/transform.h"
#include "src/image/view.h"

enum { RING_PITCH = 45, RING_REACH = 34 };

typedef struct {
    float x, y, radius, wall, flat, angle, stain;
} ring;

/* The ring of cell (i, j): a pure function of its place. */
static inline ring ring_of(int i, int j)
{
    fnr_rng g = fnr_rng_at(11, (uint64_t)i, (uint64_t)j);
    const float x = (float)(RING_PITCH * (i + 0.3 + 0.4 * fnr_rng_uniform(&g))), y = (float)(RING_PITCH * (j + 0.3 + 0.4 * fnr_rng_uniform(&g)));
    return (ring){.x = x, .y = y, .radius = (float)(6 + 11 * fnr_rng_uniform(&g)), .wall = (float)(1.5 + 1.5 * fnr_rng_uniform(&g)),
                  .flat = (float)(0.75 + 0.25 * fnr_rng_uniform(&g)), .angle = (float)(3.1416 * fnr_rng_uniform(&g)),
                  .stain = (float)(0.4 + 1.2 * fnr_rng_uniform(&g))};
}

static inline float brightness(const ring *r, float x, float y)
{
    const float c = cosf(r->angle), s = sinf(r->angle), dx = x - r->x, dy = y - r->y;
    const float d = (hypotf(c * dx + s * dy, (c * dy - s * dx) / r->flat) - r->radius) / r->wall;
    return d * d < 20 ? expf(-0.5f * d * d) : 0;
}

static inline void draw_ring(const fnr_view *v, const ring *r)
{
    for (int y = (int)fmaxf(0, r->y - RING_REACH); y < v->h && y <= (int)r->y + RING_REACH; y++) {
        for (int x = (int)fmaxf(0, r->x - RING_REACH); x < v->w && x <= (int)r->x + RING_REACH; x++) {
            *(uint16_t *)fnr_at(v, x, y, 0, 0) += (uint16_t)(2000 * r->stain * brightness(r, (float)x, (float)y));
        }
    }
}

/* Rings of one row of cells; rows two apart do not touch each other. */
typedef struct {
    const fnr_view *v;
    int parity;
} painting;

static inline void draw_cells(void *ctx, size_t k)
{
    const painting *p = ctx;
    for (int i = 0; RING_PITCH * i < p->v->w; i++) {
        const ring r = ring_of(i, 3 * (int)k + p->parity);
        draw_ring(p->v, &r);
    }
}

static inline void draw_noise(void *ctx, size_t y)
{
    const fnr_view *v = ctx;
    fnr_rng g = fnr_rng_at(12, y, 0);
    for (int x = 0; x < v->w; x++) {
        uint16_t *px = fnr_at(v, x, (int)y, 0, 0);
        *px = (uint16_t)(*px + 300 + fnr_rng_below(&g, 200));
    }
}

/* 16-bit montage: the rings, each with its own staining, and noise. */
static inline void ring_montage(fnr_view *v)
{
    for (int parity = 0; parity < 3; parity++) {
        fnr_parallel_for((size_t)(v->h / RING_PITCH / 3 + 1), draw_cells, &(painting){v, parity});
    }
    fnr_parallel_for((size_t)v->h, draw_noise, v);
}

/* What a network would predict of the tile that lies under NET -> IF: all rings alike, and noise. */
static inline void ring_prediction(const fnr_transform *t, uint64_t seed, fnr_view *out)
{
    fnr_rng g = fnr_rng_at(13, seed, 1);
    for (int y = 0; y < out->h; y++) {
        for (int x = 0; x < out->w; x++) {
            const fnr_point q = fnr_transform_apply(t, (fnr_point){x, y});
            float sum = 0;
            for (int k = 0; k < 9; k++) {
                const ring r = ring_of((int)floor(q.x / RING_PITCH) + k % 3 - 1, (int)floor(q.y / RING_PITCH) + k / 3 - 1);
                sum += brightness(&r, (float)q.x, (float)q.y);
            }
            *(float *)fnr_at(out, x, y, 0, 0) = 4 * sum + 0.5f * (float)fnr_rng_normal(&g);
        }
    }
}

#endif
