/* Is this ONNX graph the U-Net?  The network is built from the extents of its convolutions, then both are walked in step: every
 * node must be the operation expected, fed by the value expected. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/onnx.h"
#include "net/onnx_proto.h"
#include "net/onnx_read.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

typedef struct {
    fnr_onnx_file f;
    fnr_graph graph;
    fnr_pb *names;   /* of every value of our graph, in theirs */
    float *identity; /* for batch norms that were folded away: laid out as the parameters */
    fnr_st_tensor *tensors;
    size_t n_tensors, next; /* node */
} matcher;

static bool is_conv(const fnr_onnx_node *n)
{
    return fnr_pb_is(n->op, "Conv") || fnr_pb_is(n->op, "ConvTranspose");
}

/* Channels from the first and the last convolution, depth from the number of transposed ones. */
static bool infer_desc(const fnr_onnx_file *f, fnr_netdesc *desc)
{
    const fnr_onnx_node *first = NULL, *last = NULL;
    *desc = (fnr_netdesc){0};
    for (size_t i = 0; i < f->n_nodes; i++) {
        if (is_conv(&f->nodes[i])) {
            first = first ? first : &f->nodes[i];
            last = &f->nodes[i];
            desc->depth += fnr_pb_is(last->op, "ConvTranspose");
        }
    }
    const fnr_onnx_tensor *a = first && first->n_inputs > 1 ? fnr_onnx_find(f, first->inputs[1]) : NULL;
    const fnr_onnx_tensor *b = last && last->n_inputs > 1 ? fnr_onnx_find(f, last->inputs[1]) : NULL;
    if (!a || !b || a->rank < 4 || b->rank != a->rank) {
        return fnr_onnx_fail(f, "not this U-Net: its first and last convolution have no float32 weights of the same rank");
    }
    for (int i = 0; i < 2; i++) {
        if (a->dims[i] > 1 << 20 || b->dims[i] > 1 << 20) {
            return fnr_onnx_fail(f, "not this U-Net: too many channels");
        }
    }
    desc->spatial = a->rank - 2;
    desc->in_channels = (int)a->dims[1];
    desc->base_channels = (int)a->dims[0];
    desc->out_channels = (int)b->dims[0];
    return true;
}

/* ---- attributes ------------------------------------------------------------------------------------------------------------ */

/* Does every integer of the attribute (packed or not) equal `wanted`? */
static bool all_equal(fnr_pb attribute, int64_t wanted)
{
    fnr_pb_field field;
    uint64_t v;
    while (fnr_pb_next(&attribute, &field) == FNR_PB_FIELD) {
        if (field.number != ATTRIBUTE_INTS && field.number != ATTRIBUTE_I) {
            continue;
        }
        if (field.type == FNR_PB_VARINT && field.value != (uint64_t)wanted) {
            return false;
        }
        while (field.type == FNR_PB_BYTES && field.bytes.at < field.bytes.end) {
            if (!fnr_pb_varint(&field.bytes, &v) || v != (uint64_t)wanted) {
                return false;
            }
        }
    }
    return true;
}

static bool has_text(fnr_pb attribute, const char *text)
{
    fnr_pb_field field;
    while (fnr_pb_next(&attribute, &field) == FNR_PB_FIELD) {
        if (field.number == ATTRIBUTE_S) {
            return fnr_pb_is(field.bytes, text);
        }
    }
    return false;
}

static float float_of(fnr_pb attribute)
{
    fnr_pb_field field;
    float v = NAN;
    while (fnr_pb_next(&attribute, &field) == FNR_PB_FIELD) {
        if (field.number == ATTRIBUTE_F && field.type == FNR_PB_FIXED32) {
            const uint32_t bits = (uint32_t)field.value;
            memcpy(&v, &bits, sizeof v);
        }
    }
    return v;
}

static fnr_pb attribute_name(fnr_pb attribute)
{
    fnr_pb_field field;
    while (fnr_pb_next(&attribute, &field) == FNR_PB_FIELD) {
        if (field.number == ATTRIBUTE_NAME) {
            return field.bytes;
        }
    }
    return (fnr_pb){0};
}

/* NULL when the node's attributes are those of the operation, else the name of one that differs. A missing attribute has ONNX's
 * default: stride 1, pads 0, dilation 1, one group, axis required, epsilon 1e-5. */
