/* Batches made ahead of time, beside the device.  Internal to training. */
#ifndef FNR_NET_PREFETCH_H
#define FNR_NET_PREFETCH_H

#include "net/sampler.h"

typedef struct fnr_prefetch fnr_prefetch;

/* Starts `slots` threads (at least 2, one per buffer) that make the batches of steps [first, end). x_floats, y_floats: size of
 * one batch. The sampler is borrowed. */
fnr_prefetch *fnr_prefetch_start(fnr_sampler *s, size_t x_floats, size_t y_floats, long first, long end, int slots, fnr_error *err);
/* Waits for the next batch, in order from `first`; the arrays are lent until the next call. Not past end.  False when an image that
 * it needs could not be loaded. */
bool fnr_prefetch_next(fnr_prefetch *p, const float **x, const float **y, fnr_error *err);
/* Ends the threads, whatever they are doing (the sampler is stopped). NULL is fine. */
void fnr_prefetch_stop(fnr_prefetch *p);

#endif
