/* Sorting of plain numbers: GSL's heap sort takes eight times as long, and medians are asked for everywhere. */
#ifndef FNR_CORE_SORT_H
#define FNR_CORE_SORT_H

#include <stddef.h>

/* Upwards, in place; x holds no NaN. */
void fnr_sort_floats(float *x, size_t n);

/* What x[k] would be after sorting (k < n); x is reordered.  Quickselect (Hoare 1961): linear time, as a rule. */
float fnr_nth_float(float *x, size_t n, size_t k);

#endif
