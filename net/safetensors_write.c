#include "net/safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/st_dtype.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

/* The reference writer's order: strictest alignment first, then by name. */
static int by_dtype_and_name(const void *a, const void *b)
{
    const fnr_st_tensor *x = *(const fnr_st_tensor *const *)a, *y = *(const fnr_st_tensor *const *)b;
    const int dx = fnr_st_dtype_index(x->dtype), dy = fnr_st_dtype_index(y->dtype);
    return dx != dy ? dy - dx : strcmp(x->name, y->name);
}

static bool check_tensor(const fnr_st_tensor *t, fnr_error *err)
{
    const int index = fnr_st_dtype_index(t->dtype);
    size_t bytes = index < 0 ? 0 : fnr_st_dtypes[index].size;
    for (int i = 0; i < t->rank; i++) {
        bytes *= (size_t)t->dims[i];
    }
    return (index >= 0 && bytes == t->bytes) ||
           fnr_fail(err, FNR_E_INTERNAL, "tensor '%s': dtype and extents do not give %zu bytes", t->name, t->bytes);
}

static bool add_metadata(cJSON *root, const fnr_st_meta *meta, size_t n_meta)
{
    cJSON *object = n_meta ? cJSON_AddObjectToObject(root, "__metadata__") : NULL;
    for (size_t i = 0; i < n_meta; i++) {
        if (!object || !cJSON_AddStringToObject(object, meta[i].key, meta[i].value)) {
            return false;
        }
    }
    return true;
}

static bool add_number(cJSON *array, double value)
{
    return cJSON_AddItemToArray(array, cJSON_CreateNumber(value));
}

static bool add_tensor(cJSON *root, const fnr_st_tensor *t, size_t begin)
{
    cJSON *entry = cJSON_AddObjectToObject(root, t->name);
    bool ok = entry && cJSON_AddStringToObject(entry, "dtype", t->dtype);
    cJSON *shape = ok ? cJSON_AddArrayToObject(entry, "shape") : NULL;
    cJSON *offsets = shape ? cJSON_AddArrayToObject(entry, "data_offsets") : NULL;
    ok = offsets && add_number(offsets, (double)begin) && add_number(offsets, (double)(begin + t->bytes));
    for (int i = 0; ok && i < t->rank; i++) {
        ok = add_number(shape, (double)t->dims[i]);
    }
    return ok;
}

/* JSON of the header, or NULL. */
static char *make_header(const fnr_st_tensor *const *sorted, size_t n, const fnr_st_meta *meta, size_t n_meta, fnr_error *err)
{
    cJSON *root = cJSON_CreateObject();
    bool ok = root && add_metadata(root, meta, n_meta);
    size_t begin = 0;
    for (size_t i = 0; ok && i < n; i++) {
        ok = add_tensor(root, sorted[i], begin);
        begin += sorted[i]->bytes;
    }
    char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    if (!text) {
        fnr_fail(err, FNR_E_LIMIT, "out of memory for the header of a safetensors file");
    }
    return text;
}

static bool put(fnr_atomic *file, const void *data, size_t size, fnr_error *err)
{
    return size == 0 || fwrite(data, 1, size, file->file) == size || fnr_fail_errno(err, errno, "%s: cannot write", file->path);
}

static bool write_file(const char *path, const char *header, const fnr_st_tensor *const *sorted, size_t n, fnr_error *err)
{
    static const char spaces[8] = "        ";
    const size_t used = strlen(header), padding = (8 - used % 8) % 8; /* so that the data are aligned */
    const uint64_t length = used + padding;
    fnr_atomic file;
    if (!fnr_atomic_open(&file, path, err)) {
        return false;
    }
    bool ok = put(&file, &length, sizeof length, err) && put(&file, header, used, err) && put(&file, spaces, padding, err);
    for (size_t i = 0; ok && i < n; i++) {
        ok = put(&file, sorted[i]->data, sorted[i]->bytes, err);
    }
    ok = ok && fnr_atomic_commit(&file, err);
    fnr_atomic_abort(&file);
    return ok;
}

bool fnr_st_write(const char *path, const fnr_st_tensor *tensors, size_t n, const fnr_st_meta *meta, size_t n_meta,
                  fnr_error *err)
{
    const fnr_st_tensor **sorted = fnr_calloc(n + 1, sizeof *sorted, "tensor list", err);
    char *header = NULL;
    bool ok = sorted != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        sorted[i] = &tensors[i];
        ok = check_tensor(&tensors[i], err);
    }
    if (ok) {
        qsort(sorted, n, sizeof *sorted, by_dtype_and_name);
        header = make_header(sorted, n, meta, n_meta, err);
    }
    ok = header && write_file(path, header, sorted, n, err);
    cJSON_free(header);
    free(sorted);
    return ok;
}
