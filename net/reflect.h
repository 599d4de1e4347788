/* Indices past the border, mirrored at the centre of the first and the last pixel (numpy's "reflect"). */
#ifndef FNR_NET_REFLECT_H
#define FNR_NET_REFLECT_H

/* Any i, n >= 1. Mirrors repeatedly, so images may be smaller than the border; of a single pixel there is only that one. */
static inline int fnr_reflect(int i, int n)
{
    if (n == 1) {
        return 0;
    }
    const int period = 2 * (n - 1);
    i %= period;
    i = i < 0 ? i + period : i;
    return i < n ? i : period - i;
}

#endif
