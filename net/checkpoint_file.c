#include "net/checkpoint_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "storages are little-endian and are used in place");

/* ---- zip container --------------------------------------------------------------------------------------------------------- */

static bool open_zip(fnr_checkpoint_file *c, fnr_error *err)
{
    static const char main_pickle[] = "/data.pkl";
    size_t used;
    if (!fnr_zip_parse(c->bytes, c->size, c->path, &c->zip, err)) {
        return false;
    }
    const fnr_zip_entry *e = fnr_zip_find_ending(&c->zip, main_pickle);
    const size_t n = e ? e->name_size - strlen(main_pickle) : 0;
    if (!e || n >= sizeof c->prefix || memchr(e->name, 0, e->name_size)) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: a zip archive, but not PyTorch's: it has no data.pkl", c->path);
    }
    char name[sizeof c->prefix + 16];
    memcpy(c->prefix, e->name, n);
    snprintf(name, sizeof name, "%s%s", c->prefix, main_pickle);
    e = fnr_zip_find(&c->zip, c->path, name, err);
    return e && fnr_pickle_read(e->data, e->size, c->path, &c->pickle, &used, err);
}

static const char *zip_data(fnr_checkpoint_file *c, const fnr_pk_storage *s, fnr_error *err)
{
    char name[sizeof c->prefix + 128];
    const size_t element = s->is_long ? 8 : 4;
    if (s->key.size > 64 || memchr(s->key.data, 0, s->key.size)) {
        fnr_fail(err, FNR_E_FORMAT, "%s: a storage's key is no number", c->path);
        return NULL;
    }
    snprintf(name, sizeof name, "%s/data/%.*s", c->prefix, (int)s->key.size, s->key.data);
    const fnr_zip_entry *e = fnr_zip_find(&c->zip, c->path, name, err);
    if (e && (e->size % element || e->size / element != (uint64_t)s->count)) {
        fnr_fail(err, FNR_E_FORMAT, "%s: entry '%s' has %zu bytes, the pickle says %lld elements of %zu", c->path, name, e->size,
                 (long long)s->count, element);
        return NULL;
    }
    return e ? e->data : NULL;
}

/* ---- stream container ------------------------------------------------------------------------------------------------------ */

/* The next pickle of the stream. */
static bool next_pickle(const fnr_checkpoint_file *c, size_t *at, fnr_pickle *p, fnr_error *err)
{
    size_t used;
    if (!fnr_pickle_read(c->bytes + *at, c->size - *at, c->path, p, &used, err)) {
        return false;
    }
    *at += used;
    return true;
}

static bool is_magic(const fnr_pk_value *v)
{
    static const unsigned char magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                            0x20, 0x6a, 0xa8, 0x50, 0x19}; /* 0x1950a86a20f9469cfc6c */
    return v->kind == FNR_PK_BIG && v->text.size == sizeof magic && memcmp(v->text.data, magic, sizeof magic) == 0;
}

/* Magic number, version of the format, and what is known of the machine that wrote it. */
static bool check_head(const fnr_checkpoint_file *c, size_t *at, fnr_error *err)
{
    for (int i = 0; i < 3; i++) {
        fnr_pickle p;
        if (!next_pickle(c, at, &p, err)) {
            return false;
        }
        const fnr_pk_value *v = fnr_pickle_root(&p), *little = fnr_pickle_get(&p, v, "little_endian");
        const bool ok = i == 0   ? is_magic(v)
                        : i == 1 ? v->kind == FNR_PK_INT && v->integer == 1001
                                 : little && little->integer == 1;
        fnr_pickle_free(&p);
        if (!ok) {
            return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: a pickle, but not of torch.save: %s", c->path,
                            i == 0   ? "its magic number is missing"
                            : i == 1 ? "its format is not number 1001"
                                     : "it was not written on a little-endian machine");
        }
    }
    return true;
}

