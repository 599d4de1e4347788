#include "tests/geom/trakem2_support.h"

#include <zlib.h>

#define LLVMFuzzerTestOneInput fuzz_trakem2
#include "tests/fuzz/fuzz_trakem2.c"

/* Reads a file that has to be refused; the message names it and says `why`. */
static void assert_refused(const char *path, fnr_code code, const char *why)
{
    fnr_error err = {0};
    fnr_t2_project p = {.n_patches = 77};
    if (fnr_t2_read(path, &p, &err)) {
        fail_msg("%s was accepted although: %s", path, why);
    }
    if (!strstr(err.message, why) || !strstr(err.message, path)) {
        fail_msg("'%s' does not say '%s' about %s", err.message, why, path);
    }
    assert_int_equal(err.code, code);
    assert_int_equal(p.n_patches, 77); /* untouched */
}

static void assert_text_refused(const char *text, fnr_code code, const char *why)
{
    assert_refused(t2_file_of("bad.xml", text, strlen(text)), code, why);
}

static const char good[] =
    T2_PROJECT("<t2_patch oid=\"3\" title=\"one\" file_path=\"a\" o_width=\"5\" o_height=\"4\"/>\n"
               "<t2_patch oid=\"4\" title=\"two\" file_path=\"b\" o_width=\"5\" o_height=\"4\"></t2_patch>\n");

static void not_a_project(void **state)
{
    (void)state;
    assert_refused(t2_path("missing.xml"), FNR_E_IO, "No such file");
    assert_refused(fnr_test_tmpdir(), FNR_E_IO, "it is a directory");
    assert_text_refused("", FNR_E_FORMAT, "empty");
    assert_text_refused("tile,transform\na.tif,1 0 0 1 0 0\n", FNR_E_FORMAT, "not XML");
    assert_text_refused("\x89PNG\r\n\x1a\n....", FNR_E_FORMAT, "not XML");
    assert_text_refused("<svg><g/></svg>", FNR_E_FORMAT, "outermost element is <svg>");
    assert_text_refused("<trakem2><project id=\"0\"/></trakem2>", FNR_E_FORMAT, "no t2_layer_set");
    assert_text_refused("<trakem2><t2_layer_set><t2_patch/></t2_layer_set></trakem2>", FNR_E_FORMAT, "outside of every layer");
    assert_text_refused(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><trakem2><t2_layer_set><t2_layer><t2_patch file_path=\"\xE9.tif\"/>"
        "</t2_layer></t2_layer_set></trakem2>",
        FNR_E_FORMAT, "not proper UTF-8");
    static const char wide[] = "\xFF\xFE<\0t\0r\0a\0k\0";
    assert_refused(t2_file_of("wide.xml", wide, sizeof wide), FNR_E_UNSUPPORTED, "8-bit");
}

/* Wherever a project is cut, nothing short of the whole is accepted. */
static void cut_anywhere(void **state)
{
    (void)state;
    const size_t whole = strlen(good), needed = (size_t)(strstr(good, "</trakem2>") - good) + strlen("</trakem2");
    for (size_t n = 0; n<whole; n += n> 100 && n + 60 < whole ? 7 : 1) {
        fnr_error err = {0};
        fnr_t2_project p = {0};
        const bool ok = fnr_t2_read(t2_file_of("cut.xml", good, n), &p, &err);
        if (ok && n < needed) {
            fail_msg("a project cut at %zu of %zu bytes was accepted", n, whole);
        }
        assert_true(ok || err.message[0]);
        fnr_t2_free(&p);
    }
}

static void holes_are_noticed(void **state)
{
    (void)state;
    assert_text_refused(T2_PROJECT("<t2_patch oid=\"3\" title=\"one file_path=\"a\"/>\n<t2_patch oid=\"4\" file_path=\"b\"/>"),
                        FNR_E_FORMAT, "line 11: a tag begins inside an attribute");
    assert_text_refused(T2_PROJECT("<t2_patch oid=\"3\" title= file_path=\"a\"/>\n<t2_patch oid=\"4\" file_path=\"b\"/>"),
                        FNR_E_FORMAT, "<t2_patch> is damaged: line 10");
}

