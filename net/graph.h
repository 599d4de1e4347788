/* A network as data: a list of values (tensors whose extents follow from the input's), parameters and operations in the order
 * in which they run forward.  net/unet.c emits the U-Net; tests emit graphs of a single operation.  Backends compile a graph
 * for one shape. */
#ifndef FNR_NET_GRAPH_H
#define FNR_NET_GRAPH_H

#include "net/shape.h"

typedef enum {
    FNR_OP_CONV,      /* out = conv(in[0], weight) + bias.  kernel 3 stride 1 pad 1, kernel 2 stride 2 pad 0, kernel 1 stride 1.
                         weight (out, in, k[, k], k): cross-correlation, as PyTorch's ConvNd */
    FNR_OP_CONVT,     /* transposed convolution, kernel 2 stride 2, weight (in, out, k[, k], k), as PyTorch's ConvTransposeNd */
    FNR_OP_BN_RELU,   /* batch norm (batch statistics and update of the running ones in training; running ones otherwise), then ReLU
                         when relu is set.  eps 1e-5, momentum 0.1, biased variance to normalise, unbiased to update */
    FNR_OP_CONCAT     /* out = channels of in[0], then channels of in[1] */
} fnr_op_kind;

#define FNR_BN_EPS 1e-5f
#define FNR_BN_MOMENTUM 0.1f

typedef struct {
    fnr_op_kind kind;
    int in[2]; /* value ids, -1 = none */
    int out;   /* value id */
    int kernel, stride, pad;
    int weight, bias;               /* parameter ids, -1 = none (CONV, CONVT; in BN_RELU gamma and beta) */
    int running_mean, running_var;  /* parameter ids (BN_RELU) */
    bool relu;                      /* BN_RELU */
    bool bias_feeds_norm;           /* CONV/CONVT whose bias goes straight into a batch norm: its gradient is exactly 0 by definition */
} fnr_op;

typedef struct {
    int channels;
    int level; /* spatial extents are the input's / 2^level; negative: larger (a lone transposed convolution, in tests) */
} fnr_value;

typedef enum { FNR_PARAM_WEIGHT, FNR_PARAM_BIAS, FNR_PARAM_NORM_WEIGHT, FNR_PARAM_NORM_BIAS, FNR_PARAM_RUNNING_MEAN, FNR_PARAM_RUNNING_VAR } fnr_param_role;

static inline bool fnr_role_is_trained(fnr_param_role r)
{
    return r <= FNR_PARAM_NORM_BIAS;
}

typedef struct {
    char name[160]; /* pytorch_fnet's: "net_recurse.sub_u.conv_down.weight" */
    fnr_param_role role;
    int rank, dims[5];
    size_t count, offset; /* in floats, into the flat parameter vector (state_dict order) */
} fnr_param;

typedef struct {
    int spatial; /* 2 or 3 */
    fnr_value *values;
    int n_values;
    fnr_op *ops;
    int n_ops;
    fnr_param *params;
    int n_params;
    size_t param_floats; /* length of the flat vector */
    int input, output;   /* value ids */
    int max_level;
} fnr_graph;

/* The U-Net with pytorch_fnet's parameter names, shapes and state_dict order. out_channels heads are one conv_out with more
 * channels. Release with fnr_graph_free. */
bool fnr_unet_build(const fnr_netdesc *desc, fnr_graph *out, fnr_error *err);
void fnr_graph_free(fnr_graph *g);

/* Shape of a value for a given input shape; fails when extents are not multiples of 2^max_level. */
bool fnr_graph_value_shape(const fnr_graph *g, int value, const fnr_shape *input, fnr_shape *out, fnr_error *err);

/* -1 when there is none. */
int fnr_graph_find_param(const fnr_graph *g, const char *name);

/* Multiply-accumulates of one forward pass over `input`. */
double fnr_graph_macs(const fnr_graph *g, const fnr_shape *input);

/* For backends, before they compile a graph: every operation's values, channels, levels and parameter shapes fit together, its
 * kernel is one of those named above, the input's extents are multiples of 2^max_level; with `training`, every batch norm sees
 * more than one value per channel. */
bool fnr_graph_check(const fnr_graph *g, const fnr_shape *input, bool training, fnr_error *err);

/* pytorch_fnet's initialisation: conv weights N(0, 0.02), norm weights N(1, 0.02), norm biases 0, running 0 / 1; a pure function
 * of seed.  Convolution biases are 0 (pytorch_fnet leaves PyTorch's small uniform numbers there; all but conv_out's are cancelled
 * by the batch norm behind them).  flat has param_floats elements. */
void fnr_graph_init(const fnr_graph *g, unsigned long long seed, float *flat);

/* Builders for graphs by hand (tests): ids or -1 on out of memory. */
int fnr_graph_add_value(fnr_graph *g, int channels, int level);
int fnr_graph_add_param(fnr_graph *g, const char *name, fnr_param_role role, int rank, const int *dims);
int fnr_graph_add_op(fnr_graph *g, const fnr_op *op);

#endif
