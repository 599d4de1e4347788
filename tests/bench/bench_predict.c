/* Time and memory of whole predictions by the paper's networks (random weights), of images of several extents:
 *   bench_predict [MIB]   at most MIB for activations; 0 (default) = half of what there is
 * Each is a process of its own, so that its memory is its own.  The last column is the time per pixel against that of the first
 * image of the same rank: what cutting into regions costs. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/predict.h"
#include "src/core/rng.h"
#include "src/core/timer.h"

enum { RUNS = 3 };

typedef struct {
    int spatial, d, h, w;
} extents;

static const extents cases[] = {{2, 1, 1504, 1504}, {2, 1, 1600, 1600}, {2, 1, 2048, 2048}, {2, 1, 4096, 4096},
                                {3, 32, 256, 256},  {3, 32, 288, 288},  {3, 32, 512, 512},  {3, 60, 256, 924}};
enum { N_CASES = sizeof cases / sizeof *cases };

static double seconds_of(fnr_predictor *p, const extents *e, const float *in, float *out, fnr_error *err)
{
    double best = 1e9;
    for (int i = 0; i < RUNS; i++) {
        const double start = fnr_now_s();
        if (!fnr_predict_array(p, e->d, e->h, e->w, in, out, NULL, err)) {
            return -1;
        }
        const double s = fnr_now_s() - start;
        best = s < best ? s : best;
    }
    return best;
}

/* The best of RUNS [s]; below 0 after a failure. */
static double predict(const extents *e, int mib, fnr_error *err)
{
    const fnr_netdesc desc = {e->spatial, 1, 1, 32, 4};
    const size_t n = (size_t)e->d * (size_t)e->h * (size_t)e->w;
    const fnr_backend_options options = {.winograd = true};
    const fnr_predict_options how = {.max_bytes = (size_t)mib << 20};
    float *in = malloc(n * sizeof *in), *out = malloc(n * sizeof *out);
    fnr_backend *device = NULL;
    fnr_predictor *p = NULL;
    fnr_model m;
    fnr_rng rng = fnr_rng_at(1, 0, 0);
    for (size_t i = 0; in && i < n; i++) {
        in[i] = (float)fnr_rng_normal(&rng);
    }
    const bool ok = in && out && fnr_model_new(&desc, 1, &m, err) && fnr_backend_onednn.open(&options, &device, err) &&
                    (p = fnr_predictor_new(&fnr_backend_onednn, device, &m, &how, err));
    return ok ? seconds_of(p, e, in, out, err) : -1; /* the process ends: nothing is freed */
}

/* In a process of its own; false after a failure. */
static bool measure(const extents *e, int mib, double *per_px_of_first)
{
    int ends[2];
    double s = -1;
    if (pipe(ends)) {
        return false;
    }
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        fnr_error err = {0};
        s = predict(e, mib, &err);
        if (s < 0) {
            fprintf(stderr, "bench_predict: %s\n", err.message);
        }
        _exit(write(ends[1], &s, sizeof s) == sizeof s && s >= 0 ? 0 : 1);
    }
    close(ends[1]);
    struct rusage used = {0};
    const bool told = child > 0 && read(ends[0], &s, sizeof s) == sizeof s,
               ok = child > 0 && wait4(child, NULL, 0, &used) == child && told && s >= 0;
    close(ends[0]);
    const double px = (double)e->d * e->h * e->w;
    if (ok) {
        *per_px_of_first = *per_px_of_first > 0 ? *per_px_of_first : s / px;
        printf("%dD  %3d x %4d x %4d  %7.2f s  %6.2f us/px  peak %6ld MiB  %.2f\n", e->spatial, e->d, e->h, e->w, s, 1e6 * s / px,
               used.ru_maxrss >> 10, s / px / *per_px_of_first);
    }
    return ok;
}

int main(int argc, char **argv)
{
    const int mib = argc > 1 ? atoi(argv[1]) : 0;
    double first[4] = {0};
    bool ok = true;
    for (int i = 0; i < N_CASES; i++) {
        ok = measure(&cases[i], mib, &first[cases[i].spatial]) && ok;
    }
    return ok ? 0 : 1;
}
