/* The 3x3 (3x3x3) convolutions at the two ends of a network: from a few plain channels to blocks and from blocks to a few plain
 * channels.  oneDNN's backward pass of the latter takes longer than the rest of the network; these are as fast as memory.
 *
 * Both directions are made of the same three loops: the data gradient of one end is the forward pass of the other with the kernel
 * reversed, and both weight gradients correlate blocks with plain rows. */
#ifndef FNR_NET_ONEDNN_EDGE_H
#define FNR_NET_ONEDNN_EDGE_H

#include "net/onednn/norm.h"

#define FNR_DN_EDGE_PLAIN 4    /* most channels on the plain side */
#define FNR_DN_EDGE_BLOCKED 1024 /* most channels on the blocked side */

typedef struct {
    const fnr_dn_kernels *kernels;
    fnr_dn_extent extent; /* of the blocked side */
    fnr_shape plain;      /* shape of the plain side */
    bool last;            /* blocks -> plain; else plain -> blocks */
    float *expand, *shrink; /* packed weights, fnr_dn_edge_floats each; shrink or expand may be NULL where not used */
} fnr_dn_edge;

size_t fnr_dn_edge_floats(const fnr_dn_edge *e);
size_t fnr_dn_edge_scratch_floats(const fnr_dn_edge *e);

/* From PyTorch's (out, in, k...) weights. */
void fnr_dn_edge_pack(fnr_dn_edge *e, const float *weights);

/* blocks = affine(conv(planes)), the affine being that of `norm`. Forward of a first, data gradient of a last one. */
void fnr_dn_edge_expand(const fnr_dn_edge *e, const fnr_dn_planes *planes, const fnr_dn_norm *norm, fnr_dn_tensor blocks);
/* dense = conv(blocks) + bias (NULL = 0); dense is (n, c, d, h, w). Forward of a last, data gradient of a first one. */
void fnr_dn_edge_shrink(const fnr_dn_edge *e, fnr_dn_tensor blocks, const float *bias, float *dense);
/* Gradient of the weights (PyTorch's order): planes hold the input of a first, the output gradient of a last one. */
void fnr_dn_edge_correlate(const fnr_dn_edge *e, const fnr_dn_planes *planes, fnr_dn_tensor blocks, float *dweights, float *scratch);

#endif
