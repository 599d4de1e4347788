/* Training steps on a device that cuts the patches itself and is not waited for (backend.h, feed_*).  Internal to training. */
#ifndef FNR_NET_STEP_QUEUE_H
#define FNR_NET_STEP_QUEUE_H

#include "net/backend.h"
#include "net/sampler.h"

typedef struct fnr_step_queue fnr_step_queue;

/* Borrows everything. NULL without an error when the backend has nothing of the kind, the images do not fit its memory, or they
 * change over time. */
bool fnr_step_queue_new(const fnr_backend_ops *be, fnr_program *p, const fnr_sampler *s, int batch, fnr_step_queue **out,
                        fnr_error *err);
void fnr_step_queue_free(fnr_step_queue *q);

/* Queues the step on the sampler's batch `step` (0-based). */
bool fnr_step_queue_push(fnr_step_queue *q, const fnr_adam *hyper, long step, fnr_error *err);
/* Losses of steps that are done, oldest first; with wait, or when no more can be queued, until all are. */
bool fnr_step_queue_take(fnr_step_queue *q, bool wait, double losses[FNR_FEED_AHEAD], int *count, fnr_error *err);

#endif
