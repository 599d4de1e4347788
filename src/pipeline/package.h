/* A bioimage.io package (model description 0.5): a zip archive with bioimageio.yaml, ONNX weights, our own safetensors as an
 * attachment, a test image with its prediction, and documentation. */
#ifndef FNR_PIPELINE_PACKAGE_H
#define FNR_PIPELINE_PACKAGE_H

#include "net/model.h"
#include "net/onnx.h"
#include "src/pipeline/run.h"

/* What the model itself cannot tell; NULL = left out (the official validator warns about what is missing). */
typedef struct {
    const char *name, *description, *author, *license; /* license: an SPDX identifier */
} fnr_package_info;

/* Opens the run's device for the test prediction. Atomic. */
bool fnr_package_write(fnr_run *run, const char *path, const fnr_model *m, const fnr_package_info *info,
                       const fnr_onnx_options *onnx, fnr_error *err);
/* The safetensors attachment of a package of ours, else its ONNX weights. */
bool fnr_package_read(const char *path, fnr_model *out, fnr_error *err);

#endif
