/* Zip archives with stored (uncompressed) entries: PyTorch's container, bioimage.io packages.  Facts: PKWARE APPNOTE.TXT. */
#ifndef FNR_NET_ZIP_H
#define FNR_NET_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include "src/core/err.h"

#define FNR_ZIP_MAX_ENTRIES ((size_t)1 << 13)

typedef struct {
    const char *name; /* not terminated */
    size_t name_size;
    const char *data; /* where it lies in the archive */
    size_t size;
    uint32_t crc;
    int method;   /* 0 = stored */
    bool checked; /* its checksum was found right: many may ask for one entry */
} fnr_zip_entry;

typedef struct {
    fnr_zip_entry *entries; /* owned; they point into the archive's bytes */
    size_t count;
} fnr_zip;

/* Reads the central directory (zip64 too) of an archive in memory, which must outlive *out. */
bool fnr_zip_parse(const char *data, size_t size, const char *file, fnr_zip *out, fnr_error *err);
void fnr_zip_free(fnr_zip *z);
/* The entry with this name, checked: stored, checksum right. NULL and an error when there is none. */
const fnr_zip_entry *fnr_zip_find(fnr_zip *z, const char *file, const char *name, fnr_error *err);
/* The one entry whose name ends so, NULL when there is none; not checked. */
const fnr_zip_entry *fnr_zip_find_ending(const fnr_zip *z, const char *end);

typedef struct {
    const char *name;
    const void *data;
    size_t size;
} fnr_zip_item;

/* Writes stored entries in the order given, data at multiples of 64 bytes as PyTorch wants them; no time stamps, so equal
 * contents give equal files. At most 4 GiB in all. Atomic. */
bool fnr_zip_write(const char *path, const fnr_zip_item *items, size_t n, fnr_error *err);

#endif
