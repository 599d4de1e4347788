#include "src/core/hash.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sha2.h>
#include <unistd.h>

#include "src/core/fs.h"

struct fnr_hasher {
    SHA2_CTX sha;
};

fnr_hasher *fnr_hasher_new(void)
{
    fnr_hasher *h = malloc(sizeof *h);
    if (h) {
        SHA256Init(&h->sha);
    }
    return h;
}

void fnr_hasher_add(fnr_hasher *h, const void *data, size_t size)
{
    if (h && size > 0) {
        SHA256Update(&h->sha, data, size);
    }
}

void fnr_hasher_add_text(fnr_hasher *h, const char *text)
{
    fnr_hasher_add(h, text, strlen(text) + 1);
}

void fnr_hasher_finish(fnr_hasher *h, fnr_digest *out)
{
    memset(out, 0, sizeof *out);
    if (!h) {
        return;
    }
    uint8_t raw[SHA256_DIGEST_LENGTH];
    SHA256Final(raw, &h->sha);
    for (size_t i = 0; i < sizeof raw; i++) {
        snprintf(&out->hex[2 * i], 3, "%02x", raw[i]);
    }
    free(h);
}

bool fnr_hash_file(const char *path, fnr_digest *out, fnr_error *err)
{
    enum { CHUNK = 1 << 18 };
    bool ok = false;
    int fd = -1;
    fnr_hasher *h = fnr_hasher_new();
    unsigned char *chunk = malloc(CHUNK);
    if (!h || !chunk) {
        fnr_fail(err, FNR_E_LIMIT, "not enough memory to read %s", path);
        goto done;
    }
    fd = fnr_open_regular(path, NULL, err);
    if (fd < 0) {
        goto done;
    }
    ssize_t n;
    while ((n = read(fd, chunk, CHUNK)) > 0) {
        fnr_hasher_add(h, chunk, (size_t)n);
    }
    if (n < 0) {
        fnr_fail_errno(err, errno, "cannot read %s", path);
        goto done;
    }
    ok = true;
done:
    if (fd >= 0) {
        close(fd);
    }
    free(chunk);
    fnr_digest digest;
    fnr_hasher_finish(h, &digest);
    if (ok) {
        *out = digest;
    }
    return ok;
}
