/* Image files -> their predictions, row by row in bounded memory. */
#ifndef FNR_PIPELINE_PREDICT_IMAGE_H
#define FNR_PIPELINE_PREDICT_IMAGE_H

#include "src/pipeline/prediction.h"

typedef struct {
    const char *input, *output; /* borrowed */
    fnr_error failure;          /* code FNR_OK once it is written */
    enum { FNR_PREDICT_WAITS, FNR_PREDICT_WRITTEN, FNR_PREDICT_FAILED } state;
    int w, h;     /* at the network's pixel size; 0 = not looked up yet */
    double em_nm; /* of the file, looked up with them */
} fnr_predict_entry;

/* 2D; input channels are the pages of a file.  Neighbours in the list that are of one size make a series: a GPU computes while the
 * next file is read and the last one written.  A file that fails does so alone, and its `failure` says why; files that wait (state
 * 0) at the beginning have ended at the end.  False only when it is cancelled or memory is out: what was written remains. */
bool fnr_predict_image_files(const fnr_predicting *p, fnr_predict_entry *entries, size_t n, fnr_error *err);

#endif
