#include "src/core/threads.h"

#ifdef _OPENMP
#include <omp.h>

void fnr_threads_set(int n)
{
    omp_set_num_threads(n > 0 ? n : omp_get_num_procs());
}

int fnr_threads_get(void)
{
    return omp_get_max_threads();
}

void fnr_parallel_for(size_t count, void (*body)(void *ctx, size_t i), void *ctx)
{
    /* One index at a time: tiles and planes differ in cost, and bodies are far longer than the hand-out. */
#pragma omp parallel for schedule(dynamic, 1) if (count > 1 && !omp_in_parallel())
    for (size_t i = 0; i < count; i++) {
        body(ctx, i);
    }
}

#else /* a compiler without libgomp: correct, on one processor */

void fnr_threads_set(int n)
{
    (void)n;
}

int fnr_threads_get(void)
{
    return 1;
}

void fnr_parallel_for(size_t count, void (*body)(void *ctx, size_t i), void *ctx)
{
    for (size_t i = 0; i < count; i++) {
        body(ctx, i);
    }
}

#endif
