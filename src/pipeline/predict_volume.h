/* One stack -> its prediction, in memory. */
#ifndef FNR_PIPELINE_PREDICT_VOLUME_H
#define FNR_PIPELINE_PREDICT_VOLUME_H

#include "src/pipeline/prediction.h"

/* 3D; the stack is taken at the pixel size that it has. */
bool fnr_predict_volume_file(const fnr_predicting *p, const char *input, const char *output, fnr_error *err);

#endif
