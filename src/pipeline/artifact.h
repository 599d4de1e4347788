/* Stages hand over named files.  Beside each file lies a record whose key says what it was made from: a stage whose key is
 * unchanged need not run again, so a killed run continues where it stopped.  The record is written last: it is the commit mark. */
#ifndef FNR_PIPELINE_ARTIFACT_H
#define FNR_PIPELINE_ARTIFACT_H

#include <cjson/cJSON.h>

#include "src/core/fs.h"
#include "src/core/hash.h"
#include "src/pipeline/config.h"

typedef struct {
    const char *name;            /* folder under the output folder: "predict", "register" */
    int version;                 /* raised when the stage's result changes for the same inputs */
    const char *const *settings; /* prefixes of the settings that matter, NULL-terminated */
} fnr_stage;

/* hash(name, version, settings, inputs) */
fnr_digest fnr_stage_key(const fnr_stage *s, const fnr_config *config, const fnr_digest *inputs, size_t n_inputs);

/* Makes the stage's folder. */
bool fnr_artifact_prepare(const fnr_stage *s, const char *out_dir, fnr_error *err);
/* OUT/<stage>/<item><suffix>; an item whose name leaves no room for the suffix is cut and marked with its digest. */
bool fnr_artifact_path(const fnr_stage *s, const char *out_dir, const char *item, const char *suffix, char path[FNR_PATH_MAX], fnr_error *err);

/* The record of `item` when it exists, parses, and carries `key`; NULL otherwise (never an error: the stage just runs). */
cJSON *fnr_artifact_find(const fnr_stage *s, const char *out_dir, const char *item, const fnr_digest *key);
/* Adds the key to `record` and writes it. */
bool fnr_artifact_commit(const fnr_stage *s, const char *out_dir, const char *item, const fnr_digest *key, cJSON *record, fnr_error *err);

#endif
