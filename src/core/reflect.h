/* Indices past the border, mirrored at the centre of the first and the last pixel (numpy's "reflect"). */
#ifndef FNR_CORE_REFLECT_H
#define FNR_CORE_REFLECT_H

#include "src/core/hd.h"

/* Any i, n >= 1: -1 -> 1, n -> n - 2.  Mirrors repeatedly, so images may be smaller than the border; of a single pixel there is
 * only that one. */
static FNR_HD int fnr_reflect(long i, int n)
{
    if (n == 1) {
        return 0;
    }
    const long period = 2L * n - 2;
    i %= period;
    i = i < 0 ? i + period : i;
    return (int)(i < n ? i : period - i);
}

#endif
