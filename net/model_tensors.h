/* What every model format has in common: named tensors and metadata texts.  Readers of other containers fill an fnr_st_file and
 * leave all checks of names, extents and values to fnr_model_from_tensors; writers ask for the metadata as texts. */
#ifndef FNR_NET_MODEL_TENSORS_H
#define FNR_NET_MODEL_TENSORS_H

#include "net/model.h"
#include "net/safetensors.h"

/* fnr_model_read behind the container; `path` is for messages. *out is untouched on failure. */
bool fnr_model_from_tensors(const fnr_st_file *f, const char *path, fnr_model *out, fnr_error *err);

enum { FNR_MODEL_META_MAX = 16 };

typedef struct {
    fnr_st_meta rows[FNR_MODEL_META_MAX]; /* borrow from the model and from below */
    char numbers[FNR_MODEL_META_MAX][40];
    size_t count;
    char *history; /* owned */
} fnr_model_meta;

/* All __metadata__ of a model (see net/model.h). The model outlives *out, which is not to be copied. Release with
 * fnr_model_meta_free, also after a failure. */
bool fnr_model_meta_make(const fnr_model *m, fnr_model_meta *out, fnr_error *err);
void fnr_model_meta_free(fnr_model_meta *meta);

#endif
