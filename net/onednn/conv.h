/* One convolution or transposed convolution by oneDNN: its primitives, and its weights in the layouts they want.
 *
 * A transposed convolution with kernel 2 and stride 2 is a convolution run backwards: its output is the wide side of the
 * convolution, its input the narrow one, and PyTorch's (in, out, k, k) weights are that convolution's (out, in, k, k).  So both
 * are the same three primitives with the roles swapped.
 *
 * Channels are rounded up to whole blocks with zero weights: oneDNN's fast implementations refuse anything else. */
#ifndef FNR_NET_ONEDNN_CONV_H
#define FNR_NET_ONEDNN_CONV_H

#include <oneapi/dnnl/dnnl.h>
#include "net/graph.h"
#include "net/onednn/plan.h"

/* What is the same for all convolutions of a device. */
typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int block; /* channels in a block */
} fnr_dn_device;

typedef struct {
    bool transposed; /* forward is the convolution's backward-data */
    bool training;   /* the backward primitives are wanted */
    bool relu;       /* inference: bias and ReLU belong to the primitive (not when transposed) */
    bool bias;
    int spatial, kernel, stride, pad;
    int n, wide_c, narrow_c; /* true channels of the convolution's input and output */
    int wide[3], narrow[3];  /* extents d, h, w */
} fnr_dn_conv_desc;

/* One primitive with everything it is called with. */
typedef struct {
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[5];
    dnnl_exec_arg_t args[5];
    int n_args;
} fnr_dn_call;

typedef struct {
    fnr_dn_conv_desc desc;
    dnnl_primitive_desc_t forward_pd, data_pd, weights_pd; /* NULL where not wanted */
    size_t weight_floats;                                  /* dense (narrow, wide, k...) with rounded channels */
    size_t scratch_bytes;
    int weights_buffer, data_weights_buffer, diff_buffer, bias_buffer; /* in the plan; the second is -1 when it is the first */
    fnr_dn_call forward, data, weights;                    /* `forward` and `data` in the convolution's sense */
    fnr_dn_call pack, pack_data, unpack;                   /* dense <-> blocked weights */
} fnr_dn_conv;

/* Where the tensors of a conv lie (blocked); gradients are NULL in inference. */
typedef struct {
    float *wide, *narrow, *d_wide, *d_narrow;
} fnr_dn_conv_data;

/* Chooses implementations and adds the weights' buffers to the plan. */
bool fnr_dn_conv_plan(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_conv_desc *desc, fnr_dn_plan *plan, fnr_error *err);
/* After the plan has been allocated.  `dense` is where dense weights (and their gradient) pass through. */
bool fnr_dn_conv_bind(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_plan *plan, const fnr_dn_conv_data *data, float *dense,
                      float *scratch, fnr_error *err);
void fnr_dn_conv_free(fnr_dn_conv *c);

bool fnr_dn_call_run(const fnr_dn_call *call, const fnr_dn_device *dev, fnr_error *err);

/* Copies state weights (narrow, wide, k...) to the dense form with rounded channels, times scale[narrow] unless NULL; and the
 * gradient back. */
void fnr_dn_conv_stage(const fnr_dn_conv *c, int block, const float *weights, const float *scale, float *dense);
void fnr_dn_conv_unstage(const fnr_dn_conv *c, int block, const float *dense, float *weights);

static inline int fnr_dn_round_up(int channels, int block)
{
    return (channels + block - 1) / block * block;
}

#endif
