/* Tiles whose files were turned against the rest of their section are said to be, and no others. */
#include "tests/support/support.h"

#include "src/pipeline/section.h"

enum { N = 6 };

static void run_with(const double rotation[N], const fnr_verdict verdict[N], fnr_section_tile tiles[N], char **log_text)
{
    size_t size = 0;
    FILE *stream = open_memstream(log_text, &size);
    assert_non_null(stream);
    fnr_log *log = fnr_log_new(stream, FNR_LOG_NORMAL);
    assert_non_null(log);
    fnr_run run = {.log = log};
    fnr_section s = {.run = &run, .tiles = tiles, .n_tiles = N};
    memset(tiles, 0, N * sizeof *tiles);
    static const char *const names[N] = {"a.tif", "b.tif", "c.tif", "d.tif", "e.tif", "f.tif"};
    for (int i = 0; i < N; i++) {
        tiles[i].name = names[i];
        tiles[i].reg.verdict = verdict[i];
        tiles[i].reg.has_transform = verdict[i] == FNR_REGISTERED || verdict[i] == FNR_DOUBTFUL;
        tiles[i].reg.rotation_deg = rotation[i];
    }
    fnr_section_say_turned(&s);
    fnr_log_free(log);
    fclose(stream);
}

static const fnr_verdict all[N] = {FNR_REGISTERED, FNR_REGISTERED, FNR_REGISTERED, FNR_REGISTERED, FNR_REGISTERED, FNR_REGISTERED};

static void turned_tiles_are_named(void **state)
{
    (void)state;
    /* about 178 degrees, across the seam of +-180; b by half a circle, e by a quarter */
    const double rotation[N] = {178, -1.5, -179.5, 177.2, -92, 179};
    fnr_section_tile tiles[N];
    char *text = NULL;
    run_with(rotation, all, tiles, &text);
    assert_string_equal(tiles[1].reg.reason, "the file is turned by 180 degrees against 4 other tiles");
    assert_string_equal(tiles[4].reg.reason, "the file is turned by 90 degrees against 4 other tiles");
    for (int i = 0; i < N; i++) {
        assert_true(i == 1 || i == 4 || !tiles[i].reg.reason[0]);
    }
    assert_non_null(strstr(text, "2 registered tiles are turned"));
    assert_non_null(strstr(text, "b.tif by 180 degrees"));
    free(text);
}

static void tiles_that_agree_or_are_doubtful_are_not(void **state)
{
    (void)state;
    const double alike[N] = {-3, 4, 1, 0, 2, -2}, askew[N] = {10, 10, 10, 10, 40, 130}, doubt[N] = {10, 10, 190, 10, 10, 10};
    const fnr_verdict doubtful[N] = {FNR_REGISTERED, FNR_REGISTERED, FNR_DOUBTFUL, FNR_BY_NEIGHBOURS, FNR_NO_CONTENT, FNR_FAILED};
    fnr_section_tile tiles[N];
    const double *const rotations[] = {alike, askew, doubt};
    for (int k = 0; k < 3; k++) {
        char *text = NULL;
        run_with(rotations[k], k == 2 ? doubtful : all, tiles, &text);
        for (int i = 0; i < N; i++) {
            assert_false(tiles[i].reg.reason[0]);
        }
        assert_string_equal(text, "");
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(turned_tiles_are_named), cmocka_unit_test(tiles_that_agree_or_are_doubtful_are_not)};
    return cmocka_run_group_tests_name("turned", tests, NULL, NULL);
}