static const char *wrong_attribute(const fnr_onnx_node *n, const fnr_op *op)
{
    const struct {
        const char *name;
        int64_t value;
        bool optional;
    } wanted[] = {{"strides", op->stride, op->stride == 1},
                  {"pads", op->pad, op->pad == 0},
                  {"dilations", 1, true},
                  {"group", 1, true},
                  {"output_padding", 0, true},
                  {"axis", 1, false}};
    const bool concat = op->kind == FNR_OP_CONCAT, norm = op->kind == FNR_OP_BN_RELU;
    const size_t begin = concat ? 5 : 0, end = concat ? 6 : norm ? 0 : 5;
    bool seen[6] = {false};
    fnr_pb rest = n->body;
    fnr_pb_field field;
    while (fnr_pb_next(&rest, &field) == FNR_PB_FIELD) {
        if (field.number != NODE_ATTRIBUTE) {
            continue;
        }
        const fnr_pb name = attribute_name(field.bytes);
        if (norm) {
            if ((fnr_pb_is(name, "epsilon") && float_of(field.bytes) != FNR_BN_EPS) ||
                (fnr_pb_is(name, "training_mode") && !all_equal(field.bytes, 0))) {
                return "epsilon or training_mode";
            }
            continue;
        }
        if ((fnr_pb_is(name, "auto_pad") && !has_text(field.bytes, "NOTSET")) || fnr_pb_is(name, "output_shape")) {
            return "auto_pad or output_shape";
        }
        for (size_t i = begin; i < end; i++) {
            if (fnr_pb_is(name, wanted[i].name)) {
                seen[i] = true;
                if (!all_equal(field.bytes, wanted[i].value)) {
                    return wanted[i].name;
                }
            }
        }
    }
    for (size_t i = begin; i < end; i++) {
        if (!seen[i] && !wanted[i].optional) {
            return wanted[i].name;
        }
    }
    return NULL;
}

/* ---- walking --------------------------------------------------------------------------------------------------------------- */

/* The next node when it is of this type and its first inputs are these values. */
static const fnr_onnx_node *expect(matcher *m, const char *type, const fnr_pb *inputs, int n_inputs)
{
    const fnr_onnx_node *n = m->next < m->f.n_nodes ? &m->f.nodes[m->next] : NULL;
    bool ok = n && fnr_pb_is(n->op, type) && n->n_inputs >= n_inputs;
    for (int i = 0; ok && i < n_inputs; i++) {
        ok = fnr_pb_equal(n->inputs[i], inputs[i]);
    }
    if (!ok) {
        const fnr_pb op = n ? n->op : (fnr_pb){0};
        const int size = (int)(op.end - op.at > 60 ? 60 : op.end - op.at);
        fnr_onnx_fail(&m->f, "not this U-Net: node %zu is %.*s%s, expected %s", m->next, size, n ? (const char *)op.at : "",
                      n ? " (or is connected otherwise)" : "missing", type);
        return NULL;
    }
    m->next++;
    return n;
}

static bool check_attributes(matcher *m, const fnr_onnx_node *n, const fnr_op *op)
{
    const char *wrong = wrong_attribute(n, op);
    return !wrong || fnr_onnx_fail(&m->f, "not this U-Net: node %zu differs in attribute '%s'", m->next - 1, wrong);
}

/* Input k of the node as the parameter `param`; extents and values are checked later, with those of every other format. */
static bool take_param(matcher *m, const fnr_onnx_node *n, int k, int param)
{
    fnr_param *p = &m->graph.params[param];
    const fnr_onnx_tensor *t = k < n->n_inputs ? fnr_onnx_find(&m->f, n->inputs[k]) : NULL;
    if (!t || t->rank < 0) {
        return fnr_onnx_fail(&m->f, "no float32 initializer in the file for '%s'", p->name);
    }
    fnr_st_tensor *to = &m->tensors[m->n_tensors++];
    *to = (fnr_st_tensor){.name = p->name, .dtype = "F32", .rank = t->rank, .data = t->data, .bytes = t->bytes};
    memcpy(to->dims, t->dims, (size_t)t->rank * sizeof *t->dims);
    return true;
}

static void make_identity(matcher *m, int param, float value)
{
    fnr_param *p = &m->graph.params[param];
    float *values = m->identity + p->offset;
    for (size_t i = 0; i < p->count; i++) {
        values[i] = value;
    }
    fnr_st_tensor *to = &m->tensors[m->n_tensors++];
    *to = (fnr_st_tensor){
        .name = p->name, .dtype = "F32", .rank = 1, .dims = {p->dims[0]}, .data = values, .bytes = p->count * sizeof *values};
}

