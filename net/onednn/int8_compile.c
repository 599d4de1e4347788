/* A graph as a list of int8 steps, and its memory. */
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include "net/onednn/int8.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

static bool unsupported(fnr_error *err, const char *what)
{
    return fnr_fail(err, FNR_E_UNSUPPORTED,
                    "int8 inference is for 2D U-Nets of convolutions with batch norm and ReLU; this network has %s: use net.precision = float32", what);
}

static bool size_values(fnr_i8_program *p, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    for (int i = 0; i < g->n_values; i++) {
        fnr_i8_value *v = &p->values[i];
        *v = (fnr_i8_value){.part = {-1, -1}, .maker = -1, .buffer = -1};
        if (!fnr_graph_value_shape(g, i, &p->input, &v->shape, err)) {
            return false;
        }
        v->channels = fnr_i8_round_up(v->shape.c);
        v->row = (size_t)(v->shape.w + FNR_I8_BEFORE + FNR_I8_BEHIND) * (size_t)v->channels;
        v->step = fnr_calloc((size_t)v->channels, sizeof *v->step, "steps of activations", err);
        if (!v->step) {
            return false;
        }
    }
    for (int i = 0; i < g->n_ops; i++) {
        p->values[g->ops[i].out].maker = i;
        for (int k = 0; k < 2; k++) {
            if (g->ops[i].in[k] >= 0) {
                p->values[g->ops[i].in[k]].uses++;
            }
        }
    }
    return true;
}

/* The norm with ReLU that alone reads the convolution's output. */
static const fnr_op *norm_behind(const fnr_i8_program *p, const fnr_op *conv)
{
    for (int i = 0; i < p->graph->n_ops; i++) {
        const fnr_op *op = &p->graph->ops[i];
        if (op->kind == FNR_OP_BN_RELU && op->relu && op->in[0] == conv->out && p->values[conv->out].uses == 1 && conv->out != p->graph->output) {
            return op;
        }
    }
    return NULL;
}

static bool kind_of(const fnr_i8_program *p, const fnr_op *conv, const fnr_op *norm, fnr_i8_kind *kind, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    const bool first = conv->in[0] == g->input, last = !norm && conv->out == g->output;
    if (conv->kind == FNR_OP_CONV && conv->kernel == 3 && (first || last)) {
        *kind = first ? FNR_I8_FIRST : FNR_I8_LAST;
        if (first == last || p->values[first ? conv->in[0] : conv->out].shape.c > FNR_DN_EDGE_PLAIN) {
            return unsupported(err, first == last ? "a single convolution" : "more than 4 input or output channels");
        }
        return true;
    }
    if (first || !norm) {
        return unsupported(err, first ? "an input that is not read by a 3x3 convolution" : "a convolution without batch norm and ReLU");
    }
    *kind = conv->kind == FNR_OP_CONVT ? FNR_I8_UP : conv->kernel == 3 && !p->each ? FNR_I8_WINOGRAD : FNR_I8_DIRECT;
    return conv->kernel == 1 ? unsupported(err, "a 1x1 convolution") : true;
}

static bool add_step(fnr_i8_program *p, const fnr_op *conv, fnr_error *err)
{
    fnr_i8_step *s = &p->steps[p->n_steps];
    *s = (fnr_i8_step){.conv = conv, .norm = norm_behind(p, conv), .in = {conv->in[0], -1}};
    if (!kind_of(p, conv, s->norm, &s->kind, err)) {
        return false;
    }
    const fnr_i8_value *in = &p->values[conv->in[0]];
    if (in->part[0] >= 0) {
        if (conv->kernel != 3 || s->kind == FNR_I8_LAST || p->values[in->part[0]].part[0] >= 0 || p->values[in->part[1]].part[0] >= 0) {
            return unsupported(err, "a concatenation that is read by something else than a 3x3 convolution");
        }
        s->in[0] = in->part[0];
        s->in[1] = in->part[1];
    }
    s->out = s->norm ? s->norm->out : conv->out;
    p->n_steps++;
    return true;
}

static bool list_steps(fnr_i8_program *p, fnr_error *err)
{
    for (int i = 0; i < p->graph->n_ops; i++) {
        const fnr_op *op = &p->graph->ops[i];
        if (op->kind == FNR_OP_CONCAT) {
            p->values[op->out].part[0] = op->in[0];
            p->values[op->out].part[1] = op->in[1];
        } else if (op->kind == FNR_OP_BN_RELU) {
            const int maker = p->values[op->in[0]].maker;
            if (maker < 0 || norm_behind(p, &p->graph->ops[maker]) != op || p->graph->ops[maker].kind == FNR_OP_CONCAT) {
                return unsupported(err, "a batch norm that does not follow a convolution");
            }
        } else if (!add_step(p, op, err)) {
            return false;
        }
    }
    if (p->n_steps < 2 || p->steps[p->n_steps - 1].kind != FNR_I8_LAST) {
        return unsupported(err, "no 3x3 convolution at its end");
    }
    return true;
}

static size_t tensor_bytes(const fnr_i8_value *v)
{
    return (size_t)(v->shape.h + FNR_I8_BEFORE + FNR_I8_BEHIND) * v->row;
}

static size_t floats_for(size_t bytes)
{
    return (bytes + sizeof(float) - 1) / sizeof(float);
}

