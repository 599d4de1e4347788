#include "net/onednn/conv.h"

#include <string.h>

static bool check(dnnl_status_t status, const char *what, fnr_error *err)
{
    if (status == dnnl_success) {
        return true;
    }
    return fnr_fail(err, status == dnnl_out_of_memory ? FNR_E_LIMIT : FNR_E_INTERNAL, "oneDNN: %s failed (status %d)", what, (int)status);
}

static int taps(const fnr_dn_conv_desc *d)
{
    return d->spatial == 3 ? d->kernel * d->kernel * d->kernel : d->kernel * d->kernel;
}

typedef struct {
    dnnl_memory_desc_t wide, narrow, weights, dense, bias;
    dnnl_dims_t strides, pads;
    bool with_bias;
} layouts;

static bool blocked_desc(const fnr_dn_conv_desc *d, int block, int channels, const int extent[3], dnnl_memory_desc_t *out, fnr_error *err)
{
    dnnl_dims_t dims = {d->n, fnr_dn_round_up(channels, block)};
    for (int i = 0; i < d->spatial; i++) {
        dims[2 + i] = extent[3 - d->spatial + i];
    }
    dnnl_format_tag_t tag = d->spatial == 2 ? (block == 16 ? dnnl_nChw16c : dnnl_nChw8c) : (block == 16 ? dnnl_nCdhw16c : dnnl_nCdhw8c);
    return check(dnnl_memory_desc_init_by_tag(out, 2 + d->spatial, dims, dnnl_f32, tag), "describing activations", err);
}

static bool make_layouts(const fnr_dn_conv_desc *d, int block, layouts *l, fnr_error *err)
{
    memset(l, 0, sizeof *l);
    dnnl_dims_t dims = {fnr_dn_round_up(d->narrow_c, block), fnr_dn_round_up(d->wide_c, block)};
    for (int i = 0; i < d->spatial; i++) {
        dims[2 + i] = d->kernel;
        l->strides[i] = d->stride;
        l->pads[i] = d->pad;
    }
    l->with_bias = d->bias && !d->transposed;
    dnnl_format_tag_t dense = d->spatial == 2 ? dnnl_oihw : dnnl_oidhw;
    return blocked_desc(d, block, d->wide_c, d->wide, &l->wide, err) && blocked_desc(d, block, d->narrow_c, d->narrow, &l->narrow, err) &&
           check(dnnl_memory_desc_init_by_tag(&l->weights, 2 + d->spatial, dims, dnnl_f32, dnnl_format_tag_any), "describing weights", err) &&
           check(dnnl_memory_desc_init_by_tag(&l->dense, 2 + d->spatial, dims, dnnl_f32, dense), "describing weights", err) &&
           check(dnnl_memory_desc_init_by_tag(&l->bias, 1, dims, dnnl_f32, dnnl_x), "describing a bias", err);
}

/* Scratch memory comes from the program, shared by all primitives; bias and ReLU ride along in inference. */
static bool make_attr(bool relu, dnnl_primitive_attr_t *out, fnr_error *err)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    bool ok = check(dnnl_primitive_attr_create(&attr), "making attributes", err) &&
              check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "choosing the scratch mode", err);
    if (ok && relu) {
        ok = check(dnnl_post_ops_create(&ops), "making a ReLU", err) &&
             check(dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f), "adding a ReLU", err) &&
             check(dnnl_primitive_attr_set_post_ops(attr, ops), "adding a ReLU", err);
    }
    dnnl_post_ops_destroy(ops);
    if (!ok) {
        dnnl_primitive_attr_destroy(attr);
        return false;
    }
    *out = attr;
    return true;
}

