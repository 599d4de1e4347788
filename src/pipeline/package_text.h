/* The texts of a bioimage.io package: description (bioimageio.yaml) and documentation. */
#ifndef FNR_PIPELINE_PACKAGE_TEXT_H
#define FNR_PIPELINE_PACKAGE_TEXT_H

#include "net/buffer.h"
#include "src/core/hash.h"
#include "src/pipeline/package.h"

/* Files beside bioimageio.yaml. */
enum { FNR_PACKAGE_WEIGHTS, FNR_PACKAGE_ATTACHMENT, FNR_PACKAGE_INPUT, FNR_PACKAGE_OUTPUT, FNR_PACKAGE_TEXT, FNR_PACKAGE_FILES };

/* The rules of the model description for what the user may choose. */
bool fnr_package_check(const fnr_package_info *info, fnr_error *err);
void fnr_package_documentation(fnr_buffer *b, const fnr_model *m, const fnr_package_info *info);
void fnr_package_yaml(fnr_buffer *b, const fnr_model *m, const fnr_package_info *info,
                      const fnr_digest digests[FNR_PACKAGE_FILES]);

#endif
