#include "net/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/core/mem.h"

enum { END_SIZE = 22, END64_LOCATOR_SIZE = 20, END64_SIZE = 56, CENTRAL_SIZE = 46, LOCAL_SIZE = 30 };
#define END_MAGIC           0x06054b50u
#define END64_LOCATOR_MAGIC 0x07064b50u
#define END64_MAGIC         0x06064b50u
#define CENTRAL_MAGIC       0x02014b50u
#define LOCAL_MAGIC         0x04034b50u

static uint64_t number(const char *at, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i-- > 0;) {
        v = v << 8 | (unsigned char)at[i];
    }
    return v;
}

static bool fail_zip(const char *file, const char *what, fnr_error *err)
{
    return fnr_fail(err, FNR_E_FORMAT, "%s: broken zip archive: %s", file, what);
}

/* Where the central directory lies. */
typedef struct {
    uint64_t offset, size, count;
} directory;

static bool find_directory(const char *data, size_t size, const char *file, directory *d, fnr_error *err)
{
    size_t at = size; /* the end record stands last, but for a comment of up to 65535 bytes */
    const size_t lowest = size > END_SIZE + 65535 ? size - END_SIZE - 65535 : 0;
    for (size_t i = size >= END_SIZE ? size - END_SIZE + 1 : 0; i-- > lowest && at == size;) {
        if (number(data + i, 4) == END_MAGIC && i + END_SIZE + number(data + i + 20, 2) == size) {
            at = i;
        }
    }
    if (at == size) {
        return fail_zip(file, "it has no end record; the file is cut", err);
    }
    *d = (directory){.count = number(data + at + 10, 2), .size = number(data + at + 12, 4), .offset = number(data + at + 16, 4)};
    if (at >= END64_LOCATOR_SIZE && number(data + at - END64_LOCATOR_SIZE, 4) == END64_LOCATOR_MAGIC) {
        const uint64_t end64 = number(data + at - END64_LOCATOR_SIZE + 8, 8);
        if (size < END64_SIZE || end64 > size - END64_SIZE || number(data + end64, 4) != END64_MAGIC) {
            return fail_zip(file, "its zip64 record is missing", err);
        }
        *d = (directory){
            .count = number(data + end64 + 32, 8), .size = number(data + end64 + 40, 8), .offset = number(data + end64 + 48, 8)};
    }
    if (d->offset > size || d->size > size - d->offset) {
        return fail_zip(file, "its directory lies outside the file", err);
    }
    if (d->count > FNR_ZIP_MAX_ENTRIES) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: %llu entries in a zip archive are no model", file, (unsigned long long)d->count);
    }
    return true;
}

/* Zip64's extra field holds, in this order, those of the three numbers that did not fit into 32 bits. */
static bool read_zip64(const char *extra, size_t size, uint64_t *full_size, uint64_t *packed_size, uint64_t *offset)
{
    uint64_t *const fields[] = {full_size, packed_size, offset};
    while (size >= 4) {
        const size_t id = number(extra, 2), length = number(extra + 2, 2);
        if (length > size - 4) {
            return false;
        }
        if (id == 1) {
            size_t at = 4;
            for (size_t i = 0; i < 3; i++) {
                if (*fields[i] == UINT32_MAX) {
                    if (at + 8 > 4 + length) {
                        return false;
                    }
                    *fields[i] = number(extra + at, 8);
                    at += 8;
                }
            }
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return true;
}

/* One central header at data + *at, which moves on to the next. */
static bool read_entry(const char *data, size_t size, size_t end, const char *file, size_t *at, fnr_zip_entry *e, fnr_error *err)
{
    if (end - *at < CENTRAL_SIZE || number(data + *at, 4) != CENTRAL_MAGIC) {
        return fail_zip(file, "its directory is cut", err);
    }
    const char *h = data + *at;
    const size_t name = number(h + 28, 2), extra = number(h + 30, 2), comment = number(h + 32, 2);
    uint64_t packed = number(h + 20, 4), full = number(h + 24, 4), offset = number(h + 42, 4);
    if (end - *at - CENTRAL_SIZE < name + extra + comment) {
        return fail_zip(file, "its directory is cut", err);
    }
    *e = (fnr_zip_entry){
        .name = h + CENTRAL_SIZE, .name_size = name, .crc = (uint32_t)number(h + 16, 4), .method = (int)number(h + 10, 2)};
    *at += CENTRAL_SIZE + name + extra + comment;
    if (!read_zip64(h + CENTRAL_SIZE + name, extra, &full, &packed, &offset)) {
        return fail_zip(file, "an extra field is cut", err);
    }
    if (offset > size || size - offset < LOCAL_SIZE || number(data + offset, 4) != LOCAL_MAGIC) {
        return fail_zip(file, "an entry's header lies outside the file", err);
    }
    const uint64_t begin = offset + LOCAL_SIZE + number(data + offset + 26, 2) + number(data + offset + 28, 2);
    if (begin > size || packed > size - begin) {
        return fail_zip(file, "an entry ends outside the file", err);
    }
    if (e->method == 0 && packed != full) {
        return fail_zip(file, "a stored entry has two sizes", err);
    }
    e->data = data + begin;
    e->size = (size_t)packed;
    return true;
}

bool fnr_zip_parse(const char *data, size_t size, const char *file, fnr_zip *out, fnr_error *err)
{
    directory d = {0};
    if (!find_directory(data, size, file, &d, err)) {
        return false;
    }
    fnr_zip z = {.entries = fnr_calloc((size_t)d.count + 1, sizeof *z.entries, "zip directory", err)};
    bool ok = z.entries != NULL;
    size_t at = (size_t)d.offset;
    while (ok && z.count < d.count) {
        ok = read_entry(data, size, (size_t)(d.offset + d.size), file, &at, &z.entries[z.count++], err);
    }
    if (!ok) {
        fnr_zip_free(&z);
        return false;
    }
    *out = z;
    return true;
}

void fnr_zip_free(fnr_zip *z)
{
    free(z->entries);
    *z = (fnr_zip){0};
}

const fnr_zip_entry *fnr_zip_find(fnr_zip *z, const char *file, const char *name, fnr_error *err)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < z->count; i++) {
        fnr_zip_entry *e = &z->entries[i];
        if (e->name_size != n || memcmp(e->name, name, n) != 0) {
            continue;
        }
        if (e->method != 0) {
            fnr_fail(err, FNR_E_UNSUPPORTED, "%s: entry '%.200s' is compressed; models are stored as they are", file, name);
            return NULL;
        }
        if (!e->checked && crc32_z(0, (const unsigned char *)e->data, e->size) != e->crc) {
            fnr_fail(err, FNR_E_FORMAT, "%s: entry '%.200s' is damaged: its checksum does not match", file, name);
            return NULL;
        }
        e->checked = true;
        return e;
    }
    fnr_fail(err, FNR_E_FORMAT, "%s: entry '%.200s' is missing in the archive", file, name);
    return NULL;
}

const fnr_zip_entry *fnr_zip_find_ending(const fnr_zip *z, const char *end)
{
    const size_t n = strlen(end);
    for (size_t i = 0; i < z->count; i++) {
        const fnr_zip_entry *e = &z->entries[i];
        if (e->name_size >= n && memcmp(e->name + e->name_size - n, end, n) == 0) {
            return e;
        }
    }
    return NULL;
}
