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

/* A line of /proc/meminfo [bytes]; `otherwise` where the system does not tell. */
static size_t meminfo(const char *name, size_t otherwise)
{
    char line[128];
    uint64_t kib;
    size_t bytes = otherwise;
    const size_t length = strlen(name);
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %" SCNu64, &kib) == 1) {
            bytes = (size_t)kib << 10;
        }
    }
    if (f) {
        fclose(f);
    }
    return bytes;
}

/* The number a file holds; SIZE_MAX where there is no such file, or none in it ("max"). */
static size_t number_in(const char *path)
{
    uint64_t number = SIZE_MAX;
    FILE *f = fopen(path, "r");
    if (f) {
        number = fscanf(f, "%" SCNu64, &number) == 1 ? number : SIZE_MAX;
        fclose(f);
    }
    return (size_t)number;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What containers and services allow this process: limits of its control group (version 2) and of those around it, and version 1's
 * as containers see it. */
static size_t group_limit(void)
{
    static const char root[] = "/sys/fs/cgroup";
    char group[256], path[sizeof root + sizeof group + sizeof "/memory.max"];
    size_t limit = least(number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f && fgets(group, sizeof group, f)) {
        char *name = strncmp(group, "0::", 3) == 0 ? group + 3 : group + strlen(group);
        name[strcspn(name, "\n")] = '\0';
        for (char *end = name + strlen(name); end; end = strrchr(name, '/')) {
            *end = '\0';
            snprintf(path, sizeof path, "%s%s/memory.max", root, name);
            limit = least(limit, number_in(path));
        }
    }
    if (f) {
        fclose(f);
    }
    return limit;
}

size_t fnr_memory_there_is(void)
{
    return least(meminfo("MemTotal", SIZE_MAX), group_limit());
}

/* What could be had without taking it from other programs [bytes]; SIZE_MAX where the system does not tell. */
static size_t free_bytes(void)
{
    const size_t available = meminfo("MemAvailable", SIZE_MAX);
    return available == SIZE_MAX ? SIZE_MAX : least(available + meminfo("SwapFree", 0), group_limit());
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
