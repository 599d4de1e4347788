/* libFuzzer target: bytes as a model.p, as a bare pickle, and as a zip archive.  A checksum would stop nearly every changed
 * archive, so the pickle of an archive is also read past it.  See run.sh. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/checkpoint.h"
#include "net/pickle.h"
#include "net/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_that(bool promise)
{
    if (!promise) {
        abort();
    }
}

static void check_refusal(const fnr_error *err, const char *file)
{
    check_that(err->code != FNR_OK && strstr(err->message, file));
}

/* What a pickle holds lies within its own arrays and bytes. */
static void check_pickle(const char *data, size_t size)
{
    fnr_pickle p;
    fnr_error err = {0};
    size_t used = 0;
    if (!fnr_pickle_read(data, size, "fuzz.pkl", &p, &used, &err)) {
        check_refusal(&err, "fuzz.pkl");
        return;
    }
    check_that(used <= size && p.root >= 0 && (size_t)p.root < p.n_values);
    for (size_t i = 0; i < p.n_values; i++) {
        const fnr_pk_value *v = &p.values[i];
        check_that(v->kind != FNR_PK_TEXT || (v->text.data >= data && v->text.data + v->text.size <= data + size));
        check_that(v->kind != FNR_PK_TENSOR || (v->integer >= 0 && (size_t)v->integer < p.n_tensors));
    }
    for (size_t i = 0; i < p.n_cells; i++) {
        check_that(p.cells[i].value >= 0 && (size_t)p.cells[i].value < p.n_values);
        check_that(p.cells[i].next >= -1 && p.cells[i].next < (int)p.n_cells);
    }
    for (size_t i = 0; i < p.n_tensors; i++) {
        const fnr_pk_tensor *t = &p.tensors[i];
        int64_t end = t->offset;
        int64_t count = 1;
        check_that(t->storage >= 0 && (size_t)t->storage < p.n_storages && t->rank >= 0 && t->rank <= FNR_PK_MAX_RANK);
        for (int d = 0; d < t->rank; d++) {
            check_that(!__builtin_mul_overflow(count, t->dims[d], &count));
        }
        check_that(!__builtin_add_overflow(end, count, &end) && t->offset >= 0 && end <= p.storages[t->storage].count);
    }
    fnr_pickle_free(&p);
}

/* Entries lie in the archive; one that is found has been read to its end. */
static void check_zip(const char *data, size_t size)
{
    fnr_zip z;
    fnr_error err = {0};
    if (!fnr_zip_parse(data, size, "fuzz.zip", &z, &err)) {
        check_refusal(&err, "fuzz.zip");
        return;
    }
    for (size_t i = 0; i < z.count; i++) {
        const fnr_zip_entry *e = &z.entries[i];
        char name[256];
        check_that(e->data >= data && e->data <= data + size && e->size <= (size_t)(data + size - e->data));
        check_that(e->name >= data && e->name_size <= (size_t)(data + size - e->name));
        snprintf(name, sizeof name, "%.*s", (int)(e->name_size < 255 ? e->name_size : 255), e->name);
        (void)fnr_zip_find(&z, "fuzz.zip", name, &err);
    }
    const fnr_zip_entry *pickle = fnr_zip_find_ending(&z, "data.pkl");
    if (pickle) {
        check_pickle(pickle->data, pickle->size);
    }
    fnr_zip_free(&z);
}

/* A network that was read holds as many numbers as its description says. */
static void check_file(const char *path)
{
    fnr_model m;
    fnr_error err = {0};
    long long iterations;
    if (!fnr_checkpoint_read(path, NULL, &m, &iterations, &err)) {
        check_refusal(&err, path);
        return;
    }
    check_that(fnr_netdesc_check(&m.desc, &err));
    for (size_t i = 0; i < m.graph.param_floats; i++) {
        check_that(isfinite(m.values[i]) && (!m.moment1 || (isfinite(m.moment1[i]) && isfinite(m.moment2[i]))));
    }
    fnr_model_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], *copy = malloc(size ? size : 1); /* of the exact size: reading on is seen by the address sanitizer */
    if (!copy) {
        return 0;
    }
    if (size) {
        memcpy(copy, data, size);
    }
    check_pickle(copy, size);
    check_zip(copy, size);
    free(copy);
    const int fd = memfd_create("fuzz.p", MFD_CLOEXEC);
    if (fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (write(fd, data, size) == (ssize_t)size) {
            check_file(path);
        }
        close(fd);
    }
    return 0;
}
