#include "tests/geom/trakem2_support.h"

#include <sys/stat.h>

#define LONG_DASH "\xE2\x80\x94"

static fnr_t2_layer layers[] = {{0, 8.75, "section <0> & \"more\""}, {8.75, 8.75, "Null"}};
static fnr_t2_patch patches[] = {
    {.title = "mbp.tif",
     .o_width = 2048,
     .o_height = 1536,
     .type = 1,
     .max = 20000,
     .visible = true,
     .to_world = {1, 0, 0, 1, 0, 0, FNR_FRAME_ANY, FNR_FRAME_WORLD}},
    {.title = "annulled <M&M> '5\" " LONG_DASH " \xF0\x9F\x94\xAC \xFF\x01",
     .slice = 3,
     .o_width = 641,
     .o_height = 480,
     .layer = 0,
     .min = -0.1,
     .max = 1.0 / 3,
     .locked = true,
     .to_world = {-0.012013555114275836, 0.1144779964397378, -0.1144779964397378, -0.012013555114275836, 974.1039751617939,
                  1229.4101842606894, FNR_FRAME_ANY, FNR_FRAME_WORLD}},
    {.title = "far",
     .o_width = 11,
     .o_height = 7,
     .type = 2,
     .layer = 1,
     .max = 1,
     .visible = true,
     .to_world = {-1e-7, 1e7, 3, 1.0 / 7, -123456789.123456789, 5, FNR_FRAME_ANY, FNR_FRAME_WORLD}},
};
static char files[3][600];

static fnr_t2_project project(void)
{
    static const char *const names[3] = {"data/mbp.tif", "data/em & <tiles>/c:1 \xC3\xA9.tif", "x:y.tif"};
    for (int i = 0; i < 3; i++) {
        snprintf(files[i], sizeof files[i], "%s/%s", fnr_test_tmpdir(), names[i]);
        patches[i].file_path = files[i];
    }
    return (fnr_t2_project){.pixel_nm = 100, .layers = layers, .n_layers = 2, .patches = patches, .n_patches = 3};
}

static char *contents(const char *path)
{
    fnr_error err = {0};
    char *text;
    size_t size;
    assert_ok(fnr_read_file(path, 1 << 20, &text, &size, &err), err);
    return text;
}

static const char *written(const char *name)
{
    fnr_error err = {0};
    const fnr_t2_project p = project();
    const fnr_t2_style styles[] = {{1, 0xFFFF00}, {0.5, 0x00FF0a}, {0.25, 0}};
    char folder[700];
    snprintf(folder, sizeof folder, "%s/out", fnr_test_tmpdir());
    assert_ok(fnr_mkdirs(folder, &err), err);
    const char *path = t2_path(name);
    assert_ok(fnr_t2_write(path, "run & <1>", &p, styles, &err), err);
    return path;
}

static void reads_back(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_t2_project p = {0};
    assert_ok(fnr_t2_read(written("out/trakem2.xml"), &p, &err), err);
    assert_int_equal(p.n_layers, 2);
    assert_int_equal(p.n_patches, 3);
    assert_true(p.pixel_nm == 100 && p.layers[1].z == 8.75 && p.layers[1].thickness == 8.75);
    assert_string_equal(p.layers[0].title, layers[0].title);
    assert_string_equal(p.layers[1].title, "N_ll"); /* TrakEM2 would drop "Null" */
    for (int i = 0; i < 3; i++) {
        const fnr_t2_patch *got = &p.patches[i], *want = &patches[i];
        const fnr_transform *t = &want->to_world;
        t2_assert_transform(&got->to_world, t->m00, t->m10, t->m01, t->m11, t->m02, t->m12, 1e-12);
        assert_memory_equal(&got->to_world.m00, &t->m00, 6 * sizeof(double)); /* 17 digits: the same bits */
        assert_true(got->min == want->min && got->max == want->max && got->type == want->type && got->slice == want->slice);
        assert_true(got->o_width == want->o_width && got->o_height == want->o_height && got->layer == want->layer);
        assert_true(got->visible == want->visible && got->locked == want->locked && !got->has_nonlinear);
        char resolved[700]; /* the project stands in out/ */
        snprintf(resolved, sizeof resolved, "%s/out/%s../%s", fnr_test_tmpdir(), i ? "./" : "",
                 files[i] + strlen(fnr_test_tmpdir()) + 1);
        assert_string_equal(got->file_path, resolved);
    }
    assert_string_equal(p.patches[1].title, "ann_lled <M&M> '5\" " LONG_DASH " \xF0\x9F\x94\xAC \\xFF\\x01");
    fnr_t2_free(&p);
}

static void paths_are_relative(void **state)
{
    (void)state;
    char *text = contents(written("out/trakem2.xml"));
    assert_non_null(strstr(text, "file_path=\"../data/mbp.tif\""));
    assert_non_null(strstr(text, "file_path=\"./../data/em &#38; &#60;tiles&#62;/c:1 &#233;.tif-----#slice=3\""));
    assert_non_null(strstr(text, "style=\"fill-opacity:0.5;stroke:#00ff0a;\""));
    assert_non_null(strstr(text, "layer_width=\"2048.0\" layer_height=\"105000007.0\""));
    assert_null(strstr(text, fnr_test_tmpdir()));
    for (const char *p = text; *p; p++) {
        assert_true((unsigned char)*p < 0x7F);
    }
    free(text);
}

