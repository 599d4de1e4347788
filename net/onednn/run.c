#include <string.h>
#include "net/onednn/program.h"

static float *scratch_of(const fnr_program *p)
{
    return fnr_dn_plan_data(&p->plan, p->scratch_buffer);
}

static void forward_join(fnr_program *p, const fnr_dn_step *s)
{
    const fnr_dn_value *whole = &p->values[s->out];
    for (int k = 0; k < 2 && !s->split; k++) {
        if (s->put[k]) {
            const fnr_dn_value *part = &p->values[s->op->in[k]];
            const int first = k == 0 ? 0 : p->values[s->op->in[0]].extent.channels;
            fnr_dn_channels_put(p->backend->dev.block, &part->extent, fnr_dn_at(p, part->home), &whole->extent, fnr_dn_at(p, whole->home), first);
        }
    }
}

static void forward_norm(fnr_program *p, fnr_dn_step *s)
{
    const fnr_dn_value *x = &p->values[s->op->in[0]], *y = &p->values[s->out];
    if (p->mode == FNR_MODE_INFER) {
        fnr_dn_norm_apply(&s->norm, fnr_dn_at(p, x->home), fnr_dn_at(p, y->home), fnr_dn_at(p, y->copy));
        return;
    }
    const fnr_dn_norm_params params = fnr_dn_params_of_norm(p, s->op, s->feeder);
    fnr_dn_norm_forward(&s->norm, &params, fnr_dn_at(p, x->home), fnr_dn_at(p, y->home), fnr_dn_at(p, y->copy), scratch_of(p));
}

static bool forward_conv(fnr_program *p, const fnr_dn_step *s, fnr_error *err)
{
    const fnr_dn_call *call = s->conv.desc.transposed ? &s->conv.data : &s->conv.forward;
    if (!fnr_dn_call_run(call, &p->backend->dev, err)) {
        return false;
    }
    if (s->affine_pass) {
        const fnr_dn_tensor y = fnr_dn_at(p, p->values[s->out].home);
        fnr_dn_norm_apply(&s->norm, y, y, (fnr_dn_tensor){0});
    }
    return true;
}

static bool forward_step(fnr_program *p, fnr_dn_step *s, float *y, fnr_error *err)
{
    switch (s->kind) {
    case FNR_DN_CONV:
        return forward_conv(p, s, err);
    case FNR_DN_WINO:
        fnr_dn_wino_forward(p, s);
        return true;
    case FNR_DN_HALF:
        fnr_dn_half_forward(p, s);
        return true;
    case FNR_DN_FIRST:
        fnr_dn_edge_expand(&s->edge, &p->in_planes, &s->norm, fnr_dn_at(p, p->values[s->out].home));
        return true;
    case FNR_DN_LAST:
        fnr_dn_edge_shrink(&s->edge, fnr_dn_at(p, p->values[s->op->in[0]].home), fnr_dn_param(p, s->op->bias), y);
        return true;
    case FNR_DN_NORM:
        forward_norm(p, s);
        return true;
    case FNR_DN_JOIN:
        forward_join(p, s);
        return true;
    case FNR_DN_FUSED:
        break;
    }
    return true;
}

static bool forward_pass(fnr_program *p, const float *x, float *y, fnr_error *err)
{
    const fnr_dn_value *in = &p->values[p->graph->input], *out = &p->values[p->graph->output];
    if (p->input_planes) {
        fnr_dn_planes_from_dense(&p->in_planes, x);
    } else {
        fnr_dn_block(p->backend->dev.block, &in->extent, x, fnr_dn_at(p, in->home));
    }
    for (int i = 0; i < p->n_steps; i++) {
        if (!forward_step(p, &p->steps[i], y, err)) {
            return false;
        }
    }
    if (!p->output_planes) {
        fnr_dn_unblock(p->backend->dev.block, &out->extent, fnr_dn_at(p, out->home), y);
    }
    return true;
}

bool fnr_dn_forward(fnr_program *p, const float *x, float *y, fnr_error *err)
{
    const size_t in = fnr_shape_count(&p->values[p->graph->input].shape), out = fnr_shape_count(&p->values[p->graph->output].shape);
    if (!fnr_dn_refresh(p, err)) {
        return false;
    }
    if (p->mode == FNR_MODE_TRAIN) {
        if (!forward_pass(p, x, p->output, err)) {
            return false;
        }
        if (y) {
            memcpy(y, p->output, out * sizeof *y);
        }
        p->version = ++p->state->version; /* running statistics have moved: folded copies elsewhere are stale, ours hold none */
        return true;
    }
    for (int i = 0; i < p->passes && y; i++) {
        if (!forward_pass(p, x + (size_t)i * in, y + (size_t)i * out, err)) {
            return false;
        }
    }
    return true;
}

/* A bias in front of a batch norm has no effect, so its gradient is zero, not the rounding noise of a sum that cancels. */
static void bias_gradient(fnr_program *p, const fnr_dn_step *s, fnr_dn_tensor dy)
{
    float *db = fnr_dn_param_grad(p, s->op->bias);
    const fnr_dn_extent *e = &p->values[s->op->out].extent;
    if (db && (s->leaves_bias || s->op->bias_feeds_norm)) {
        memset(db, 0, (size_t)e->channels * sizeof *db);
    } else if (db) {
        fnr_dn_channel_sums(p->backend->kernels, e, dy, db, scratch_of(p));
    }
}

