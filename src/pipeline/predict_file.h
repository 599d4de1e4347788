/* `fnet-register predict`: EM images of any size -> predicted MBP at the network's pixel size. */
#ifndef FNR_PIPELINE_PREDICT_FILE_H
#define FNR_PIPELINE_PREDICT_FILE_H

#include "src/pipeline/run.h"

typedef struct {
    const char *const *models; /* averaged when there are several */
    size_t n_models;
    const char *const *inputs;
    size_t n_inputs;
    const char *output; /* a .tif file for one input; else a folder that gets <stem>.prediction.tif per input */
    bool as_u16;        /* scaled to 0..65535 instead of float32; the scale stands in the ImageDescription */
} fnr_predict_job;

/* Memory stays within compute.max_mb (activations and a band of rows) and what threads need for themselves, whatever the size of
 * the images.  An input that fails is reported and the others go on; *n_failed counts them. */
bool fnr_stage_predict(fnr_run *run, const fnr_predict_job *job, size_t *n_failed, fnr_error *err);

#endif
