#include "src/core/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector register */

static bool refuse(size_t count, size_t size, const char *what, fnr_error *err)
{
    return fnr_fail(err, FNR_E_LIMIT, "not enough memory for %s (%zu x %zu bytes)", what, count, size);
}

/* Sizes beyond PTRDIFF_MAX cannot be had and would break pointer differences. */
static bool product(size_t count, size_t size, size_t *bytes)
{
    return !__builtin_mul_overflow(count, size, bytes) && *bytes <= PTRDIFF_MAX - ALIGNMENT;
}

void *fnr_calloc(size_t count, size_t size, const char *what, fnr_error *err)
{
    size_t bytes;
    void *p = NULL;
    if (product(count, size, &bytes)) {
        p = calloc(1, bytes ? bytes : 1);
    }
    if (!p) {
        refuse(count, size, what, err);
    }
    return p;
}

void *fnr_alloc_aligned(size_t count, size_t size, const char *what, fnr_error *err)
{
    size_t bytes;
    void *p = NULL;
    if (product(count, size, &bytes)) {
        const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* aligned_alloc wants a multiple */
        p = aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
    }
    if (!p) {
        refuse(count, size, what, err);
    }
    return p;
}

bool fnr_grow(void *array_pointer, size_t *capacity, size_t count, size_t size, const char *what, fnr_error *err)
{
    if (count < *capacity) {
        return true;
    }
    const size_t wanted = count + count / 2 + 8;
    size_t bytes;
    void *old, *grown = NULL;
    memcpy(&old, array_pointer, sizeof old); /* the caller's T * is no void *: copy its bytes instead of aliasing it */
    if (wanted > count && product(wanted, size, &bytes)) {
        grown = realloc(old, bytes);
    }
    if (!grown) {
        return refuse(wanted, size, what, err);
    }
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

char *fnr_strdup(const char *text, fnr_error *err)
{
    char *copy = strdup(text);
    if (!copy) {
        refuse(strlen(text) + 1, 1, "a text", err);
    }
    return copy;
}
