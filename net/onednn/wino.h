/* 3x3 (3x3x3) convolutions with stride 1 and a border of one by Winograd's F(4x4, 3x3) or F(6x6, 3x3), as the kernels say
 * (wino_kernels.h), on blocked tensors.  In 3D each slice is transformed in its plane and the three kernel slices are summed in
 * the transformed domain, so that 2D and 3D both need a quarter (a fifth) of the multiplications of the definition.  Prediction
 * computes slices in pairs, with four products in place of these six (wino_pairs.c): there it is two fifteenths.
 *
 * Work goes by strips: some tiles (of all samples, row by row) times some slices.  Inputs of a strip are transformed, for each
 * frequency a matrix product takes input channels to output channels, and the result is transformed back.  With few
 * channels, strips fit the second-level cache and each thread has one of its own; with many, the weights do not fit, and all
 * threads share a large strip, so that weights are read once for many tiles.
 *
 * Tiles begin at multiples of their size from the image's corner, pairs at even slices.  To the last bit an output depends
 * on the inputs of its tile in three slices, on its place in its pair and on the weights: not on strips, threads or the rest of the
 * image. */
#ifndef FNR_NET_ONEDNN_WINO_H
#define FNR_NET_ONEDNN_WINO_H

#include "net/onednn/norm.h"
#include "net/onednn/wino_kernels.h"

/* What is to be computed: outputs; gradients of inputs (then `in` is the side of the convolution's output, and weights are used
 * transposed and turned around); gradients of weights. */
typedef enum { FNR_DN_WINO_FORWARD, FNR_DN_WINO_BACK, FNR_DN_WINO_GRAD } fnr_dn_wino_purpose;

typedef struct {
    fnr_dn_wino_purpose purpose;
    const fnr_dn_wino_kernels *kernels;
    int spatial, n, d, h, w;
    int in_channels, out_channels; /* true numbers */
    int in_blocks, out_blocks;
    int workers; /* strips in work at a time */
    /* Derived. */
    int terms;                     /* kernel slices: 1 or 3 */
    bool pairs;                    /* output slices are computed two at a time: prediction only */
    int filter_slices;             /* of transformed weights: `terms`, FNR_DN_PAIR_TERMS for pairs */
    int tiles_y, tiles_x, tiles;   /* tiles: of all samples, one slice each */
    int strip_tiles, strip_slices; /* of a strip */
    bool shared;                   /* all threads work on one strip */
    bool stream;                   /* write outputs past the caches */
    size_t in_rows, out_rows;      /* of a strip's transformed tensors, rounded up */
} fnr_dn_wino;

/* False when it is not a case for this engine. */
bool fnr_dn_wino_init(fnr_dn_wino *w, const fnr_dn_wino_kernels *k, const fnr_shape *in, int out_channels,
                      fnr_dn_wino_purpose purpose);

/* Transformed weights, from PyTorch's (out, in, k...). */
size_t fnr_dn_wino_filter_floats(const fnr_dn_wino *w);
void fnr_dn_wino_pack(const fnr_dn_wino *w, const float *weights, float *u);

/* One of up to two tensors whose channel blocks follow each other in the input. */
typedef struct {
    fnr_dn_tensor x;
    int blocks;
    const fnr_dn_norm *norm; /* applied while reading; NULL: as it is */
} fnr_dn_part;

typedef struct {
    fnr_dn_part part[2]; /* the second may have no blocks */
} fnr_dn_parts;

/* dst = affine(conv(src)); the affine is that of `norm`, none if NULL. */
size_t fnr_dn_wino_scratch_floats(const fnr_dn_wino *w);
void fnr_dn_wino_run(const fnr_dn_wino *w, const fnr_dn_parts *src, const float *u, const fnr_dn_norm *norm, fnr_dn_tensor dst,
                     float *scratch);

/* Gradient of the weights in PyTorch's order. */
size_t fnr_dn_wino_grad_scratch_floats(const fnr_dn_wino *w);
void fnr_dn_wino_grad(const fnr_dn_wino *w, const fnr_dn_parts *src, fnr_dn_tensor dy, float *dweights, float *scratch);

#endif
