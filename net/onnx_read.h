/* An ONNX file taken apart: initializers and nodes, pointing into its bytes.  onnx_read.c parses, onnx_match.c compares the graph
 * with a U-Net. */
#ifndef FNR_NET_ONNX_READ_H
#define FNR_NET_ONNX_READ_H

#include "net/model_tensors.h"
#include "net/protobuf.h"

enum { FNR_ONNX_MAX_ITEMS = 1 << 13, FNR_ONNX_MAX_INPUTS = 6 };

typedef struct {
    fnr_pb name;
    int rank; /* -1: not a float32 tensor stored in the file */
    int64_t dims[5];
    const unsigned char *data;
    size_t bytes;
} fnr_onnx_tensor;

typedef struct {
    fnr_pb op, inputs[FNR_ONNX_MAX_INPUTS], output; /* the first output */
    int n_inputs;
    fnr_pb body; /* for the attributes */
} fnr_onnx_node;

typedef struct {
    const char *path; /* for messages */
    fnr_error *err;
    fnr_onnx_tensor *tensors;
    fnr_onnx_node *nodes; /* in the file's order, which ONNX wants to be topological */
    size_t n_tensors, n_nodes, tensors_room, nodes_room;
    fnr_pb input, output; /* names of the graph's */
    int n_inputs, n_outputs;
    fnr_st_meta *meta; /* owned texts */
    size_t n_meta, meta_room;
} fnr_onnx_file;

bool fnr_onnx_parse(const char *data, size_t size, fnr_onnx_file *f);
void fnr_onnx_file_free(fnr_onnx_file *f);
const fnr_onnx_tensor *fnr_onnx_find(const fnr_onnx_file *f, fnr_pb name); /* NULL when absent */
bool fnr_onnx_fail(const fnr_onnx_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool fnr_pb_equal(fnr_pb a, fnr_pb b)
{
    return a.end - a.at == b.end - b.at && (a.at == b.at || __builtin_memcmp(a.at, b.at, (size_t)(a.end - a.at)) == 0);
}
bool fnr_pb_is(fnr_pb a, const char *text);

#endif
