/* `fnet-register train`: manual projects -> model. */
#ifndef FNR_PIPELINE_STAGE_TRAIN_H
#define FNR_PIPELINE_STAGE_TRAIN_H

#include "src/pipeline/run.h"

typedef struct {
    const char *const *projects;
    size_t n_projects;
    const char *model_path; /* best state; beside it <stem>.last.safetensors (last state with moments), <stem>.loss.csv, .loss.svg, .train.json */
    bool resume;            /* go on from the last state */
    bool force;             /* replace an earlier training of that name */
} fnr_train_job;

bool fnr_stage_train(fnr_run *run, const fnr_train_job *job, fnr_error *err);

#endif