static dnnl_status_t try_forward(fnr_dn_conv *c, const fnr_dn_device *dev, const layouts *l, dnnl_alg_kind_t alg, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    /* Backward primitives want a training descriptor as their hint. */
    dnnl_prop_kind_t kind = c->desc.training || c->desc.transposed ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_status_t s = dnnl_convolution_forward_desc_init(&desc, kind, alg, &l->wide, &l->weights, l->with_bias ? &l->bias : NULL, &l->narrow,
                                                         l->strides, l->pads, l->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(&c->forward_pd, &desc, attr, dev->engine, NULL) : s;
}

static dnnl_status_t try_data(fnr_dn_conv *c, const fnr_dn_device *dev, const layouts *l, dnnl_alg_kind_t alg, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t s =
        dnnl_convolution_backward_data_desc_init(&desc, alg, &l->wide, &l->weights, &l->narrow, l->strides, l->pads, l->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(&c->data_pd, &desc, attr, dev->engine, c->forward_pd) : s;
}

static dnnl_status_t try_weights(fnr_dn_conv *c, const fnr_dn_device *dev, const layouts *l, dnnl_alg_kind_t alg,
                                 const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t s =
        dnnl_convolution_backward_weights_desc_init(&desc, alg, &l->wide, &l->weights, NULL, &l->narrow, l->strides, l->pads, l->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(&c->weights_pd, &desc, attr, dev->engine, c->forward_pd) : s;
}

static void drop_descs(fnr_dn_conv *c)
{
    dnnl_primitive_desc_destroy(c->forward_pd);
    dnnl_primitive_desc_destroy(c->data_pd);
    dnnl_primitive_desc_destroy(c->weights_pd);
    c->forward_pd = c->data_pd = c->weights_pd = NULL;
}

static dnnl_status_t try_algorithm(fnr_dn_conv *c, const fnr_dn_device *dev, const layouts *l, dnnl_alg_kind_t alg,
                                   const_dnnl_primitive_attr_t attr)
{
    dnnl_status_t s = try_forward(c, dev, l, alg, attr);
    if (s == dnnl_success && (c->desc.training || c->desc.transposed)) {
        s = try_data(c, dev, l, alg, attr);
    }
    if (s == dnnl_success && c->desc.training) {
        s = try_weights(c, dev, l, alg, attr);
    }
    if (s != dnnl_success) {
        drop_descs(c);
    }
    return s;
}

static bool choose(fnr_dn_conv *c, const fnr_dn_device *dev, const layouts *l, fnr_error *err)
{
    dnnl_primitive_attr_t attr;
    if (!make_attr(c->desc.relu && !c->desc.transposed, &attr, err)) {
        return false;
    }
    const dnnl_status_t s = try_algorithm(c, dev, l, dnnl_convolution_direct, attr);
    dnnl_primitive_attr_destroy(attr);
    if (s == dnnl_unimplemented) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "oneDNN has no %dD convolution %d -> %d with kernel %d", c->desc.spatial, c->desc.wide_c,
                        c->desc.narrow_c, c->desc.kernel);
    }
    return check(s, "choosing a convolution", err);
}

static size_t md_bytes(const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    return pd ? dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, what, 0)) : 0;
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t floats_of(size_t bytes)
{
    return (bytes + sizeof(float) - 1) / sizeof(float);
}

static const dnnl_memory_desc_t *weights_md(const_dnnl_primitive_desc_t pd)
{
    return dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
}

static bool plan_buffers(fnr_dn_conv *c, const fnr_dn_device *dev, fnr_dn_plan *plan, fnr_error *err)
{
    c->weights_buffer = c->data_weights_buffer = c->diff_buffer = c->bias_buffer = -1;
    const bool forward = !c->desc.transposed || c->desc.training; /* else the forward descriptor was only a hint */
    if (forward && (c->weights_buffer = fnr_dn_plan_add_kept(plan, floats_of(md_bytes(c->forward_pd, dnnl_query_weights_md)), err)) < 0) {
        return false;
    }
    if (c->data_pd && !(forward && dnnl_memory_desc_equal(weights_md(c->data_pd), weights_md(c->forward_pd))) &&
        (c->data_weights_buffer = fnr_dn_plan_add_kept(plan, floats_of(md_bytes(c->data_pd, dnnl_query_weights_md)), err)) < 0) {
        return false;
    }
    if (c->weights_pd && (c->diff_buffer = fnr_dn_plan_add_kept(plan, floats_of(md_bytes(c->weights_pd, dnnl_query_diff_weights_md)), err)) < 0) {
        return false;
    }
    return !c->desc.bias || c->desc.transposed ||
           (c->bias_buffer = fnr_dn_plan_add_kept(plan, (size_t)fnr_dn_round_up(c->desc.narrow_c, dev->block), err)) >= 0;
}

bool fnr_dn_conv_plan(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_conv_desc *desc, fnr_dn_plan *plan, fnr_error *err)
{
    memset(c, 0, sizeof *c);
    c->desc = *desc;
    layouts l;
    if (!make_layouts(desc, dev->block, &l, err) || !choose(c, dev, &l, err) || !plan_buffers(c, dev, plan, err)) {
        return false;
    }
    c->weight_floats = (size_t)fnr_dn_round_up(desc->narrow_c, dev->block) * (size_t)fnr_dn_round_up(desc->wide_c, dev->block) *
                       (size_t)taps(desc);
    c->scratch_bytes = largest(md_bytes(c->forward_pd, dnnl_query_scratchpad_md),
                               largest(md_bytes(c->data_pd, dnnl_query_scratchpad_md), md_bytes(c->weights_pd, dnnl_query_scratchpad_md)));
    return true;
}

