/* Projects with one fault each, made by hand: the audit names the tile, the kind and the amount, and nothing else. */
#include "tests/support/support.h"

#include <math.h>
#include "src/core/fs.h"
#include "src/geom/trakem2.h"
#include "src/pipeline/audit.h"

enum { ROWS = 3, COLUMNS = 4, N = ROWS * COLUMNS, W = 1000, H = 800, MW = 900, MH = 700 };
static const double scale = 0.1;

#define assert_near(value, expected, tolerance) assert_at_most(fabs((value) - (expected)), (tolerance))

/* Layer 0: an MBP image, its DAPI channel on it, and a grid of tiles 90 x 72 px apart, unturned. */
typedef struct {
    fnr_t2_layer layers[1];
    fnr_t2_patch patches[N + 4];
    fnr_t2_project p;
    char titles[N + 4][64], files[N + 4][FNR_PATH_MAX];
} project;

static fnr_t2_patch *add(project *p, const char *title, int w, int h, fnr_transform to_world)
{
    const size_t i = p->p.n_patches++;
    fnr_error err = {0};
    snprintf(p->titles[i], sizeof p->titles[i], "%s", title);
    assert_ok(fnr_path_join(p->files[i], fnr_test_tmpdir(), title, &err), err);
    p->patches[i] = (fnr_t2_patch){.title = p->titles[i],
                                   .file_path = p->files[i],
                                   .o_width = w,
                                   .o_height = h,
                                   .max = 255,
                                   .visible = true,
                                   .to_world = to_world};
    p->patches[i].to_world.from = FNR_FRAME_ANY;
    p->patches[i].to_world.to = FNR_FRAME_WORLD;
    return &p->patches[i];
}

static fnr_transform at(double x, double y, double degrees)
{
    return fnr_transform_similarity(scale, degrees, x, y, FNR_FRAME_ANY, FNR_FRAME_WORLD);
}

static project *sound_project(void)
{
    static project p;
    memset(&p, 0, sizeof p);
    p.layers[0] = (fnr_t2_layer){.z = 0, .thickness = 1, .title = (char *)"section"};
    p.p = (fnr_t2_project){.pixel_nm = 100, .layers = p.layers, .n_layers = 1, .patches = p.patches};
    add(&p, "MBP.tif", MW, MH, fnr_transform_identity(FNR_FRAME_WORLD));
    add(&p, "DAPI.tif", MW, MH, fnr_transform_identity(FNR_FRAME_WORLD));
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "Tile_r%d-c%d.tif", i / COLUMNS + 1, i % COLUMNS + 1);
        add(&p, name, W, H, at(100 + 90 * (i % COLUMNS), 150 + 72 * (i / COLUMNS), 0));
    }
    return &p;
}

static fnr_t2_patch *tile(project *p, int row, int column)
{
    return &p->patches[2 + (row - 1) * COLUMNS + column - 1];
}

static const char *write_project(project *p, const char *name)
{
    static char path[FNR_PATH_MAX];
    fnr_error err = {0};
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), name, &err), err);
    assert_ok(fnr_t2_write(path, "test", &p->p, NULL, &err), err);
    return path;
}

static fnr_audit audit_of(project *p)
{
    fnr_audit a = {0};
    fnr_error err = {0};
    assert_ok(fnr_audit_project(write_project(p, "audited.xml"), "mbp", &a, NULL, &err), err);
    return a;
}

static void show(const fnr_audit *a)
{
    char text[4096] = "";
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    fnr_audit_print(a, f);
    fclose(f);
    print_message("%s", text);
}

/* Besides notes there is this one finding. */
static const fnr_audit_finding *only(const fnr_audit *a, fnr_audit_grade grade, const char *kind, const char *name)
{
    const fnr_audit_finding *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].grade != FNR_AUDIT_NOTE || grade == FNR_AUDIT_NOTE) {
            n += strcmp(a->items[i].kind, "files absent") != 0;
            found = strcmp(a->items[i].kind, "files absent") ? &a->items[i] : found;
        }
    }
    if (n != 1 || found->grade != grade || strcmp(found->kind, kind) || strcmp(found->tile, name)) {
        show(a);
        fail_msg("expected one finding, %s of '%s'", kind, name);
    }
    return found;
}

