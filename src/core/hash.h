/* SHA-256 digests (libmd), as 64 lower-case hex digits. */
#ifndef FNR_CORE_HASH_H
#define FNR_CORE_HASH_H

#include <stddef.h>
#include "src/core/err.h"

#define FNR_DIGEST_SIZE 65

typedef struct {
    char hex[FNR_DIGEST_SIZE];
} fnr_digest;

typedef struct fnr_hasher fnr_hasher;
fnr_hasher *fnr_hasher_new(void);
void fnr_hasher_add(fnr_hasher *h, const void *data, size_t size);
/* Adds the text and its terminating zero, so that "ab","c" and "a","bc" differ. */
void fnr_hasher_add_text(fnr_hasher *h, const char *text);
/* Fills *out and frees h. */
void fnr_hasher_finish(fnr_hasher *h, fnr_digest *out);

bool fnr_hash_file(const char *path, fnr_digest *out, fnr_error *err);

#endif
