#include "net/cuda/plan.h"

#include <stdlib.h>

#include "src/core/mem.h"

#define ALIGN ((size_t)256) /* what cudaMalloc gives, and more than any kernel wants */

int fnr_cu_plan_add(fnr_cu_plan *p, size_t bytes, int first, int last, fnr_error *err)
{
    if (!fnr_grow(&p->buffers, &p->capacity, p->count, sizeof *p->buffers, "buffers of a program", err)) {
        return -1;
    }
    const size_t size = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    p->buffers[p->count] = (fnr_cu_buffer){.bytes = size ? size : ALIGN, .first = first, .last = last};
    return (int)p->count++;
}

int fnr_cu_plan_add_kept(fnr_cu_plan *p, size_t bytes, fnr_error *err)
{
    return fnr_cu_plan_add(p, bytes, 0, p->end, err);
}

void fnr_cu_plan_touch(fnr_cu_plan *p, int buffer, int time)
{
    if (buffer >= 0) {
        fnr_cu_buffer *b = &p->buffers[buffer];
        b->first = time < b->first ? time : b->first;
        b->last = time > b->last ? time : b->last;
    }
}

static int by_size(const void *a, const void *b)
{
    const fnr_cu_buffer *x = *(fnr_cu_buffer *const *)a, *y = *(fnr_cu_buffer *const *)b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* the order in which they were added: the same plan every time */
}

/* Lowest offset at which `b` overlaps none of the placed buffers that live at the same time. */
static size_t lowest_free(fnr_cu_buffer *const *placed, size_t count, const fnr_cu_buffer *b)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            const fnr_cu_buffer *o = placed[i];
            const bool meet = o->first <= b->last && b->first <= o->last;
            if (meet && offset < o->offset + o->bytes && o->offset < offset + b->bytes) {
                offset = o->offset + o->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

bool fnr_cu_plan_place(fnr_cu_plan *p, fnr_error *err)
{
    fnr_cu_buffer **order = fnr_calloc(p->count + 1, sizeof(fnr_cu_buffer *), "order of buffers", err);
    if (!order) {
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        order[i] = &p->buffers[i];
    }
    qsort(order, p->count, sizeof *order, by_size);
    p->bytes = 0;
    for (size_t i = 0; i < p->count; i++) {
        order[i]->offset = lowest_free(order, i, order[i]);
        const size_t end = order[i]->offset + order[i]->bytes;
        p->bytes = end > p->bytes ? end : p->bytes;
    }
    free(order);
    return true;
}

void fnr_cu_plan_free(fnr_cu_plan *p)
{
    free(p->buffers);
    *p = (fnr_cu_plan){0};
}