static void a_sound_project_has_no_faults(void **state)
{
    (void)state;
    fnr_audit a = audit_of(sound_project());
    assert_int_equal(a.tiles, N);
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_ERROR) + fnr_audit_count(&a, FNR_AUDIT_WARNING), 0);
    assert_int_equal(a.count, 1); /* the image files do not exist, which is only noted */
    fnr_audit_free(&a);
}

static void a_mirrored_tile_is_named(void **state)
{
    (void)state;
    project *p = sound_project();
    fnr_transform *t = &tile(p, 2, 3)->to_world;
    t->m00 = -t->m00;
    t->m02 += scale * (W - 1); /* its centre stays */
    fnr_audit a = audit_of(p);
    only(&a, FNR_AUDIT_ERROR, "mirrored", "Tile_r2-c3.tif");
    fnr_audit_free(&a);
}

static void a_sheared_tile_is_measured(void **state)
{
    (void)state;
    project *p = sound_project();
    fnr_transform *t = &tile(p, 1, 2)->to_world;
    /* x' += 0.006 y about the centre.  The nearest similarity turns by 0.003 / 0.1; what remains is the field (0.003 y, 0.003 x).
     */
    t->m01 += 0.006;
    t->m02 -= 0.006 * (H - 1) / 2;
    fnr_audit a = audit_of(p);
    double sum = 0;
    for (int i = 0; i < 400 * 400; i++) {
        sum += 0.003 * hypot(((i % 400 + 0.5) / 400 - 0.5) * W, ((i / 400 + 0.5) / 400 - 0.5) * H);
    }
    assert_near(only(&a, FNR_AUDIT_WARNING, "sheared", "Tile_r1-c2.tif")->amount, sum / 160000, 0.005);
    fnr_audit_free(&a);
}

static void a_turned_and_a_scaled_tile_are_measured(void **state)
{
    (void)state;
    project *p = sound_project();
    tile(p, 3, 1)->to_world = at(100, 294, 7);
    fnr_audit a = audit_of(p);
    assert_near(only(&a, FNR_AUDIT_ERROR, "turned", "Tile_r3-c1.tif")->amount, 7, 1e-6);
    fnr_audit_free(&a);
    p = sound_project();
    tile(p, 1, 4)->to_world = fnr_transform_similarity(scale * 0.95, 0, 370, 150, FNR_FRAME_ANY, FNR_FRAME_WORLD);
    a = audit_of(p);
    assert_near(only(&a, FNR_AUDIT_ERROR, "scaled", "Tile_r1-c4.tif")->amount, -5, 1e-6);
    fnr_audit_free(&a);
}

static void exchanged_tiles_are_both_named(void **state)
{
    (void)state;
    project *p = sound_project();
    const fnr_transform t = tile(p, 2, 2)->to_world;
    tile(p, 2, 2)->to_world = tile(p, 2, 3)->to_world;
    tile(p, 2, 3)->to_world = t;
    fnr_audit a = audit_of(p);
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_ERROR), 2);
    for (size_t i = 0; i < a.count; i++) {
        if (a.items[i].grade == FNR_AUDIT_ERROR) {
            assert_string_equal(a.items[i].kind, "wrong place");
            assert_near(a.items[i].amount, 90, 1e-6); /* the step between columns */
            assert_true(!strcmp(a.items[i].tile, "Tile_r2-c2.tif") || !strcmp(a.items[i].tile, "Tile_r2-c3.tif"));
        }
    }
    fnr_audit_free(&a);
}

/* Mosaics end where the area ends: the last column overlaps its neighbour more than the others. */
static void a_last_column_that_overlaps_more_is_fine(void **state)
{
    (void)state;
    project *p = sound_project();
    for (int r = 1; r <= ROWS; r++) {
        tile(p, r, COLUMNS)->to_world.m02 -= 70;
    }
    fnr_audit a = audit_of(p);
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_ERROR) + fnr_audit_count(&a, FNR_AUDIT_WARNING), 0);
    fnr_audit_free(&a);
}

