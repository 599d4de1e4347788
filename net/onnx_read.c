#include "net/onnx_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_keys.h"
#include "net/onnx.h"
#include "net/onnx_proto.h"
#include "src/core/mem.h"

bool fnr_onnx_fail(const fnr_onnx_file *f, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fnr_fail(f->err, FNR_E_FORMAT, "%s: %s", f->path, text);
}

static bool broken(const fnr_onnx_file *f, const char *where)
{
    return fnr_onnx_fail(f, "broken ONNX file, or none: %s cannot be parsed", where);
}

bool fnr_pb_is(fnr_pb a, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(a.end - a.at) == n && memcmp(a.at, text, n) == 0;
}

const fnr_onnx_tensor *fnr_onnx_find(const fnr_onnx_file *f, fnr_pb name)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (fnr_pb_equal(f->tensors[i].name, name)) {
            return &f->tensors[i];
        }
    }
    return NULL;
}

/* ---- tensors --------------------------------------------------------------------------------------------------------------- */

static bool add_dim(const fnr_onnx_file *f, fnr_onnx_tensor *t, uint64_t dim)
{
    if (t->rank == 5 || dim > (uint64_t)1 << 40) {
        return fnr_onnx_fail(f, "an initializer's extents do not fit a U-Net");
    }
    t->dims[t->rank++] = (int64_t)dim;
    return true;
}

static bool read_dims(const fnr_onnx_file *f, const fnr_pb_field *field, fnr_onnx_tensor *t)
{
    fnr_pb packed = field->bytes;
    uint64_t dim;
    if (field->type == FNR_PB_VARINT) {
        return add_dim(f, t, field->value);
    }
    while (packed.at < packed.end) {
        if (!fnr_pb_varint(&packed, &dim)) {
            return broken(f, "an initializer");
        }
        if (!add_dim(f, t, dim)) {
            return false;
        }
    }
    return true;
}

/* float_data (packed) and raw_data are the same bytes: little-endian float32. */
static bool read_tensor(fnr_onnx_file *f, fnr_pb message)
{
    fnr_onnx_tensor t = {0};
    fnr_pb_field field;
    fnr_pb_result r;
    bool plain = true;
    while ((r = fnr_pb_next(&message, &field)) == FNR_PB_FIELD) {
        switch (field.number) {
        case TENSOR_DIMS:
            if (!read_dims(f, &field, &t)) {
                return false;
            }
            break;
        case TENSOR_DATA_TYPE:
            plain = plain && field.value == ONNX_FLOAT;
            break;
        case TENSOR_NAME:
            t.name = field.bytes;
            break;
        case TENSOR_FLOAT_DATA:
        case TENSOR_RAW_DATA:
            plain = plain && field.type == FNR_PB_BYTES && !t.data;
            t.data = field.bytes.at;
            t.bytes = (size_t)(field.bytes.end - field.bytes.at);
            break;
        case TENSOR_LOCATION:
            plain = plain && field.value == 0; /* else the data lie in another file */
            break;
        default:
            break;
        }
    }
    size_t bytes = sizeof(float);
    for (int i = 0; i < t.rank; i++) {
        if (__builtin_mul_overflow(bytes, (size_t)t.dims[i], &bytes)) {
            return fnr_onnx_fail(f, "an initializer's extents overflow");
        }
    }
    if (r == FNR_PB_BROKEN || f->n_tensors == FNR_ONNX_MAX_ITEMS) {
        return broken(f, "the list of initializers");
    }
    if (!plain || !t.data || bytes != t.bytes) {
        t.rank = -1; /* of no use to us: refused when a layer asks for it */
    }
    if (!fnr_grow(&f->tensors, &f->tensors_room, f->n_tensors, sizeof *f->tensors, "initializers", f->err)) {
        return false;
    }
    f->tensors[f->n_tensors++] = t;
    return true;
}

/* ---- nodes, inputs, metadata ----------------------------------------------------------------------------------------------- */

static bool read_node(fnr_onnx_file *f, fnr_pb message)
{
    fnr_onnx_node n = {.body = message};
    fnr_pb_field field;
    fnr_pb_result r;
    int outputs = 0;
    while ((r = fnr_pb_next(&message, &field)) == FNR_PB_FIELD) {
        if (field.number == NODE_INPUT) {
            if (n.n_inputs == FNR_ONNX_MAX_INPUTS) {
                return fnr_onnx_fail(f, "a node with more than %d inputs: not this U-Net", FNR_ONNX_MAX_INPUTS);
            }
            n.inputs[n.n_inputs++] = field.bytes;
        } else if (field.number == NODE_OUTPUT && outputs++ == 0) {
            n.output = field.bytes;
        } else if (field.number == NODE_OP) {
            n.op = field.bytes;
        }
    }
    if (r == FNR_PB_BROKEN || f->n_nodes == FNR_ONNX_MAX_ITEMS) {
        return broken(f, "the list of nodes");
    }
    if (!fnr_grow(&f->nodes, &f->nodes_room, f->n_nodes, sizeof *f->nodes, "nodes", f->err)) {
        return false;
    }
    f->nodes[f->n_nodes++] = n;
    return true;
}

