/* Steps of a program that are Winograd convolutions. */
#include "net/onednn/program.h"

/* Prediction computes in tiles of 6x6, always: which tiles it uses must not depend on the size of an image's part.  Gradients
 * need the smaller rounding error of 4x4. */
static const fnr_dn_wino_kernels *kernels_of(const fnr_program *p)
{
    return p->mode == FNR_MODE_INFER ? p->backend->wino6 : p->backend->wino;
}

bool fnr_dn_wino_suits(const fnr_program *p, const fnr_op *op)
{
    fnr_dn_wino w;
    const fnr_shape *in = &p->values[op->in[0]].shape, *out = &p->values[op->out].shape;
    return p->winograd && op->kind == FNR_OP_CONV && op->kernel == 3 &&
           fnr_dn_wino_init(&w, kernels_of(p), in, out->c, FNR_DN_WINO_FORWARD) &&
           fnr_dn_wino_init(&w, kernels_of(p), out, in->c, FNR_DN_WINO_BACK);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool fnr_dn_wino_plan(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    const fnr_shape *in = &p->values[s->op->in[0]].shape, *out = &p->values[s->op->out].shape;
    const size_t filter =
        fnr_dn_wino_init(&s->wino, kernels_of(p), in, out->c, FNR_DN_WINO_FORWARD) ? fnr_dn_wino_filter_floats(&s->wino) : 0;
    p->scratch_floats = larger(p->scratch_floats, fnr_dn_wino_scratch_floats(&s->wino));
    if (p->keep_filters) {
        return (s->filter_buffer = fnr_dn_plan_add_kept(&p->plan, filter, err)) >= 0;
    }
    p->filter_floats = larger(p->filter_floats, filter);
    if (p->mode == FNR_MODE_INFER) {
        return true;
    }
    fnr_dn_wino_init(&s->wino_back, kernels_of(p), out, in->c, FNR_DN_WINO_BACK);
    fnr_dn_wino_init(&s->wino_grad, kernels_of(p), in, out->c, FNR_DN_WINO_GRAD);
    p->filter_floats = larger(p->filter_floats, fnr_dn_wino_filter_floats(&s->wino_back));
    p->scratch_floats = larger(p->scratch_floats,
                               larger(fnr_dn_wino_scratch_floats(&s->wino_back), fnr_dn_wino_grad_scratch_floats(&s->wino_grad)));
    return true;
}

/* Of its own, or one place for all convolutions. */
static float *filters(const fnr_program *p, const fnr_dn_step *s)
{
    return fnr_dn_plan_data(&p->plan, p->keep_filters ? s->filter_buffer : p->filter_buffer);
}

void fnr_dn_wino_refresh(const fnr_program *p, const fnr_dn_step *s)
{
    if (p->keep_filters) {
        fnr_dn_wino_pack(&s->wino, fnr_dn_param(p, s->op->weight), filters(p, s));
    }
}

static float *scratch_of(const fnr_program *p)
{
    return fnr_dn_plan_data(&p->plan, p->scratch_buffer);
}

void fnr_dn_wino_forward(const fnr_program *p, const fnr_dn_step *s)
{
    const fnr_dn_parts x = fnr_dn_parts_of(p, s->op->in[0]);
    float *u = filters(p, s);
    if (!p->keep_filters) {
        fnr_dn_wino_pack(&s->wino, fnr_dn_param(p, s->op->weight), u);
    }
    const bool affine = s->fused >= 0 || (s->op->bias >= 0 && !s->leaves_bias);
    fnr_dn_wino_run(&s->wino, &x, u, affine ? &s->norm : NULL, fnr_dn_at(p, p->values[s->out].home), scratch_of(p));
}

void fnr_dn_wino_backward(const fnr_program *p, const fnr_dn_step *s, bool want_dx)
{
    const fnr_dn_parts x = fnr_dn_parts_of(p, s->op->in[0]);
    const fnr_dn_tensor dy = fnr_dn_at(p, s->dy);
    fnr_dn_wino_grad(&s->wino_grad, &x, dy, fnr_dn_param_grad(p, s->op->weight), scratch_of(p));
    if (want_dx) {
        const fnr_dn_parts g = {.part = {{.x = dy, .blocks = s->wino_back.in_blocks}}};
        float *u = filters(p, s);
        fnr_dn_wino_pack(&s->wino_back, fnr_dn_param(p, s->op->weight), u);
        fnr_dn_wino_run(&s->wino_back, &g, u, NULL, fnr_dn_at(p, s->dx[0]), scratch_of(p));
    }
}
