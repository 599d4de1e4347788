/* The order in which tiles are read, computed and kept.  Internal to prediction.
 *
 * Each lane of the network (a GPU, say) is given the next tile as soon as it has room for one more, so that it always has the next
 * one while it computes; other networks run a tile at a time.  Everything is called on the caller's thread.  What comes out does
 * not depend on the number of lanes. */
#ifndef FNR_NET_TILE_QUEUE_H
#define FNR_NET_TILE_QUEUE_H

#include "net/tile_net.h"

typedef struct {
    long tiles;
    long group; /* so many tiles at a time belong together: all of a group are kept before one of the next */
    bool (*load)(void *ctx, long tile, float *in, fnr_error *err);        /* in the order of tiles */
    bool (*keep)(void *ctx, long tile, const float *out, fnr_error *err); /* in any order within a group */
    void *ctx;
    const fnr_cancel *cancel;
} fnr_tile_work;

/* *in_net: whether a failure came from the network, not from load or keep.  After a failure nothing is under way any more. */
bool fnr_tile_queue_run(fnr_tile_net *net, const fnr_tile_work *work, bool *in_net, fnr_error *err);

#endif
