/* Memory of a program: every buffer has a size and a span of time in which its contents matter; buffers whose spans do not meet
 * share addresses in one block.  The block is the same on every GPU, so offsets are planned once. */
#ifndef FNR_NET_CUDA_PLAN_H
#define FNR_NET_CUDA_PLAN_H

#include <stddef.h>

#include "src/core/err.h"

typedef struct {
    size_t bytes, offset; /* offset from the start of the block, once placed */
    int first, last;      /* inclusive */
} fnr_cu_buffer;

typedef struct {
    fnr_cu_buffer *buffers;
    size_t count, capacity;
    int end;      /* last point in time of the program */
    size_t bytes; /* size of the block, once placed */
} fnr_cu_plan;

/* A new buffer that lives over [first, last]; its number, or -1 when out of memory. */
int fnr_cu_plan_add(fnr_cu_plan *p, size_t bytes, int first, int last, fnr_error *err);
/* A buffer nobody else ever shares. */
int fnr_cu_plan_add_kept(fnr_cu_plan *p, size_t bytes, fnr_error *err);
/* Makes the buffer live at `time` as well; -1 is no buffer. */
void fnr_cu_plan_touch(fnr_cu_plan *p, int buffer, int time);
/* Chooses the addresses: largest first, each at the lowest place that is free over its whole span. */
bool fnr_cu_plan_place(fnr_cu_plan *p, fnr_error *err);
void fnr_cu_plan_free(fnr_cu_plan *p);

#endif