/* One storage's bytes: i64 count, elements. The same storage may be meant by several persistent ids. */
static bool take_storage(fnr_checkpoint_file *c, fnr_pk_text key, size_t *at, fnr_error *err)
{
    int64_t count;
    size_t bytes = 0, wanted;
    bool known = false;
    if (c->size - *at < sizeof count) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the file is cut: a storage is missing", c->path);
    }
    memcpy(&count, c->bytes + *at, sizeof count);
    *at += sizeof count;
    for (size_t i = 0; i < c->pickle.n_storages; i++) {
        const fnr_pk_storage *s = &c->pickle.storages[i];
        if (s->key.size != key.size || memcmp(s->key.data, key.data, key.size) != 0) {
            continue;
        }
        if (s->count != count || __builtin_mul_overflow((size_t)count, s->is_long ? 8 : 4, &wanted)) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: a storage has %lld elements, the pickle says %lld", c->path, (long long)count,
                            (long long)s->count);
        }
        bytes = wanted > bytes ? wanted : bytes;
        c->data[i] = c->bytes + *at;
        known = true;
    }
    if (!known || bytes > c->size - *at) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: %s", c->path,
                        known ? "the file is cut inside a storage" : "a storage that no tensor refers to");
    }
    *at += bytes;
    return true;
}

static bool take_storages(fnr_checkpoint_file *c, const fnr_pickle *keys, size_t at, fnr_error *err)
{
    const fnr_pk_value *list = fnr_pickle_root(keys);
    c->data = fnr_calloc(c->pickle.n_storages + 1, sizeof *c->data, "storages", err);
    if (!c->data) {
        return false;
    }
    if (list->kind != FNR_PK_LIST || (size_t)list->items.count > FNR_PK_MAX_TENSORS) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the list of storages is missing", c->path);
    }
    for (int cell = list->items.first; cell >= 0; cell = keys->cells[cell].next) {
        const fnr_pk_value *key = &keys->values[keys->cells[cell].value];
        if (key->kind != FNR_PK_TEXT) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: a storage's key is no text", c->path);
        }
        if (!take_storage(c, key->text, &at, err)) {
            return false;
        }
    }
    return at == c->size ||
           fnr_fail(err, FNR_E_FORMAT, "%s: %zu bytes behind the last storage belong to none", c->path, c->size - at);
}

static bool open_stream(fnr_checkpoint_file *c, fnr_error *err)
{
    size_t at = 0;
    fnr_pickle keys = {0};
    const bool ok = check_head(c, &at, err) && next_pickle(c, &at, &c->pickle, err) && next_pickle(c, &at, &keys, err) &&
                    take_storages(c, &keys, at, err);
    fnr_pickle_free(&keys);
    return ok;
}

/* ---- both ------------------------------------------------------------------------------------------------------------------ */

bool fnr_checkpoint_open(const char *path, fnr_checkpoint_file *out, fnr_error *err)
{
    fnr_checkpoint_file c = {.path = path};
    if (!fnr_read_file(path, FNR_CHECKPOINT_MAX_BYTES, &c.bytes, &c.size, err)) {
        return false;
    }
    bool ok;
    if (c.size >= 4 && memcmp(c.bytes, "PK\3\4", 4) == 0) {
        ok = open_zip(&c, err);
    } else if (c.size >= 2 && (unsigned char)c.bytes[0] == 0x80) {
        ok = open_stream(&c, err);
    } else {
        ok =
            fnr_fail(err, FNR_E_FORMAT, "%s: not a PyTorch checkpoint: it begins neither as a zip archive nor as a pickle", path);
    }
    if (!ok) {
        fnr_checkpoint_close(&c);
        return false;
    }
    *out = c;
    return true;
}

void fnr_checkpoint_close(fnr_checkpoint_file *c)
{
    fnr_pickle_free(&c->pickle);
    fnr_zip_free(&c->zip);
    free(c->data);
    free(c->bytes);
    *c = (fnr_checkpoint_file){0};
}

const char *fnr_checkpoint_data(fnr_checkpoint_file *c, int storage, fnr_error *err)
{
    const fnr_pk_storage *s = &c->pickle.storages[storage];
    if (!c->data) {
        return zip_data(c, s, err);
    }
    if (!c->data[storage]) {
        fnr_fail(err, FNR_E_FORMAT, "%s: the storage of a tensor is missing", c->path);
    }
    return c->data[storage];
}