static void bad_values_name_the_patch(void **state)
{
    (void)state;
    assert_text_refused(T2_PROJECT("<t2_patch title=\"em9\" file_path=\"a\" transform=\"matrix(1,0,0,1,0)\"/>"), FNR_E_FORMAT,
                        "patch 'em9'");
    assert_text_refused(T2_PROJECT("<t2_patch title=\"em9\" file_path=\"a\" transform=\"matrix(1,0,0,1,0,NaN)\"/>"), FNR_E_FORMAT,
                        "em9");
    assert_text_refused(T2_PROJECT("<t2_patch title=\"em9\" file_path=\"a\" transform=\"translate(3)\"/>"), FNR_E_FORMAT, "em9");
    assert_text_refused(
        T2_PROJECT("<t2_patch title=\"em9\" file_path=\"a\"><ict_transform class=\"mpicbg.trakem2.transform.AffineModel2D\" "
                   "data=\"1 2\"/></t2_patch>"),
        FNR_E_FORMAT, "em9");
    assert_text_refused(
        T2_PROJECT("<t2_patch title=\"em9\" file_path=\"a\"><ict_transform class=\"mpicbg.trakem2.transform.AffineModel2D\" "
                   "data=\"1 0 0 1 5 5\"/></t2_patch>"),
        FNR_E_FORMAT, "o_width");
    char text[9000], path[5000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    snprintf(text, sizeof text, "%s%s<t2_patch title=\"em9\" file_path=\"%s\"/>%s", T2_HEAD, T2_LAYER, path, T2_TAIL);
    assert_text_refused(text, FNR_E_LIMIT, "longer than");
}

static void entities_are_refused(void **state)
{
    (void)state;
    char text[4000];
    size_t n = (size_t)snprintf(text, sizeof text, "<?xml version=\"1.0\"?>\n<!DOCTYPE trakem2 [\n<!ENTITY a0 \"lol\">\n");
    for (int i = 1; i < 30; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "<!ENTITY a%d \"&a%d;&a%d;&a%d;&a%d;\">\n", i, i - 1, i - 1, i - 1,
                              i - 1);
    }
    snprintf(text + n, sizeof text - n, "]>\n<trakem2><t2_layer_set title=\"&a29;\">&a29;</t2_layer_set></trakem2>");
    assert_text_refused(text, FNR_E_FORMAT, "declares the entity 'a0'"); /* expanded it would take for ever */
    static const char *const others[] = {
        "<!DOCTYPE trakem2 [\n<!ENTITY x SYSTEM \"file:///etc/passwd\">\n]><trakem2><t2_layer_set title=\"&x;\"/></trakem2>",
        "<!DOCTYPE trakem2 [\n<!ENTITY % x SYSTEM \"http://127.0.0.1:9/x\">\n%x;\n]><trakem2><t2_layer_set/></trakem2>",
        "<!DOCTYPE trakem2 [\n<!NOTATION n SYSTEM \"n\">\n<!ENTITY x SYSTEM \"u\" NDATA n>\n]><trakem2><t2_layer_set/></trakem2>",
    };
    for (size_t i = 0; i < 3; i++) {
        assert_text_refused(others[i], FNR_E_FORMAT, "declares the entity 'x'");
    }
    /* An external DTD is not looked at, and an unknown reference is text. */
    fnr_t2_project p =
        t2_read_text("<!DOCTYPE trakem2 SYSTEM \"http://127.0.0.1:9/t.dtd\"><trakem2><t2_layer_set><t2_layer title=\"&x;\"/>"
                     "</t2_layer_set></trakem2>");
    assert_string_equal(p.layers[0].title, "&x;");
    fnr_t2_free(&p);
}

static void huge_attribute_and_deep_nesting(void **state)
{
    (void)state;
    const size_t huge = 12u << 20; /* libxml2 stops at 10 MB unless told otherwise */
    char *text = malloc(huge + 2000);
    assert_non_null(text);
    const int head = snprintf(text, 1000, "%s%s<t2_patch file_path=\"a\" title=\"em9\" style=\"", T2_HEAD, T2_LAYER);
    memset(text + head, 'y', huge);
    snprintf(text + head + huge, 900, "\" o_width=\"31\"/>%s", T2_TAIL);
    fnr_t2_project p = t2_read_text(text);
    assert_int_equal(p.patches[0].o_width, 31);
    fnr_t2_free(&p);
    size_t n = (size_t)snprintf(text, 1000, "%s%s<t2_patch file_path=\"a\" o_width=\"8\" o_height=\"8\">", T2_HEAD, T2_LAYER);
    for (int i = 0; i < 100000; i++) {
        n += (size_t)sprintf(text + n, "<ict_transform_list>");
    }
    snprintf(text + n, 900, "<ict_transform class=\"mpicbg.trakem2.transform.TranslationModel2D\" data=\"0.5 0\"/>");
    n += strlen(text + n);
    for (int i = 0; i < 100000; i++) {
        n += (size_t)sprintf(text + n, "</ict_transform_list>");
    }
    snprintf(text + n, 900, "</t2_patch>%s", T2_TAIL);
    p = t2_read_text(text);
    t2_assert_transform(&p.patches[0].to_world, 1, 0, 0, 1, 0.5, 0, 0);
    fnr_t2_free(&p);
    free(text);
}

static void broken_gzip(void **state)
{
    (void)state;
    const char *path = t2_path("whole.xml.gz");
    gzFile gz = gzopen(path, "wb");
    gzwrite(gz, good, sizeof good - 1);
    gzclose(gz);
    fnr_error err = {0};
    char *data;
    size_t size;
    assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
    assert_refused(t2_file_of("cut.xml.gz", data, size - 9), FNR_E_FORMAT, "gzip file is cut short");
    data[size / 2] ^= 0x55;
    assert_refused(t2_file_of("flipped.xml.gz", data, size), FNR_E_FORMAT, "cannot read");
    free(data);
}

/* What the fuzzer starts from and what it once found, in the ordinary build. */
static void kept_fuzzing_inputs(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_listing list;
    assert_ok(fnr_list_dir("tests/fuzz/corpus_trakem2", &list, &err), err);
    assert_true(list.count >= 3);
    for (size_t i = 0; i < list.count; i++) {
        char path[512], *data;
        size_t size;
        snprintf(path, sizeof path, "tests/fuzz/corpus_trakem2/%s", list.names[i]);
        assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
        assert_int_equal(fuzz_trakem2((const uint8_t *)data, size), 0);
        free(data);
    }
    fnr_listing_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_a_project),        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(holes_are_noticed),    cmocka_unit_test(bad_values_name_the_patch),
        cmocka_unit_test(entities_are_refused), cmocka_unit_test(huge_attribute_and_deep_nesting),
        cmocka_unit_test(broken_gzip),          cmocka_unit_test(kept_fuzzing_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
