#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_keys.h"
#include "net/model_tensors.h"
#include "net/onnx.h"
#include "net/onnx_proto.h"
#include "net/protobuf.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

typedef char value_name[176];

typedef struct {
    const fnr_model *m;
    bool fold;
    value_name *names;            /* of every value of the graph */
    fnr_buffer graph, node, part; /* `part` is a message inside `node` */
    float *scratch;               /* the largest parameter */
} encoder;

/* "net_recurse.bn0.weight" -> "net_recurse.bn0" */
static void module_of(const fnr_param *p, value_name out)
{
    snprintf(out, sizeof(value_name), "%.*s", (int)(strrchr(p->name, '.') - p->name), p->name);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------------- */

static void begin_node(encoder *e, const char *name, const char *type)
{
    fnr_pb_put_text(&e->node, NODE_NAME, name);
    fnr_pb_put_text(&e->node, NODE_OP, type);
}

static void end_node(encoder *e)
{
    fnr_pb_put_message(&e->graph, GRAPH_NODE, &e->node);
}

static void add_ints(encoder *e, const char *name, int value, int count)
{
    fnr_pb_put_text(&e->part, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; i++) {
        fnr_pb_put_int(&e->part, ATTRIBUTE_INTS, value);
    }
    fnr_pb_put_int(&e->part, ATTRIBUTE_TYPE, TYPE_INTS);
    fnr_pb_put_message(&e->node, NODE_ATTRIBUTE, &e->part);
}

static void add_number(encoder *e, const char *name, bool is_float, float value)
{
    fnr_pb_put_text(&e->part, ATTRIBUTE_NAME, name);
    if (is_float) {
        fnr_pb_put_float(&e->part, ATTRIBUTE_F, value);
    } else {
        fnr_pb_put_int(&e->part, ATTRIBUTE_I, (int64_t)value);
    }
    fnr_pb_put_int(&e->part, ATTRIBUTE_TYPE, is_float ? TYPE_FLOAT : TYPE_INT);
    fnr_pb_put_message(&e->node, NODE_ATTRIBUTE, &e->part);
}

static void add_param_input(encoder *e, int param)
{
    fnr_pb_put_text(&e->node, NODE_INPUT, e->m->graph.params[param].name);
}

static void put_conv(encoder *e, const fnr_op *op)
{
    const int spatial = e->m->graph.spatial;
    value_name name;
    module_of(&e->m->graph.params[op->weight], name);
    begin_node(e, name, op->kind == FNR_OP_CONV ? "Conv" : "ConvTranspose");
    fnr_pb_put_text(&e->node, NODE_INPUT, e->names[op->in[0]]);
    add_param_input(e, op->weight);
    add_param_input(e, op->bias);
    fnr_pb_put_text(&e->node, NODE_OUTPUT, e->names[op->out]);
    add_ints(e, "dilations", 1, spatial);
    add_number(e, "group", false, 1);
    add_ints(e, "kernel_shape", op->kernel, spatial);
    add_ints(e, "pads", op->pad, 2 * spatial);
    add_ints(e, "strides", op->stride, spatial);
    end_node(e);
}

static void put_norm(encoder *e, const fnr_op *op)
{
    value_name name, relu, between;
    module_of(&e->m->graph.params[op->weight], name);
    snprintf(relu, sizeof relu, "%.160s.relu", name);
    snprintf(between, sizeof between, "%.160s.out", name);
    if (!e->fold) {
        begin_node(e, name, "BatchNormalization");
        fnr_pb_put_text(&e->node, NODE_INPUT, e->names[op->in[0]]);
        add_param_input(e, op->weight);
        add_param_input(e, op->bias);
        add_param_input(e, op->running_mean);
        add_param_input(e, op->running_var);
        fnr_pb_put_text(&e->node, NODE_OUTPUT, between);
        add_number(e, "epsilon", true, FNR_BN_EPS);
        end_node(e);
    }
    begin_node(e, relu, "Relu");
    fnr_pb_put_text(&e->node, NODE_INPUT, e->fold ? e->names[op->in[0]] : between);
    fnr_pb_put_text(&e->node, NODE_OUTPUT, e->names[op->out]);
    end_node(e);
}

static void put_concat(encoder *e, const fnr_op *op)
{
    begin_node(e, e->names[op->out], "Concat");
    fnr_pb_put_text(&e->node, NODE_INPUT, e->names[op->in[0]]);
    fnr_pb_put_text(&e->node, NODE_INPUT, e->names[op->in[1]]);
    fnr_pb_put_text(&e->node, NODE_OUTPUT, e->names[op->out]);
    add_number(e, "axis", false, 1);
    end_node(e);
}

/* Values are called after the module that makes them. */
static void name_values(encoder *e)
{
    const fnr_graph *g = &e->m->graph;
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        value_name module = "concat";
        if (op->kind != FNR_OP_CONCAT) {
            module_of(&g->params[op->weight], module);
        }
        snprintf(e->names[op->out], sizeof(value_name), "%.140s_%d", module, op->out);
    }
    snprintf(e->names[g->input], sizeof(value_name), "input");
    snprintf(e->names[g->output], sizeof(value_name), "output");
}

