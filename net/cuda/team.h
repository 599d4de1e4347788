/* The GPUs of one backend at work together: a thread for each, and sums over all of them through NCCL, which is loaded when several
 * GPUs train (prediction does without).  With one GPU the same functions run on the caller's thread and the sums are what is there already. */
#ifndef FNR_NET_CUDA_TEAM_H
#define FNR_NET_CUDA_TEAM_H

#include "net/cuda/gpu.h"

enum { FNR_CU_MAX_GPUS = 16 };

typedef struct fnr_cu_team fnr_cu_team;

/* What every GPU does; the GPU is already the thread's. */
typedef bool (*fnr_cu_job)(void *ctx, int rank, fnr_error *err);

/* gpus: `size` opened ones, borrowed. */
bool fnr_cu_team_new(fnr_cu_gpu *gpus, int size, fnr_cu_team **out, fnr_error *err);
void fnr_cu_team_free(fnr_cu_team *team);
int fnr_cu_team_size(const fnr_cu_team *team);

/* Runs job(ctx, rank) for every rank at once and waits; the first rank's error wins. */
bool fnr_cu_team_run(fnr_cu_team *team, fnr_cu_job job, void *ctx, fnr_error *err);

/* Before the first sum; nothing to do when it is done already or there is one GPU. */
bool fnr_cu_team_connect(fnr_cu_team *team, fnr_error *err);

/* To be called by all ranks, inside jobs; queued on the rank's stream. */
bool fnr_cu_team_sum_floats(fnr_cu_team *team, int rank, float *values, size_t count, fnr_error *err);
bool fnr_cu_team_sum_doubles(fnr_cu_team *team, int rank, double *values, size_t count, fnr_error *err);
/* all: size x count; rank r's part is at all + r * count and is filled in already. */
bool fnr_cu_team_share_doubles(fnr_cu_team *team, int rank, double *all, size_t count, fnr_error *err);

#endif
