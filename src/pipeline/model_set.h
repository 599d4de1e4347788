/* The models of a job: one, or several whose predictions are averaged. */
#ifndef FNR_PIPELINE_MODEL_SET_H
#define FNR_PIPELINE_MODEL_SET_H

#include <cjson/cJSON.h>

#include "net/model.h"
#include "net/predict.h"
#include "src/core/hash.h"
#include "src/pipeline/run.h"

enum { FNR_MAX_MODELS = 32 }; /* options of one command line */

typedef struct {
    char **paths;
    fnr_model *models;
    fnr_digest *digests; /* of the files */
    size_t count;
    fnr_digest digest;   /* of all: the file's own when there is one model */
    char names[512];     /* base names, for people: "a.safetensors, b.safetensors" */
} fnr_model_set;

/* `given` as on the command line: files, or lists of files with commas between them (a file whose name holds a comma is taken as
 * it is).  Models that cannot be averaged are refused, the files named.  *out is untouched on failure. */
bool fnr_model_set_read(const char *const *given, size_t n, fnr_model_set *out, fnr_error *err);
void fnr_model_set_free(fnr_model_set *s);

/* A predictor over all of them with the settings of the run, whose device is open. */
fnr_predictor *fnr_model_set_open(const fnr_model_set *s, const fnr_run *run, fnr_error *err);

/* {"path", "sha256"} of the model, or a list of them. */
cJSON *fnr_model_set_record(const fnr_model_set *s);

#endif
