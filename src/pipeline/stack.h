/* The pages of a TIFF as channels and planes: what networks with several channels, and those in 3D, read. */
#ifndef FNR_PIPELINE_STACK_H
#define FNR_PIPELINE_STACK_H

#include "src/image/tiff.h"

typedef struct {
    int w, h;
    int channels, depth; /* depth = 1 in 2D */
    double nm;           /* 0 = unknown */
    int page_per_channel, page_per_z;
} fnr_stack;

/* 2D: every page is a channel (a file with both channels and planes is refused).  3D: channels and planes as OME or ImageJ metadata
 * tell them, else all pages are planes of one channel.  Several time points are refused. */
bool fnr_stack_open(const char *path, int spatial, fnr_stack *out, fnr_error *err);

/* All planes of a channel (from 0) as floats into dst (depth * h * w). */
bool fnr_stack_read(const char *path, const fnr_stack *s, int channel, float *dst, fnr_error *err);

/* z-score over n values in place, finite ones measured, the others set to 0.  False when nothing varies. */
bool fnr_stack_zscore(float *v, size_t n);

#endif
