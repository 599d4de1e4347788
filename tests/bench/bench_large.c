/* Time and memory of the search on montages of growing size: bench_large [SIDE ...]   (default 2048 20000)
 *
 * The montage is a field of stained rings, one per 45 x 45 px, drawn ring by ring into 16 bits, with noise; tiles of 1250 x 1250 EM
 * pixels (11.9 nm, 150 montage px) are drawn from the same rings at 40 nm under a known similarity.  No ring field repeats, so every
 * tile has one true place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "register/register.h"
#include "src/core/timer.h"
#include "src/cv/cv.h"
#include "tests/bench/ring_field.h"

enum { TILES = 4, TILE = 372 };

#define NET_NM 40.0
#define IF_NM 100.0

static double processor_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double peak_mib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

/* Whether the tile was found. */
static bool find_tile(const fnr_target *target, int side, int k, fnr_error *err)
{
    const fnr_register_options o = fnr_register_defaults();
    fnr_rng g = fnr_rng_at(14, (uint64_t)k, (uint64_t)side);
    fnr_image p;
    fnr_registration r;
    fnr_transform truth = fnr_transform_similarity(0.4 * (0.94 + 0.08 * fnr_rng_uniform(&g)), 360 * fnr_rng_uniform(&g), 0, 0, FNR_FRAME_NET, FNR_FRAME_IF);
    truth.m02 = 150 + (side - 300) * fnr_rng_uniform(&g);
    truth.m12 = 150 + (side - 300) * fnr_rng_uniform(&g);
    if (!fnr_image_new(&p, TILE, TILE, 1, 1, FNR_F32, err)) {
        return false;
    }
    p.v.nm = NET_NM;
    ring_prediction(&truth, (uint64_t)k, &p.v);
    const double start = fnr_now_s(), busy = processor_s();
    const bool ok = fnr_register_tile(target, &p.v, &o, NULL, &r, err);
    fnr_image_free(&p);
    if (!ok) {
        return false;
    }
    const double error = r.has_transform ? fnr_transform_mean_distance(&r.t, &truth, TILE, TILE) : INFINITY;
    printf("  tile %d: %-10s error %.3f px, %.2f s (%.2f s of processor time)\n", k, fnr_verdict_name(r.verdict), error, fnr_now_s() - start,
           processor_s() - busy);
    return error < 1 || fnr_fail(err, FNR_E_NUMERIC, "a tile was not found");
}

static bool try_side(int side, fnr_error *err)
{
    fnr_image m;
    const fnr_register_options o = fnr_register_defaults();
    if (!fnr_image_new(&m, side, side, 1, 1, FNR_U16, err)) {
        return false;
    }
    ring_montage(&m.v);
    printf("montage of %d x %d px, 16 bits: drawn, peak memory %.0f MiB\n", side, side, peak_mib());
    const double start = fnr_now_s();
    fnr_target *target = fnr_target_new(&m.v, IF_NM, &o, err);
    bool ok = target != NULL;
    printf("  prepared in %.2f s\n", fnr_now_s() - start);
    for (int k = 0; ok && k < TILES; k++) {
        ok = find_tile(target, side, k, err);
    }
    printf("  peak memory %.0f MiB\n", peak_mib());
    fflush(stdout);
    fnr_target_free(target);
    fnr_image_free(&m);
    return ok;
}

int main(int argc, char **argv)
{
    fnr_error err = {0};
    bool ok = true;
    fnr_cv_set_threads(1);
    for (int i = 1; ok && i < argc; i++) {
        ok = try_side(atoi(argv[i]), &err);
    }
    if (argc == 1) {
        ok = try_side(2048, &err) && try_side(20000, &err);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", err.message);
    }
    return ok ? 0 : 1;
}