static void moved_channels_and_images_are_measured(void **state)
{
    (void)state;
    project *p = sound_project();
    p->patches[1].to_world.m02 += 3;
    p->patches[1].to_world.m12 += 4;
    fnr_audit a = audit_of(p);
    assert_near(only(&a, FNR_AUDIT_ERROR, "moved image", "MBP.tif")->amount, 5, 1e-6);
    fnr_audit_free(&a);
    /* both were moved: no fault, but worth a note */
    p = sound_project();
    p->patches[0].to_world.m02 = p->patches[1].to_world.m02 = -12;
    a = audit_of(p);
    assert_near(only(&a, FNR_AUDIT_NOTE, "moved image", "MBP.tif")->amount, 12, 1e-6);
    fnr_audit_free(&a);
}

static void tiles_never_placed_or_over_nothing_are_named(void **state)
{
    (void)state;
    project *p = sound_project();
    tile(p, 1, 1)->to_world = fnr_transform_identity(FNR_FRAME_WORLD);
    fnr_audit a = audit_of(p);
    only(&a, FNR_AUDIT_ERROR, "never placed", "Tile_r1-c1.tif");
    fnr_audit_free(&a);
    p = sound_project();
    tile(p, 1, 1)->to_world = at(5000, 5000, 0);
    a = audit_of(p);
    only(&a, FNR_AUDIT_ERROR, "over nothing", "Tile_r1-c1.tif");
    assert_int_equal(a.tiles, N - 1);
    fnr_audit_free(&a);
    p = sound_project();
    tile(p, 1, 1)->visible = false;
    a = audit_of(p);
    only(&a, FNR_AUDIT_NOTE, "hidden", "Tile_r1-c1.tif");
    fnr_audit_free(&a);
}

static void a_tile_placed_twice_is_measured(void **state)
{
    (void)state;
    project *p = sound_project();
    fnr_transform t = tile(p, 1, 1)->to_world;
    t.m02 += 6;
    t.m12 += 8;
    add(p, "Tile_r1-c1.tif", W, H, t);
    fnr_audit a = audit_of(p);
    assert_near(only(&a, FNR_AUDIT_ERROR, "twice", "Tile_r1-c1.tif")->amount, 10, 1e-6);
    fnr_audit_free(&a);
}

/* Two layers with one folder of tiles each; one tile went into the other layer. */
static void a_tile_over_another_section_is_named(void **state)
{
    (void)state;
    static fnr_eval_row rows[10];
    static char path[10][32];
    for (int i = 0; i < 10; i++) {
        snprintf(path[i], sizeof path[i], "S%d/t%d.tif", i / 5, i % 5);
        rows[i] = (fnr_eval_row){.tile = path[i] + 3,
                                 .path = path[i],
                                 .mbp = (char *)(i / 5 && i != 7 ? "b/MBP_1.tif" : "b/MBP_0.tif"),
                                 .has_transform = true,
                                 .t = at(50 * i, 20, 0),
                                 .w = W,
                                 .h = H};
    }
    const fnr_eval_set set = {rows, 10};
    fnr_audit a = {0};
    fnr_error err = {0};
    assert_ok(fnr_audit_placements(&set, "x", 0, &a, &err), err);
    assert_non_null(
        strstr(only(&a, FNR_AUDIT_ERROR, "wrong section", "t2.tif")->what, "4 of the 5 tiles of its folder lie over MBP_1.tif"));
    fnr_audit_free(&a);
}

static fnr_eval_set placements_of(project *p, const char *name)
{
    fnr_eval_set set;
    fnr_audit ignored = {0};
    fnr_error err = {0};
    assert_ok(fnr_audit_project(write_project(p, name), "mbp", &ignored, &set, &err), err);
    fnr_audit_free(&ignored);
    return set;
}

static fnr_audit audit_people(fnr_eval_set sets[2])
{
    static const char *const names[] = {"anna", "bert"};
    fnr_audit a = {0};
    fnr_error err = {0};
    assert_ok(fnr_audit_people(sets, names, 2, 0, &a, &err), err);
    fnr_eval_free(&sets[0]);
    fnr_eval_free(&sets[1]);
    return a;
}