static bool add_arg(fnr_dn_call *call, const fnr_dn_device *dev, int arg, const dnnl_memory_desc_t *md, float *data, fnr_error *err)
{
    dnnl_memory_t m;
    if (!check(dnnl_memory_create(&m, md, dev->engine, data), "binding memory", err)) {
        return false;
    }
    call->memory[call->n_args] = m;
    call->args[call->n_args++] = (dnnl_exec_arg_t){.arg = arg, .memory = m};
    return true;
}

static bool add_query_arg(fnr_dn_call *call, const fnr_dn_device *dev, int arg, const_dnnl_primitive_desc_t pd, dnnl_query_t what, int index,
                          float *data, fnr_error *err)
{
    return add_arg(call, dev, arg, dnnl_primitive_desc_query_md(pd, what, index), data, err);
}

static bool bind_reorder(fnr_dn_call *call, const fnr_dn_device *dev, const dnnl_memory_desc_t *from, float *src,
                         const dnnl_memory_desc_t *to, float *dst, fnr_error *err)
{
    dnnl_primitive_desc_t pd = NULL;
    bool ok = check(dnnl_reorder_primitive_desc_create(&pd, from, dev->engine, to, dev->engine, NULL), "choosing a reorder", err) &&
              check(dnnl_primitive_create(&call->primitive, pd), "making a reorder", err) &&
              add_arg(call, dev, DNNL_ARG_FROM, from, src, err) && add_arg(call, dev, DNNL_ARG_TO, to, dst, err);
    dnnl_primitive_desc_destroy(pd);
    return ok;
}

static bool bind_forward(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_plan *plan, const fnr_dn_conv_data *data, float *dense,
                         const layouts *l, float *scratch, fnr_error *err)
{
    float *weights = fnr_dn_plan_data(plan, c->weights_buffer);
    fnr_dn_call *f = &c->forward;
    float *wide = c->desc.transposed ? data->d_wide : data->wide, *narrow = c->desc.transposed ? data->d_narrow : data->narrow;
    return check(dnnl_primitive_create(&f->primitive, c->forward_pd), "making a convolution", err) &&
           add_query_arg(f, dev, DNNL_ARG_SRC, c->forward_pd, dnnl_query_src_md, 0, wide, err) &&
           add_query_arg(f, dev, DNNL_ARG_WEIGHTS, c->forward_pd, dnnl_query_weights_md, 0, weights, err) &&
           add_query_arg(f, dev, DNNL_ARG_DST, c->forward_pd, dnnl_query_dst_md, 0, narrow, err) &&
           add_query_arg(f, dev, DNNL_ARG_SCRATCHPAD, c->forward_pd, dnnl_query_scratchpad_md, 0, scratch, err) &&
           (!l->with_bias || add_arg(f, dev, DNNL_ARG_BIAS, &l->bias, fnr_dn_plan_data(plan, c->bias_buffer), err)) &&
           bind_reorder(&c->pack, dev, &l->dense, dense, weights_md(c->forward_pd), weights, err);
}

static bool bind_data(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_plan *plan, const fnr_dn_conv_data *data, float *dense,
                      const layouts *l, float *scratch, fnr_error *err)
{
    const bool own = c->data_weights_buffer >= 0;
    float *weights = fnr_dn_plan_data(plan, own ? c->data_weights_buffer : c->weights_buffer);
    fnr_dn_call *d = &c->data;
    float *wide = c->desc.transposed ? data->wide : data->d_wide, *narrow = c->desc.transposed ? data->narrow : data->d_narrow;
    return check(dnnl_primitive_create(&d->primitive, c->data_pd), "making a convolution (data gradient)", err) &&
           add_query_arg(d, dev, DNNL_ARG_DIFF_DST, c->data_pd, dnnl_query_diff_dst_md, 0, narrow, err) &&
           add_query_arg(d, dev, DNNL_ARG_WEIGHTS, c->data_pd, dnnl_query_weights_md, 0, weights, err) &&
           add_query_arg(d, dev, DNNL_ARG_DIFF_SRC, c->data_pd, dnnl_query_diff_src_md, 0, wide, err) &&
           add_query_arg(d, dev, DNNL_ARG_SCRATCHPAD, c->data_pd, dnnl_query_scratchpad_md, 0, scratch, err) &&
           (!own || bind_reorder(&c->pack_data, dev, &l->dense, dense, weights_md(c->data_pd), weights, err));
}

