/* Parts of the pretended GPUs (emulated_*.c). */
#ifndef FNR_TESTS_EMULATED_H
#define FNR_TESTS_EMULATED_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

enum { EMULATED_GPUS = 2, EMULATED_SMS = 3 };

typedef void (*emulated_work)(const void *arg);

/* Queues work(copy of the `bytes` at arg).  Nothing is done before somebody waits for it: what forgets to wait finds old contents. */
cudaError_t emulated_queue(cudaStream_t s, emulated_work work, const void *arg, size_t bytes);
/* The same for a kernel: what went wrong before and was not asked for is its status. */
cudaError_t emulated_launch(cudaStream_t s, emulated_work work, const void *arg, size_t bytes);
/* Does all that is queued there. */
void emulated_finish(cudaStream_t s);
/* Everything on every stream, as freeing memory does. */
void emulated_finish_all(void);
/* The calling thread's GPU. */
int emulated_device(void);
/* Memory that copies do not hold the caller up for. */
bool emulated_is_pinned(const void *p);

#endif
