#include "tests/support/support.h"

#include <errno.h>

static void fail_fills_and_returns_false(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_false(fnr_fail(&err, FNR_E_FORMAT, "%s: page %d is cut", "a.tif", 3));
    assert_int_equal(err.code, FNR_E_FORMAT);
    assert_string_equal(err.message, "a.tif: page 3 is cut");
    assert_false(fnr_fail(NULL, FNR_E_IO, "nobody listens"));
}

static void errno_text_and_prefix(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_false(fnr_fail_errno(&err, ENOENT, "cannot open b.tif"));
    assert_string_equal(err.message, "cannot open b.tif: No such file or directory");
    fnr_error_prefix(&err, "tile %s", "r1-c2");
    assert_string_equal(err.message, "tile r1-c2: cannot open b.tif: No such file or directory");
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    fnr_error err = {0};
    char longtext[4000];
    memset(longtext, 'x', sizeof longtext - 1);
    longtext[sizeof longtext - 1] = 0;
    fnr_fail(&err, FNR_E_IO, "%s", longtext);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    fnr_error_prefix(&err, "%s", longtext);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_and_returns_false),
        cmocka_unit_test(errno_text_and_prefix),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