static fnr_pb name_of(fnr_pb message, int number)
{
    fnr_pb_field field;
    while (fnr_pb_next(&message, &field) == FNR_PB_FIELD) {
        if (field.number == number) {
            return field.bytes;
        }
    }
    return (fnr_pb){0};
}

/* Exporters that find two equal tensors keep one and add Identity nodes, and constants may be nodes too: after this, `nodes`
 * holds only what works on the image. */
static bool resolve_aliases(fnr_onnx_file *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const fnr_onnx_node n = f->nodes[i];
        const fnr_onnx_tensor *from = fnr_pb_is(n.op, "Identity") && n.n_inputs == 1 ? fnr_onnx_find(f, n.inputs[0]) : NULL;
        if (from) {
            fnr_onnx_tensor alias = *from;
            alias.name = n.output;
            if (f->n_tensors == FNR_ONNX_MAX_ITEMS ||
                !fnr_grow(&f->tensors, &f->tensors_room, f->n_tensors, sizeof *f->tensors, "initializers", f->err)) {
                return broken(f, "the list of initializers");
            }
            f->tensors[f->n_tensors++] = alias;
        } else if (!fnr_pb_is(n.op, "Constant")) {
            f->nodes[kept++] = n;
        }
    }
    f->n_nodes = kept;
    return true;
}

static bool read_graph(fnr_onnx_file *f, fnr_pb graph)
{
    fnr_pb rest = graph;
    fnr_pb_field field;
    fnr_pb_result r;
    while ((r = fnr_pb_next(&rest, &field)) == FNR_PB_FIELD) {
        const bool ok = field.number == GRAPH_NODE          ? read_node(f, field.bytes)
                        : field.number == GRAPH_INITIALIZER ? read_tensor(f, field.bytes)
                                                            : true;
        if (!ok) {
            return false;
        }
    }
    if (r == FNR_PB_BROKEN) {
        return broken(f, "its graph");
    }
    for (rest = graph; fnr_pb_next(&rest, &field) == FNR_PB_FIELD;) {
        if (field.number == GRAPH_OUTPUT) {
            f->output = name_of(field.bytes, VALUE_NAME);
            f->n_outputs++;
        } else if (field.number == GRAPH_INPUT &&
                   !fnr_onnx_find(f, name_of(field.bytes, VALUE_NAME))) { /* old files list initializers too */
            f->input = name_of(field.bytes, VALUE_NAME);
            f->n_inputs++;
        }
    }
    if (f->n_inputs != 1 || f->n_outputs != 1) {
        return fnr_onnx_fail(f, "the network has %d inputs and %d outputs; one of each is wanted", f->n_inputs, f->n_outputs);
    }
    return resolve_aliases(f);
}

static char *copy_text(fnr_pb text, fnr_error *err)
{
    const size_t n = (size_t)(text.end - text.at);
    char *copy = fnr_calloc(n + 1, 1, "metadata", err);
    if (copy && n > 0) {
        memcpy(copy, text.at, n);
    }
    return copy;
}

/* Only what the wiring does not tell. */
static bool read_pair(fnr_onnx_file *f, fnr_pb message)
{
    static const char *const keys[] = {KEY_PIXEL_NM, KEY_RECORD, KEY_HISTORY};
    const fnr_pb key = name_of(message, PAIR_KEY), value = name_of(message, PAIR_VALUE);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!fnr_pb_is(key, keys[i])) {
            continue;
        }
        if (f->n_meta == FNR_MODEL_META_MAX ||
            !fnr_grow(&f->meta, &f->meta_room, f->n_meta, sizeof *f->meta, "metadata", f->err)) {
            return broken(f, "its metadata");
        }
        fnr_st_meta *m = &f->meta[f->n_meta++];
        *m = (fnr_st_meta){0};
        m->key = fnr_strdup(keys[i], f->err);
        m->value = m->key ? copy_text(value, f->err) : NULL;
        return m->value != NULL;
    }
    return true;
}

bool fnr_onnx_parse(const char *data, size_t size, fnr_onnx_file *f)
{
    fnr_pb rest = {(const unsigned char *)data, (const unsigned char *)data + size};
    fnr_pb_field field;
    fnr_pb_result r;
    bool has_graph = false;
    while ((r = fnr_pb_next(&rest, &field)) == FNR_PB_FIELD) {
        if (field.number == MODEL_GRAPH) {
            if (has_graph || !read_graph(f, field.bytes)) {
                return has_graph ? broken(f, "a second graph") : false;
            }
            has_graph = true;
        } else if (field.number == MODEL_METADATA && !read_pair(f, field.bytes)) {
            return false;
        }
    }
    return (r == FNR_PB_END && has_graph) || broken(f, has_graph ? "its end" : "its graph");
}

void fnr_onnx_file_free(fnr_onnx_file *f)
{
    free(f->tensors);
    free(f->nodes);
    for (size_t i = 0; i < f->n_meta; i++) {
        free(f->meta[i].key);
        free(f->meta[i].value);
    }
    free(f->meta);
    *f = (fnr_onnx_file){0};
}
