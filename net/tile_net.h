/* What runs on one tile of a prediction: one or more networks, each seeing the tile from one or more sides; the mean of it all.
 * Internal to prediction. */
#ifndef FNR_NET_TILE_NET_H
#define FNR_NET_TILE_NET_H

#include "net/backend.h"
#include "net/predict.h"

typedef struct fnr_tile_net fnr_tile_net;

/* Borrows device and models (all of one rank and one number of channels in and out). */
fnr_tile_net *fnr_tile_net_new(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *const *models, size_t n, fnr_tta tta,
                               fnr_error *err);
void fnr_tile_net_free(fnr_tile_net *t);

/* Compiles for a shape (n = 1, extents on the grid of every network) and a mode of inference; nothing to do when it is the last one. */
bool fnr_tile_net_use(fnr_tile_net *t, const fnr_shape *shape, fnr_mode mode, fnr_error *err);
/* Drops what depends on the shape. */
void fnr_tile_net_drop(fnr_tile_net *t);
/* Memory of the programs and of the buffers for turned tiles. */
size_t fnr_tile_net_bytes(const fnr_tile_net *t);

/* in: (in_channels, d, h, w) -> out: (out_channels, d, h, w).  The sum is taken in a fixed order, pixel by pixel. */
bool fnr_tile_net_run(fnr_tile_net *t, const float *in, float *out, fnr_error *err);

#endif
