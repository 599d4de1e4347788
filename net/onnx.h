/* ONNX: the network as other programs run it (onnxruntime, OpenCV's dnn, ImageJ's deep-learning plugins).
 *
 * Written: operator set 13, float32; input "input" (batch, in_channels[, z], y, x) and output "output" with free batch and
 * extents (multiples of 2^depth); initializers under PyTorch's names; pixel size, record and history as metadata_props. Read:
 * what we write, and exports of the same architecture by others, with batch norms or with batch norms folded into the
 * convolutions (as torch.onnx.export does): the wiring decides, names do not matter. */
#ifndef FNR_NET_ONNX_H
#define FNR_NET_ONNX_H

#include "net/model.h"

#define FNR_ONNX_OPSET 13

typedef struct {
    bool fold; /* batch norms into the convolutions before them: smaller and faster, but not for further training */
} fnr_onnx_options;

/* The file's bytes. Caller frees *data. The optimiser's state is left out. At most 2 GiB (protobuf's limit). */
bool fnr_onnx_encode(const fnr_model *m, const fnr_onnx_options *opt, char **data, size_t *size, fnr_error *err);
bool fnr_onnx_write(const char *path, const fnr_model *m, const fnr_onnx_options *opt, fnr_error *err);

/* Folded batch norms come back as the identity: the function is the same, the parameters are not those of the training. *out is
 * untouched on failure. */
bool fnr_onnx_read(const char *path, fnr_model *out, fnr_error *err);
/* The same from memory; `path` is for messages. */
bool fnr_onnx_decode(const char *data, size_t size, const char *path, fnr_model *out, fnr_error *err);

#endif
