/* Streams and events of the pretended GPUs.  Work is done as late as CUDA's rules allow: when a stream or an event is waited for, when
 * another stream's work waits for it, or bit by bit as events are asked whether they are done.  So a missing wait shows. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda/emulated.h"

typedef struct {
    emulated_work work; /* NULL: wait until `other` has done `position` items */
    void *arg;
    struct CUstream_st *other;
    size_t position;
} item;

struct CUstream_st {
    struct CUstream_st *next;
    int device;
    item *items; /* never shortened: positions are counts from the beginning, less `gone` */
    size_t gone, done, queued, capacity;
};

struct CUevent_st {
    struct CUstream_st *stream; /* NULL: not recorded yet, which counts as done */
    size_t position;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything, and holds while work is done */
static struct CUstream_st *streams;
static _Thread_local int device;
static _Thread_local cudaError_t last_error;

cudaError_t cudaSetDevice(int ordinal)
{
    if (ordinal < 0 || ordinal >= EMULATED_GPUS) {
        return cudaErrorInvalidDevice;
    }
    device = ordinal;
    return cudaSuccess;
}

int emulated_device(void)
{
    return device;
}

/* ---- doing what is queued ---------------------------------------------------------------------------------------------------- */

static void run_until(struct CUstream_st *s, size_t position)
{
    while (s->done < position) {
        item *i = &s->items[s->done - s->gone];
        if (i->work) {
            i->work(i->arg);
            free(i->arg);
        } else {
            run_until(i->other, i->position);
        }
        s->done++;
    }
    if (s->done == s->queued) {
        s->gone = s->done;
    }
}

static cudaError_t add(struct CUstream_st *s, item i)
{
    if (!s || s->device != device) {
        free(i.arg);
        return cudaErrorInvalidResourceHandle; /* as CUDA does when the thread's GPU is another one */
    }
    pthread_mutex_lock(&lock);
    if (s->queued - s->gone == s->capacity) {
        s->capacity = 2 * s->capacity + 16;
        s->items = realloc(s->items, s->capacity * sizeof *s->items);
        if (!s->items) {
            abort();
        }
    }
    s->items[s->queued++ - s->gone] = i;
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t emulated_queue(cudaStream_t s, emulated_work work, const void *arg, size_t bytes)
{
    void *copy = malloc(bytes);
    if (!copy) {
        abort();
    }
    memcpy(copy, arg, bytes);
    return add(s, (item){.work = work, .arg = copy});
}

void emulated_finish(cudaStream_t s)
{
    pthread_mutex_lock(&lock);
    run_until(s, s->queued);
    pthread_mutex_unlock(&lock);
}

void emulated_finish_all(void)
{
    pthread_mutex_lock(&lock);
    for (struct CUstream_st *s = streams; s; s = s->next) {
        run_until(s, s->queued);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- streams ----------------------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    (void)flags;
    *s = calloc(1, sizeof **s);
    if (!*s) {
        return cudaErrorMemoryAllocation;
    }
    (*s)->device = device;
    pthread_mutex_lock(&lock);
    (*s)->next = streams;
    streams = *s;
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

/* Stays in the list, so that events may go on naming it. */
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    emulated_finish(s);
    free(s->items);
    s->items = NULL;
    s->capacity = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (!s) {
        return cudaErrorInvalidResourceHandle;
    }
    emulated_finish(s);
    return cudaSuccess;
}

/* ---- events ------------------------------------------------------------------------------------------------------------------ */

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = calloc(1, sizeof **e);
    return *e ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    (void)flags;
    return cudaEventCreate(e);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    if (!e || !s || s->device != device) {
        return cudaErrorInvalidResourceHandle;
    }
    pthread_mutex_lock(&lock);
    *e = (struct CUevent_st){s, s->queued};
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    return !e ? cudaErrorInvalidResourceHandle : e->stream ? add(s, (item){.other = e->stream, .position = e->position}) : cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (!e) {
        return cudaErrorInvalidResourceHandle;
    }
    pthread_mutex_lock(&lock);
    if (e->stream) {
        run_until(e->stream, e->position);
    }
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

/* A little of the work is done each time somebody asks. */
cudaError_t cudaEventQuery(cudaEvent_t e)
{
    pthread_mutex_lock(&lock);
    const bool done = !e->stream || e->stream->done >= e->position;
    if (!done) {
        run_until(e->stream, e->stream->done + 1);
    }
    pthread_mutex_unlock(&lock);
    last_error = done ? last_error : cudaErrorNotReady;
    return done ? cudaSuccess : cudaErrorNotReady;
}

/* "Not ready" is remembered too, and a launcher that asks whether its launch went well would take it for its own. */
cudaError_t cudaGetLastError(void)
{
    const cudaError_t last = last_error;
    last_error = cudaSuccess;
    return last;
}

cudaError_t emulated_launch(cudaStream_t s, emulated_work work, const void *arg, size_t bytes)
{
    const cudaError_t status = emulated_queue(s, work, arg, bytes);
    return status == cudaSuccess ? cudaGetLastError() : status;
}

/* On the first GPU everything takes equally long; on the others what is measured later is faster. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    static _Thread_local float later;
    later += 1;
    *ms = device == 0 ? 1 : 1 / later;
    return a && b ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

/* ---- copies ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    void *to, *staged; /* staged: what ordinary memory held when the copy was asked for */
    const void *from;
    size_t bytes;
    int value;
} copy;

static void do_copy(const void *arg)
{
    const copy *c = arg;
    memcpy(c->to, c->staged ? c->staged : c->from, c->bytes);
    free(c->staged);
}

static void do_set(const void *arg)
{
    const copy *c = arg;
    memset(c->to, c->value, c->bytes);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
    copy c = {.to = to, .from = from, .bytes = bytes};
    if (kind == cudaMemcpyHostToDevice && !emulated_is_pinned(from)) {
        c.staged = malloc(bytes ? bytes : 1);
        memcpy(c.staged, from, bytes);
    }
    const cudaError_t status = emulated_queue(s, do_copy, &c, sizeof c);
    if (status == cudaSuccess && kind == cudaMemcpyDeviceToHost && !emulated_is_pinned(to)) {
        emulated_finish(s);
    }
    return status;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    const copy c = {.to = p, .bytes = bytes, .value = value};
    return emulated_queue(s, do_set, &c, sizeof c);
}
