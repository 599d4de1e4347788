/* One or more GPUs to predict on, for tests that pretend GPUs (emulated_*.c) and for real ones. */
#ifndef FNR_TESTS_TILES_CASE_H
#define FNR_TESTS_TILES_CASE_H

#include "tests/support/net_rig.h"
#include "tests/support/predict_case.h"

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

#endif
