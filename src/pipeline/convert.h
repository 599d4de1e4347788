/* `fnet-register convert`: models between safetensors, pytorch_fnet's model.p, ONNX and bioimage.io packages. */
#ifndef FNR_PIPELINE_CONVERT_H
#define FNR_PIPELINE_CONVERT_H

#include "net/checkpoint.h"
#include "net/onnx.h"
#include "src/pipeline/package.h"
#include "src/pipeline/run.h"

typedef enum {
    FNR_FORMAT_UNKNOWN,
    FNR_FORMAT_SAFETENSORS,
    FNR_FORMAT_CHECKPOINT,
    FNR_FORMAT_ONNX,
    FNR_FORMAT_PACKAGE
} fnr_model_format;

/* "safetensors", "PyTorch checkpoint", ... */
const char *fnr_model_format_name(fnr_model_format f);
/* By the file's first bytes and, where those leave it open, by its name's ending. UNKNOWN when it is none of them or unreadable.
 */
fnr_model_format fnr_model_format_of_file(const char *path);
/* By the ending: .safetensors; .p .pt .pth; .onnx; .zip. */
fnr_model_format fnr_model_format_of_name(const char *path);

/* Reads any of the formats. A model without a record gets one that says what it came from. */
bool fnr_model_read_any(const char *path, bool weights_only, fnr_model *out, fnr_model_format *format, fnr_error *err);

typedef struct {
    const char *in, *out;
    bool weights_only;            /* without the optimiser's state */
    double pixel_nm;              /* written in place of what the input says; 0 = as it is */
    fnr_checkpoint_layout layout; /* model.p */
    fnr_onnx_options onnx;        /* ONNX and package */
    fnr_package_info info;        /* package */
} fnr_convert_job;

bool fnr_convert(fnr_run *run, const fnr_convert_job *job, fnr_error *err);

#endif
