/* libFuzzer target: bytes as a safetensors file, and as a model.  See run.sh. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/model.h"
#include "net/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the reader promises to everybody: tensors that lie in the buffer, without holes, with extents that give their size. */
static void check_tensors(const fnr_st_file *f, size_t size)
{
    size_t total = 0;
    for (size_t i = 0; i < f->n_tensors; i++) {
        const fnr_st_tensor *t = &f->tensors[i];
        const char *begin = t->data;
        if (begin < f->buffer + 8 || begin + t->bytes > f->buffer + size || fnr_st_find(f, t->name) != t) {
            abort();
        }
        total += t->bytes;
        volatile unsigned char sum = 0;
        for (size_t k = 0; k < t->bytes; k++) {
            sum = (unsigned char)(sum + (unsigned char)begin[k]);
        }
    }
    uint64_t header;
    memcpy(&header, f->buffer, sizeof header);
    if (total != size - sizeof header - header) {
        abort();
    }
}

/* A model that was read holds numbers only. */
static void check_model(const char *path)
{
    fnr_model m;
    fnr_error err = {0};
    if (!fnr_model_read(path, &m, &err)) {
        if (!strstr(err.message, path) || err.code == FNR_OK) {
            abort(); /* who finds the fault names the file */
        }
        return;
    }
    for (size_t i = 0; i < m.graph.param_floats; i++) {
        if (!isfinite(m.values[i])) {
            abort();
        }
    }
    fnr_model_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy) {
        return 0;
    }
    if (size) {
        memcpy(copy, data, size);
    }
    fnr_st_file f;
    fnr_error err;
    if (fnr_st_parse(copy, size, "fuzz", &f, &err)) {
        check_tensors(&f, size);
        fnr_st_free(&f);
    }
    const int fd = memfd_create("fuzz.safetensors", MFD_CLOEXEC);
    if (fd >= 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (write(fd, data, size) == (ssize_t)size) {
            check_model(path);
        }
        close(fd);
    }
    return 0;
}
