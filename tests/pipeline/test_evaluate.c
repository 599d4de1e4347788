/* Figures against numbers worked out by hand. */
#include "tests/support/support.h"

#include <cjson/cJSON.h>
#include <libxml/parser.h>
#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/pipeline/evaluate_report.h"

#define assert_near(value, expected, tolerance) assert_at_most(fabs((value) - (expected)), (tolerance))

/* Transforms that differ by a shift have that shift as error everywhere. */
static fnr_eval_row row(const char *name, const char *path, const char *verdict, double dx)
{
    fnr_eval_row r = {.tile = (char *)name,
                      .path = (char *)path,
                      .mbp = (char *)"",
                      .has_transform = true,
                      .t = {1, 0, 0, 1, dx, 7, FNR_FRAME_TILE, FNR_FRAME_IF},
                      .w = 64,
                      .h = 48,
                      .myelin_fraction = NAN};
    snprintf(r.verdict, sizeof r.verdict, "%s", verdict);
    return r;
}

static void figures_are_those_of_a_pocket_calculator(void **state)
{
    (void)state;
    /* errors 1 2 3 4 and 40; one tile without a transform, one that the result does not know, one without enough myelin */
    fnr_eval_row a[] = {row("a", "a", "registered", 1),  row("b", "b", "registered", 2),  row("c", "c", "doubtful", 3),
                        row("d", "d", "registered", 4),  row("e", "e", "registered", 40), row("f", "f", "failed", 0),
                        row("g", "g", "no-content", 0.5)};
    fnr_eval_row b[8];
    static const char *const names[] = {"h", "g", "f", "e", "d", "c", "b", "a"};
    for (int i = 0; i < 8; i++) {
        b[i] = row(names[i], names[i], "", 0);
        b[i].myelin_fraction = i == 1 ? 0.001 : 0.2;
    }
    a[5].has_transform = false;
    const fnr_eval_set result = {a, 7}, truth = {b, 8};
    const fnr_eval_options options = {.min_myelin = 0.01, .success_px = 5};
    fnr_eval_comparison c;
    fnr_error err = {0};
    assert_ok(fnr_eval_compare(&result, &truth, &options, &c, &err), err);
    assert_int_equal(c.n_tiles, 7);
    assert_int_equal(c.counted, 6);
    assert_int_equal(c.with_transform, 5);
    assert_int_equal(c.within, 4);
    assert_int_equal(c.registered, 4);
    assert_int_equal(c.registered_wrong, 1);
    assert_int_equal(c.n_missing, 1);
    assert_string_equal(c.missing[0], "h");
    assert_near(c.found.mean.value, 2.5, 1e-9);
    assert_near(c.found.sd, 1.2909944487, 1e-9); /* sqrt(5 / 3) */
    assert_near(c.found.median.value, 2.5, 1e-9);
    assert_near(c.found.p95.value, 3.85, 1e-9); /* 0.95 of the way through three gaps */
    assert_near(c.found.worst, 4, 1e-9);
    assert_near(c.all.median.value, 3, 1e-9);
    assert_near(c.all.worst, 40, 1e-9);
    assert_near(c.success.value, 4.0 / 6, 1e-12);
    /* Wilson for 4 of 6: (p + z^2/12 -+ z sqrt(p (1 - p) / 6 + z^2/144)) / (1 + z^2/6) with z = 1.96 */
    assert_near(c.success.lo, 0.3000, 5e-5);
    assert_near(c.success.hi, 0.9032, 5e-5);
    /* Means of four draws from {1, 2, 3, 4}: 2.5 % of the 256 equally likely ones are at most 1.5. */
    assert_near(c.found.mean.lo, 1.5, 1e-9);
    assert_near(c.found.mean.hi, 3.5, 1e-9);
    fnr_eval_comparison_free(&c);
}

/* Shifts by (1, -1), (1, 1) and (3, 4), and a slope: the mean of |x| over x = -2 ... 2. */
static void published_errors_are_sums_not_displacements(void **state)
{
    (void)state;
    const fnr_transform none = {1, 0, 0, 1, 0, 0, FNR_FRAME_TILE, FNR_FRAME_IF};
    fnr_transform t = none;
    t.m02 = 1, t.m12 = -1;
    assert_near(fnr_eval_published_error(&t, &none, 60, 40), 0, 1e-12);
    t.m12 = 1;
    assert_near(fnr_eval_published_error(&t, &none, 60, 40), 2, 1e-12);
    t.m02 = 3, t.m12 = 4;
    assert_near(fnr_eval_published_error(&none, &t, 60, 40), 7, 1e-12);
    t = none;
    t.m10 = 1, t.m12 = -2;
    assert_near(fnr_eval_published_error(&t, &none, 5, 7), (2 + 1 + 0 + 1 + 2) / 5.0, 1e-12);
    fnr_eval_stats s = {.n = 4, .sd = 2}; /* sqrt(sum / 3): sqrt(sum / 4) is sqrt(3) */
    fnr_eval_published_sd(&s);
    assert_near(s.sd, sqrt(3), 1e-12);
}

