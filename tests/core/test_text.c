#include "tests/support/support.h"

#include <stdlib.h>

#include "src/core/text.h"

/* Boundary cases of Markus Kuhn's UTF-8 stress test. */
static void lengths_of_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        unsigned code;
    } cases[] = {{"A", 1, 'A'},
                 {"\x7F", 1, 0x7F},
                 {"\xC2\x80", 2, 0x80},
                 {"\xDF\xBF", 2, 0x7FF},
                 {"\xE0\xA0\x80", 3, 0x800},
                 {"\xEF\xBF\xBD", 3, 0xFFFD},
                 {"\xF0\x90\x80\x80", 4, 0x10000},
                 {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
                 {"\x80", 0, 0},             /* continuation alone */
                 {"\xC0\xAF", 0, 0},         /* overlong '/' */
                 {"\xE0\x9F\xBF", 0, 0},     /* overlong */
                 {"\xF0\x8F\xBF\xBF", 0, 0}, /* overlong */
                 {"\xED\xA0\x80", 0, 0},     /* surrogate */
                 {"\xF4\x90\x80\x80", 0, 0}, /* beyond Unicode */
                 {"\xF8\x88\x80\x80", 0, 0},
                 {"\xFF", 0, 0},
                 {"\xE2\x82", 0, 0}}; /* cut */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned code = 0;
        assert_int_equal(fnr_utf8_length(cases[i].bytes, strlen(cases[i].bytes), &code), cases[i].length);
        assert_int_equal(code, cases[i].code);
    }
    assert_int_equal(fnr_utf8_length("\xE2\x82\xAC", 2, NULL), 0);
    assert_int_equal(fnr_utf8_length("", 0, NULL), 0);
}

static void check_escape(const char *bytes, bool (*holds)(unsigned), const char *expected)
{
    fnr_error err = {0};
    char *text = fnr_text_escape(bytes, holds, &err);
    assert_non_null(text);
    assert_string_equal(text, expected);
    fnr_text_unescape(text);
    assert_string_equal(text, bytes);
    free(text);
}

static void escapes_tell_the_bytes_back(void **state)
{
    (void)state;
    check_escape("", NULL, "");
    check_escape("plain \xC3\xA4\xE2\x82\xAC.tif", NULL, "plain \xC3\xA4\xE2\x82\xAC.tif");
    check_escape("gr\xFC\xDF" "e.tif", NULL, "gr\\xFC\\xDF" "e.tif"); /* Latin-1 */
    check_escape("two\nlines", NULL, "two\nlines");
    check_escape("two\nlines\x1b\x7f", fnr_text_is_printable, "two\\x0Alines\\x1B\\x7F");
    check_escape("\xEF\xBF\xBE", fnr_text_is_printable, "\\xEF\\xBF\\xBE");
    check_escape("back\\slash\\", NULL, "back\\slash\\");
    check_escape("looks\\x41like", NULL, "looks\\x5Cx41like"); /* or it would come back as "looksAlike" */
    check_escape("\\\xFF\\x4\xFF", NULL, "\\\\xFF\\x4\\xFF");
    for (int high = 1; high < 256; high++) { /* every byte behind every kind of beginning */
        const char bytes[] = {'\\', 'x', (char)high, '0', (char)high, (char)0xC3, (char)high, 0};
        fnr_error err = {0};
        char *text = fnr_text_escape(bytes, fnr_text_is_printable, &err);
        assert_non_null(text);
        for (const char *s = text; *s;) {
            const size_t n = fnr_utf8_length(s, strlen(s), NULL);
            assert_true(n > 0);
            s += n;
        }
        fnr_text_unescape(text);
        assert_string_equal(text, bytes);
        free(text);
    }
}

static void lines_for_people_are_cut_between_characters(void **state)
{
    (void)state;
    char out[8];
    fnr_text_printable(out, sizeof out, "a\nb\\x41");
    assert_string_equal(out, "a\\x0Ab\\");
    fnr_text_printable(out, sizeof out, "abcde\xE2\x82\xAC");
    assert_string_equal(out, "abcde");
    fnr_text_printable(out, sizeof out, "abcd\xE2\x82\xAC");
    assert_string_equal(out, "abcd\xE2\x82\xAC");
    fnr_text_printable(out, sizeof out, "abcdef\xFF");
    assert_string_equal(out, "abcdef");
}

static void messages_are_one_line_of_utf8(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_fail(&err, FNR_E_IO, "%s: broken", "a\nb\xFF.tif");
    assert_string_equal(err.message, "a\\x0Ab\\xFF.tif: broken");
    fnr_error_prefix(&err, "tile %s", "\x01");
    assert_string_equal(err.message, "tile \\x01: a\\x0Ab\\xFF.tif: broken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_of_sequences),
        cmocka_unit_test(escapes_tell_the_bytes_back),
        cmocka_unit_test(lines_for_people_are_cut_between_characters),
        cmocka_unit_test(messages_are_one_line_of_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
