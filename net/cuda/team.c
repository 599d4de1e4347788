#include "net/cuda/team.h"

#include <pthread.h>
#include <stdlib.h>

#include "net/cuda/nccl.h"
#include "src/core/mem.h"

typedef struct {
    fnr_cu_team *team;
    int rank;
    pthread_t thread;
    bool started;
    long done; /* round that it has finished */
    bool ok;
    fnr_error error;
} worker;

struct fnr_cu_team {
    fnr_cu_gpu *gpus;
    int size;
    fnr_cu_nccl nccl;
    bool connected;
    ncclComm_t comms[FNR_CU_MAX_GPUS];
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    long round; /* grows with every job */
    bool stopping;
    fnr_cu_job job;
    void *ctx;
    worker workers[FNR_CU_MAX_GPUS]; /* rank 0's work is done by the caller */
};

/* ---- NCCL ------------------------------------------------------------------------------------------------------------------ */

static bool nccl_ok(const fnr_cu_team *team, ncclResult_t result, const char *what, fnr_error *err)
{
    return result == ncclSuccess || fnr_fail(err, FNR_E_INTERNAL, "%s: NCCL reports %s", what, team->nccl.error_string(result));
}

bool fnr_cu_team_connect(fnr_cu_team *team, fnr_error *err)
{
    int ordinals[FNR_CU_MAX_GPUS];
    for (int r = 0; r < team->size; r++) {
        ordinals[r] = team->gpus[r].ordinal;
    }
    team->connected = team->connected || team->size == 1 ||
                      (fnr_cu_nccl_load(&team->nccl, err) &&
                       nccl_ok(team, team->nccl.init_all(team->comms, team->size, ordinals), "connecting the GPUs", err));
    return team->connected;
}

/* NCCL adds in an order that depends on the number of GPUs alone, so results repeat for a given machine. */
bool fnr_cu_team_sum_floats(fnr_cu_team *team, int rank, float *values, size_t count, fnr_error *err)
{
    return team->size == 1 ||
           nccl_ok(team, team->nccl.all_reduce(values, values, count, ncclFloat32, ncclSum, team->comms[rank], team->gpus[rank].stream),
                   "adding up over GPUs", err);
}

bool fnr_cu_team_sum_doubles(fnr_cu_team *team, int rank, double *values, size_t count, fnr_error *err)
{
    return team->size == 1 ||
           nccl_ok(team, team->nccl.all_reduce(values, values, count, ncclFloat64, ncclSum, team->comms[rank], team->gpus[rank].stream),
                   "adding up over GPUs", err);
}

bool fnr_cu_team_share_doubles(fnr_cu_team *team, int rank, double *all, size_t count, fnr_error *err)
{
    return team->size == 1 || nccl_ok(team, team->nccl.all_gather(all + (size_t)rank * count, all, count, ncclFloat64, team->comms[rank],
                                                                  team->gpus[rank].stream),
                                      "sharing statistics between GPUs", err);
}

/* ---- threads --------------------------------------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    worker *w = arg;
    fnr_cu_team *team = w->team;
    const cudaError_t status = cudaSetDevice(team->gpus[w->rank].ordinal);
    pthread_mutex_lock(&team->mutex);
    for (;;) {
        while (w->done == team->round && !team->stopping) {
            pthread_cond_wait(&team->changed, &team->mutex);
        }
        if (team->stopping) {
            break;
        }
        const fnr_cu_job job = team->job;
        void *ctx = team->ctx;
        pthread_mutex_unlock(&team->mutex);
        fnr_error error = {0};
        const bool ok = fnr_cu_ok(status, "choosing the GPU", &error) && job(ctx, w->rank, &error);
        pthread_mutex_lock(&team->mutex);
        w->ok = ok;
        w->error = error;
        w->done = team->round;
        pthread_cond_broadcast(&team->changed);
    }
    pthread_mutex_unlock(&team->mutex);
    return NULL;
}

static bool start_workers(fnr_cu_team *team, fnr_error *err)
{
    for (int r = 1; r < team->size; r++) {
        worker *w = &team->workers[r];
        *w = (worker){.team = team, .rank = r};
        const int failed = pthread_create(&w->thread, NULL, work, w);
        w->started = !failed;
        if (failed) {
            return fnr_fail_errno(err, failed, "cannot start a thread for GPU %d", r);
        }
    }
    return true;
}

bool fnr_cu_team_new(fnr_cu_gpu *gpus, int size, fnr_cu_team **out, fnr_error *err)
{
    fnr_cu_team *team = fnr_calloc(1, sizeof *team, "team of GPUs", err);
    if (!team) {
        return false;
    }
    team->gpus = gpus;
    team->size = size;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->changed, NULL);
    if (!start_workers(team, err)) {
        fnr_cu_team_free(team);
        return false;
    }
    *out = team;
    return true;
}

void fnr_cu_team_free(fnr_cu_team *team)
{
    if (!team) {
        return;
    }
    pthread_mutex_lock(&team->mutex);
    team->stopping = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
    for (int r = 0; r < team->size; r++) {
        if (team->workers[r].started) {
            pthread_join(team->workers[r].thread, NULL);
        }
        if (team->comms[r]) {
            (void)team->nccl.destroy(team->comms[r]);
        }
    }
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}

int fnr_cu_team_size(const fnr_cu_team *team)
{
    return team->size;
}

bool fnr_cu_team_run(fnr_cu_team *team, fnr_cu_job job, void *ctx, fnr_error *err)
{
    if (team->size > 1) {
        pthread_mutex_lock(&team->mutex);
        team->job = job;
        team->ctx = ctx;
        team->round++;
        pthread_cond_broadcast(&team->changed);
        pthread_mutex_unlock(&team->mutex);
    }
    bool ok = fnr_cu_ok(cudaSetDevice(team->gpus[0].ordinal), "choosing the GPU", err) && job(ctx, 0, err);
    pthread_mutex_lock(&team->mutex);
    for (int r = 1; r < team->size; r++) {
        worker *w = &team->workers[r];
        while (w->done != team->round) {
            pthread_cond_wait(&team->changed, &team->mutex);
        }
        if (ok && !w->ok && err) {
            *err = w->error;
        }
        ok = ok && w->ok;
    }
    pthread_mutex_unlock(&team->mutex);
    return ok;
}