static void where_people_disagree_is_measured(void **state)
{
    (void)state;
    project *p = sound_project();
    fnr_eval_set sets[2];
    sets[0] = placements_of(p, "a.xml");
    for (int i = 0; i < N; i++) { /* the usual differences: 0.3 px to all sides */
        p->patches[2 + i].to_world.m02 += 0.3 * cos(i * 2.4);
        p->patches[2 + i].to_world.m12 += 0.3 * sin(i * 2.4);
    }
    tile(p, 3, 2)->to_world = at(100 + 90 + 1.2, 150 + 144 + 1.6, 0);
    sets[1] = placements_of(p, "b.xml");
    fnr_audit a = audit_people(sets);
    assert_near(only(&a, FNR_AUDIT_WARNING, "people differ", "Tile_r3-c2.tif")->amount, 2, 1e-6);
    fnr_audit_free(&a);
}

static void a_shift_of_the_whole_section_is_one_finding(void **state)
{
    (void)state;
    project *p = sound_project();
    fnr_eval_set sets[2];
    sets[0] = placements_of(p, "a.xml");
    for (int i = 0; i < 2; i++) { /* after the tiles were placed, both channels were dragged by (-6, 2.5) */
        p->patches[i].to_world.m02 -= 6;
        p->patches[i].to_world.m12 += 2.5;
    }
    tile(p, 2, 2)->visible = false;
    sets[1] = placements_of(p, "b.xml");
    fnr_audit a = audit_people(sets);
    const fnr_audit_finding *f = NULL;
    for (size_t i = 0; i < a.count; i++) {
        f = a.items[i].grade == FNR_AUDIT_ERROR ? &a.items[i] : f;
    }
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_ERROR), 1);
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_WARNING), 0);
    assert_int_equal(fnr_audit_count(&a, FNR_AUDIT_NOTE), 1); /* the hidden tile is absent in one of the two */
    assert_string_equal(f->kind, "shifted together");
    assert_near(f->amount, 6.5, 1e-6);
    assert_non_null(strstr(f->what, "(-6.0, +2.5)"));
    fnr_audit_free(&a);
}

/* What two people placed on real EM is not full of false alarms. */
static void sound_manual_projects_stay_without_findings(void **state)
{
    (void)state;
    static const char *const sections[] = {"visible/D", "train/B"};
    for (int i = 0; i < 2; i++) {
        fnr_audit a = {0};
        fnr_eval_set sets[2] = {{0}};
        fnr_error err = {0};
        static const char *const names[] = {"a", "b"};
        for (int k = 0; k < 2; k++) {
            char name[64];
            snprintf(name, sizeof name, "data/nerve/%s/manual_%s.xml", sections[i], names[k]);
            assert_ok(fnr_audit_project(fnr_test_need(name), "mbp", &a, &sets[k], &err), err);
        }
        assert_ok(fnr_audit_people(sets, names, 2, 0, &a, &err), err);
        assert_true(a.tiles >= 20);
        if (a.count) {
            show(&a);
        }
        assert_int_equal(a.count, 0);
        fnr_eval_free(&sets[0]);
        fnr_eval_free(&sets[1]);
        fnr_audit_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_project_has_no_faults),
        cmocka_unit_test(a_mirrored_tile_is_named),
        cmocka_unit_test(a_sheared_tile_is_measured),
        cmocka_unit_test(a_turned_and_a_scaled_tile_are_measured),
        cmocka_unit_test(exchanged_tiles_are_both_named),
        cmocka_unit_test(a_last_column_that_overlaps_more_is_fine),
        cmocka_unit_test(moved_channels_and_images_are_measured),
        cmocka_unit_test(tiles_never_placed_or_over_nothing_are_named),
        cmocka_unit_test(a_tile_placed_twice_is_measured),
        cmocka_unit_test(a_tile_over_another_section_is_named),
        cmocka_unit_test(where_people_disagree_is_measured),
        cmocka_unit_test(a_shift_of_the_whole_section_is_one_finding),
        cmocka_unit_test(sound_manual_projects_stay_without_findings),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
