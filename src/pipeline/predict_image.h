/* One file -> its prediction: an image row by row, or a stack as a whole.  The part of `predict` that works on pixels. */
#ifndef FNR_PIPELINE_PREDICT_IMAGE_H
#define FNR_PIPELINE_PREDICT_IMAGE_H

#include "src/core/fs.h"
#include "src/pipeline/model_set.h"

typedef struct {
    fnr_run *run;
    const fnr_netdesc *desc;
    fnr_predictor *predictor;
    double net_nm; /* 0 = unknown (3D only) */
    bool as_u16;
} fnr_predicting;

/* Where channel `channel` (from 0) goes: `output` itself when the network has but one, else NAME.c1.tif, NAME.c2.tif, ... */
bool fnr_prediction_path(const fnr_netdesc *desc, const char *output, int channel, char path[FNR_PATH_MAX], fnr_error *err);

/* 2D, in bounded memory; input channels are the pages of the file. */
bool fnr_predict_image_file(const fnr_predicting *p, const char *input, const char *output, fnr_error *err);
/* 3D, in memory; a stack is taken at the pixel size that it has. */
bool fnr_predict_volume_file(const fnr_predicting *p, const char *input, const char *output, fnr_error *err);

#endif