static void tiles_of_one_name_are_told_apart_by_their_folders(void **state)
{
    (void)state;
    fnr_eval_row a[] = {row("t.tif", "x/S1/t.tif", "", 0), row("t.tif", "x/S2/t.tif", "", 10)};
    fnr_eval_row b[] = {row("t.tif", "/data/y/S2/t.tif", "", 11), row("t.tif", "/data/y/S1/t.tif", "", 2)};
    fnr_eval_set first = {a, 2};
    const fnr_eval_set second = {b, 2};
    const fnr_eval_options options = {.success_px = 5};
    fnr_eval_comparison c;
    fnr_error err = {0};
    assert_ok(fnr_eval_compare(&first, &second, &options, &c, &err), err);
    assert_near(c.tiles[0].px, 2, 1e-9);
    assert_near(c.tiles[1].px, 1, 1e-9);
    fnr_eval_comparison_free(&c);
    a[0].path = (char *)"t.tif"; /* as in our own tables: nobody can tell which of the two is meant */
    first.count = 1;
    assert_false(fnr_eval_compare(&first, &second, &options, &c, &err));
    assert_non_null(strstr(err.message, "several tiles named t.tif in different folders"));
}

static char *text_of(const char *dir, const char *name)
{
    char path[FNR_PATH_MAX], *text;
    size_t size;
    fnr_error err = {0};
    assert_ok(fnr_path_join(path, dir, name, &err), err);
    assert_ok(fnr_read_file(path, 1 << 22, &text, &size, &err), err);
    return text;
}

static void is_xml(const char *dir, const char *name)
{
    char *text = text_of(dir, name);
    xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), name, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlFreeDoc(doc);
    free(text);
}

static void files_say_the_same_and_are_well_formed(void **state)
{
    (void)state;
    char dir[FNR_PATH_MAX], path[FNR_PATH_MAX];
    fnr_eval_row a[] = {row("a \"<&>\",.tif", "a", "registered", 0.25), row("b", "b", "by-neighbours", 0.75),
                        row("c", "c", "doubtful", 30)};
    fnr_eval_row b[] = {row("a \"<&>\",.tif", "a", "", 0), row("b", "b", "", 0), row("c", "c", "", 0)};
    const fnr_eval_set result = {a, 3}, truth = {b, 3};
    fnr_eval_report r = {.result = "out<1>", .n = 2, .options = {.success_px = 5, .if_nm = 100}};
    fnr_eval_comparison c[2];
    fnr_audit audit = {.tiles = 6, .files = 2};
    fnr_error err = {0};
    assert_ok(fnr_path_join(dir, fnr_test_tmpdir(), "new/eval", &err), err);
    for (int i = 0; i < 2; i++) {
        assert_ok(fnr_eval_compare(i ? &truth : &result, &truth, &r.options, &c[i], &err), err);
        c[i].between_people = i == 1;
    }
    r.comparisons = c;
    r.audit = &audit;
    assert_ok(fnr_eval_report_write(dir, &r, &err), err);
    fnr_csv table;
    assert_ok(fnr_path_join(path, dir, "tiles.csv", &err), err);
    assert_ok(fnr_csv_read(path, &table, &err), err);
    assert_int_equal(table.rows, 7);
    assert_string_equal(fnr_csv_cell(&table, 0, fnr_csv_column(&table, "tile")), "a \"<&>\",.tif");
    assert_string_equal(fnr_csv_cell(&table, 0, fnr_csv_column(&table, "error_nm")), "25.0");
    assert_string_equal(fnr_csv_cell(&table, 2, fnr_csv_column(&table, "within")), "0");
    fnr_csv_free(&table);
    assert_ok(fnr_path_join(path, dir, "summary.csv", &err), err);
    assert_ok(fnr_csv_read(path, &table, &err), err);
    assert_string_equal(fnr_csv_cell(&table, 0, fnr_csv_column(&table, "mean_px")), "0.5");
    assert_string_equal(fnr_csv_cell(&table, 1, fnr_csv_column(&table, "kind")), "people");
    fnr_csv_free(&table);
    char *text = text_of(dir, "summary.json");
    cJSON *json = cJSON_Parse(text);
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "comparisons"), 0);
    assert_near(cJSON_GetObjectItem(first, "mean_nm")->valuedouble, 50, 1e-9);
    assert_near(cJSON_GetObjectItem(json, "floor_mean_px")->valuedouble, 0, 1e-12);
    cJSON_Delete(json);
    free(text);
    is_xml(dir, "histogram.svg");
    is_xml(dir, "evaluation.html");
    text = text_of(dir, "evaluation.html");
    assert_non_null(strstr(text, "2 of 3 tiles within 5 px, 0.50 px off on average"));
    free(text);
    fnr_eval_comparison_free(&c[0]);
    fnr_eval_comparison_free(&c[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_a_pocket_calculator),
        cmocka_unit_test(published_errors_are_sums_not_displacements),
        cmocka_unit_test(tiles_of_one_name_are_told_apart_by_their_folders),
        cmocka_unit_test(files_say_the_same_and_are_well_formed),
    };
    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
