#include "net/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/threads.h"

/* Keeps the order of the images apart from everything else that is drawn from the seed. */
#define ORDER_STREAM 0x6f72646572ull

typedef struct {
    fnr_pair pair;
    fnr_places places;
    bool loaded;
} slot;

struct fnr_pool {
    fnr_netdesc desc;
    fnr_sampler_options opt;
    fnr_pair_source source;
    size_t width;   /* images per step */
    size_t n_slots; /* one more than width in a buffer */
    slot *slots;    /* a buffer holds number k of the sequence in slot k % n_slots */
    bool buffered;

    size_t *order; /* of `epoch`; used by the thread alone */
    long epoch;    /* -1 before the first */
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    long floor; /* numbers below may go */
    long ready; /* numbers below are loaded */
    bool stopping;
    fnr_error failure; /* of the thread */
};

static long first_of(const fnr_pool *p, long step)
{
    return p->buffered ? step / p->opt.buffer_steps : 0;
}

/* ---- loading --------------------------------------------------------------------------------------------------------------- */

static void empty_slot(fnr_pool *p, slot *s)
{
    if (s->loaded) {
        fnr_places_free(&s->places);
        p->source.unload(p->source.ctx, &s->pair);
    }
    *s = (slot){.loaded = false};
}

static bool fill_slot(fnr_pool *p, slot *s, size_t image, fnr_error *err)
{
    *s = (slot){.loaded = false};
    if (!p->source.load(p->source.ctx, image, &s->pair, err)) {
        return false;
    }
    s->loaded = true;
    return fnr_places_find(&p->desc, &s->pair, &p->opt, &s->places, err);
}

/* Number k of the sequence: every epoch is a permutation (Fisher and Yates). */
static size_t image_of(fnr_pool *p, long k)
{
    const size_t n = p->source.count;
    const long epoch = k / (long)n;
    if (epoch != p->epoch) {
        fnr_rng rng = fnr_rng_at(p->opt.seed, ORDER_STREAM, (uint64_t)epoch);
        for (size_t i = 0; i < n; i++) {
            p->order[i] = i;
        }
        for (size_t i = n - 1; i > 0; i--) {
            const size_t j = (size_t)fnr_rng_below(&rng, i + 1), kept = p->order[i];
            p->order[i] = p->order[j];
            p->order[j] = kept;
        }
        p->epoch = epoch;
    }
    return p->order[k % (long)n];
}

static bool load_number(fnr_pool *p, long k, fnr_error *err)
{
    slot *s = &p->slots[(size_t)k % p->n_slots];
    const size_t image = image_of(p, k);
    empty_slot(p, s);
    if (!fill_slot(p, s, image, err)) {
        return false;
    }
    return s->places.valid.corners > 0 || fnr_fail(err, FNR_E_FORMAT, "%s: holds no patch any more; it has changed since training began", s->pair.name);
}

static void *refill(void *arg)
{
    fnr_pool *p = arg;
    fnr_threads_set(1); /* stays on this thread: a second pool of threads would fight the training's for the processors */
    for (long k = p->floor;; k++) { /* nobody passes a step before the first image is there */
        pthread_mutex_lock(&p->mutex);
        while (!p->stopping && k - p->floor >= (long)p->n_slots) {
            pthread_cond_wait(&p->changed, &p->mutex);
        }
        const bool stopping = p->stopping;
        pthread_mutex_unlock(&p->mutex);
        if (stopping) {
            return NULL;
        }
        fnr_error err = {0};
        const bool ok = load_number(p, k, &err);
        pthread_mutex_lock(&p->mutex);
        if (ok) {
            p->ready = k + 1;
        } else {
            p->failure = err;
        }
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
        if (!ok) {
            return NULL;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static bool load_all(fnr_pool *p, bool *none, fnr_error *err)
{
    for (size_t i = 0; i < p->source.count; i++) {
        slot *s = &p->slots[p->width];
        if (!fill_slot(p, s, i, err)) {
            empty_slot(p, s);
            return false;
        }
        if (s->places.valid.corners > 0) {
            p->width++;
        } else {
            empty_slot(p, s);
        }
    }
    *none = p->width == 0;
    return !*none;
}

static bool start(fnr_pool *p, long first, fnr_error *err)
{
    p->buffered = true;
    p->width = (size_t)p->opt.buffer;
    p->epoch = -1;
    p->order = fnr_calloc(p->source.count, sizeof *p->order, "order of the images", err);
    if (!p->order) {
        return false;
    }
    p->floor = p->ready = first_of(p, first);
    const int failed = pthread_create(&p->thread, NULL, refill, p);
    p->started = !failed;
    return p->started || fnr_fail_errno(err, failed, "cannot start a thread for training images");
}

fnr_pool *fnr_pool_new(const fnr_netdesc *desc, const fnr_pair_source *source, const fnr_sampler_options *opt, long first, bool *none,
                       fnr_error *err)
{
    *none = source->count == 0;
    const bool all = opt->buffer == 0 || (size_t)opt->buffer >= source->count;
    fnr_pool *p = *none ? NULL : fnr_calloc(1, sizeof *p, "training images", err);
    if (!p) {
        return NULL;
    }
    p->desc = *desc;
    p->opt = *opt;
    p->source = *source;
    p->n_slots = all ? source->count : (size_t)opt->buffer + 1;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->slots = fnr_calloc(p->n_slots, sizeof *p->slots, "training images", err);
    if (!p->slots || !(all ? load_all(p, none, err) : start(p, first, err))) {
        fnr_pool_free(p);
        return NULL;
    }
    return p;
}

void fnr_pool_stop(fnr_pool *p)
{
    if (p) {
        pthread_mutex_lock(&p->mutex);
        p->stopping = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
    }
}

void fnr_pool_free(fnr_pool *p)
{
    if (!p) {
        return;
    }
    fnr_pool_stop(p);
    if (p->started) {
        pthread_join(p->thread, NULL);
    }
    for (size_t i = 0; p->slots && i < p->n_slots; i++) {
        empty_slot(p, &p->slots[i]);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p->slots);
    free(p->order);
    free(p);
}

/* ---- use ------------------------------------------------------------------------------------------------------------------- */

bool fnr_pool_stays(const fnr_pool *p)
{
    return !p->buffered;
}

size_t fnr_pool_width(const fnr_pool *p)
{
    return p->width;
}

bool fnr_pool_wait(fnr_pool *p, long step, fnr_error *err)
{
    if (!p->buffered) {
        return true;
    }
    const long needed = first_of(p, step) + (long)p->width;
    pthread_mutex_lock(&p->mutex);
    while (p->ready < needed && !p->stopping && p->failure.code == FNR_OK) {
        pthread_cond_wait(&p->changed, &p->mutex);
    }
    const bool ok = p->ready >= needed;
    if (!ok && p->failure.code != FNR_OK) {
        *err = p->failure;
    } else if (!ok) {
        fnr_fail(err, FNR_E_CANCELLED, "stopped while waiting for training images");
    }
    pthread_mutex_unlock(&p->mutex);
    return ok;
}

const fnr_places *fnr_pool_get(const fnr_pool *p, long step, size_t j)
{
    return &p->slots[((size_t)first_of(p, step) + j) % p->n_slots].places;
}

void fnr_pool_pass(fnr_pool *p, long step)
{
    if (!p->buffered || step < 1) {
        return;
    }
    const long floor = first_of(p, step - 1);
    pthread_mutex_lock(&p->mutex);
    if (floor > p->floor) {
        p->floor = floor;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
}
