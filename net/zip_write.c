#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "net/zip.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

enum { ALIGNMENT = 64, LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22, VERSION = 20, DATE_1980 = 0x21 };

typedef struct {
    fnr_atomic file;
    uint64_t at; /* bytes written */
    fnr_error *err;
} writer;

static bool put(writer *w, const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, w->file.file) != size) {
        return fnr_fail_errno(w->err, errno, "%s: cannot write", w->file.path);
    }
    w->at += size;
    return true;
}

/* Little-endian. */
static char *number(char *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (char)(v >> 8 * i);
    }
    return to + bytes;
}

/* The part that local and central headers have in common: version .. lengths of name and extra field. */
static char *common(char *to, const fnr_zip_item *item, uint32_t crc, size_t extra)
{
    to = number(to, VERSION, 2);
    to = number(to, 0, 2); /* flags */
    to = number(to, 0, 2); /* stored */
    to = number(to, 0, 2); /* time */
    to = number(to, DATE_1980, 2);
    to = number(to, crc, 4);
    to = number(to, item->size, 4);
    to = number(to, item->size, 4);
    to = number(to, strlen(item->name), 2);
    return number(to, extra, 2);
}

static bool put_entry(writer *w, const fnr_zip_item *item, uint32_t crc)
{
    static const char zeros[2 * ALIGNMENT];
    char header[LOCAL_SIZE + 4];
    const size_t name = strlen(item->name);
    /* An extra field of our own ("FB", as PyTorch's) fills up to the alignment; it has 4 bytes at least. */
    const size_t before = (size_t)((w->at + LOCAL_SIZE + name + 4) % ALIGNMENT), padding = (ALIGNMENT - before) % ALIGNMENT;
    number(header, 0x04034b50u, 4);
    common(header + 4, item, crc, 4 + padding);
    memcpy(header + LOCAL_SIZE, "FB", 2);
    number(header + LOCAL_SIZE + 2, padding, 2);
    return put(w, header, LOCAL_SIZE) && put(w, item->name, name) && put(w, header + LOCAL_SIZE, 4) && put(w, zeros, padding) &&
           put(w, item->data, item->size);
}

static bool put_central(writer *w, const fnr_zip_item *item, uint32_t crc, uint64_t offset)
{
    char header[CENTRAL_SIZE] = {0};
    number(header, 0x02014b50u, 4);
    number(header + 4, VERSION, 2);
    common(header + 6, item, crc, 0);
    number(header + 42, offset, 4);
    return put(w, header, sizeof header) && put(w, item->name, strlen(item->name));
}

static bool put_end(writer *w, size_t n, uint64_t directory)
{
    char end[END_SIZE] = {0};
    number(end, 0x06054b50u, 4);
    number(end + 8, n, 2);
    number(end + 10, n, 2);
    number(end + 12, w->at - directory, 4);
    number(end + 16, directory, 4);
    return put(w, end, sizeof end);
}

static bool check_size(const char *path, const fnr_zip_item *items, size_t n, fnr_error *err)
{
    uint64_t total = END_SIZE;
    for (size_t i = 0; i < n; i++) {
        total += items[i].size + LOCAL_SIZE + CENTRAL_SIZE + 2 * (strlen(items[i].name) + ALIGNMENT);
    }
    return (total < UINT32_MAX && n < UINT16_MAX) ||
           fnr_fail(err, FNR_E_LIMIT, "%s: a model of more than 4 GiB does not fit into this container: use .safetensors", path);
}

bool fnr_zip_write(const char *path, const fnr_zip_item *items, size_t n, fnr_error *err)
{
    writer w = {.err = err};
    uint32_t *crcs = fnr_calloc(n + 1, sizeof *crcs, "checksums", err);
    uint64_t *offsets = crcs ? fnr_calloc(n + 1, sizeof *offsets, "offsets", err) : NULL;
    bool ok = offsets && check_size(path, items, n, err) && fnr_atomic_open(&w.file, path, err);
    for (size_t i = 0; ok && i < n; i++) {
        crcs[i] = (uint32_t)crc32_z(0, items[i].data, items[i].size);
        offsets[i] = w.at;
        ok = put_entry(&w, &items[i], crcs[i]);
    }
    const uint64_t directory = w.at;
    for (size_t i = 0; ok && i < n; i++) {
        ok = put_central(&w, &items[i], crcs[i], offsets[i]);
    }
    ok = ok && put_end(&w, n, directory) && fnr_atomic_commit(&w.file, err);
    fnr_atomic_abort(&w.file);
    free(crcs);
    free(offsets);
    return ok;
}
