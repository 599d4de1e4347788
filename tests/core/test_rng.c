#include "tests/support/support.h"

#include "src/core/rng.h"

/* Outputs of the SplitMix64 reference program (Vigna, splitmix64.c) for the seeds 0 and 1234567. */
static void mix_is_splitmix64(void **state)
{
    (void)state;
    static const uint64_t from_0[] = {0xE220A8397B1DCDAFull, 0x6E789E6AA1B965F4ull, 0x06C45D188009454Full};
    static const uint64_t from_1234567[] = {6457827717110365317ull, 3203168211198807973ull, 9817491932198370423ull,
                                            4593380528125082431ull, 16408922859458223821ull};
    const uint64_t gamma = 0x9E3779B97F4A7C15ull;
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(fnr_mix64(i * gamma) == from_0[i]);
    }
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(fnr_mix64(1234567 + i * gamma) == from_1234567[i]);
    }
}

/* Computed by hand in Python with whole numbers: key = mix(mix(mix(7) ^ 3) ^ 11), output i = mix(key ^ mix(i)). */
static void stream_values_are_pinned(void **state)
{
    (void)state;
    fnr_rng r = fnr_rng_at(7, 3, 11);
    static const uint64_t want[] = {0x7BE94DBBBD455F90ull, 0xFA936CEB42753CD0ull, 0xD567E6BF445D929Aull};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(fnr_rng_u64(&r) == want[i]);
    }
    r = fnr_rng_at(7, 3, 11);
    static const double uniform[] = {0x1.efa536eef5156p-2, 0x1.f526d9d684ea7p-1, 0x1.aacfcd7e88bb2p-1};
    for (size_t i = 0; i < sizeof uniform / sizeof *uniform; i++) {
        assert_true(fnr_rng_uniform(&r) == uniform[i]);
    }
    r = fnr_rng_at(7, 3, 11);
    static const uint64_t below[] = {484, 978, 833, 73, 501, 456};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        assert_true(fnr_rng_below(&r, 1000) == below[i]);
    }
    r = fnr_rng_at(7, 3, 11);
    static const double normal[] = {1.1402156000599573, 1.6932100272239592, -1.1358623535848362};
    for (size_t i = 0; i < sizeof normal / sizeof *normal; i++) {
        assert_at_most(fabs(fnr_rng_normal(&r) - normal[i]), 1e-14);
    }
}

static void streams_differ(void **state)
{
    (void)state;
    fnr_rng a = fnr_rng_at(1, 2, 3), b = fnr_rng_at(1, 3, 2), c = fnr_rng_at(2, 1, 3), d = fnr_rng_at(1, 2, 4);
    const uint64_t first = fnr_rng_u64(&a);
    assert_true(first != fnr_rng_u64(&b));
    assert_true(first != fnr_rng_u64(&c));
    assert_true(first != fnr_rng_u64(&d));
}

/* Bounds of more than five standard errors of n draws, so that a right generator passes; the seed is fixed anyway. */
static void moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    fnr_rng r = fnr_rng_at(42, 0, 0);
    double sum = 0, squares = 0, fourth = 0, inside = 0, far = 0, before = 0, lag = 0;
    for (int i = 0; i < N; i++) {
        const double x = fnr_rng_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        inside += fabs(x) < 1;
        far += fabs(x) > 2.5758293;
        lag += x * before;
        before = x;
    }
    assert_at_most(fabs(sum / N), 0.012);
    assert_at_most(fabs(squares / N - 1), 0.016);
    assert_at_most(fabs(fourth / N - 3), 0.12);
    assert_at_most(fabs(inside / N - 0.6826895), 0.006);
    assert_at_most(fabs(far / N - 0.01), 0.0012);
    assert_at_most(fabs(lag / N), 0.012);
}

static void below_covers_its_range_evenly(void **state)
{
    (void)state;
    enum { N = 70000, SIDES = 7 };
    int seen[SIDES] = {0};
    fnr_rng r = fnr_rng_at(5, 5, 5);
    for (int i = 0; i < N; i++) {
        const uint64_t v = fnr_rng_below(&r, SIDES);
        assert_true(v < SIDES);
        seen[v]++;
    }
    double chi2 = 0;
    for (int i = 0; i < SIDES; i++) {
        chi2 += (seen[i] - 10000.0) * (seen[i] - 10000.0) / 10000.0;
    }
    assert_at_most(chi2, 22.46); /* 6 degrees of freedom, p = 0.001 */
    assert_true(fnr_rng_below(&r, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mix_is_splitmix64),
        cmocka_unit_test(stream_values_are_pinned),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(moments),
        cmocka_unit_test(below_covers_its_range_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
