/* How good are the current parameters on images that training does not see?  Internal to training. */
#ifndef FNR_NET_VALIDATE_H
#define FNR_NET_VALIDATE_H

#include "net/backend.h"
#include "net/sampler.h"

/* Pixels (voxels) that one validation looks at, at most. */
#define FNR_VALIDATE_MAX_PX (1 << 20)

typedef struct fnr_validator fnr_validator;

/* One crop per pair, all of one shape, where the most pixels are valid (the middle of the image among equals).  Crops are copied;
 * each pair is loaded once.  Borrows the rest; `state` holds the parameters that are judged. */
fnr_validator *fnr_validator_new(const fnr_backend_ops *be, fnr_backend *device, fnr_state *state, const fnr_netdesc *desc,
                                 const fnr_pair_source *source, fnr_error *err);
void fnr_validator_free(fnr_validator *v);

/* Over all valid pixels of all crops: mean squared error; Pearson correlation of every output channel into channel_r, and their mean
 * (of those that have one) into *r.  NaN where there is no pixel, or nothing varies. */
bool fnr_validator_run(fnr_validator *v, double *mse, double *r, double *channel_r, fnr_error *err);

#endif
