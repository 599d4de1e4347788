/* What runs on one tile of a prediction: one or more networks, each seeing the tile from one or more sides; the mean of it all.
 * Internal to prediction.
 *
 * A backend without flow_new runs a tile at a time (fnr_tile_net_run).  With it there are lanes: each has FNR_FLOW_SLOTS places for
 * tiles, and what runs is queued view by view (a network from a side): `turn` counts the views of a lane, at most FNR_FLOW_SLOTS of
 * them pushed and not taken. */
#ifndef FNR_NET_TILE_NET_H
#define FNR_NET_TILE_NET_H

#include "net/backend.h"
#include "net/predict.h"

typedef struct fnr_tile_net fnr_tile_net;

/* Borrows device and models (all of one rank and one number of channels in and out). */
fnr_tile_net *fnr_tile_net_new(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *const *models, size_t n, fnr_tta tta,
                               fnr_error *err);
void fnr_tile_net_free(fnr_tile_net *t);

/* Compiles for a shape (n = 1, extents on the grid of every network); nothing to do when it is the last one. */
bool fnr_tile_net_use(fnr_tile_net *t, const fnr_shape *shape, fnr_error *err);
/* Drops what depends on the shape. */
void fnr_tile_net_drop(fnr_tile_net *t);
/* Memory of the programs and of the buffers for tiles, of one lane. */
size_t fnr_tile_net_bytes(const fnr_tile_net *t);

/* How many lanes there are; 0 where a tile is run at a time. */
int fnr_tile_net_lanes(const fnr_tile_net *t);
/* Views that make up a tile. */
int fnr_tile_net_views(const fnr_tile_net *t);
/* The tile (in_channels, d, h, w) at a place, to be filled, and its result (out_channels, d, h, w), which is there after all views
 * are taken.  Without lanes: 0, 0. */
void fnr_tile_net_ends(fnr_tile_net *t, int lane, int place, float **in, const float **out);

/* Runs the tile at 0, 0.  The sum is taken in a fixed order, pixel by pixel; so it is with lanes. */
bool fnr_tile_net_run(fnr_tile_net *t, fnr_error *err);
/* Queues view number `view` of the tile at a place. */
bool fnr_tile_net_push(fnr_tile_net *t, int lane, int place, long turn, int view, fnr_error *err);
/* Adds the view to the tile's result when it is done; with wait, waits for it.  Views of a tile are taken in order. */
bool fnr_tile_net_take(fnr_tile_net *t, int lane, int place, long turn, int view, bool wait, bool *done, fnr_error *err);

#endif
