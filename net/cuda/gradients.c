/* Where gradients of values lie.  Each reader of a value writes a gradient of its own; the producer adds them up as it reads
 * (norms take two), or they are added up first. */
#include "net/cuda/program.h"

enum { NORM_SOURCES = 2 };

static bool add_gradient(fnr_program *p, int value, fnr_cu_place where, fnr_error *err)
{
    fnr_cu_value *v = &p->values[value];
    if (v->n_grads == FNR_CU_MAX_SOURCES) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "cuda: a value that is read more than %d times", FNR_CU_MAX_SOURCES);
    }
    v->grads[v->n_grads++] = where;
    return true;
}

static bool place_new(fnr_program *p, int value, int time, fnr_cu_place *out, fnr_error *err)
{
    const fnr_cu_value *v = &p->values[value];
    const int buffer = fnr_cu_plan_add(&p->plan, v->rows * (size_t)v->shape.c * fnr_cu_size((int)v->type), time, time, err);
    *out = (fnr_cu_place){.buffer = buffer, .stride = (size_t)v->shape.c};
    return buffer >= 0;
}

static bool is_dense(const fnr_cu_value *v, fnr_cu_place where)
{
    return where.offset == 0 && where.stride == (size_t)v->shape.c;
}

/* The output's gradient, as this step's backward pass wants it. */
static bool settle_dy(fnr_program *p, fnr_cu_step *s, int now, fnr_error *err)
{
    fnr_cu_value *v = &p->values[s->out];
    if (v->n_grads == 0) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "cuda: a value that nobody reads cannot be trained");
    }
    for (int i = 0; i < v->n_grads; i++) {
        fnr_cu_plan_touch(&p->plan, v->grads[i].buffer, now);
    }
    const bool any_place = s->kind == FNR_CU_STEP_JOIN || s->kind == FNR_CU_STEP_NORM;
    s->dy = v->grads[0];
    s->sums_dy = s->kind == FNR_CU_STEP_NORM ? v->n_grads > NORM_SOURCES : v->n_grads > 1 || (!any_place && !is_dense(v, v->grads[0]));
    return !s->sums_dy || place_new(p, s->out, now, &s->dy, err);
}

static bool plan_step(fnr_program *p, int i, fnr_error *err)
{
    fnr_cu_step *s = &p->steps[i];
    const int now = fnr_cu_backward_time(p, i), first = s->op->in[0];
    if (!settle_dy(p, s, now, err)) {
        return false;
    }
    if (s->kind == FNR_CU_STEP_JOIN) {
        fnr_cu_place second = s->dy;
        second.offset += (size_t)p->values[first].shape.c;
        return add_gradient(p, first, s->dy, err) && add_gradient(p, s->op->in[1], second, err);
    }
    return place_new(p, first, now, &s->dx, err) && add_gradient(p, first, s->dx, err);
}

bool fnr_cu_plan_gradients(fnr_program *p, fnr_error *err)
{
    const int loss_time = p->n_steps + 1;
    fnr_cu_place place;
    if (!place_new(p, p->graph->output, loss_time, &place, err) || !add_gradient(p, p->graph->output, place, err)) {
        return false;
    }
    for (int i = p->n_steps - 1; i >= 0; i--) {
        if (!plan_step(p, i, err)) {
            return false;
        }
    }
    const fnr_cu_value *in = &p->values[p->graph->input];
    for (int i = 0; i < in->n_grads; i++) {
        fnr_cu_plan_touch(&p->plan, in->grads[i].buffer, p->plan.end);
    }
    if (in->n_grads > 1) { /* they are added up in place of the input */
        fnr_cu_plan_touch(&p->plan, in->home.buffer, p->plan.end);
    }
    return true;
}
