/* libFuzzer target: bytes as an ONNX file; a network that was read is written and read again to the same bits.  See run.sh. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const fnr_model *m)
{
    fnr_error err = {0};
    fnr_model again;
    char *bytes;
    size_t size;
    if (!fnr_onnx_encode(m, &(fnr_onnx_options){.fold = false}, &bytes, &size, &err) ||
        !fnr_onnx_decode(bytes, size, "again.onnx", &again, &err)) {
        abort();
    }
    if (memcmp(&m->desc, &again.desc, sizeof m->desc) != 0 ||
        memcmp(m->values, again.values, m->graph.param_floats * sizeof *m->values) != 0) {
        abort();
    }
    fnr_model_free(&again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fnr_model m;
    fnr_error err = {0};
    char *copy = malloc(size ? size : 1); /* of the exact size: reading on is seen by the address sanitizer */
    if (!copy) {
        return 0;
    }
    if (size) {
        memcpy(copy, data, size);
    }
    if (fnr_onnx_decode(copy, size, "fuzz.onnx", &m, &err)) {
        for (size_t i = 0; i < m.graph.param_floats; i++) {
            if (!isfinite(m.values[i])) {
                abort();
            }
        }
        write_and_read(&m);
        fnr_model_free(&m);
    } else if (err.code == FNR_OK || !strstr(err.message, "fuzz.onnx")) {
        abort(); /* who finds the fault names the file */
    }
    free(copy);
    return 0;
}
