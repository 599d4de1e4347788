#include "net/prefetch.h"

#include <pthread.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/threads.h"

/* One buffer and the thread that fills it: slot k of n makes steps first + k, first + k + n, ...  Because a batch depends on
 * its step alone, it does not matter which thread is faster. */
typedef struct {
    fnr_prefetch *owner;
    pthread_t thread;
    bool started;
    long step; /* being made, or made and waiting */
    bool full;
    fnr_error failure;
    float *x, *y;
} slot;

struct fnr_prefetch {
    fnr_sampler *sampler;
    long end;
    long taken; /* batches handed out */
    slot *lent; /* NULL before the first call */
    bool stopping;
    pthread_mutex_t mutex; /* guards stopping and every slot's full */
    pthread_cond_t changed;
    int n_slots;
    slot slots[];
};

static void *fill_slot(void *arg)
{
    slot *s = arg;
    fnr_prefetch *p = s->owner;
    fnr_threads_set(1); /* this thread's own loops stay on it: a second pool would fight the training's for the processors */
    for (; s->step < p->end; s->step += p->n_slots) {
        pthread_mutex_lock(&p->mutex);
        while (s->full && !p->stopping) {
            pthread_cond_wait(&p->changed, &p->mutex);
        }
        const bool stopping = p->stopping;
        pthread_mutex_unlock(&p->mutex);
        if (stopping) {
            break;
        }
        fnr_error err = {0};
        const bool ok = fnr_sampler_batch(p->sampler, s->step, s->x, s->y, &err);
        pthread_mutex_lock(&p->mutex);
        s->full = true;
        s->failure = err;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
        if (!ok) {
            break;
        }
    }
    return NULL;
}

static bool start_slot(slot *s, size_t x_floats, size_t y_floats, fnr_error *err)
{
    s->x = fnr_alloc_aligned(x_floats, sizeof *s->x, "training batch", err);
    s->y = s->x ? fnr_alloc_aligned(y_floats, sizeof *s->y, "training batch", err) : NULL;
    if (!s->y) {
        return false;
    }
    const int failed = pthread_create(&s->thread, NULL, fill_slot, s);
    s->started = !failed;
    return s->started || fnr_fail_errno(err, failed, "cannot start a thread for training batches");
}

fnr_prefetch *fnr_prefetch_start(fnr_sampler *sampler, size_t x_floats, size_t y_floats, long first, long end, int slots,
                                 fnr_error *err)
{
    fnr_prefetch *p = fnr_calloc(1, sizeof *p + (size_t)slots * sizeof *p->slots, "training batches", err);
    if (!p) {
        return NULL;
    }
    p->sampler = sampler;
    p->end = end;
    p->n_slots = slots;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (int i = 0; i < slots; i++) {
        p->slots[i].owner = p;
        p->slots[i].step = first + i;
        if (!start_slot(&p->slots[i], x_floats, y_floats, err)) {
            fnr_prefetch_stop(p);
            return NULL;
        }
    }
    return p;
}

bool fnr_prefetch_next(fnr_prefetch *p, const float **x, const float **y, fnr_error *err)
{
    slot *s = &p->slots[p->taken++ % p->n_slots];
    pthread_mutex_lock(&p->mutex);
    if (p->lent) {
        p->lent->full = false;
        pthread_cond_broadcast(&p->changed);
    }
    while (!s->full) {
        pthread_cond_wait(&p->changed, &p->mutex);
    }
    const fnr_error failure = s->failure;
    pthread_mutex_unlock(&p->mutex);
    p->lent = s;
    *x = s->x;
    *y = s->y;
    if (failure.code != FNR_OK) {
        *err = failure;
        return false;
    }
    return true;
}

void fnr_prefetch_stop(fnr_prefetch *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    fnr_sampler_stop(p->sampler);
    for (int i = 0; i < p->n_slots; i++) {
        if (p->slots[i].started) {
            pthread_join(p->slots[i].thread, NULL);
        }
        free(p->slots[i].x);
        free(p->slots[i].y);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
