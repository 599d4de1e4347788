/* Sub-pixel bias: a tile shifted by tenths of a pixel in steps of 0.1 px along x and y; what is found minus what was put in, mean and
 * standard deviation over tiles: bench_bias [TILES] */
#include <stdio.h>
#include <stdlib.h>

#include "register/register.h"
#include "src/cv/cv.h"
#include "tests/bench/ring_field.h"

enum { SIDE = 420, TILE = 372, STEPS = 10 };

#define NET_NM 40.0

/* Found minus true centre [IF px]. */
static bool offset_of(const fnr_target *target, double rotation, double dx, double dy, int seed, double off[2], fnr_error *err)
{
    const fnr_register_options o = fnr_register_defaults();
    fnr_transform truth = fnr_transform_similarity(0.4, rotation, 0, 0, FNR_FRAME_NET, FNR_FRAME_IF), start;
    const fnr_point middle = {0.5 * (TILE - 1), 0.5 * (TILE - 1)}, c = fnr_transform_apply(&truth, middle);
    truth.m02 = 0.5 * SIDE + dx - c.x;
    truth.m12 = 0.5 * SIDE + dy - c.y;
    start = truth;
    start.m02 += 0.7;
    start.m12 -= 0.4;
    fnr_image p;
    fnr_registration r;
    if (!fnr_image_new(&p, TILE, TILE, 1, 1, FNR_F32, err)) {
        return false;
    }
    p.v.nm = NET_NM;
    ring_prediction(&truth, (uint64_t)seed, &p.v);
    const bool ok = fnr_register_near(target, &p.v, &start, &o, &r, err);
    fnr_image_free(&p);
    if (ok) {
        const fnr_point q = fnr_transform_apply(&r.t, middle), t = fnr_transform_apply(&truth, middle);
        off[0] = q.x - t.x;
        off[1] = q.y - t.y;
    }
    return ok;
}

int main(int argc, char **argv)
{
    const int tiles = argc > 1 ? atoi(argv[1]) : 6;
    fnr_error err = {0};
    fnr_image m;
    const fnr_register_options o = fnr_register_defaults();
    fnr_cv_set_threads(1);
    bool ok = fnr_image_new(&m, SIDE, SIDE, 1, 1, FNR_U16, &err);
    if (ok) {
        ring_montage(&m.v);
    }
    fnr_target *target = ok ? fnr_target_new(&m.v, 100, &o, &err) : NULL;
    ok = target != NULL;
    printf("%d rotations, noise in both images; found minus true [px]\nshift   mean x   mean y    sd x    sd y\n", tiles);
    double low = INFINITY, high = -INFINITY;
    for (int k = 0; ok && k <= STEPS; k++) {
        double sum[2] = {0}, squares[2] = {0};
        for (int i = 0; ok && i < tiles; i++) {
            double off[2];
            ok = offset_of(target, i * 360.0 / tiles, 0.1 * k, 0.1 * k, i, off, &err); /* the same tile at every shift */
            for (int c = 0; ok && c < 2; c++) {
                sum[c] += off[c] / tiles;
                squares[c] += off[c] * off[c] / tiles;
            }
        }
        const double sx = sqrt(fmax(0, squares[0] - sum[0] * sum[0])), sy = sqrt(fmax(0, squares[1] - sum[1] * sum[1]));
        printf("%.1f   %+.4f  %+.4f  %.4f  %.4f\n", 0.1 * k, sum[0], sum[1], sx, sy);
        low = fmin(low, fmin(sum[0], sum[1]));
        high = fmax(high, fmax(sum[0], sum[1]));
    }
    if (ok) {
        printf("the curve spans %.4f px from %+.4f to %+.4f\n", high - low, low, high);
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    fnr_target_free(target);
    fnr_image_free(&m);
    return ok ? 0 : 1;
}
