/* Why a training step gave no finite loss: which patch of which image, or which step before it.  Internal to training. */
#ifndef FNR_NET_BATCH_FAULT_H
#define FNR_NET_BATCH_FAULT_H

#include "net/sampler.h"

typedef struct {
    const fnr_sampler *sampler;
    const fnr_netdesc *desc;
    const fnr_sampler_options *options;
    long step;               /* 0-based */
    const float *x, *y;      /* the batch of that step */
    const float *parameters; /* as they were before the step, n_parameters of them; NULL when unknown */
    size_t n_parameters;
} fnr_batch_case;

/* Fills *err with FNR_E_NUMERIC and returns false. */
bool fnr_batch_fault(const fnr_batch_case *c, fnr_error *err);

#endif
