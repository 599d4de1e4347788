/* Quicksort (Hoare's partition, median of three; Sedgewick 1978), insertion sort for what is short, heap sort where it would degenerate
 * (Musser 1997). */
#include "src/core/sort.h"

#include <gsl/gsl_sort_float.h>

enum { SHORT = 16 };

static inline void swap(float *a, float *b)
{
    const float t = *a;
    *a = *b;
    *b = t;
}

static void insertion(float *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const float v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--) {
            x[k] = x[k - 1];
        }
        x[k] = v;
    }
}

/* Puts the median of the first, middle and last value into the middle and the others around it. */
static float pivot_of(float *x, size_t n)
{
    float *const a = x, *const b = x + n / 2, *const c = x + n - 1;
    if (*b < *a) {
        swap(a, b);
    }
    if (*c < *b) {
        swap(b, c);
        if (*b < *a) {
            swap(a, b);
        }
    }
    return *b;
}

/* Splits x into values <= pivot and values >= pivot, neither part empty; returns the length of the first. */
static size_t partition(float *x, size_t n)
{
    const float pivot = pivot_of(x, n);
    size_t i = 0, k = n - 1;
    for (;;) {
        while (x[++i] < pivot) {
        }
        while (x[--k] > pivot) {
        }
        if (i >= k) {
            return k + 1;
        }
        swap(&x[i], &x[k]);
    }
}

static void sort(float *x, size_t n, int depth)
{
    while (n > SHORT && depth > 0) {
        const size_t first = partition(x, n);
        depth--;
        /* The shorter part by a call, the longer one here: the stack stays shallow. */
        if (first < n - first) {
            sort(x, first, depth);
            x += first;
            n -= first;
        } else {
            sort(x + first, n - first, depth);
            n = first;
        }
    }
    if (n > SHORT) {
        gsl_sort_float(x, 1, n);
    } else {
        insertion(x, n);
    }
}

float fnr_nth_float(float *x, size_t n, size_t k)
{
    while (n > SHORT) {
        const size_t first = partition(x, n);
        if (k < first) {
            n = first;
        } else {
            x += first;
            n -= first;
            k -= first;
        }
    }
    insertion(x, n);
    return x[k];
}

void fnr_sort_floats(float *x, size_t n)
{
    int depth = 2;
    for (size_t k = n; k > 1; k /= 2) {
        depth += 2;
    }
    sort(x, n, depth);
}
