#include "tests/geom/trakem2_support.h"

#include <zlib.h>

static void attributes_of_a_patch(void **state)
{
    (void)state;
    fnr_t2_project p = t2_read_text(
        T2_HEAD "<t2_calibration pixelWidth=\"0.1\" pixelHeight=\"0.1\" unit=\"micron\"/>" T2_LAYER
                "<t2_patch oid=\"3\" width=\"64\" height=\"48\" transform=\"matrix(1.5, 0.25,-2.5E-1,1.5,100.5,200.25)\" "
                "title=\"a &amp; b\" type=\"1\" file_path=\"em/a.tif-----#slice=12\" o_width=\"64\" o_height=\"48\" "
                "min=\"3.5\" max=\"1.0E4\" locked=\"true\" visible=\"false\"/>"
                "<t2_patch oid=\"4\" type=\"0\" file_path=\"/abs//b.tif\" title=\"null\"/>" T2_TAIL);
    assert_int_equal(p.n_layers, 1);
    assert_true(p.layers[0].z == 3.0 && p.layers[0].thickness == 1.5);
    assert_string_equal(p.layers[0].title, "s0");
    assert_true(fabs(p.pixel_nm - 100) < 1e-12);
    assert_int_equal(p.n_patches, 2);
    const fnr_t2_patch *a = &p.patches[0], *b = &p.patches[1];
    char want[600];
    snprintf(want, sizeof want, "%s/em/a.tif", fnr_test_tmpdir());
    assert_string_equal(a->file_path, want);
    assert_string_equal(a->title, "a & b");
    assert_int_equal(a->slice, 12);
    assert_int_equal(a->o_width, 64);
    assert_int_equal(a->o_height, 48);
    assert_int_equal(a->type, 1);
    assert_true(a->min == 3.5 && a->max == 1e4 && a->locked && !a->visible && a->layer == 0 && !a->has_nonlinear);
    t2_assert_transform(&a->to_world, 1.5, 0.25, -0.25, 1.5, 100.5, 200.25, 0);
    assert_int_equal(a->to_world.to, FNR_FRAME_WORLD);
    assert_string_equal(b->file_path, "/abs/b.tif");
    assert_string_equal(b->title, "b.tif");
    assert_true(b->min == 0 && b->max == 255 && !b->locked && b->visible && b->slice == 0 && b->o_width == 0);
    t2_assert_transform(&b->to_world, 1, 0, 0, 1, 0, 0, 0);
    fnr_t2_free(&p);
    assert_null(p.patches);
}

static void layers_and_nested_sets(void **state)
{
    (void)state;
    fnr_t2_project p = t2_read_text(
        T2_HEAD
        "<T2_LAYER oid=\"2\" z=\"0\" Thickness=\"8.75\"><t2_patch oid=\"3\" file_path=\"a\"/>"
        "<t2_layer_set oid=\"9\"><t2_calibration pixelWidth=\"7\" unit=\"nm\"/><t2_layer oid=\"10\" z=\"5\">"
        "<t2_patch oid=\"11\" file_path=\"inner\"/></t2_layer></t2_layer_set></T2_LAYER>"
        "<t2_layer oid=\"4\" z=\"8.75\"><T2_Patch OID=\"5\" FILE_PATH=\"b\"/><t2_patch oid=\"6\" file_path=\"c\"/>" T2_TAIL);
    assert_int_equal(p.n_layers, 2);
    assert_true(p.layers[0].thickness == 8.75 && p.layers[1].z == 8.75);
    assert_int_equal(p.n_patches, 3); /* the nested set's patch has a world of its own */
    assert_int_equal(p.patches[0].layer, 0);
    assert_int_equal(p.patches[1].layer, 1);
    assert_int_equal(p.patches[2].layer, 1);
    assert_string_equal(fnr_path_base(p.patches[1].file_path), "b");
    assert_true(p.pixel_nm == 0);
    fnr_t2_free(&p);
}