/* A tensor lives from the step that makes it to the last that reads it. */
static bool place_values(fnr_i8_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        const fnr_i8_step *s = &p->steps[i];
        for (int k = 0; k < 2 && s->kind != FNR_I8_FIRST && s->in[k] >= 0; k++) {
            if (p->values[s->in[k]].buffer < 0) {
                return unsupported(err, "an operation that reads what no convolution has made");
            }
            fnr_dn_plan_touch(&p->plan, p->values[s->in[k]].buffer, 1 + i);
        }
        fnr_i8_value *out = &p->values[s->out];
        if (s->kind != FNR_I8_LAST && (out->buffer = fnr_dn_plan_add(&p->plan, floats_for(tensor_bytes(out)), 1 + i, 1 + i, err)) < 0) {
            return false;
        }
    }
    return true;
}

static bool place_rest(fnr_i8_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        const size_t bytes = fnr_i8_scratch_bytes(p, &p->steps[i]);
        p->scratch_bytes = bytes > p->scratch_bytes ? bytes : p->scratch_bytes;
    }
    p->workers = fnr_threads_get();
    p->scratch_bytes = (p->scratch_bytes + 127) / 128 * 128;
    p->planes_buffer = fnr_dn_plan_add_kept(&p->plan, fnr_dn_planes_floats(&p->input), err);
    p->scratch_buffer = fnr_dn_plan_add_kept(&p->plan, floats_for(p->scratch_bytes) * (size_t)p->workers, err);
    return p->planes_buffer >= 0 && p->scratch_buffer >= 0;
}

static void bind(fnr_i8_program *p)
{
    for (int i = 0; i < p->graph->n_values; i++) {
        fnr_i8_value *v = &p->values[i];
        if (v->buffer >= 0) {
            v->data = (uint8_t *)fnr_dn_plan_data(&p->plan, v->buffer) + FNR_I8_BEFORE * (v->row + (size_t)v->channels);
        }
    }
    p->planes = (fnr_dn_planes){.data = fnr_dn_plan_data(&p->plan, p->planes_buffer), .shape = p->input};
}

size_t fnr_i8_program_bytes(const fnr_i8_program *p)
{
    return p->plan.floats * sizeof(float) + p->weight_bytes;
}

static bool within_limit(const fnr_i8_program *p, size_t limit, fnr_error *err)
{
    const size_t bytes = fnr_i8_program_bytes(p);
    if (limit && bytes > limit) {
        return fnr_fail(err, FNR_E_LIMIT, "the network needs %.1f MiB for this shape, %.1f of them for its weights, more than the limit of %.1f MiB",
                        (double)bytes / 0x1p20, (double)p->weight_bytes / 0x1p20, (double)limit / 0x1p20);
    }
    return true;
}

static bool compile(fnr_i8_program *p, size_t max_bytes, fnr_error *err)
{
    if (!size_values(p, err) || !list_steps(p, err)) {
        return false;
    }
    p->plan.end = p->n_steps + 1;
    for (int i = 0; i < p->n_steps; i++) {
        p->weight_bytes += fnr_i8_weights_size(p, &p->steps[i]);
    }
    if (!place_values(p, err) || !place_rest(p, err) || !fnr_dn_plan_place(&p->plan, err) || !within_limit(p, max_bytes, err) ||
        !fnr_dn_plan_allocate(&p->plan, err)) {
        return false;
    }
    for (int i = 0; i < p->n_steps; i++) {
        if (!fnr_i8_weights_new(p, &p->steps[i], err)) {
            return false;
        }
    }
    bind(p);
    return true;
}

/* Both tables must count channels in the same blocks. */
static void choose_kernels(fnr_i8_program *p)
{
    const bool vnni = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni;
    p->kernels = vnni ? &fnr_i8_kernels_vnni : &fnr_i8_kernels_avx2;
    p->floats = vnni ? &fnr_dn_kernels_avx512 : &fnr_dn_kernels_avx2;
}

bool fnr_i8_program_new(fnr_state *s, const fnr_shape *shape, bool each, size_t max_bytes, fnr_i8_program **out, fnr_error *err)
{
    const fnr_graph *g = s->graph;
    if (g->spatial != 2) {
        return unsupported(err, "three dimensions");
    }
    fnr_i8_program *p = fnr_calloc(1, sizeof *p, "int8 program", err);
    if (!p) {
        return false;
    }
    choose_kernels(p);
    p->state = s;
    p->graph = g;
    p->input = *shape;
    p->input.n = 1;
    p->samples = shape->n;
    p->each = each;
    p->values = fnr_calloc((size_t)g->n_values, sizeof *p->values, "values of a program", err);
    p->steps = p->values ? fnr_calloc((size_t)g->n_ops + 1, sizeof *p->steps, "steps of a program", err) : NULL;
    if (!p->steps || !compile(p, max_bytes, err)) {
        fnr_i8_program_free(p);
        return false;
    }
    *out = p;
    return true;
}

void fnr_i8_program_free(fnr_i8_program *p)
{
    if (!p) {
        return;
    }
    for (int i = 0; p->values && i < p->graph->n_values; i++) {
        free(p->values[i].step);
    }
    for (int i = 0; p->steps && i <= p->graph->n_ops; i++) {
        free(p->steps[i].weights);
        free(p->steps[i].alpha);
        free(p->steps[i].edge_weights);
    }
    fnr_dn_plan_free(&p->plan);
    free(p->values);
    free(p->steps);
    free(p);
}
