#include <string.h>
#include "net/onednn/program.h"

/* Packed weights take four times the memory of weights, and packing them the time of some 10,000 pixels: programs for larger
 * inputs pack them for every use, as training does, whose weights change with every step. */
enum { KEEP_FILTERS_PIXELS = 128 * 128 };

static bool training(const fnr_program *p)
{
    return p->mode == FNR_MODE_TRAIN;
}

bool fnr_dn_place_new(fnr_program *p, int value, int time, fnr_dn_place *out, fnr_error *err)
{
    const size_t sample = fnr_dn_sample_floats(p, value);
    int buffer = fnr_dn_plan_add(&p->plan, sample * (size_t)p->values[value].extent.n, time, time, err);
    if (buffer < 0) {
        return false;
    }
    *out = (fnr_dn_place){.buffer = buffer, .sample_stride = sample};
    return true;
}

static bool size_values(fnr_program *p, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    fnr_shape input = p->input;
    input.n = p->samples;
    for (int i = 0; i < g->n_values; i++) {
        fnr_dn_value *v = &p->values[i];
        *v = (fnr_dn_value){.producer = -1, .home = FNR_DN_NOWHERE, .copy = FNR_DN_NOWHERE};
        if (!fnr_graph_value_shape(g, i, &input, &v->shape, err)) {
            return false;
        }
        v->extent = (fnr_dn_extent){.n = v->shape.n,
                                    .channels = v->shape.c,
                                    .blocks = fnr_dn_round_up(v->shape.c, p->backend->dev.block) / p->backend->dev.block,
                                    .pixels = (size_t)v->shape.d * (size_t)v->shape.h * (size_t)v->shape.w};
    }
    for (int i = 0; i < g->n_ops; i++) {
        for (int k = 0; k < 2; k++) {
            if (g->ops[i].in[k] >= 0) {
                p->values[g->ops[i].in[k]].uses++;
            }
        }
    }
    return true;
}


static fnr_dn_kind kind_of(const fnr_program *p, const fnr_op *op)
{
    const fnr_graph *g = p->graph;
    if (op->kind == FNR_OP_BN_RELU) {
        return FNR_DN_NORM;
    }
    if (op->kind == FNR_OP_CONCAT) {
        return FNR_DN_JOIN;
    }
    if (op->kind == FNR_OP_CONV && op->kernel == 3) {
        const fnr_dn_value *in = &p->values[op->in[0]], *out = &p->values[op->out];
        if (op->in[0] == g->input && in->uses == 1 && in->shape.c <= FNR_DN_EDGE_PLAIN) {
            return FNR_DN_FIRST;
        }
        if (op->out == g->output && out->uses == 0 && out->shape.c <= FNR_DN_EDGE_PLAIN && in->shape.c <= FNR_DN_EDGE_BLOCKED) {
            return FNR_DN_LAST;
        }
    }
    return fnr_dn_wino_suits(p, op) ? FNR_DN_WINO : fnr_dn_half_suits(p, op) ? FNR_DN_HALF : FNR_DN_CONV;
}

/* A norm right behind a convolution that nobody else reads takes over its bias; in inference the convolution does all of it. */
static void pair_norm(fnr_program *p, int norm)
{
    fnr_dn_step *n = &p->steps[norm];
    const fnr_dn_value *x = &p->values[n->op->in[0]];
    if (x->producer < 0 || x->uses != 1 || n->op->in[0] == p->graph->output) {
        return;
    }
    fnr_dn_step *c = &p->steps[x->producer];
    if (c->kind == FNR_DN_NORM || c->kind == FNR_DN_JOIN || c->kind == FNR_DN_LAST || c->kind == FNR_DN_FUSED) {
        return;
    }
    if (!training(p)) {
        c->fused = norm;
        c->out = n->op->out;
        n->kind = FNR_DN_FUSED;
        p->values[n->op->out].producer = x->producer;
    } else {
        c->leaves_bias = true;
        n->feeder = c->op;
    }
}

static void classify(fnr_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_dn_step *s = &p->steps[i];
        s->op = &p->graph->ops[i];
        s->kind = kind_of(p, s->op);
        s->fused = -1;
        s->out = s->op->out;
        s->norm_buffer = s->expand_buffer = s->shrink_buffer = -1;
        s->dy = s->dx[0] = s->dx[1] = FNR_DN_NOWHERE;
        p->values[s->out].producer = i;
        if (s->kind == FNR_DN_NORM) {
            pair_norm(p, i);
        }
        p->input_planes |= s->kind == FNR_DN_FIRST;
        p->output_planes |= s->kind == FNR_DN_LAST;
    }
}