static bool backward_conv(fnr_program *p, const fnr_dn_step *s, bool want_dx, fnr_error *err)
{
    const fnr_dn_device *dev = &p->backend->dev;
    bias_gradient(p, s, fnr_dn_at(p, s->dy));
    if (!fnr_dn_call_run(&s->conv.weights, dev, err) || !fnr_dn_call_run(&s->conv.unpack, dev, err)) {
        return false;
    }
    fnr_dn_conv_unstage(&s->conv, dev->block, fnr_dn_plan_data(&p->plan, p->dense_buffer), fnr_dn_param_grad(p, s->op->weight));
    return !want_dx || fnr_dn_call_run(s->conv.desc.transposed ? &s->conv.forward : &s->conv.data, dev, err);
}

static void backward_first(fnr_program *p, const fnr_dn_step *s, float *dx)
{
    const fnr_dn_tensor dy = fnr_dn_at(p, s->dy);
    bias_gradient(p, s, dy);
    fnr_dn_edge_correlate(&s->edge, &p->in_planes, dy, fnr_dn_param_grad(p, s->op->weight), scratch_of(p));
    if (dx) {
        fnr_dn_edge_shrink(&s->edge, dy, NULL, dx);
    }
}

static void backward_last(fnr_program *p, const fnr_dn_step *s)
{
    const fnr_shape *out = &p->values[s->op->out].shape;
    const size_t pixels = (size_t)out->d * (size_t)out->h * (size_t)out->w;
    float *db = fnr_dn_param_grad(p, s->op->bias);
    for (int c = 0; db && c < out->c; c++) {
        double sum = 0;
        for (int n = 0; n < out->n; n++) {
            const float *g = p->output_grad + ((size_t)n * (size_t)out->c + (size_t)c) * pixels;
            for (size_t i = 0; i < pixels; i++) {
                sum += (double)g[i];
            }
        }
        db[c] = (float)sum;
    }
    fnr_dn_planes_from_dense(&p->grad_planes, p->output_grad);
    fnr_dn_edge_correlate(&s->edge, &p->grad_planes, fnr_dn_at(p, p->values[s->op->in[0]].home), fnr_dn_param_grad(p, s->op->weight),
                          scratch_of(p));
    fnr_dn_edge_expand(&s->edge, &p->grad_planes, &s->norm, fnr_dn_at(p, s->dx[0]));
}

static void backward_join(fnr_program *p, const fnr_dn_step *s)
{
    const int block = p->backend->dev.block;
    const fnr_dn_value *whole = &p->values[s->out], *first = &p->values[s->op->in[0]], *second = &p->values[s->op->in[1]];
    if (first->extent.channels % block == 0) {
        return; /* the parts of the gradient are read where they are */
    }
    const fnr_dn_tensor dy = fnr_dn_at(p, s->dy);
    fnr_dn_channels_get(block, &whole->extent, dy, 0, &first->extent, fnr_dn_at(p, s->dx[0]));
    fnr_dn_channels_get(block, &whole->extent, dy, first->extent.channels, &second->extent, fnr_dn_at(p, s->dx[1]));
}

static bool backward_step(fnr_program *p, fnr_dn_step *s, float *dx, fnr_error *err)
{
    const fnr_dn_value *out = &p->values[s->out];
    if (s->sum_dy) {
        const fnr_dn_tensor second = out->n_grads == 2 ? fnr_dn_at(p, out->grads[1]) : (fnr_dn_tensor){0};
        fnr_dn_add(p->backend->kernels, &out->extent, fnr_dn_at(p, out->grads[0]), second, fnr_dn_at(p, s->dy));
    }
    switch (s->kind) {
    case FNR_DN_CONV:
        return backward_conv(p, s, s->op->in[0] != p->graph->input || dx, err);
    case FNR_DN_WINO:
        bias_gradient(p, s, fnr_dn_at(p, s->dy));
        fnr_dn_wino_backward(p, s, s->op->in[0] != p->graph->input || dx);
        return true;
    case FNR_DN_HALF:
        bias_gradient(p, s, fnr_dn_at(p, s->dy));
        fnr_dn_half_backward(p, s, s->op->in[0] != p->graph->input || dx);
        return true;
    case FNR_DN_FIRST:
        backward_first(p, s, dx);
        return true;
    case FNR_DN_LAST:
        backward_last(p, s);
        return true;
    case FNR_DN_NORM:
        fnr_dn_norm_backward(&s->norm, fnr_dn_at(p, p->values[s->op->in[0]].home), fnr_dn_at(p, out->grads[0]),
                             out->n_grads == 2 ? fnr_dn_at(p, out->grads[1]) : (fnr_dn_tensor){0}, fnr_dn_param_grad(p, s->op->weight),
                             fnr_dn_param_grad(p, s->op->bias), fnr_dn_at(p, s->dx[0]), scratch_of(p));
        return true;
    case FNR_DN_JOIN:
        backward_join(p, s);
        return true;
    case FNR_DN_FUSED:
        break;
    }
    return true;
}

bool fnr_dn_backward(fnr_program *p, float *dx, fnr_error *err)
{
    const int block = p->backend->dev.block;
    const fnr_dn_value *in = &p->values[p->graph->input], *out = &p->values[p->graph->output];
    if (!p->output_planes) {
        fnr_dn_block(block, &out->extent, p->output_grad, fnr_dn_at(p, out->grads[0]));
    }
    for (int i = p->n_steps - 1; i >= 0; i--) {
        if (!backward_step(p, &p->steps[i], dx, err)) {
            return false;
        }
    }
    if (dx && !p->input_planes) {
        const fnr_dn_tensor sum = fnr_dn_at(p, in->grads[0]);
        if (in->n_grads == 2) {
            fnr_dn_add(p->backend->kernels, &in->extent, sum, fnr_dn_at(p, in->grads[1]), sum);
        }
        fnr_dn_unblock(block, &in->extent, sum, dx);
    }
    return true;
}