static void units_of_length(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        double nm;
    } tests[] = {{"nm", 5},      {"micron", 5e3}, {"\xB5m", 5e3},    {"um", 5e3}, {"mm", 5e6},
                 {"pixel", 0.0}, {"", 0.0},       {"\\u00B5m", 5e3}, {"Nm", 5},   {"parsec", 0}};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        char text[2000];
        snprintf(text, sizeof text, "%s<t2_calibration pixelWidth=\"5.0\" unit=\"%s\"/>%s%s", T2_HEAD, tests[i].unit, T2_LAYER,
                 T2_TAIL);
        fnr_t2_project p = t2_read_text(text);
        assert_true(fabs(p.pixel_nm - tests[i].nm) <= 1e-9 * tests[i].nm);
        fnr_t2_free(&p);
    }
}

#define CT   "mpicbg.trakem2.transform."
#define SIZE " o_width=\"64\" o_height=\"48\" "

static void inline_coordinate_transforms(void **state)
{
    (void)state;
    fnr_t2_project p = t2_read_text(
        T2_PROJECT("<t2_patch oid=\"3\" title=\"a\"" SIZE "transform=\"matrix(1,0,0,1,1000,2000)\" file_path=\"a\">"
                   "<ict_transform class=\"" CT "AffineModel2D\" data=\"1.5 0.25 -0.25 1.5 100.123456789012 200.25\"/></t2_patch>"
                   /* list: move by (10, 0), then scale by 3; box (30, 0) */
                   "<t2_patch oid=\"4\" title=\"b\"" SIZE "file_path=\"b\"><ict_transform_list><iict_transform class=\"" CT
                   "TranslationModel2D\" data=\"10 0\"/><ict_transform_list><ict_transform class=\"" CT
                   "SimilarityModel2D\" data=\"3 0 0 0\"/></ict_transform_list></ict_transform_list></t2_patch>"
                   /* the transform after the list of b belongs to c alone; of two transforms the last counts */
                   "<t2_patch oid=\"5\" title=\"c\"" SIZE "file_path=\"c\"><ict_transform class=\"" CT
                   "TranslationModel2D\" data=\"99.5 0\"/>"
                   "<ict_transform class=\"" CT "TranslationModel2D\" data=\"0.5 0.25\"/></t2_patch>"
                   "<t2_patch oid=\"6\" title=\"d\"" SIZE "file_path=\"d\"><ict_transform class=\"" CT
                   "ThinPlateSplineTransform\" data=\"ThinPlateSplineR2LogR 2 1 x y\"/></t2_patch>"));
    assert_int_equal(p.n_patches, 4);
    t2_assert_transform(&p.patches[0].to_world, 1.5, 0.25, -0.25, 1.5, 1012.123456789012, 2000.25, 1e-15);
    t2_assert_transform(&p.patches[1].to_world, 3, 0, 0, 3, 0, 0, 0);
    t2_assert_transform(&p.patches[2].to_world, 1, 0, 0, 1, 0.5, 0.25, 0);
    assert_false(p.patches[2].has_nonlinear);
    assert_true(p.patches[3].has_nonlinear);
    assert_string_equal(p.patches[3].nonlinear_class, CT "ThinPlateSplineTransform");
    fnr_t2_free(&p);
}

static void coordinate_transforms_in_their_own_files(void **state)
{
    (void)state;
    fnr_error err = {0};
    char folder[600];
    snprintf(folder, sizeof folder, "%s/trakem2.17.1.2/trakem2.cts/12/34", fnr_test_tmpdir());
    assert_ok(fnr_mkdirs(folder, &err), err);
    static const char ct[] =
        "<ict_transform_list>\n\t<ict_transform class=\"" CT "AffineModel2D\" data=\"2 0 0 2 0.5 0\"/>\n</ict_transform_list>\n";
    t2_file_of("trakem2.17.1.2/trakem2.cts/12/34/5.3.ct", ct, sizeof ct - 1);
    fnr_t2_project p = t2_read_text(T2_PROJECT("<t2_patch oid=\"3\" ct_id=\"12345\"" SIZE "file_path=\"a\"></t2_patch>"));
    t2_assert_transform(&p.patches[0].to_world, 2, 0, 0, 2, 0.5, 0, 0);
    fnr_t2_free(&p);
    /* An inline transform wins over the file. */
    p = t2_read_text(T2_PROJECT("<t2_patch oid=\"3\" ct_id=\"12345\"" SIZE "file_path=\"a\"><ict_transform class=\"" CT
                                "AffineModel2D\" data=\"1 0 0 1 0.25 0\"/></t2_patch>"));
    t2_assert_transform(&p.patches[0].to_world, 1, 0, 0, 1, 0.25, 0, 0);
    fnr_t2_free(&p);
    /* A missing or broken file: the patch has no place, so the project is refused with both names. */
    static const char *const texts[] = {
        T2_PROJECT("<t2_patch oid=\"3\" title=\"em7\" ct_id=\"123\"" SIZE "file_path=\"a\"></t2_patch>"),
        T2_PROJECT("<t2_patch oid=\"4\" title=\"em7\" ct_id=\"12345\"" SIZE "file_path=\"a\"></t2_patch>")};
    t2_file_of("trakem2.17.1.2/trakem2.cts/12/34/5.4.ct", ct, sizeof ct - 30);
    for (int i = 0; i < 2; i++) {
        assert_false(fnr_t2_read(t2_file_of("bad.xml", texts[i], strlen(texts[i])), &p, &err));
        assert_non_null(strstr(err.message, "patch 'em7'"));
        assert_non_null(strstr(err.message, i ? "/12/34/5.4.ct" : "/12/3.3.ct"));
    }
}