/* ---- initializers ---------------------------------------------------------------------------------------------------------- */

static void put_initializer(encoder *e, const fnr_param *p, const float *values)
{
    for (int i = 0; i < p->rank; i++) {
        fnr_pb_put_int(&e->node, TENSOR_DIMS, p->dims[i]);
    }
    fnr_pb_put_int(&e->node, TENSOR_DATA_TYPE, ONNX_FLOAT);
    fnr_pb_put_text(&e->node, TENSOR_NAME, p->name);
    fnr_pb_put_bytes(&e->node, TENSOR_RAW_DATA, values, p->count * sizeof *values);
    fnr_pb_put_message(&e->graph, GRAPH_INITIALIZER, &e->node);
}

/* Weight and bias of a convolution with the batch norm behind it multiplied in: y = (w x + b - mean) gamma / sqrt(var + eps) +
 * beta. */
static void put_folded(encoder *e, const fnr_op *conv, const fnr_op *norm)
{
    const fnr_graph *g = &e->m->graph;
    const float *v = e->m->values;
    const fnr_param *weight = &g->params[conv->weight], *bias = &g->params[conv->bias];
    const float *w = v + weight->offset, *b = v + bias->offset, *gamma = v + g->params[norm->weight].offset;
    const float *beta = v + g->params[norm->bias].offset, *mean = v + g->params[norm->running_mean].offset;
    const float *var = v + g->params[norm->running_var].offset;
    const size_t channels = bias->count, inner = weight->count / ((size_t)weight->dims[0] * (size_t)weight->dims[1]);
    const size_t second = (size_t)weight->dims[1];
    for (size_t i = 0; i < weight->count; i++) {
        const size_t outer = i / inner; /* (out, in) of a convolution, (in, out) of a transposed one */
        const size_t c = conv->kind == FNR_OP_CONV ? outer / second : outer % second;
        e->scratch[i] = (float)((double)w[i] * (double)gamma[c] / sqrt((double)var[c] + (double)FNR_BN_EPS));
    }
    put_initializer(e, weight, e->scratch);
    for (size_t c = 0; c < channels; c++) {
        const double scale = (double)gamma[c] / sqrt((double)var[c] + (double)FNR_BN_EPS);
        e->scratch[c] = (float)(((double)b[c] - (double)mean[c]) * scale + (double)beta[c]);
    }
    put_initializer(e, bias, e->scratch);
}

/* A batch norm always stands right behind its convolution. */
static void put_initializers(encoder *e)
{
    const fnr_graph *g = &e->m->graph;
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        const bool folded = e->fold && op->bias_feeds_norm;
        const int params[] = {op->weight, op->bias, op->running_mean, op->running_var};
        if (folded) {
            put_folded(e, op, &g->ops[i + 1]);
        }
        for (size_t k = 0; k < 4 && !folded && !(e->fold && op->kind == FNR_OP_BN_RELU); k++) {
            if (params[k] >= 0) {
                put_initializer(e, &g->params[params[k]], e->m->values + g->params[params[k]].offset);
            }
        }
    }
}

/* ---- the file -------------------------------------------------------------------------------------------------------------- */

static void add_dim(fnr_buffer *shape, int value, const char *symbol)
{
    fnr_buffer dim = {0};
    if (symbol) {
        fnr_pb_put_text(&dim, DIM_PARAM, symbol);
    } else {
        fnr_pb_put_int(&dim, DIM_VALUE, value);
    }
    fnr_pb_put_message(shape, SHAPE_DIM, &dim);
    fnr_buffer_free(&dim);
}