/* Are all readers of a value of that kind? */
static bool read_only_by(const fnr_program *p, int value, fnr_dn_kind kind)
{
    for (int i = 0; i < p->n_steps; i++) {
        const fnr_dn_step *s = &p->steps[i];
        if ((s->op->in[0] == value || s->op->in[1] == value) && s->kind != kind) {
            return false;
        }
    }
    return value != p->graph->output;
}

static bool is_split(const fnr_program *p, int value)
{
    const int producer = p->values[value].producer;
    return producer >= 0 && p->steps[producer].split;
}

/* Winograd convolutions read a concatenation from its two parts. */
static void split_joins(fnr_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_dn_step *s = &p->steps[i];
        if (s->kind == FNR_DN_JOIN) {
            const int *in = s->op->in;
            s->split = p->values[in[0]].extent.channels % p->backend->dev.block == 0 && !is_split(p, in[0]) && !is_split(p, in[1]) &&
                       read_only_by(p, s->out, FNR_DN_WINO);
        }
    }
}

static fnr_dn_part part_of(const fnr_program *p, int value)
{
    return (fnr_dn_part){.x = fnr_dn_at(p, p->values[value].home), .blocks = p->values[value].extent.blocks};
}

fnr_dn_parts fnr_dn_parts_of(const fnr_program *p, int value)
{
    if (!is_split(p, value)) {
        return (fnr_dn_parts){.part = {part_of(p, value)}};
    }
    const int *in = p->steps[p->values[value].producer].op->in;
    return (fnr_dn_parts){.part = {part_of(p, in[0]), part_of(p, in[1])}};
}

/* Can the producer of v write it straight into a concatenated tensor?  Of several samples the parts are not dense: oneDNN would
 * refuse them, our own loops do not mind. */
static bool writes_anywhere(const fnr_program *p, const fnr_dn_value *v)
{
    if (v->producer < 0 || v->home.buffer >= 0 || v->copy.buffer >= 0) {
        return false;
    }
    const fnr_dn_kind kind = p->steps[v->producer].kind;
    return kind == FNR_DN_NORM || kind == FNR_DN_WINO || kind == FNR_DN_HALF ||
           (p->samples == 1 && (kind == FNR_DN_CONV || kind == FNR_DN_FIRST));
}

/* Can all its readers read it there? */
static bool read_anywhere(const fnr_program *p, int value)
{
    for (int i = 0; i < p->n_steps && p->samples > 1; i++) {
        const fnr_dn_step *s = &p->steps[i];
        const bool reads = s->op->in[0] == value || s->op->in[1] == value;
        if (reads && s->kind != FNR_DN_JOIN && s->kind != FNR_DN_WINO && s->kind != FNR_DN_HALF) {
            return false;
        }
    }
    return true;
}

static void place_part(fnr_program *p, fnr_dn_step *join, int k)
{
    const fnr_op *op = join->op;
    fnr_dn_value *v = &p->values[op->in[k]];
    const fnr_dn_value *first = &p->values[op->in[0]], *whole = &p->values[op->out];
    const int block = p->backend->dev.block;
    const int before = k == 0 ? 0 : first->extent.channels;
    if (first->extent.channels % block != 0 || !writes_anywhere(p, v)) {
        join->put[k] = true;
        return;
    }
    fnr_dn_place part = whole->home;
    part.offset += (size_t)(before / block) * (size_t)block * v->extent.pixels;
    if (read_anywhere(p, op->in[k])) {
        v->home = part;
    } else {
        v->copy = part;
    }
}

/* Last concatenations first, so that a part may itself have parts. */
static bool place_joins(fnr_program *p, fnr_error *err)
{
    for (int i = p->n_steps - 1; i >= 0; i--) {
        fnr_dn_step *s = &p->steps[i];
        if (s->kind != FNR_DN_JOIN || s->split) {
            continue;
        }
        fnr_dn_value *whole = &p->values[s->out];
        if (whole->home.buffer < 0 && !fnr_dn_place_new(p, s->out, fnr_dn_forward_time(i), &whole->home, err)) {
            return false;
        }
        place_part(p, s, 0);
        place_part(p, s, 1);
    }
    return true;
}

/* The value is read at `time`, from where its parts are. */
static void touch_value(fnr_program *p, int value, int time)
{
    if (!is_split(p, value)) {
        fnr_dn_plan_touch(&p->plan, p->values[value].home.buffer, time);
        return;
    }
    const int *in = p->steps[p->values[value].producer].op->in;
    fnr_dn_plan_touch(&p->plan, p->values[in[0]].home.buffer, time);
    fnr_dn_plan_touch(&p->plan, p->values[in[1]].home.buffer, time);
}

/* Lifetimes: written when its producer runs, read by the forward pass of its readers, and by the backward pass of those that need
 * their input again (a ReLU's mask is computed from the norm's input, so nobody needs a norm's own output). */