/* TrakEM2 does not escape what it writes and quotes a '"' as ^#^. */
static void malformed_files_of_trakem2(void **state)
{
    (void)state;
    fnr_t2_project p = t2_read_text(
        T2_PROJECT("<t2_patch oid=\"3\" title=\"M&M <1 &lt; 2>\" file_path=\"a&b &copy; \xE9.tif\" o_width=\"9\"/>"
                   "<t2_patch oid=\"4\" title=\"5^#^ wafer\" file_path='c.tif' o_width=\"8\"/> & <!-- <t2_patch & -->"));
    assert_int_equal(p.n_patches, 2);
    assert_string_equal(p.patches[0].title, "M&M <1 < 2>");
    assert_string_equal(fnr_path_base(p.patches[0].file_path), "a&b &copy; \xC3\xA9.tif"); /* Latin-1 becomes UTF-8 */
    assert_int_equal(p.patches[0].o_width, 9);
    assert_string_equal(p.patches[1].title, "5\" wafer");
    assert_int_equal(p.patches[1].o_width, 8);
    fnr_t2_free(&p);
}

static void gzip_is_the_same_text(void **state)
{
    (void)state;
    static const char text[] = T2_PROJECT("<t2_patch oid=\"3\" file_path=\"a\" transform=\"matrix(1,2,3,4,5,6)\"/>");
    const char *path = t2_path("p.xml.gz");
    gzFile gz = gzopen(path, "wb");
    assert_int_equal(gzwrite(gz, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(gzclose(gz), Z_OK);
    fnr_error err = {0};
    fnr_t2_project p = {0};
    assert_ok(fnr_t2_read(path, &p, &err), err);
    assert_int_equal(p.n_patches, 1);
    t2_assert_transform(&p.patches[0].to_world, 1, 2, 3, 4, 5, 6, 0);
    fnr_t2_free(&p);
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *given, *want; /* NULL: beside the project */
    } tests[] = {{"../x.tif", NULL},
                 {"C:/data/x.tif", "C:/data/x.tif"},
                 {"file:/x.tif", "file:/x.tif"},
                 {"./c:x.tif", NULL},
                 {"data//x.tif", NULL},
                 {"time:5.tif", NULL}};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        char text[2000], beside[1000];
        snprintf(text, sizeof text, "%s%s<t2_patch file_path=\"%s\"/>%s", T2_HEAD, T2_LAYER, tests[i].given, T2_TAIL);
        snprintf(beside, sizeof beside, "%s/%s", fnr_test_tmpdir(),
                 strcmp(tests[i].given, "data//x.tif") ? tests[i].given : "data/x.tif");
        fnr_t2_project p = t2_read_text(text);
        assert_string_equal(p.patches[0].file_path, tests[i].want ? tests[i].want : beside);
        fnr_t2_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_of_a_patch),
        cmocka_unit_test(layers_and_nested_sets),
        cmocka_unit_test(units_of_length),
        cmocka_unit_test(inline_coordinate_transforms),
        cmocka_unit_test(coordinate_transforms_in_their_own_files),
        cmocka_unit_test(malformed_files_of_trakem2),
        cmocka_unit_test(gzip_is_the_same_text),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
