/* Shapes and network descriptions: plain values. */
#ifndef FNR_NET_SHAPE_H
#define FNR_NET_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include "src/core/err.h"

/* Order in memory of host tensors: n, c, d, h, w (w fastest), as PyTorch's contiguous layout. */
typedef struct {
    int spatial;       /* 2 or 3; in 2D d is 1 */
    int n, c, d, h, w; /* >= 1 */
} fnr_shape;

static inline size_t fnr_shape_count(const fnr_shape *s)
{
    return (size_t)s->n * (size_t)s->c * (size_t)s->d * (size_t)s->h * (size_t)s->w;
}

/* pytorch_fnet's fnet_nn_2d / fnet_nn_3d_params: U-Net of `depth` levels, base_channels * 2^level channels at each level. */
typedef struct {
    int spatial;       /* 2 or 3 */
    int in_channels;   /* 1 for EM */
    int out_channels;  /* 1 for MBP */
    int base_channels; /* pytorch_fnet's mult_chan / in_channels: 32 in the paper */
    int depth;         /* number of halvings: 4 in the paper; extents must be multiples of 2^depth */
} fnr_netdesc;

/* Blocks of outputs that a convolution computes together, from the image's corner on (Winograd's tiles): how an output is rounded
 * depends on its place in its block. */
typedef struct {
    int px;     /* along y and x; an output depends, in its last bits, on the inputs of the whole block; 1: there are no blocks */
    int slices; /* along z; an output depends on its own three slices alone (as those of F(2, 3) do) */
    /* A program's memory, whatever the image and per input pixel: an estimate that does not depend on the number of threads, as
     * what is chosen by it changes bits; what threads need for themselves comes on top. */
    double bytes, bytes_per_px;
} fnr_blocks;

bool fnr_netdesc_check(const fnr_netdesc *d, fnr_error *err);
/* Pixels on each side that an output pixel looks at: 108 for depth 4 (7 + 3.. see net/README.md for the recursion). */
int fnr_netdesc_receptive_field(const fnr_netdesc *d);
/* 2^depth: extents, tile starts and halos are multiples of this. */
int fnr_netdesc_grid(const fnr_netdesc *d);

#endif
