#include "tests/support/support.h"

#include <limits.h>

#include "src/core/reflect.h"

/* As numpy.pad(range(n), border, "reflect") has them. */
static void reflects_without_repeating_the_edge(void **state)
{
    (void)state;
    static const int four[] = {2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1};       /* -4 .. 7 */
    static const int three[] = {2, 1, 0, 1, 2, 1, 0, 1, 2};               /* -2 .. 6 */
    for (int i = -4; i < 8; i++) {
        assert_int_equal(fnr_reflect(i, 4), four[i + 4]);
    }
    for (int i = -2; i < 7; i++) {
        assert_int_equal(fnr_reflect(i, 3), three[i + 2]);
        assert_int_equal(fnr_reflect(i, 1), 0);
        assert_int_equal(fnr_reflect(i - 2, 2), (i + 2) % 2);
    }
}

static void far_indices_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(fnr_reflect(1000001, 2), 1);
    assert_int_equal(fnr_reflect(-1000001, 2), 1);
    assert_int_equal(fnr_reflect(INT_MAX, INT_MAX), INT_MAX - 2); /* n -> n - 2 */
    assert_int_equal(fnr_reflect(-1, INT_MAX), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reflects_without_repeating_the_edge),
        cmocka_unit_test(far_indices_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
