/* Memory of a program: every buffer has a size and a span of time in which its contents matter; buffers whose spans do not meet
 * share addresses in one block of memory. */
#ifndef FNR_NET_ONEDNN_PLAN_H
#define FNR_NET_ONEDNN_PLAN_H

#include <stddef.h>
#include "src/core/err.h"

typedef struct {
    size_t floats, offset; /* offset in floats from the start of the block, once placed */
    int first, last;       /* inclusive */
} fnr_dn_buffer;

typedef struct {
    fnr_dn_buffer *buffers;
    size_t count, capacity;
    int end;       /* last point in time of the program */
    size_t floats; /* size of the block, once placed */
    float *block;  /* owned; NULL until fnr_dn_plan_allocate */
} fnr_dn_plan;

/* A new buffer that lives over [first, last]; its number, or -1 when out of memory. */
int fnr_dn_plan_add(fnr_dn_plan *p, size_t floats, int first, int last, fnr_error *err);
/* A buffer nobody else ever shares, zero at the start. */
int fnr_dn_plan_add_kept(fnr_dn_plan *p, size_t floats, fnr_error *err);
/* Makes the buffer live at `time` as well. */
void fnr_dn_plan_touch(fnr_dn_plan *p, int buffer, int time);

/* Chooses the addresses: largest first, each at the lowest place that is free over its whole span. */
bool fnr_dn_plan_place(fnr_dn_plan *p, fnr_error *err);
/* Zeroed memory, in huge pages where the system has them. */
bool fnr_dn_plan_allocate(fnr_dn_plan *p, fnr_error *err);
void fnr_dn_plan_free(fnr_dn_plan *p);

/* NULL for buffer -1. */
static inline float *fnr_dn_plan_data(const fnr_dn_plan *p, int buffer)
{
    return buffer < 0 ? NULL : p->block + p->buffers[buffer].offset;
}

#endif
