#include "net/safetensors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "net/st_dtype.h"
#include "net/st_scan.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are little-endian and are used in place");

#define METADATA "__metadata__"
/* Integers up to here survive cJSON's doubles. */
#define MAX_INTEGER 9007199254740992.0

/* ---- one tensor --------------------------------------------------------------------------------------------------------- */

static bool fail_tensor(const char *file, const char *tensor, const char *what, fnr_error *err)
{
    return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: tensor '%s' %s", file, fnr_st_printable(tensor).text, what);
}

static bool to_integer(const cJSON *item, int64_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= MAX_INTEGER)) {
        return false;
    }
    *out = (int64_t)item->valuedouble;
    return true;
}

/* Fills name, dtype, rank and dims; *bytes is what they ask for. */
static bool parse_shape(const cJSON *dtype, const cJSON *shape, const char *file, fnr_st_tensor *t, fnr_error *err)
{
    if (!cJSON_IsString(dtype)) {
        return fail_tensor(file, t->name, "has no dtype", err);
    }
    const int index = fnr_st_dtype_index(dtype->valuestring);
    if (index < 0) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: tensor '%s' has the unknown dtype '%s'", file, fnr_st_printable(t->name).text,
                        fnr_st_printable(dtype->valuestring).text);
    }
    memcpy(t->dtype, fnr_st_dtypes[index].name, sizeof t->dtype);
    if (!cJSON_IsArray(shape)) {
        return fail_tensor(file, t->name, "has no shape", err);
    }
    t->bytes = fnr_st_dtypes[index].size;
    const cJSON *item;
    cJSON_ArrayForEach(item, shape)
    {
        if (t->rank == FNR_ST_MAX_RANK) {
            return fail_tensor(file, t->name, "has too many dimensions", err);
        }
        int64_t *dim = &t->dims[t->rank++];
        if (!to_integer(item, dim)) {
            return fail_tensor(file, t->name, "has an extent that is not a non-negative integer", err);
        }
        if (__builtin_mul_overflow(t->bytes, (size_t)*dim, &t->bytes)) {
            return fail_tensor(file, t->name, "has extents whose product overflows", err);
        }
    }
    return true;
}

/* buffer_size: bytes behind the header. */
static bool parse_tensor(const cJSON *entry, const char *buffer, size_t buffer_size, const char *file, fnr_st_tensor *t,
                         fnr_error *err)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    t->name = fnr_strdup(entry->string, err);
    if (!t->name) {
        return false;
    }
    if (!cJSON_IsObject(entry) || cJSON_GetArraySize(entry) != 3 || !offsets) {
        return fail_tensor(file, t->name, "does not consist of dtype, shape and data_offsets, once each", err);
    }
    if (!parse_shape(dtype, shape, file, t, err)) {
        return false;
    }
    int64_t begin = 0, end = 0;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !to_integer(offsets->child, &begin) ||
        !to_integer(offsets->child->next, &end) || begin > end) {
        return fail_tensor(file, t->name, "has data_offsets that are not two rising integers", err);
    }
    if ((uint64_t)end > buffer_size) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the file is cut: tensor '%s' ends at byte %lld of the data, the file has %zu",
                        file, fnr_st_printable(t->name).text, (long long)end, buffer_size);
    }
    if ((uint64_t)(end - begin) != t->bytes) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: tensor '%s' needs %zu bytes, its data_offsets span %lld",
                        file, fnr_st_printable(t->name).text, t->bytes, (long long)(end - begin));
    }
    t->data = buffer + begin;
    return true;
}

/* ---- the whole header ---------------------------------------------------------------------------------------------------- */

static int by_position(const void *a, const void *b)
{
    const fnr_st_tensor *x = a, *y = b;
    const uintptr_t px = (uintptr_t)x->data, py = (uintptr_t)y->data;
    if (px != py) {
        return px < py ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty tensors before the one that begins at the same place */
}

static bool check_coverage(const fnr_st_file *f, const char *buffer, size_t buffer_size, const char *file, fnr_error *err)
{
    const char *covered = buffer;
    for (size_t i = 0; i < f->n_tensors; i++) {
        const fnr_st_tensor *t = &f->tensors[i];
        if (t->data != covered) {
            return fail_tensor(file, t->name,
                               (const char *)t->data < covered ? "overlaps another one" : "has a hole before its data", err);
        }
        covered += t->bytes;
    }
    const size_t extra = buffer_size - (size_t)(covered - buffer);
    if (extra > 0) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: %zu bytes behind the last tensor belong to none", file,
                        extra);
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of one object must differ. */
static bool check_unique_keys(const cJSON *object, const char *file, fnr_error *err)
{
    const size_t n = (size_t)cJSON_GetArraySize(object);
    const char **keys = fnr_calloc(n + 1, sizeof *keys, "tensor names", err);
    if (!keys) {
        return false;
    }
    size_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        keys[count++] = item->string;
    }
    qsort(keys, count, sizeof *keys, by_text);
    bool ok = true;
    for (size_t i = 1; i < count && ok; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) {
            ok = fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: the name '%s' occurs twice", file,
                          fnr_st_printable(keys[i]).text);
        }
    }
    free(keys);
    return ok;
}

