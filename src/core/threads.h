/* Data-parallel loops.  The only file with OpenMP pragmas is threads.c, so that oneDNN and our own loops share one pool. */
#ifndef FNR_CORE_THREADS_H
#define FNR_CORE_THREADS_H

#include <stddef.h>

/* n <= 0 means all processors of the affinity mask.  Applies to loops begun by the calling thread (the main thread's setting is
 * the program's; a helper thread that calls fnr_threads_set(1) keeps to itself). */
void fnr_threads_set(int n);
int fnr_threads_get(void);

/* Calls body(ctx, i) for i in [0, count), in any order, on up to fnr_threads_get() threads; returns when all are done.
 * Nested calls run serially.  Results must not depend on order. */
void fnr_parallel_for(size_t count, void (*body)(void *ctx, size_t i), void *ctx);

#endif
