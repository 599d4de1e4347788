/* What every stage is handed: settings, log, cancel flag, the opened device. */
#ifndef FNR_PIPELINE_RUN_H
#define FNR_PIPELINE_RUN_H

#include "net/backend.h"
#include "src/core/cancel.h"
#include "src/core/log.h"
#include "src/pipeline/config.h"

typedef struct {
    fnr_config config;
    fnr_log *log;             /* borrowed */
    const fnr_cancel *cancel; /* borrowed */
    bool dry_run;
    const fnr_backend_ops *be; /* set by fnr_run_open_device */
    fnr_backend *device;
} fnr_run;

/* Opens the backend that compute.device names; sets thread counts everywhere. winograd: faster convolutions. */
bool fnr_run_open_device(fnr_run *run, bool winograd, fnr_error *err);
void fnr_run_close_device(fnr_run *run);

#endif