static bool parse_metadata(const cJSON *entry, const char *file, fnr_st_file *f, fnr_error *err)
{
    if (!cJSON_IsObject(entry)) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: " METADATA " is not an object", file);
    }
    if (!check_unique_keys(entry, file, err)) {
        return false;
    }
    f->meta = fnr_calloc((size_t)cJSON_GetArraySize(entry) + 1, sizeof *f->meta, "metadata", err);
    if (!f->meta) {
        return false;
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, entry)
    {
        if (!cJSON_IsString(item)) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: " METADATA " '%s' is not a text", file,
                            fnr_st_printable(item->string).text);
        }
        fnr_st_meta *m = &f->meta[f->n_meta++];
        m->key = fnr_strdup(item->string, err);
        m->value = m->key ? fnr_strdup(item->valuestring, err) : NULL;
        if (!m->value) {
            return false;
        }
    }
    return true;
}

static bool parse_entries(const cJSON *root, const char *buffer, size_t buffer_size, const char *file, fnr_st_file *f,
                          fnr_error *err)
{
    if (!check_unique_keys(root, file, err)) {
        return false;
    }
    f->tensors = fnr_calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof *f->tensors, "tensor list", err);
    if (!f->tensors) {
        return false;
    }
    const cJSON *entry;
    cJSON_ArrayForEach(entry, root)
    {
        const bool ok = strcmp(entry->string, METADATA) == 0
                            ? parse_metadata(entry, file, f, err)
                            : parse_tensor(entry, buffer, buffer_size, file, &f->tensors[f->n_tensors++], err);
        if (!ok) {
            return false;
        }
    }
    qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_position);
    return check_coverage(f, buffer, buffer_size, file, err);
}

/* *length: bytes of JSON behind the first 8. */
static bool find_header(const char *buffer, size_t size, const char *file, size_t *length, fnr_error *err)
{
    uint64_t n;
    if (size < sizeof n) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: not a safetensors file: it has only %zu bytes", file, size);
    }
    memcpy(&n, buffer, sizeof n);
    if (n < 2 || n > FNR_ST_MAX_HEADER) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: not a safetensors file: its header would have %llu bytes", file,
                        (unsigned long long)n);
    }
    if (n > size - sizeof n) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the file is cut: the header says %llu bytes, the file has %zu", file,
                        (unsigned long long)n, size - sizeof n);
    }
    if (buffer[sizeof n] != '{') {
        return fnr_fail(err, FNR_E_FORMAT, "%s: not a safetensors file: its header does not begin with '{'", file);
    }
    *length = (size_t)n;
    return true;
}

static cJSON *parse_json(const char *text, size_t size, const char *file, fnr_error *err)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, size, &end, false);
    size_t at = end ? (size_t)(end - text) : 0;
    while (root && at < size && text[at] == ' ') {
        at++; /* padding */
    }
    if (!root || at < size) {
        cJSON_Delete(root);
        fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: the header is not JSON (near byte %zu)", file, at);
        return NULL;
    }
    return root;
}

bool fnr_st_parse(char *buffer, size_t size, const char *name_for_messages, fnr_st_file *out, fnr_error *err)
{
    fnr_st_file f = {.buffer = buffer};
    cJSON *root = NULL;
    size_t length = 0;
    bool ok = find_header(buffer, size, name_for_messages, &length, err);
    const char *text = buffer + sizeof(uint64_t);
    ok = ok && fnr_st_scan(text, length, name_for_messages, err);
    ok = ok && (root = parse_json(text, length, name_for_messages, err)) != NULL;
    ok = ok && parse_entries(root, text + length, size - sizeof(uint64_t) - length, name_for_messages, &f, err);
    cJSON_Delete(root);
    if (!ok) {
        fnr_st_free(&f);
        return false;
    }
    *out = f;
    return true;
}

bool fnr_st_read(const char *path, size_t max_bytes, fnr_st_file *out, fnr_error *err)
{
    char *data = NULL;
    size_t size = 0;
    return fnr_read_file(path, max_bytes, &data, &size, err) && fnr_st_parse(data, size, path, out, err);
}

void fnr_st_free(fnr_st_file *f)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        free(f->tensors[i].name);
    }
    for (size_t i = 0; i < f->n_meta; i++) {
        free(f->meta[i].key);
        free(f->meta[i].value);
    }
    free(f->tensors);
    free(f->meta);
    free(f->buffer);
    *f = (fnr_st_file){0};
}

const fnr_st_tensor *fnr_st_find(const fnr_st_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    return NULL;
}

const char *fnr_st_meta_find(const fnr_st_file *f, const char *key)
{
    for (size_t i = 0; i < f->n_meta; i++) {
        if (strcmp(f->meta[i].key, key) == 0) {
            return f->meta[i].value;
        }
    }
    return NULL;
}
