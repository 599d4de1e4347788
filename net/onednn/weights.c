#include <string.h>
#include "net/onednn/program.h"

fnr_dn_norm_params fnr_dn_params_of_norm(const fnr_program *p, const fnr_op *norm, const fnr_op *feeder)
{
    const fnr_param *params = p->graph->params;
    return (fnr_dn_norm_params){
        .gamma = fnr_dn_param(p, norm->weight),
        .beta = fnr_dn_param(p, norm->bias),
        .bias = feeder ? fnr_dn_param(p, feeder->bias) : NULL,
        .running_mean = p->state->values + params[norm->running_mean].offset,
        .running_var = p->state->values + params[norm->running_var].offset,
    };
}

/* What a convolution does to its result: a fused norm, its bias, or nothing. */
static void refresh_affine(fnr_program *p, fnr_dn_step *s)
{
    if (s->fused >= 0) {
        const fnr_dn_norm_params params = fnr_dn_params_of_norm(p, &p->graph->ops[s->fused], s->op);
        fnr_dn_norm_from_running(&s->norm, &params);
    } else {
        const bool own_bias = s->kind != FNR_DN_LAST && !s->leaves_bias;
        fnr_dn_norm_from_bias(&s->norm, own_bias ? fnr_dn_param(p, s->op->bias) : NULL);
    }
}

static bool refresh_conv(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    const fnr_dn_device *dev = &p->backend->dev;
    const bool scaled = p->mode == FNR_MODE_INFER && !s->conv.desc.transposed;
    fnr_dn_conv_stage(&s->conv, dev->block, fnr_dn_param(p, s->op->weight), scaled ? s->norm.scale : NULL,
                      fnr_dn_plan_data(&p->plan, p->dense_buffer));
    if (s->conv.bias_buffer >= 0) {
        memcpy(fnr_dn_plan_data(&p->plan, s->conv.bias_buffer), s->norm.shift, (size_t)s->conv.desc.narrow_c * sizeof(float));
    }
    return fnr_dn_call_run(&s->conv.pack, dev, err) && fnr_dn_call_run(&s->conv.pack_data, dev, err);
}

bool fnr_dn_refresh(fnr_program *p, fnr_error *err)
{
    if (p->version == p->state->version) {
        return true;
    }
    for (int i = 0; i < p->n_steps; i++) {
        fnr_dn_step *s = &p->steps[i];
        switch (s->kind) {
        case FNR_DN_CONV:
            refresh_affine(p, s);
            if (!refresh_conv(p, s, err)) {
                return false;
            }
            break;
        case FNR_DN_WINO:
            refresh_affine(p, s);
            fnr_dn_wino_refresh(p, s);
            break;
        case FNR_DN_HALF:
            refresh_affine(p, s);
            fnr_dn_half_refresh(p, s);
            break;
        case FNR_DN_FIRST:
        case FNR_DN_LAST:
            refresh_affine(p, s);
            fnr_dn_edge_pack(&s->edge, fnr_dn_param(p, s->op->weight));
            break;
        case FNR_DN_NORM:
            if (p->mode == FNR_MODE_INFER) {
                const fnr_dn_norm_params params = fnr_dn_params_of_norm(p, s->op, NULL);
                fnr_dn_norm_from_running(&s->norm, &params);
            }
            break;
        case FNR_DN_FUSED:
        case FNR_DN_JOIN:
            break;
        }
    }
    p->version = p->state->version;
    return true;
}
