/* Memory of the pretended GPUs: from malloc, of no particular contents, and for each GPU no more than the environment variable
 * FNR_EMULATED_BYTES says. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/cuda/emulated.h"

enum { HEADER = 64 };
#define PINNED (-1)

/* In front of what is given out. */
typedef struct block {
    struct block *next;
    size_t bytes;
    int device; /* or PINNED */
} block;

static struct {
    pthread_mutex_t mutex;
    block *all;
    size_t used[EMULATED_GPUS];
} memory = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static cudaError_t take(void **p, size_t bytes, int device)
{
    const char *limit = getenv("FNR_EMULATED_BYTES");
    *p = NULL;
    if (!bytes) {
        return cudaSuccess;
    }
    pthread_mutex_lock(&memory.mutex);
    const bool fits = device == PINNED || !limit || memory.used[device] + bytes <= strtoull(limit, NULL, 10);
    block *b = fits ? malloc(HEADER + bytes) : NULL;
    if (b) {
        *b = (block){memory.all, bytes, device};
        memory.all = b;
        if (device != PINNED) {
            memory.used[device] += bytes;
        }
        *p = (char *)b + HEADER;
    }
    pthread_mutex_unlock(&memory.mutex);
    return b ? cudaSuccess : cudaErrorMemoryAllocation;
}

static void give(void *p)
{
    if (!p) {
        return;
    }
    emulated_finish_all();
    pthread_mutex_lock(&memory.mutex);
    block **at = &memory.all;
    while (*at != (block *)(void *)((char *)p - HEADER)) {
        at = &(*at)->next; /* what was never given out crashes, as it should */
    }
    block *b = *at;
    *at = b->next;
    if (b->device != PINNED) {
        memory.used[b->device] -= b->bytes;
    }
    free(b);
    pthread_mutex_unlock(&memory.mutex);
}

bool emulated_is_pinned(const void *p)
{
    bool found = false;
    pthread_mutex_lock(&memory.mutex);
    for (const block *b = memory.all; b && !found; b = b->next) {
        const uintptr_t begin = (uintptr_t)b + HEADER, at = (uintptr_t)p;
        found = b->device == PINNED && at >= begin && at < begin + b->bytes;
    }
    pthread_mutex_unlock(&memory.mutex);
    return found;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    return take(p, bytes, emulated_device());
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    (void)flags;
    return take(p, bytes, PINNED);
}

cudaError_t cudaFree(void *p)
{
    give(p);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    give(p);
    return cudaSuccess;
}
