/* Parameters on the GPUs: the same on each. */
#ifndef FNR_NET_CUDA_STATE_H
#define FNR_NET_CUDA_STATE_H

#include "net/cuda/program.h"

bool fnr_cu_state_new(fnr_backend *b, const fnr_graph *g, bool training, fnr_state **out, fnr_error *err);
void fnr_cu_state_free(fnr_state *s);
bool fnr_cu_state_write(fnr_state *s, fnr_state_part part, const float *flat, fnr_error *err);
bool fnr_cu_state_read(fnr_state *s, fnr_state_part part, float *flat, fnr_error *err);
bool fnr_cu_state_adam(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err);

/* What Adam's step number `step` (from 1) needs to know. */
fnr_cu_step_numbers fnr_cu_numbers_of(const fnr_adam *hyper, long step);
/* Queues the step on one GPU; its numbers are there. */
bool fnr_cu_queue_adam(const fnr_state *s, int rank, fnr_error *err);

#endif