static bool place_values(fnr_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        const fnr_dn_step *s = &p->steps[i];
        const int now = fnr_dn_forward_time(i);
        if (s->kind == FNR_DN_FUSED || s->split) {
            continue;
        }
        for (int k = 0; k < 2 && s->op->in[k] >= 0; k++) {
            if (s->kind == FNR_DN_FIRST) {
                continue;
            }
            fnr_dn_value *v = &p->values[s->op->in[k]];
            if (v->producer < 0 && v->home.buffer < 0 && !fnr_dn_place_new(p, s->op->in[k], 0, &v->home, err)) {
                return false;
            }
            touch_value(p, s->op->in[k], now);
            if (training(p) && s->kind != FNR_DN_JOIN) {
                touch_value(p, s->op->in[k], fnr_dn_backward_time(p, i));
            }
        }
        fnr_dn_value *out = &p->values[s->out];
        if (s->kind != FNR_DN_LAST && out->home.buffer < 0 && !fnr_dn_place_new(p, s->out, now, &out->home, err)) {
            return false;
        }
        fnr_dn_plan_touch(&p->plan, out->home.buffer, now);
        fnr_dn_plan_touch(&p->plan, out->copy.buffer, now);
        if (s->out == p->graph->output) {
            fnr_dn_plan_touch(&p->plan, out->home.buffer, p->n_steps + 1);
        }
    }
    return true;
}

static fnr_dn_conv_desc conv_desc(const fnr_program *p, const fnr_dn_step *s)
{
    const fnr_op *op = s->op;
    const bool transposed = op->kind == FNR_OP_CONVT;
    const fnr_shape *wide = &p->values[transposed ? op->out : op->in[0]].shape, *narrow = &p->values[transposed ? op->in[0] : op->out].shape;
    return (fnr_dn_conv_desc){
        .transposed = transposed,
        .training = training(p),
        .relu = s->fused >= 0 && p->graph->ops[s->fused].relu,
        .bias = !training(p),
        .spatial = p->input.spatial,
        .kernel = op->kernel,
        .stride = op->stride,
        .pad = op->pad,
        .n = wide->n,
        .wide_c = wide->c,
        .narrow_c = narrow->c,
        .wide = {wide->d, wide->h, wide->w},
        .narrow = {narrow->d, narrow->h, narrow->w},
    };
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool plan_conv(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    const fnr_dn_conv_desc desc = conv_desc(p, s);
    if (!fnr_dn_conv_plan(&s->conv, &p->backend->dev, &desc, &p->plan, err)) {
        return false;
    }
    p->dense_floats = larger(p->dense_floats, s->conv.weight_floats);
    p->scratch_floats = larger(p->scratch_floats, s->conv.scratch_bytes / sizeof(float) + 1);
    s->affine_pass = training(p) ? s->op->bias >= 0 && !s->leaves_bias : desc.transposed;
    return true;
}

static bool plan_edge(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    const bool last = s->kind == FNR_DN_LAST;
    const int blocked = last ? s->op->in[0] : s->op->out, plain = last ? s->op->out : s->op->in[0];
    s->edge = (fnr_dn_edge){
        .kernels = p->backend->kernels, .extent = p->values[blocked].extent, .plain = p->values[plain].shape, .last = last};
    const size_t floats = fnr_dn_edge_floats(&s->edge);
    if (((!last || training(p)) && (s->expand_buffer = fnr_dn_plan_add_kept(&p->plan, floats, err)) < 0) ||
        ((last || training(p)) && (s->shrink_buffer = fnr_dn_plan_add_kept(&p->plan, floats, err)) < 0)) {
        return false;
    }
    if (training(p)) {
        p->scratch_floats = larger(p->scratch_floats, fnr_dn_edge_scratch_floats(&s->edge));
    }
    return true;
}

/* The tensor that the step's norm or affine works on. */
static int norm_value(const fnr_dn_step *s)
{
    return s->kind == FNR_DN_LAST ? s->op->in[0] : s->op->out;
}

static bool plan_steps(fnr_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_dn_step *s = &p->steps[i];
        if (s->kind == FNR_DN_FUSED || s->kind == FNR_DN_JOIN) {
            continue;
        }
        if ((s->kind == FNR_DN_CONV && !plan_conv(p, s, err)) || (s->kind == FNR_DN_WINO && !fnr_dn_wino_plan(p, s, err)) ||
            (s->kind == FNR_DN_HALF && !fnr_dn_half_plan(p, s, err)) ||
            ((s->kind == FNR_DN_FIRST || s->kind == FNR_DN_LAST) && !plan_edge(p, s, err))) {
            return false;
        }
        const fnr_dn_extent *e = &p->values[norm_value(s)].extent;
        const int block = p->backend->dev.block;
        if ((s->norm_buffer = fnr_dn_plan_add_kept(&p->plan, fnr_dn_norm_floats(e, block), err)) < 0) {
            return false;
        }
        if (training(p)) {
            p->scratch_floats = larger(p->scratch_floats, fnr_dn_norm_scratch_floats(e, block));
        }
    }
    return true;
}

