#include "src/core/mem.h"

#include <inttypes.h>
#include <limits.h>
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

/* The least limit in `file`s of the folder `path` and of those around it, up to the root; `path` is cut on the way. */
static size_t limit_upwards(char *path, size_t root_length, const char *file)
{
    char name[PATH_MAX + 32];
    size_t limit = SIZE_MAX;
    for (char *end = path + strlen(path); end && end >= path + root_length; end = strrchr(path, '/')) {
        *end = '\0';
        snprintf(name, sizeof name, "%s/%s", path, file);
        limit = least(limit, number_in(name));
    }
    return limit;
}

/* A line is "number:controllers:/path"; version 2 names no controllers.  Containers may show paths that they do not see: the root
 * is always looked at. */
size_t fnr_memory_group_limit(const char *list, const char *root)
{
    char *line = NULL, path[PATH_MAX];
    size_t room = 0, limit = SIZE_MAX;
    FILE *f = fopen(list, "r");
    while (f && getline(&line, &room, f) > 0) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) {
            continue;
        }
        group[strcspn(group, "\n")] = '\0';
        *group++ = '\0';
        const bool second = controllers[1] == '\0';
        if (second || strstr(controllers, "memory")) {
            const char *mount = second ? "" : "/memory";
            const int length = snprintf(path, sizeof path, "%s%s%s", root, mount, group);
            if (length > 0 && (size_t)length < sizeof path) {
                limit = least(limit,
                              limit_upwards(path, strlen(root) + strlen(mount), second ? "memory.max" : "memory.limit_in_bytes"));
            }
        }
    }
    free(line);
    if (f) {
        fclose(f);
    }
    return limit;
}

static size_t group_limit(void)
{
    return fnr_memory_group_limit("/proc/self/cgroup", "/sys/fs/cgroup");
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
bool fnr_memory_is_free(size_t bytes, const char *what, fnr_error *err)
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
    return fnr_memory_is_free(*bytes, what, err);
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
