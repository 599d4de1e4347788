/* A small network and an image to predict on one or more GPUs, for tests that pretend GPUs (emulated_*.c) and for real ones. */
#ifndef FNR_TESTS_TILES_CASE_H
#define FNR_TESTS_TILES_CASE_H

#include "tests/support/net_rig.h"

#include "net/predict.h"

typedef struct {
    const fnr_backend_ops *ops;
    fnr_backend *device;
} tiles_device;

/* Skips where there are not so many. */
static inline tiles_device tiles_open(int gpus)
{
    fnr_error err = {0};
    tiles_device d = {.ops = fnr_backend_find("cuda", &err)};
    if (!d.ops || !d.ops->open(&(fnr_backend_options){.gpus = gpus}, &d.device, &err)) {
        print_message("skipped: %s\n", err.message);
        skip();
    }
    return d;
}

static inline bool tiles_pretended(const tiles_device *d)
{
    return strstr(d->ops->device_name(d->device), "emulated") != NULL;
}

static inline fnr_model tiles_model(const fnr_netdesc *desc, uint64_t seed)
{
    fnr_model m;
    fnr_error err = {0};
    assert_ok(fnr_model_new(desc, seed, &m, &err), err);
    for (int i = 0; i < m.graph.n_params; i++) {
        const fnr_param *p = &m.graph.params[i];
        if (p->role == FNR_PARAM_RUNNING_VAR) {
            fnr_test_fill(m.values + p->offset, p->count, (unsigned)i, 0.5, 1.5);
        } else if (p->role != FNR_PARAM_WEIGHT) {
            fnr_test_fill(m.values + p->offset, p->count, (unsigned)i, -0.3, 0.3);
        }
    }
    return m;
}

static inline float *tiles_image(size_t n, unsigned seed)
{
    float *px = malloc(n * sizeof *px);
    assert_non_null(px);
    fnr_test_fill(px, n, seed, -1.7, 1.7);
    return px;
}

#endif
