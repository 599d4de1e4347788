/* What predictions of images and of volumes have in common: where a channel goes, how it is stored, which inputs fit. */
#ifndef FNR_PIPELINE_PREDICTION_H
#define FNR_PIPELINE_PREDICTION_H

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

/* n z-scored values as uint16: from -4 to 28 sd in steps of 1/2048 sd, the same for every image, so that pictures compare. */
void fnr_prediction_to_u16(const float *from, size_t n, uint16_t *to);

/* Fails when `input` has not the channels that the network takes. */
bool fnr_prediction_channels_fit(const fnr_predicting *p, const char *input, fnr_error *err);

#endif
