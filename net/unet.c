/* pytorch_fnet's U-Net (fnet_nn_2d, fnet_nn_3d_params) as a graph.  Parameters are declared in the order in which the Python
 * modules were constructed, which is the order of the state_dict; operations are added in the order in which they run. */
#include "net/graph.h"

#include <stdio.h>

/* A graph in the making.  After the first failed allocation `ok` is false and every further call does nothing. */
typedef struct {
    fnr_graph *g;
    bool ok;
} builder;

typedef struct {
    int weight, bias;
} conv_params;

/* A convolution and the batch norm behind it. */
typedef struct {
    conv_params conv;
    int gamma, beta, mean, var;
} unit_params;

static int keep(builder *b, int id)
{
    b->ok = b->ok && id >= 0;
    return id;
}

static int value(builder *b, int channels, int level)
{
    return b->ok ? keep(b, fnr_graph_add_value(b->g, channels, level)) : -1;
}

static void op(builder *b, fnr_op o)
{
    if (b->ok) {
        keep(b, fnr_graph_add_op(b->g, &o));
    }
}

static int param(builder *b, const char *module, const char *name, fnr_param_role role, int rank, const int *dims)
{
    char full[sizeof(((fnr_param *)0)->name)];
    snprintf(full, sizeof full, "%s.%s", module, name);
    return b->ok ? keep(b, fnr_graph_add_param(b->g, full, role, rank, dims)) : -1;
}

/* Weight (first, second, k[, k], k), then the bias of `channels` elements. */
static conv_params declare_conv(builder *b, const char *module, int first, int second, int kernel, int channels)
{
    const int dims[5] = {first, second, kernel, kernel, kernel};
    conv_params p;
    p.weight = param(b, module, "weight", FNR_PARAM_WEIGHT, 2 + b->g->spatial, dims);
    p.bias = param(b, module, "bias", FNR_PARAM_BIAS, 1, &channels);
    return p;
}

static void declare_norm(builder *b, const char *module, int channels, unit_params *u)
{
    u->gamma = param(b, module, "weight", FNR_PARAM_NORM_WEIGHT, 1, &channels);
    u->beta = param(b, module, "bias", FNR_PARAM_NORM_BIAS, 1, &channels);
    u->mean = param(b, module, "running_mean", FNR_PARAM_RUNNING_MEAN, 1, &channels);
    u->var = param(b, module, "running_var", FNR_PARAM_RUNNING_VAR, 1, &channels);
}

typedef char module_name[128]; /* 20 + 6 per level, at most 8 levels */

/* sub_2conv_more or sub_2conv_less: two 3x3 convolutions with batch norm, c_in -> c_out -> c_out channels. */
static void declare_pair(builder *b, const char *module, int c_in, int c_out, unit_params u[2])
{
    for (int i = 0; i < 2; i++) {
        module_name name;
        snprintf(name, sizeof name, "%s.conv%d", module, i + 1);
        u[i].conv = declare_conv(b, name, c_out, i == 0 ? c_in : c_out, 3, c_out);
        snprintf(name, sizeof name, "%s.bn%d", module, i + 1);
        declare_norm(b, name, c_out, &u[i]);
    }
}

/* Convolution (or transposed convolution), batch norm, ReLU; returns the value behind the ReLU. */
static int emit_unit(builder *b, fnr_op_kind kind, const unit_params *u, int in, int channels, int kernel, int level)
{
    const int raw = value(b, channels, level);
    const int out = value(b, channels, level);
    op(b, (fnr_op){.kind = kind,
                   .in = {in, -1},
                   .out = raw,
                   .kernel = kernel,
                   .stride = kernel == 2 ? 2 : 1,
                   .pad = kernel == 3 ? 1 : 0,
                   .weight = u->conv.weight,
                   .bias = u->conv.bias,
                   .running_mean = -1,
                   .running_var = -1,
                   .bias_feeds_norm = true});
    op(b, (fnr_op){.kind = FNR_OP_BN_RELU,
                   .in = {raw, -1},
                   .out = out,
                   .weight = u->gamma,
                   .bias = u->beta,
                   .running_mean = u->mean,
                   .running_var = u->var,
                   .relu = true});
    return out;
}

static int emit_pair(builder *b, const unit_params u[2], int in, int channels, int level)
{
    const int middle = emit_unit(b, FNR_OP_CONV, &u[0], in, channels, 3, level);
    return emit_unit(b, FNR_OP_CONV, &u[1], middle, channels, 3, level);
}

/* _Net_recurse with `below` levels under it, on value `in` with c_in channels; c is the number of channels it gives. */
static int emit_level(builder *b, const char *module, int in, int c_in, int c, int level, int below)
{
    unit_params more[2], less[2], down, up;
    module_name name;

    snprintf(name, sizeof name, "%s.sub_2conv_more", module);
    declare_pair(b, name, c_in, c, more);
    if (below == 0) {
        return emit_pair(b, more, in, c, level);
    }
    snprintf(name, sizeof name, "%s.sub_2conv_less", module);
    declare_pair(b, name, 2 * c, c, less);
    snprintf(name, sizeof name, "%s.conv_down", module);
    down.conv = declare_conv(b, name, c, c, 2, c);
    snprintf(name, sizeof name, "%s.bn0", module);
    declare_norm(b, name, c, &down);
    snprintf(name, sizeof name, "%s.convt", module);
    up.conv = declare_conv(b, name, 2 * c, c, 2, c); /* (in, out, ...) */
    snprintf(name, sizeof name, "%s.bn1", module);
    declare_norm(b, name, c, &up);

    const int skip = emit_pair(b, more, in, c, level);
    const int shrunk = emit_unit(b, FNR_OP_CONV, &down, skip, c, 2, level + 1);
    snprintf(name, sizeof name, "%s.sub_u", module);
    const int deep = emit_level(b, name, shrunk, c, 2 * c, level + 1, below - 1);
    const int grown = emit_unit(b, FNR_OP_CONVT, &up, deep, c, 2, level);
    const int both = value(b, 2 * c, level);
    op(b, (fnr_op){.kind = FNR_OP_CONCAT,
                   .in = {skip, grown},
                   .out = both,
                   .weight = -1,
                   .bias = -1,
                   .running_mean = -1,
                   .running_var = -1});
    return emit_pair(b, less, both, c, level);
}

bool fnr_unet_build(const fnr_netdesc *desc, fnr_graph *out, fnr_error *err)
{
    if (!fnr_netdesc_check(desc, err)) {
        return false;
    }
    fnr_graph g = {.spatial = desc->spatial};
    builder b = {.g = &g, .ok = true};

    g.input = value(&b, desc->in_channels, 0);
    const int top = emit_level(&b, "net_recurse", g.input, desc->in_channels, desc->base_channels, 0, desc->depth);
    const conv_params head = declare_conv(&b, "conv_out", desc->out_channels, desc->base_channels, 3, desc->out_channels);
    g.output = value(&b, desc->out_channels, 0);
    op(&b, (fnr_op){.kind = FNR_OP_CONV,
                    .in = {top, -1},
                    .out = g.output,
                    .kernel = 3,
                    .stride = 1,
                    .pad = 1,
                    .weight = head.weight,
                    .bias = head.bias,
                    .running_mean = -1,
                    .running_var = -1});
    if (!b.ok) {
        fnr_graph_free(&g);
        return fnr_fail(err, FNR_E_LIMIT, "out of memory while laying out the network");
    }
    *out = g;
    return true;
}