/* xmllint is somebody else's validator. */
static void passes_xmllint(void **state)
{
    (void)state;
    if (system("command -v xmllint >/dev/null 2>&1") != 0) {
        print_message("skipped: no xmllint\n");
        skip();
    }
    char command[1200];
    const char *path = written("out/trakem2.xml");
    snprintf(command, sizeof command, "xmllint --noout --valid '%s'", path);
    assert_int_equal(system(command), 0);
    /* No layers, no patches: still valid. */
    fnr_error err = {0};
    const fnr_t2_project empty = {0};
    assert_ok(fnr_t2_write(path, "", &empty, NULL, &err), err);
    assert_int_equal(system(command), 0);
    /* The validator does look: one attribute less is refused. */
    char *text = contents(written("out/trakem2.xml"));
    memcpy(strstr(text, " o_width=\""), " x_width", 8);
    assert_ok(fnr_write_file(path, text, strlen(text), &err), err);
    snprintf(command, sizeof command, "xmllint --noout --valid '%s' 2>/dev/null", path);
    assert_int_not_equal(system(command), 0);
    free(text);
}

/* What TrakEM2's own line-based DTD scanner needs. */
static void doctype_stands_on_lines_of_its_own(void **state)
{
    (void)state;
    char *text = contents(written("out/trakem2.xml"));
    static const char head[] = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE trakem2 [\n";
    const size_t n = sizeof head - 1;
    assert_int_equal(strncmp(text, head, n), 0);
    const char *end = strstr(text, "\n] >\n");
    assert_non_null(end);
    assert_null(memchr(text + n, ']', (size_t)(end - text) - n));
    assert_non_null(strstr(text, "<!ELEMENT project (anything)>"));
    assert_non_null(strstr(text, "<!ELEMENT anything EMPTY>"));
    for (const char *line = text + n; line < end; line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, "\t<!", 3), 0);
        assert_int_equal(strchr(line, '\n')[-1], '>');
    }
    free(text);
}

static void read_unuid(const char *path, char out[80])
{
    char *text = contents(path);
    assert_int_equal(sscanf(strstr(text, "unuid="), "unuid=\"%79[0-9.]\"", out), 1);
    free(text);
}

static void unuid_follows_the_images(void **state)
{
    (void)state;
    fnr_error err = {0};
    char first[80], moved[80], other[80], folder[800];
    fnr_t2_project p = project();
    const char *path = t2_path("unuid.xml");
    assert_ok(fnr_t2_write(path, "t", &p, NULL, &err), err);
    read_unuid(path, first);
    patches[2].to_world.m02 += 1;
    assert_ok(fnr_t2_write(path, "other title", &p, NULL, &err), err);
    read_unuid(path, moved);
    patches[2].to_world.m02 -= 1;
    patches[2].max = 2;
    assert_ok(fnr_t2_write(path, "t", &p, NULL, &err), err);
    read_unuid(path, other);
    patches[2].max = 1;
    assert_string_equal(first, moved);
    assert_string_not_equal(first, other);
    unsigned long long a, b, c;
    assert_int_equal(sscanf(first, "%13llu.%9llu.%9llu", &a, &b, &c), 3);
    snprintf(folder, sizeof folder, "%s/trakem2.%s/trakem2.mipmaps", fnr_test_tmpdir(), first);
    struct stat st;
    assert_true(stat(folder, &st) == 0 && S_ISDIR(st.st_mode));
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    const fnr_t2_patch fine = {.title = "bad one",
                               .file_path = "x.tif",
                               .o_width = 5,
                               .o_height = 4,
                               .max = 1,
                               .to_world = {1, 0, 0, 1, 0, 0, FNR_FRAME_ANY, FNR_FRAME_WORLD}};
    fnr_t2_patch bad[8];
    for (int i = 0; i < 8; i++) {
        bad[i] = fine;
    }
    bad[0].file_path = NULL;
    bad[1].o_width = 0;
    bad[2].type = -1;
    bad[3].layer = 2;
    bad[4].to_world.m01 = NAN;
    bad[5].max = INFINITY;
    bad[6].has_nonlinear = true;
    bad[7].layer = -1;
    const char *path = t2_path("never.xml");
    for (int i = 0; i < 8; i++) {
        fnr_error err = {0};
        const fnr_t2_project p = {.layers = layers, .n_layers = 2, .patches = &bad[i], .n_patches = 1};
        assert_false(fnr_t2_write(path, "t", &p, NULL, &err));
        assert_non_null(strstr(err.message, "bad one"));
        assert_false(fnr_is_file(path));
    }
    fnr_error err = {0};
    const fnr_t2_project p = project();
    assert_false(fnr_t2_write("/proc/nowhere/t.xml", "t", &p, NULL, &err));
    assert_int_equal(err.code, FNR_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),
        cmocka_unit_test(paths_are_relative),
        cmocka_unit_test(passes_xmllint),
        cmocka_unit_test(doctype_stands_on_lines_of_its_own),
        cmocka_unit_test(unuid_follows_the_images),
        cmocka_unit_test(what_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
