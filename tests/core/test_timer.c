#include "tests/support/support.h"

#include <time.h>

#include "src/core/timer.h"

static void durations_as_text(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0.0 s"},           {4.46, "4.5 s"},        {9.94, "9.9 s"},      {9.96, "10 s"},        {12, "12 s"},
        {59.4, "59 s"},         {59.7, "1 min 00 s"},   {200, "3 min 20 s"},  {3599.4, "59 min 59 s"}, {3599.6, "1 h 00 min"},
        {3720, "1 h 02 min"},   {86340, "23 h 59 min"}, {86399, "1 d 00 h"},  {2 * 86400 + 3 * 3600, "2 d 03 h"},
        {-1, "?"},              {NAN, "?"},             {INFINITY, "?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        fnr_format_duration(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void now_goes_on(void **state)
{
    (void)state;
    const double a = fnr_now_s();
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
    const double b = fnr_now_s();
    assert_true(b - a >= 0.005);
    assert_true(b - a < 60); /* seconds, not milliseconds */
}

static void utc_stamp(void **state)
{
    (void)state;
    char text[32];
    const time_t before = time(NULL);
    setenv("TZ", "XXX-9", 1); /* a local time must not leak in */
    tzset();
    fnr_utc_now(text);
    int y, mo, d, h, mi, s, end = 0;
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &y, &mo, &d, &h, &mi, &s, &end), 6);
    assert_int_equal(end, 20);
    assert_int_equal(text[end], 0);
    struct tm utc = {.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi, .tm_sec = s};
    const time_t parsed = timegm(&utc);
    assert_true(parsed >= before && parsed <= before + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_as_text),
        cmocka_unit_test(now_goes_on),
        cmocka_unit_test(utc_stamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
