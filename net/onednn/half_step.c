/* Steps of a program that are 2x2 convolutions with stride 2, or their transposes. */
#include "net/onednn/program.h"

static bool init(const fnr_program *p, const fnr_op *op, fnr_dn_half *half)
{
    const bool grows = op->kind == FNR_OP_CONVT;
    const fnr_shape *in = &p->values[op->in[0]].shape, *out = &p->values[op->out].shape;
    return fnr_dn_half_init(half, p->backend->wino, grows ? out : in, grows ? in : out);
}

bool fnr_dn_half_suits(const fnr_program *p, const fnr_op *op)
{
    fnr_dn_half half;
    return (op->kind == FNR_OP_CONVT || op->kind == FNR_OP_CONV) && op->kernel == 2 && op->stride == 2 && init(p, op, &half);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool fnr_dn_half_plan(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    init(p, s->op, &s->half);
    const size_t weights = fnr_dn_half_weight_floats(&s->half);
    if (p->keep_filters) {
        return (s->filter_buffer = fnr_dn_plan_add_kept(&p->plan, weights, err)) >= 0;
    }
    p->filter_floats = larger(p->filter_floats, weights);
    p->scratch_floats = larger(p->scratch_floats, fnr_dn_half_grad_scratch_floats(&s->half));
    return true;
}

static float *filters(const fnr_program *p, const fnr_dn_step *s)
{
    return fnr_dn_plan_data(&p->plan, p->keep_filters ? s->filter_buffer : p->filter_buffer);
}

static void pack(const fnr_program *p, const fnr_dn_step *s, bool grow)
{
    (grow ? fnr_dn_half_pack_grow : fnr_dn_half_pack_shrink)(&s->half, fnr_dn_param(p, s->op->weight), filters(p, s));
}

void fnr_dn_half_refresh(const fnr_program *p, const fnr_dn_step *s)
{
    if (p->keep_filters) {
        pack(p, s, s->op->kind == FNR_OP_CONVT);
    }
}

void fnr_dn_half_forward(const fnr_program *p, const fnr_dn_step *s)
{
    const bool grows = s->op->kind == FNR_OP_CONVT, affine = s->fused >= 0 || (s->op->bias >= 0 && !s->leaves_bias);
    if (!p->keep_filters) {
        pack(p, s, grows);
    }
    (grows ? fnr_dn_half_grow : fnr_dn_half_shrink)(&s->half, fnr_dn_at(p, p->values[s->op->in[0]].home), filters(p, s),
                                                    affine ? &s->norm : NULL, fnr_dn_at(p, p->values[s->out].home));
}

void fnr_dn_half_backward(const fnr_program *p, const fnr_dn_step *s, bool want_dx)
{
    const bool grows = s->op->kind == FNR_OP_CONVT;
    const fnr_dn_tensor x = fnr_dn_at(p, p->values[s->op->in[0]].home), dy = fnr_dn_at(p, s->dy);
    fnr_dn_half_grad(&s->half, grows ? dy : x, grows ? x : dy, fnr_dn_param_grad(p, s->op->weight),
                     fnr_dn_plan_data(&p->plan, p->scratch_buffer));
    if (want_dx) {
        pack(p, s, !grows);
        (grows ? fnr_dn_half_shrink : fnr_dn_half_grow)(&s->half, dy, filters(p, s), NULL, fnr_dn_at(p, s->dx[0]));
    }
}