static bool keep(fnr_program *p, size_t floats, bool wanted, int *buffer, fnr_error *err)
{
    *buffer = -1;
    return !wanted || (*buffer = fnr_dn_plan_add_kept(&p->plan, floats, err)) >= 0;
}

static bool plan_ends(fnr_program *p, fnr_error *err)
{
    const fnr_shape *in = &p->values[p->graph->input].shape, *out = &p->values[p->graph->output].shape;
    return keep(p, fnr_dn_planes_floats(in), p->input_planes, &p->in_planes_buffer, err) &&
           keep(p, fnr_dn_planes_floats(out), training(p) && p->output_planes, &p->grad_planes_buffer, err) &&
           keep(p, fnr_shape_count(out), training(p), &p->output_buffer, err) &&
           keep(p, fnr_shape_count(out), training(p), &p->output_grad_buffer, err) &&
           keep(p, p->dense_floats, true, &p->dense_buffer, err) &&
           keep(p, p->filter_floats, p->filter_floats > 0, &p->filter_buffer, err) && keep(p, p->scratch_floats, true, &p->scratch_buffer, err);
}

static float *data_at(const fnr_program *p, fnr_dn_place where)
{
    return fnr_dn_at(p, where).data;
}

static bool bind_conv(fnr_program *p, fnr_dn_step *s, fnr_error *err)
{
    const bool transposed = s->conv.desc.transposed;
    float *in = data_at(p, p->values[s->op->in[0]].home), *out = data_at(p, p->values[s->out].home);
    float *d_in = data_at(p, s->dx[0]), *d_out = data_at(p, s->dy);
    const fnr_dn_conv_data data = {.wide = transposed ? out : in,
                                   .narrow = transposed ? in : out,
                                   .d_wide = transposed ? d_out : d_in,
                                   .d_narrow = transposed ? d_in : d_out};
    return fnr_dn_conv_bind(&s->conv, &p->backend->dev, &p->plan, &data, fnr_dn_plan_data(&p->plan, p->dense_buffer),
                            fnr_dn_plan_data(&p->plan, p->scratch_buffer), err);
}

static bool bind(fnr_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_dn_step *s = &p->steps[i];
        if (s->kind == FNR_DN_FUSED || s->kind == FNR_DN_JOIN) {
            continue;
        }
        const fnr_op *norm = s->fused >= 0 ? &p->graph->ops[s->fused] : s->op;
        fnr_dn_norm_bind(&s->norm, p->backend->kernels, &p->values[norm_value(s)].extent, norm->kind == FNR_OP_BN_RELU && norm->relu,
                         fnr_dn_plan_data(&p->plan, s->norm_buffer));
        s->edge.expand = fnr_dn_plan_data(&p->plan, s->expand_buffer);
        s->edge.shrink = fnr_dn_plan_data(&p->plan, s->shrink_buffer);
        if (s->kind == FNR_DN_CONV && !bind_conv(p, s, err)) {
            return false;
        }
    }
    p->in_planes = (fnr_dn_planes){.data = fnr_dn_plan_data(&p->plan, p->in_planes_buffer), .shape = p->values[p->graph->input].shape};
    p->grad_planes = (fnr_dn_planes){.data = fnr_dn_plan_data(&p->plan, p->grad_planes_buffer), .shape = p->values[p->graph->output].shape};
    p->output = fnr_dn_plan_data(&p->plan, p->output_buffer);
    p->output_grad = fnr_dn_plan_data(&p->plan, p->output_grad_buffer);
    return true;
}

static bool within_limit(const fnr_program *p, fnr_error *err)
{
    const size_t bytes = p->plan.floats * sizeof(float), limit = p->backend->max_bytes;
    if (limit && bytes > limit) {
        return fnr_fail(err, FNR_E_LIMIT, "the network needs %.1f MiB for this shape, more than the limit of %.1f MiB", (double)bytes / 0x1p20,
                        (double)limit / 0x1p20);
    }
    return true;
}

bool fnr_dn_compile(fnr_program *p, fnr_error *err)
{
    p->plan.end = 2 * p->n_steps + 2;
    if (!size_values(p, err)) {
        return false;
    }
    classify(p);
    split_joins(p);
    p->keep_filters = !training(p) && p->values[p->graph->input].extent.pixels <= KEEP_FILTERS_PIXELS;
    return place_joins(p, err) && place_values(p, err) && plan_steps(p, err) && (!training(p) || fnr_dn_plan_gradients(p, err)) &&
           plan_ends(p, err) && fnr_dn_plan_place(&p->plan, err) && within_limit(p, err) && fnr_dn_plan_allocate(&p->plan, err) &&
           bind(p, err);
}
