/* A field of rings known in closed form: montage and prediction are both computed from it, never from each other, so what a test
 * recovers is compared with exact geometry. */
#ifndef FNR_TESTS_RINGS_H
#define FNR_TESTS_RINGS_H

#include "src/core/rng.h"
#include "src/geom/transform.h"
#include "src/image/view.h"
#include "tests/support/support.h"

enum { RINGS_MAX = 160 };

typedef struct {
    double x, y, radius, wall, ellipticity, angle, stain;
} ring;

typedef struct {
    ring r[RINGS_MAX];
    int n;
} ring_field;

/* About one ring per 45 x 45 IF px, none overlapping another. */
static inline ring_field rings_new(uint64_t seed, int w, int h)
{
    ring_field f = {.n = 0};
    fnr_rng g = fnr_rng_at(seed, 1, 2);
    const int wanted = w * h / (45 * 45);
    for (int tries = 0; tries < 40 * wanted && f.n < wanted && f.n < RINGS_MAX; tries++) {
        ring r = {.x = w * fnr_rng_uniform(&g), .y = h * fnr_rng_uniform(&g)};
        r.radius = 6 + 12 * fnr_rng_uniform(&g);
        r.wall = 1.5 + 1.5 * fnr_rng_uniform(&g);
        r.ellipticity = 0.35 * fnr_rng_uniform(&g);
        r.angle = 3.1416 * fnr_rng_uniform(&g);
        r.stain = 0.4 + 1.2 * fnr_rng_uniform(&g);
        bool room = true;
        for (int i = 0; room && i < f.n; i++) {
            room = hypot(r.x - f.r[i].x, r.y - f.r[i].y) > 1.3 * (r.radius + f.r[i].radius);
        }
        if (room) {
            f.r[f.n++] = r;
        }
    }
    return f;
}

/* Brightness at an IF position: Gaussian walls; equal for all rings, or each with its own staining. */
static inline double rings_at(const ring_field *f, double x, double y, bool stained)
{
    double sum = 0;
    for (int i = 0; i < f->n; i++) {
        const ring *r = &f->r[i];
        const double dx = x - r->x, dy = y - r->y, reach = 1.4 * r->radius + 5 * r->wall;
        if (fabs(dx) > reach || fabs(dy) > reach) {
            continue;
        }
        const double radius =
            r->radius * (1 + r->ellipticity * cos(2 * (atan2(dy, dx) - r->angle)) + 0.1 * cos(3 * atan2(dy, dx) + r->angle));
        const double d = (hypot(dx, dy) - radius) / r->wall;
        sum += (stained ? r->stain : 1.0) * exp(-0.5 * d * d);
    }
    return sum;
}

static inline fnr_image rings_montage(const ring_field *f, int w, int h, double noise, uint64_t seed)
{
    fnr_image im;
    fnr_error err;
    fnr_rng g = fnr_rng_at(seed, 3, 4);
    assert_ok(fnr_image_new(&im, w, h, 1, 1, FNR_F32, &err), err);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            *(float *)fnr_at(&im.v, x, y, 0, 0) = (float)(100 + 1000 * (rings_at(f, x, y, true) + noise * fnr_rng_normal(&g)));
        }
    }
    im.v.nm = 100;
    return im;
}

/* The prediction (w x h px of net_nm) of what lies under NET -> IF. */
static inline fnr_image rings_prediction(const ring_field *f, const fnr_transform *t, int w, int h, double net_nm, double noise,
                                         uint64_t seed)
{
    fnr_image im;
    fnr_error err;
    fnr_rng g = fnr_rng_at(seed, 5, 6);
    assert_ok(fnr_image_new(&im, w, h, 1, 1, FNR_F32, &err), err);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const fnr_point q = fnr_transform_apply(t, (fnr_point){x, y});
            *(float *)fnr_at(&im.v, x, y, 0, 0) = (float)(4 * rings_at(f, q.x, q.y, false) - 0.3 + noise * fnr_rng_normal(&g));
        }
    }
    im.v.nm = net_nm;
    return im;
}

/* NET -> IF with the tile's centre at (cx, cy). */
static inline fnr_transform rings_place(int w, int h, double net_nm, double cx, double cy, double scale, double rotation_deg)
{
    fnr_transform t = fnr_transform_similarity(scale * net_nm / 100, rotation_deg, 0, 0, FNR_FRAME_NET, FNR_FRAME_IF);
    const fnr_point c = fnr_transform_apply(&t, (fnr_point){0.5 * (w - 1), 0.5 * (h - 1)});
    t.m02 = cx - c.x;
    t.m12 = cy - c.y;
    return t;
}

#endif
