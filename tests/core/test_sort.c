/* Against qsort of the C library. */
#include "tests/support/support.h"

#include "src/core/rng.h"
#include "src/core/sort.h"

enum { N = 3000 };

static int up(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Orders that quicksorts are known to dislike, among them values that are all alike and an organ pipe. */
static float value(int order, int i, int n, fnr_rng *g)
{
    switch (order) {
    case 0:
        return (float)fnr_rng_uniform(g) - 0.5f;
    case 1:
        return (float)i;
    case 2:
        return (float)-i;
    case 3:
        return 7;
    case 4:
        return (float)(i < n / 2 ? i : n - i);
    case 5:
        return (float)fnr_rng_below(g, 3);
    default:
        return i % 2 ? INFINITY : -INFINITY;
    }
}

/* sorted: what fnr_nth_float must find, at the ends and anywhere between. */
static void nth_is_right(int order, int n, const float *sorted, fnr_rng *g)
{
    static float x[N];
    for (int i = 0; i < n; i++) {
        x[i] = sorted[(i * 7919) % n]; /* a prime: every value once, unless n is a multiple of it */
    }
    const size_t where[] = {0, (size_t)n / 4, n > 0 ? (size_t)n - 1 : 0, n > 0 ? (size_t)fnr_rng_below(g, (uint64_t)n) : 0};
    for (int i = 0; n > 0 && i < 4; i++) {
        if (fnr_nth_float(x, (size_t)n, where[i]) != sorted[where[i]]) {
            fail_msg("order %d: number %zu of %d", order, where[i], n);
        }
    }
}

static void as_qsort_does(void **state)
{
    (void)state;
    static float x[N + 1], y[N];
    fnr_rng g = fnr_rng_at(3, 1, 4);
    for (int order = 0; order < 7; order++) {
        for (int n = 0; n <= N; n += n < 40 ? 1 : 37) {
            for (int i = 0; i < n; i++) {
                x[i] = y[i] = value(order, i, n, &g);
            }
            x[n] = -1e30f; /* not ours */
            fnr_sort_floats(x, (size_t)n);
            qsort(y, (size_t)n, sizeof *y, up);
            assert_memory_equal(x, y, (size_t)n * sizeof *x);
            assert_true(x[n] == -1e30f);
            nth_is_right(order, n, y, &g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_qsort_does)};
    return cmocka_run_group_tests_name("sort", tests, NULL, NULL);
}