static bool match_norm(matcher *m, const fnr_op *op)
{
    fnr_pb in = m->names[op->in[0]];
    if (m->next < m->f.n_nodes && fnr_pb_is(m->f.nodes[m->next].op, "BatchNormalization")) {
        const fnr_onnx_node *n = expect(m, "BatchNormalization", &in, 1);
        if (!n || !check_attributes(m, n, op) || !take_param(m, n, 1, op->weight) || !take_param(m, n, 2, op->bias) ||
            !take_param(m, n, 3, op->running_mean) || !take_param(m, n, 4, op->running_var)) {
            return false;
        }
        in = n->output;
    } else {
        make_identity(m, op->weight, 1);
        make_identity(m, op->bias, 0);
        make_identity(m, op->running_mean, 0);
        make_identity(m, op->running_var, 1 - FNR_BN_EPS);
    }
    const fnr_onnx_node *relu = expect(m, "Relu", &in, 1);
    if (relu) {
        m->names[op->out] = relu->output;
    }
    return relu != NULL;
}

static bool match_op(matcher *m, const fnr_op *op)
{
    if (op->kind == FNR_OP_BN_RELU) {
        return match_norm(m, op);
    }
    const bool concat = op->kind == FNR_OP_CONCAT;
    const fnr_pb inputs[2] = {m->names[op->in[0]], concat ? m->names[op->in[1]] : (fnr_pb){0}};
    const fnr_onnx_node *n = expect(m,
                                    concat                    ? "Concat"
                                    : op->kind == FNR_OP_CONV ? "Conv"
                                                              : "ConvTranspose",
                                    inputs, concat ? 2 : 1);
    if (!n || !check_attributes(m, n, op)) {
        return false;
    }
    m->names[op->out] = n->output;
    return concat || (take_param(m, n, 1, op->weight) && take_param(m, n, 2, op->bias));
}

static bool match_graph(matcher *m)
{
    const fnr_graph *g = &m->graph;
    m->names[g->input] = m->f.input;
    for (int i = 0; i < g->n_ops; i++) {
        if (!match_op(m, &g->ops[i])) {
            return false;
        }
    }
    return (m->next == m->f.n_nodes && fnr_pb_equal(m->names[g->output], m->f.output)) ||
           fnr_onnx_fail(&m->f, "not this U-Net: something follows the last convolution");
}

static bool match(matcher *m)
{
    fnr_netdesc desc;
    fnr_error *err = m->f.err;
    if (!infer_desc(&m->f, &desc)) {
        return false;
    }
    if (!fnr_netdesc_check(&desc, err) || !fnr_unet_build(&desc, &m->graph, err)) {
        fnr_error_prefix(err, "%s", m->f.path);
        return false;
    }
    /* Every convolution must be there before memory is asked for: the size of the file bounds it. */
    size_t convs = 0;
    for (int i = 0; i < m->graph.n_ops; i++) {
        convs += m->graph.ops[i].kind != FNR_OP_CONCAT && m->graph.ops[i].kind != FNR_OP_BN_RELU;
    }
    if (m->f.n_nodes < convs) {
        return fnr_onnx_fail(&m->f, "not this U-Net: %zu nodes are fewer than its convolutions", m->f.n_nodes);
    }
    m->names = fnr_calloc((size_t)m->graph.n_values, sizeof *m->names, "names", err);
    m->tensors = m->names ? fnr_calloc((size_t)m->graph.n_params, sizeof *m->tensors, "tensor list", err) : NULL;
    m->identity = m->tensors ? fnr_calloc(m->graph.param_floats, sizeof *m->identity, "folded batch norms", err) : NULL;
    return m->identity && match_graph(m);
}

bool fnr_onnx_decode(const char *data, size_t size, const char *path, fnr_model *out, fnr_error *err)
{
    matcher m = {.f = {.path = path, .err = err}};
    bool ok = fnr_onnx_parse(data, size, &m.f) && match(&m);
    const fnr_st_file st = {.tensors = m.tensors, .n_tensors = m.n_tensors, .meta = m.f.meta, .n_meta = m.f.n_meta};
    ok = ok && fnr_model_from_tensors(&st, path, out, err);
    fnr_graph_free(&m.graph);
    fnr_onnx_file_free(&m.f);
    free(m.names);
    free(m.identity);
    free(m.tensors);
    return ok;
}

bool fnr_onnx_read(const char *path, fnr_model *out, fnr_error *err)
{
    char *data = NULL;
    size_t size = 0;
    const bool ok = fnr_read_file(path, (size_t)1 << 31, &data, &size, err) && fnr_onnx_decode(data, size, path, out, err);
    free(data);
    return ok;
}
