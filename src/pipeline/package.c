#include "src/pipeline/package.h"

bool fnr_package_write(fnr_run *run, const char *path, const fnr_model *m, const fnr_package_info *info,
                       const fnr_onnx_options *onnx, fnr_error *err)
{
    (void)run, (void)m, (void)info, (void)onnx;
    return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: bioimage.io packages cannot be written yet", path);
}

bool fnr_package_read(const char *path, fnr_model *out, fnr_error *err)
{
    (void)out;
    return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: bioimage.io packages cannot be read yet", path);
}
