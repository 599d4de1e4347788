/* What a training was made from: the record that travels inside the weights, its comparison before a run goes on, and the record
 * of a finished run beside them. */
#ifndef FNR_PIPELINE_TRAIN_RECORD_H
#define FNR_PIPELINE_TRAIN_RECORD_H

#include <cjson/cJSON.h>

#include "src/pipeline/run.h"
#include "src/pipeline/stage_train.h"
#include "src/pipeline/train_set.h"

/* Program, settings, digests of the projects and of every image.  Files are named relative to the folder that all of them lie in:
 * weights are passed on, and the folders above tell about people and machines.  Reads all files once.  Caller deletes; NULL when cancelled. */
cJSON *fnr_train_record_make(const fnr_run *run, const fnr_train_job *job, const fnr_train_set *set, fnr_error *err);

/* Is the training that `now` describes the one whose state, with the record `before` (NULL = it has none), lies in `path`?
 * Otherwise the message names the setting or the file that differs. */
bool fnr_train_record_same(const cJSON *now, const cJSON *before, const char *path, fnr_error *err);

/* Writes <stem>.train.json: how the run ended (`ended`, a sentence), after how many steps, with what result; the record inside. */
bool fnr_train_record_write(const char *path, const fnr_train_job *job, const cJSON *record, const fnr_train_status *final, const char *ended,
                            double seconds, fnr_error *err);

#endif