static void put_value_info(encoder *e, int field, const char *name, int channels)
{
    static const char *const axes[] = {"z", "y", "x"};
    fnr_buffer shape = {0}, tensor = {0}, type = {0};
    add_dim(&shape, 0, "batch");
    add_dim(&shape, channels, NULL);
    for (int i = 3 - e->m->desc.spatial; i < 3; i++) {
        add_dim(&shape, 0, axes[i]);
    }
    fnr_pb_put_int(&tensor, VALUE_ELEMENT, ONNX_FLOAT);
    fnr_pb_put_message(&tensor, VALUE_SHAPE, &shape);
    fnr_pb_put_message(&type, VALUE_TENSOR_TYPE, &tensor);
    fnr_pb_put_text(&e->node, VALUE_NAME, name);
    fnr_pb_put_message(&e->node, VALUE_TYPE, &type);
    fnr_pb_put_message(&e->graph, field, &e->node);
    fnr_buffer_free(&shape);
    fnr_buffer_free(&tensor);
    fnr_buffer_free(&type);
}

static void put_graph(encoder *e)
{
    const fnr_graph *g = &e->m->graph;
    name_values(e);
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        if (op->kind == FNR_OP_CONCAT) {
            put_concat(e, op);
        } else if (op->kind == FNR_OP_BN_RELU) {
            put_norm(e, op);
        } else {
            put_conv(e, op);
        }
    }
    fnr_pb_put_text(&e->graph, GRAPH_NAME, "fnet");
    put_initializers(e);
    put_value_info(e, GRAPH_INPUT, "input", e->m->desc.in_channels);
    put_value_info(e, GRAPH_OUTPUT, "output", e->m->desc.out_channels);
}

static bool put_metadata(encoder *e, fnr_buffer *file, fnr_error *err)
{
    fnr_model_meta meta;
    const bool ok = fnr_model_meta_make(e->m, &meta, err);
    for (size_t i = 0; ok && i < meta.count; i++) {
        const char *key = meta.rows[i].key;
        if (strcmp(key, KEY_STEP) && strcmp(key, KEY_LOSS_SUM) && strcmp(key, KEY_LOSS_COUNT) && strcmp(key, "format")) {
            fnr_pb_put_text(&e->node, PAIR_KEY, key);
            fnr_pb_put_text(&e->node, PAIR_VALUE, meta.rows[i].value);
            fnr_pb_put_message(file, MODEL_METADATA, &e->node);
        }
    }
    fnr_model_meta_free(&meta);
    return ok;
}

static bool put_file(encoder *e, fnr_buffer *file, fnr_error *err)
{
    put_graph(e);
    fnr_pb_put_int(file, MODEL_IR_VERSION, ONNX_IR_VERSION);
    fnr_pb_put_text(file, MODEL_PRODUCER, "fnet-register");
    fnr_pb_put_text(file, MODEL_PRODUCER_VERSION, FNR_VERSION);
    fnr_pb_put_message(file, MODEL_GRAPH, &e->graph);
    fnr_pb_put_text(&e->part, OPSET_DOMAIN, "");
    fnr_pb_put_int(&e->part, OPSET_VERSION, FNR_ONNX_OPSET);
    fnr_pb_put_message(file, MODEL_OPSET, &e->part);
    return put_metadata(e, file, err) && fnr_buffer_check(file, "an ONNX file", err) &&
           (file->size < (size_t)1 << 31 || fnr_fail(err, FNR_E_LIMIT, "a network of more than 2 GiB does not fit into ONNX"));
}

bool fnr_onnx_encode(const fnr_model *m, const fnr_onnx_options *opt, char **data, size_t *size, fnr_error *err)
{
    encoder e = {.m = m, .fold = opt && opt->fold};
    fnr_buffer file = {0};
    size_t largest = 0;
    for (int i = 0; i < m->graph.n_params; i++) {
        largest = m->graph.params[i].count > largest ? m->graph.params[i].count : largest;
    }
    e.names = fnr_calloc((size_t)m->graph.n_values, sizeof *e.names, "names", err);
    e.scratch = e.names ? fnr_calloc(largest, sizeof *e.scratch, "folded weights", err) : NULL;
    const bool ok = e.scratch && put_file(&e, &file, err);
    free(e.names);
    free(e.scratch);
    fnr_buffer_free(&e.graph);
    fnr_buffer_free(&e.node);
    fnr_buffer_free(&e.part);
    if (!ok) {
        fnr_buffer_free(&file);
        return false;
    }
    *data = file.data;
    *size = file.size;
    return true;
}

bool fnr_onnx_write(const char *path, const fnr_model *m, const fnr_onnx_options *opt, fnr_error *err)
{
    char *data = NULL;
    size_t size = 0;
    const bool ok = fnr_onnx_encode(m, opt, &data, &size, err) && fnr_write_file(path, data, size, err);
    free(data);
    return ok;
}
