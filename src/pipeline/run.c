#include "src/pipeline/run.h"

#include "src/core/threads.h"
#include "src/cv/cv.h"

bool fnr_run_open_device(fnr_run *run, bool winograd, fnr_error *err)
{
    fnr_threads_set(run->config.compute.threads);
    fnr_cv_set_threads(fnr_threads_get());
    const fnr_backend_ops *be = fnr_backend_find(run->config.compute.device, err);
    const fnr_backend_options options = {.threads = fnr_threads_get(), .winograd = winograd};
    if (!be || !be->open(&options, &run->device, err)) {
        return false;
    }
    run->be = be;
    return true;
}

void fnr_run_close_device(fnr_run *run)
{
    if (run->be) {
        run->be->close(run->device);
    }
    run->be = NULL;
    run->device = NULL;
}