static bool bind_weights(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_plan *plan, const fnr_dn_conv_data *data, float *dense,
                         const layouts *l, float *scratch, fnr_error *err)
{
    float *diff = fnr_dn_plan_data(plan, c->diff_buffer);
    fnr_dn_call *w = &c->weights;
    /* Transposed: the wide side is the output, so its gradient meets the narrow input. */
    float *wide = c->desc.transposed ? data->d_wide : data->wide, *narrow = c->desc.transposed ? data->narrow : data->d_narrow;
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(c->weights_pd, dnnl_query_diff_weights_md, 0);
    return check(dnnl_primitive_create(&w->primitive, c->weights_pd), "making a convolution (weight gradient)", err) &&
           add_query_arg(w, dev, DNNL_ARG_SRC, c->weights_pd, dnnl_query_src_md, 0, wide, err) &&
           add_query_arg(w, dev, DNNL_ARG_DIFF_DST, c->weights_pd, dnnl_query_diff_dst_md, 0, narrow, err) &&
           add_arg(w, dev, DNNL_ARG_DIFF_WEIGHTS, md, diff, err) &&
           add_query_arg(w, dev, DNNL_ARG_SCRATCHPAD, c->weights_pd, dnnl_query_scratchpad_md, 0, scratch, err) &&
           bind_reorder(&c->unpack, dev, md, diff, &l->dense, dense, err);
}

bool fnr_dn_conv_bind(fnr_dn_conv *c, const fnr_dn_device *dev, const fnr_dn_plan *plan, const fnr_dn_conv_data *data, float *dense,
                      float *scratch, fnr_error *err)
{
    layouts l;
    bool ok = make_layouts(&c->desc, dev->block, &l, err) &&
              (c->weights_buffer < 0 || bind_forward(c, dev, plan, data, dense, &l, scratch, err)) &&
              (!c->data_pd || bind_data(c, dev, plan, data, dense, &l, scratch, err)) &&
              (!c->weights_pd || bind_weights(c, dev, plan, data, dense, &l, scratch, err));
    drop_descs(c);
    return ok;
}

static void free_call(fnr_dn_call *call)
{
    for (int i = 0; i < call->n_args; i++) {
        dnnl_memory_destroy(call->memory[i]);
    }
    dnnl_primitive_destroy(call->primitive);
}

void fnr_dn_conv_free(fnr_dn_conv *c)
{
    drop_descs(c);
    free_call(&c->forward);
    free_call(&c->data);
    free_call(&c->weights);
    free_call(&c->pack);
    free_call(&c->pack_data);
    free_call(&c->unpack);
    memset(c, 0, sizeof *c);
}

bool fnr_dn_call_run(const fnr_dn_call *call, const fnr_dn_device *dev, fnr_error *err)
{
    return !call->primitive || check(dnnl_primitive_execute(call->primitive, dev->stream, call->n_args, call->args), "running an operation", err);
}

void fnr_dn_conv_stage(const fnr_dn_conv *c, int block, const float *weights, const float *scale, float *dense)
{
    const size_t k = (size_t)taps(&c->desc), in = (size_t)c->desc.wide_c, out = (size_t)c->desc.narrow_c;
    const size_t wide = (size_t)fnr_dn_round_up(c->desc.wide_c, block);
    if (wide != in || (size_t)fnr_dn_round_up(c->desc.narrow_c, block) != out) {
        memset(dense, 0, c->weight_floats * sizeof *dense);
    }
    for (size_t o = 0; o < out; o++) {
        const float *from = weights + o * in * k;
        float *to = dense + o * wide * k;
        for (size_t i = 0; i < in * k; i++) {
            to[i] = scale ? from[i] * scale[o] : from[i];
        }
    }
}

void fnr_dn_conv_unstage(const fnr_dn_conv *c, int block, const float *dense, float *weights)
{
    const size_t row = (size_t)taps(&c->desc) * (size_t)c->desc.wide_c;
    const size_t dense_row = (size_t)taps(&c->desc) * (size_t)fnr_dn_round_up(c->desc.wide_c, block);
    for (int o = 0; o < c->desc.narrow_c; o++) {
        memcpy(weights + (size_t)o * row, dense + (size_t)o * dense_row, row * sizeof *weights);
    }
}
