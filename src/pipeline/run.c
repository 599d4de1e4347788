#include "src/pipeline/run.h"

#include <string.h>

#include "src/core/threads.h"
#include "src/cv/cv.h"

static bool open_named(fnr_run *run, const char *name, const fnr_backend_options *options, fnr_error *err)
{
    const fnr_backend_ops *be = fnr_backend_find(name, err);
    if (!be || !fnr_backend_has_precision(be, options->precision, err) || !be->open(options, &run->device, err)) {
        return false;
    }
    run->be = be;
    if (be->device_name) {
        fnr_log_info(run->log, "device: %s", be->device_name(run->device));
    }
    return true;
}

bool fnr_run_open_device(fnr_run *run, bool winograd, fnr_error *err)
{
    fnr_threads_set(run->config.compute.threads);
    fnr_cv_set_threads(fnr_threads_get());
    const char *name = run->config.compute.device;
    const fnr_backend_options options = {
        .threads = fnr_threads_get(), .winograd = winograd, .precision = run->config.net.precision, .gpus = run->config.compute.gpus};
    if (strcmp(name, "auto") != 0) {
        return open_named(run, name, &options, err);
    }
    fnr_error why = {0};
    if (open_named(run, "cuda", &options, &why)) {
        return true;
    }
    if (fnr_backend_find("cuda", NULL)) { /* worth a word only where it could have been */
        fnr_log_info(run->log, "the network runs on the processor (%s)", why.message);
    } else {
        fnr_log_detail(run->log, "the network runs on the processor (%s)", why.message);
    }
    return open_named(run, "cpu", &options, err);
}

void fnr_run_close_device(fnr_run *run)
{
    if (run->be) {
        run->be->close(run->device);
    }
    run->be = NULL;
    run->device = NULL;
}
