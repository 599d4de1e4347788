#include "net/onednn/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "src/core/mem.h"

#define ALIGN_FLOATS ((size_t)32) /* two cache lines: what the processor fetches together */
#define HUGE_PAGE ((size_t)2 << 20)

int fnr_dn_plan_add(fnr_dn_plan *p, size_t floats, int first, int last, fnr_error *err)
{
    if (!fnr_grow(&p->buffers, &p->capacity, p->count, sizeof *p->buffers, "buffers of a program", err)) {
        return -1;
    }
    size_t size = (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    p->buffers[p->count] = (fnr_dn_buffer){.floats = size ? size : ALIGN_FLOATS, .first = first, .last = last};
    return (int)p->count++;
}

int fnr_dn_plan_add_kept(fnr_dn_plan *p, size_t floats, fnr_error *err)
{
    return fnr_dn_plan_add(p, floats, 0, p->end, err);
}

void fnr_dn_plan_touch(fnr_dn_plan *p, int buffer, int time)
{
    if (buffer < 0) {
        return;
    }
    fnr_dn_buffer *b = &p->buffers[buffer];
    b->first = time < b->first ? time : b->first;
    b->last = time > b->last ? time : b->last;
}

static int by_size(const void *a, const void *b)
{
    const fnr_dn_buffer *x = *(fnr_dn_buffer *const *)a, *y = *(fnr_dn_buffer *const *)b;
    if (x->floats != y->floats) {
        return x->floats > y->floats ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* the order in which they were added: the same plan every time */
}

static bool meet(const fnr_dn_buffer *a, const fnr_dn_buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest offset at which `b` overlaps none of the placed buffers that live at the same time. */
static size_t lowest_free(fnr_dn_buffer *const *placed, size_t count, const fnr_dn_buffer *b)
{
    size_t offset = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            const fnr_dn_buffer *o = placed[i];
            if (meet(o, b) && offset < o->offset + o->floats && o->offset < offset + b->floats) {
                offset = o->offset + o->floats;
                moved = true;
            }
        }
    }
    return offset;
}

bool fnr_dn_plan_place(fnr_dn_plan *p, fnr_error *err)
{
    fnr_dn_buffer **order = fnr_calloc(p->count + 1, sizeof(fnr_dn_buffer *), "order of buffers", err);
    if (!order) {
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        order[i] = &p->buffers[i];
    }
    qsort(order, p->count, sizeof *order, by_size);
    p->floats = 0;
    for (size_t i = 0; i < p->count; i++) {
        order[i]->offset = lowest_free(order, i, order[i]);
        size_t end = order[i]->offset + order[i]->floats;
        p->floats = end > p->floats ? end : p->floats;
    }
    free(order);
    return true;
}

bool fnr_dn_plan_allocate(fnr_dn_plan *p, fnr_error *err)
{
    size_t bytes = (p->floats * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (!fnr_memory_is_free(bytes, "the network's activations", err)) {
        return false;
    }
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return fnr_fail(err, FNR_E_LIMIT, "no memory for the network: %.1f MiB; use a smaller batch, patch or tile", (double)bytes / 0x1p20);
    }
    (void)madvise(block, bytes, MADV_HUGEPAGE); /* a hint: without it everything works, slower */
    p->block = block;
    p->floats = bytes / sizeof(float);
    return true;
}

void fnr_dn_plan_free(fnr_dn_plan *p)
{
    if (p->block) {
        munmap(p->block, p->floats * sizeof(float));
    }
    free(p->buffers);
    *p = (fnr_dn_plan){0};
}
