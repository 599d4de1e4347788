#include "src/core/mem.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector register */

static const size_t large_bytes = (size_t)256 << 20; /* below this nobody asks how much is free */

static bool refuse(size_t count, size_t size, const char *what, fnr_error *err)
{
    return fnr_fail(err, FNR_E_LIMIT, "not enough memory for %s (%zu x %zu bytes)", what, count, size);
}

/* What could be had without taking it from other programs [bytes]; SIZE_MAX where the system does not tell. */
static size_t free_bytes(void)
{
    char line[128];
    uint64_t kib, available = 0, swap = 0;
    bool told = false;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) {
            available = kib;
            told = true;
        } else if (sscanf(line, "SwapFree: %" SCNu64, &kib) == 1) {
            swap = kib;
        }
    }
    if (f) {
        fclose(f);
    }
    return told ? (size_t)(available + swap) << 10 : SIZE_MAX;
}

/* Linux promises memory that it does not have, and ends the program when it is used: whoever asks for much is told beforehand. */
static bool is_there(size_t bytes, const char *what, fnr_error *err)
{
    const size_t available = bytes < large_bytes ? SIZE_MAX : free_bytes();
    return bytes <= available || fnr_fail(err, FNR_E_LIMIT, "not enough memory for %s: %.1f GiB are needed, %.1f GiB are free",
                                          what, (double)bytes / 0x1p30, (double)available / 0x1p30);
}

/* The bytes of count elements, when they can be had.  Sizes beyond PTRDIFF_MAX cannot and would break pointer differences. */
static bool bytes_of(size_t count, size_t size, const char *what, size_t *bytes, fnr_error *err)
{
    if (__builtin_mul_overflow(count, size, bytes) || *bytes > PTRDIFF_MAX - ALIGNMENT) {
        return refuse(count, size, what, err);
    }
    return is_there(*bytes, what, err);
}

void *fnr_calloc(size_t count, size_t size, const char *what, fnr_error *err)
{
    size_t bytes;
    if (!bytes_of(count, size, what, &bytes, err)) {
        return NULL;
    }
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) {
        refuse(count, size, what, err);
    }
    return p;
}

void *fnr_alloc_aligned(size_t count, size_t size, const char *what, fnr_error *err)
{
    size_t bytes;
    if (!bytes_of(count, size, what, &bytes, err)) {
        return NULL;
    }
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* aligned_alloc wants a multiple */
    void *p = aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
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
    if (wanted <= count) {
        return refuse(wanted, size, what, err);
    }
    if (!bytes_of(wanted, size, what, &bytes, err)) {
        return false;
    }
    void *old, *grown;
    memcpy(&old, array_pointer, sizeof old); /* the caller's T * is no void *: copy its bytes instead of aliasing it */
    if (!(grown = realloc(old, bytes))) {
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
