#include "net/onednn/program.h"

static bool add_source(fnr_program *p, int value, fnr_dn_place place, fnr_error *err)
{
    fnr_dn_value *v = &p->values[value];
    if (v->n_grads == 2) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "onednn: a value is read by more than two operations");
    }
    v->grads[v->n_grads++] = place;
    return true;
}

/* The gradient of the step's output as the step wants it: a norm adds two sources itself, the others want one dense tensor. */
static bool plan_dy(fnr_program *p, int i, fnr_error *err)
{
    fnr_dn_step *s = &p->steps[i];
    const fnr_dn_value *v = &p->values[s->out];
    const int now = fnr_dn_backward_time(p, i);
    if (v->n_grads == 0) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "onednn: the result of operation %d is never used", i);
    }
    for (int k = 0; k < v->n_grads; k++) {
        fnr_dn_plan_touch(&p->plan, v->grads[k].buffer, now);
    }
    if (s->kind == FNR_DN_NORM) {
        return true;
    }
    s->sum_dy = v->n_grads == 2 || (p->samples > 1 && v->grads[0].sample_stride != fnr_dn_sample_floats(p, s->out));
    s->dy = v->grads[0];
    return !s->sum_dy || fnr_dn_place_new(p, s->out, now, &s->dy, err);
}

static bool plan_join(fnr_program *p, int i, fnr_error *err)
{
    fnr_dn_step *s = &p->steps[i];
    const int block = p->backend->dev.block, now = fnr_dn_backward_time(p, i);
    const fnr_dn_extent *first = &p->values[s->op->in[0]].extent;
    for (int k = 0; k < 2; k++) {
        if (first->channels % block == 0) { /* parts of the whole, as they are */
            s->dx[k] = s->dy;
            s->dx[k].offset += k == 0 ? 0 : fnr_dn_sample_floats(p, s->op->in[0]);
        } else if (!fnr_dn_place_new(p, s->op->in[k], now, &s->dx[k], err)) {
            return false;
        }
        if (!add_source(p, s->op->in[k], s->dx[k], err)) {
            return false;
        }
    }
    return true;
}

static bool plan_dx(fnr_program *p, int i, fnr_error *err)
{
    fnr_dn_step *s = &p->steps[i];
    const int now = fnr_dn_backward_time(p, i), in = s->op->in[0];
    if (s->kind == FNR_DN_FIRST) {
        return true;
    }
    if (s->kind == FNR_DN_JOIN) {
        return plan_join(p, i, err);
    }
    if (s->kind == FNR_DN_NORM && p->values[in].uses == 1 && p->values[in].producer >= 0 && in != p->graph->output) {
        s->dx[0] = p->values[in].home; /* nobody needs the norm's input any more */
    } else if (!fnr_dn_place_new(p, in, now, &s->dx[0], err)) {
        return false;
    }
    return add_source(p, in, s->dx[0], err);
}

bool fnr_dn_plan_gradients(fnr_program *p, fnr_error *err)
{
    const int output = p->graph->output;
    fnr_dn_place seed;
    if (!p->output_planes && (!fnr_dn_place_new(p, output, p->n_steps + 1, &seed, err) || !add_source(p, output, seed, err))) {
        return false;
    }
    for (int i = p->n_steps - 1; i >= 0; i--) {
        if ((p->steps[i].kind != FNR_DN_LAST && !plan_dy(p, i, err)) || !plan_dx(p, i, err)) {
            return false;
        }
    }
    const fnr_dn_value *input = &p->values[p->graph->input];
    for (int k = 0; k < input->n_grads; k++) {
        fnr_dn_plan_touch(&p->plan, input->grads[k].buffer, p->plan.end);
    }
    return true;
}
