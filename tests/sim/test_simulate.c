/* The files of a simulated case, read back and compared with each other: nothing here trusts the simulator's own record. */
#include "tests/support/support.h"

#include <sys/stat.h>
#include <unistd.h>
#include "src/core/fs.h"
#include "src/core/hash.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"
#include "src/geom/trakem2.h"
#include "src/geom/warp.h"
#include "src/image/tiff.h"
#include "src/sim/case.h"
#include "src/sim/em.h"

enum { ROWS = 2, COLS = 3, TILES = ROWS * COLS, TILE_W = 700, TILE_H = 520 };

static fnr_sim_options small_case(uint64_t seed)
{
    fnr_sim_options o;
    fnr_sim_defaults(&o);
    o.seed = seed;
    o.rows = ROWS, o.cols = COLS;
    o.tile_px = TILE_W, o.tile_h_px = TILE_H;
    o.overlap = 0.15;
    o.montage_w = 430, o.montage_h = 510;
    o.empty_fraction = 0;
    return o;
}

static char *simulate(const char *name, const fnr_sim_options *o)
{
    fnr_error err = {0};
    char *dir = malloc(FNR_PATH_MAX);
    assert_ok(fnr_path_join(dir, fnr_test_tmpdir(), name, &err), err);
    assert_ok(fnr_simulate(dir, o, NULL, &err), err);
    return dir;
}

/* Most tests look at one case. */
static char *shared_dir;
static fnr_sim_options shared_options;
static fnr_sim_case shared;

static int make_shared(void **state)
{
    (void)state;
    fnr_error err = {0};
    shared_options = small_case(12);
    shared_dir = simulate("shared", &shared_options);
    assert_ok(fnr_sim_case_init(&shared, &shared_options, NULL, &err), err);
    return 0;
}

static int free_shared(void **state)
{
    (void)state;
    fnr_sim_case_free(&shared);
    free(shared_dir);
    return 0;
}

/* One digest over all files except the TrakEM2 projects' (they may carry a time stamp). */
static fnr_digest digest_of(const char *dir)
{
    char text[TILES + 8][FNR_DIGEST_SIZE], path[FNR_PATH_MAX];
    fnr_error err = {0};
    fnr_hasher *h = fnr_hasher_new();
    fnr_digest d;
    const char *plain[] = {"mbp.tif", "truth.csv", "case.json"};
    for (int i = 0; i < TILES + 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "em/Tile_r%d-c%d.tif", 1 + i / COLS, 1 + i % COLS);
        assert_ok(fnr_path_join(path, dir, i < TILES ? name : plain[i - TILES], &err) && fnr_hash_file(path, &d, &err), err);
        snprintf(text[i], sizeof text[i], "%s", d.hex);
        fnr_hasher_add_text(h, text[i]);
    }
    fnr_hasher_finish(h, &d);
    return d;
}

static void bytes_depend_on_the_seed_alone(void **state)
{
    (void)state;
    fnr_sim_options o = small_case(5);
    o.rotation_deg = 90, o.scale = 0.97;
    o.tile_px = 300, o.tile_h_px = 220;
    o.montage_w = 200, o.montage_h = 230;
    fnr_threads_set(1);
    char *one = simulate("threads1", &o);
    fnr_threads_set(3);
    char *three = simulate("threads3", &o);
    o.seed = 6;
    char *other = simulate("seed6", &o);
    fnr_threads_set(0);
    assert_string_equal(digest_of(one).hex, digest_of(three).hex);
    assert_string_not_equal(digest_of(one).hex, digest_of(other).hex);
    free(one), free(three), free(other);
}

typedef struct {
    char name[64];
    double stage_x, stage_y, true_x, true_y, residual, myelin;
    fnr_transform t;
} truth_row;

static void read_truth(const char *dir, truth_row rows[TILES])
{
    char path[FNR_PATH_MAX], transform[256];
    char *text = NULL;
    size_t size;
    fnr_error err = {0};
    assert_ok(fnr_path_join(path, dir, "truth.csv", &err) && fnr_read_file(path, 1 << 20, &text, &size, &err), err);
    char *line = strtok(text, "\n");
    assert_string_equal(line, "tile,row,col,stage_x,stage_y,true_x,true_y,transform,residual_px,myelin_fraction");
    for (int i = 0; i < TILES; i++) {
        truth_row *r = &rows[i];
        int row, col;
        line = strtok(NULL, "\n");
        assert_non_null(line);
        assert_int_equal(sscanf(line, "%63[^,],%d,%d,%lf,%lf,%lf,%lf,%255[^,],%lf,%lf", r->name, &row, &col, &r->stage_x,
                                &r->stage_y, &r->true_x, &r->true_y, transform, &r->residual, &r->myelin),
                         10);
        assert_int_equal((row - 1) * COLS + col - 1, i);
        assert_ok(fnr_transform_parse(transform, FNR_FRAME_TILE, FNR_FRAME_IF, &r->t, &err), err);
    }
    free(text);
}

static fnr_image read_float(const char *dir, const char *name)
{
    char path[FNR_PATH_MAX];
    fnr_error err = {0};
    fnr_image raw = {0}, im = {0};
    assert_ok(fnr_path_join(path, dir, name, &err) && fnr_tiff_read(path, NULL, &raw, &err) &&
                  fnr_image_to_f32(&raw.v, 0, 0, &im, &err),
              err);
    fnr_image_free(&raw);
    return im;
}

/* Correlation of two images over the pixels where the second is not NaN. */
static double correlation(const fnr_view *a, const fnr_view *b)
{
    double n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    for (int y = 0; y < a->h; y++) {
        for (int x = 0; x < a->w; x++) {
            const double p = (double)fnr_pixel(a, x, y, 0, 0), q = (double)fnr_pixel(b, x, y, 0, 0);
            if (!isnan(q)) {
                n++, sa += p, sb += q, saa += p * p, sbb += q * q, sab += p * q;
            }
        }
    }
    return (sab - sa * sb / n) / sqrt((saa - sa * sa / n) * (sbb - sb * sb / n));
}

/* A tile-sized image brought into the montage by averaging the tile pixels that land in each montage pixel; NaN elsewhere. */
static void splat(const fnr_view *tile, const fnr_transform *t, double shift_x, double shift_y, fnr_view *out)
{
    float *count = calloc((size_t)out->w * (size_t)out->h, sizeof *count), *px = out->px;
    memset(px, 0, (size_t)out->w * (size_t)out->h * sizeof *px);
    for (int y = 0; y < tile->h; y++) {
        for (int x = 0; x < tile->w; x++) {
            const fnr_point q = fnr_transform_apply(t, (fnr_point){x, y});
            const int i = (int)lround(q.x + shift_x), j = (int)lround(q.y + shift_y);
            if (i >= 0 && i < out->w && j >= 0 && j < out->h) {
                px[j * out->w + i] += fnr_pixel(tile, x, y, 0, 0);
                count[j * out->w + i] += 1;
            }
        }
    }
    for (int i = 0; i < out->w * out->h; i++) {
        px[i] = count[i] > 0 ? px[i] / count[i] : NAN;
    }
    free(count);
}

/* The stated position explains the tile's dark pixels better than one 12 px away. */
static void check_em(const char *dir, const char *tile, const fnr_view *mask)
{
    char name[128];
    snprintf(name, sizeof name, "em/%s", tile);
    fnr_image em = read_float(dir, name);
    double score[5];
    for (int k = 0; k < 5; k++) {
        const int dx = 12 * ((k == 1) - (k == 2)), dy = 12 * ((k == 3) - (k == 4));
        const fnr_view a = fnr_view_crop(&em.v, 12, 12, TILE_W - 24, TILE_H - 24),
                       b = fnr_view_crop(mask, 12 + dx, 12 + dy, a.w, a.h);
        score[k] = correlation(&a, &b);
        assert_at_most(score[0], k ? score[k] - 0.002 : -0.2);
    }
    fnr_image_free(&em);
}

/* What the file's transform makes of the myelin at the position the file states, against the montage file. */
static void check_montage(const char *dir, const fnr_sim_case *c)
{
    fnr_error err = {0};
    truth_row rows[TILES];
    read_truth(dir, rows);
    fnr_image mbp = read_float(dir, "mbp.tif"), moved = {0}, mask = {0};
    assert_int_equal(mbp.v.w, 430);
    assert_int_equal(mbp.v.h, 510);
    assert_ok(fnr_image_new(&moved, mbp.v.w, mbp.v.h, 1, 1, FNR_F32, &err) &&
                  fnr_image_new(&mask, TILE_W, TILE_H, 1, 1, FNR_F32, &err),
              err);
    double drop = 0, off_x = 0, off_y = 0;
    int checked = 0;
    for (int i = 0; i < TILES; i++) {
        const double nm = c->options.em_nm;
        fnr_sim_draw_myelin(&c->scene, &(fnr_sim_window){rows[i].true_x * nm, rows[i].true_y * nm, nm}, &mask.v);
        if (rows[i].myelin < 0.02) {
            continue;
        }
        check_em(dir, rows[i].name, &mask.v);
        splat(&mask.v, &rows[i].t, 0, 0, &moved.v);
        const double right = correlation(&mbp.v, &moved.v);
        assert_true(right > 0.6);
        double wrong[4]; /* 2 px right, left, down, up */
        for (int k = 0; k < 4; k++) {
            splat(&mask.v, &rows[i].t, 2.0 * ((k == 0) - (k == 1)), 2.0 * ((k == 2) - (k == 3)), &moved.v);
            wrong[k] = correlation(&mbp.v, &moved.v);
            assert_at_most(wrong[k], right - 0.01);
            drop += (right - wrong[k]) / 4;
        }
        off_x += (wrong[0] - wrong[1]) / (2 * right - wrong[0] - wrong[1]);
        off_y += (wrong[2] - wrong[3]) / (2 * right - wrong[2] - wrong[3]);
        checked++;
    }
    assert_true(checked >= TILES - 2);
    assert_true(drop / checked > 0.1);
    /* the top of the parabola through the scores: no systematic shift, of half a pixel for instance */
    assert_at_most(fabs(off_x / checked), 0.15);
    assert_at_most(fabs(off_y / checked), 0.15);
    fnr_image_free(&mbp), fnr_image_free(&moved), fnr_image_free(&mask);
}

static void mbp_lies_where_the_truth_says(void **state)
{
    (void)state;
    check_montage(shared_dir, &shared);
}

static void widefield_montage_lies_there_too(void **state)
{
    (void)state;
    fnr_sim_options o = shared_options;
    o.widefield = true;
    char *dir = simulate("wide", &o);
    check_montage(dir, &shared);
    fnr_image mbp = read_float(dir, "mbp.tif"), sharp = read_float(shared_dir, "mbp.tif");
    float least = 1e9f, least_sharp = 1e9f;
    for (int i = 0; i < mbp.v.w * mbp.v.h; i++) {
        least = fminf(least, ((float *)mbp.v.px)[i]);
        least_sharp = fminf(least_sharp, ((float *)sharp.v.px)[i]);
    }
    assert_true(least > 100 && least_sharp == 0); /* camera offset and background against clipped background */
    fnr_image_free(&mbp), fnr_image_free(&sharp);
    free(dir);
}

static void columns_of_the_truth_can_be_recomputed(void **state)
{
    (void)state;
    truth_row rows[TILES];
    read_truth(shared_dir, rows);
    float *px = malloc(sizeof *px * TILE_W * TILE_H);
    fnr_view mask = fnr_view_f32(px, TILE_W, TILE_H);
    const double nm = shared_options.em_nm;
    for (int i = 0; i < TILES; i++) {
        double sum = 0, share = 0;
        int n = 0;
        for (int y = 6; y < TILE_H; y += 13) {
            for (int x = 6; x < TILE_W; x += 13) {
                const fnr_point q = fnr_sim_map_apply(&shared.map, (fnr_point){rows[i].true_x + x, rows[i].true_y + y});
                const fnr_point p = fnr_transform_apply(&rows[i].t, (fnr_point){x, y});
                sum += (q.x - p.x) * (q.x - p.x) + (q.y - p.y) * (q.y - p.y);
                n++;
            }
        }
        assert_at_most(fabs(sqrt(sum / n) - rows[i].residual), 0.002);
        fnr_sim_draw_myelin(&shared.scene, &(fnr_sim_window){rows[i].true_x * nm, rows[i].true_y * nm, nm}, &mask);
        for (int k = 0; k < TILE_W * TILE_H; k++) {
            share += (double)px[k] / (TILE_W * TILE_H);
        }
        assert_at_most(fabs(share - rows[i].myelin), 2e-5);
        assert_at_most(fabs(rows[i].true_x - rows[i].stage_x), 5 * shared_options.stage_error_px);
    }
    free(px);
}

/* Neighbours show the same tissue where they overlap, when laid out at their true positions, not at the stage's. */
static void overlapping_tiles_agree(void **state)
{
    (void)state;
    fnr_error err = {0};
    truth_row rows[TILES];
    read_truth(shared_dir, rows);
    fnr_image left = read_float(shared_dir, "em/Tile_r1-c1.tif"), right = read_float(shared_dir, "em/Tile_r1-c2.tif"), a = {0},
              b = {0}, seen = {0};
    assert_ok(fnr_image_new(&a, TILE_W, TILE_H, 1, 1, FNR_F32, &err) && fnr_image_new(&b, TILE_W, TILE_H, 1, 1, FNR_F32, &err) &&
                  fnr_image_new(&seen, TILE_W, TILE_H, 1, 1, FNR_F32, &err) && fnr_cv_blur(&left.v, 2, &a.v, &err) &&
                  fnr_cv_blur(&right.v, 2, &b.v, &err),
              err);
    double score[2];
    for (int k = 0; k < 2; k++) {
        const double dx = k ? rows[1].stage_x - rows[0].stage_x : rows[1].true_x - rows[0].true_x;
        const double dy = k ? rows[1].stage_y - rows[0].stage_y : rows[1].true_y - rows[0].true_y;
        const fnr_transform to_right = fnr_transform_similarity(1, 0, -dx, -dy, FNR_FRAME_ANY, FNR_FRAME_ANY);
        assert_ok(fnr_warp_affine(&b.v, &to_right, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, &seen.v, &err), err);
        const int x0 = (int)ceil(dx) + 2, y0 = 80;
        const fnr_view p = fnr_view_crop(&a.v, x0, y0, TILE_W - x0, TILE_H - 2 * y0),
                       q = fnr_view_crop(&seen.v, x0, y0, p.w, p.h);
        score[k] = correlation(&p, &q);
    }
    assert_true(score[0] > 0.95);
    assert_at_most(score[1], score[0] - 0.05);
    fnr_image_free(&left), fnr_image_free(&right), fnr_image_free(&seen), fnr_image_free(&a), fnr_image_free(&b);
}

static void annotators_differ_by_the_stated_amount(void **state)
{
    (void)state;
    fnr_error err = {0};
    double ab = 0, a_truth = 0;
    int n = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) { /* the same tiles, other hands */
        fnr_sim_case c = shared;
        c.options.seed = seed;
        for (int i = 0; i < TILES; i++, n++) {
            fnr_transform a, b, truth = c.tiles[i].truth;
            assert_ok(fnr_sim_annotate(&c, &c.tiles[i], 'a', &a, &err) && fnr_sim_annotate(&c, &c.tiles[i], 'b', &b, &err), err);
            truth.from = a.from, truth.to = a.to;
            ab += fnr_transform_mean_distance(&a, &b, TILE_W, TILE_H);
            a_truth += fnr_transform_mean_distance(&a, &truth, TILE_W, TILE_H);
        }
    }
    assert_at_most(fabs(ab / n - 0.32), 0.03);
    assert_at_most(fabs(a_truth / n - 0.32 / sqrt(2)), 0.03);
}

static void manual_projects_read_back(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_sim_options o = small_case(12);
    o.empty_fraction = 0.5;
    char *dir = simulate("manual", &o), path[FNR_PATH_MAX];
    truth_row rows[TILES];
    read_truth(dir, rows);
    size_t with_myelin = 0;
    for (int i = 0; i < TILES; i++) {
        with_myelin += rows[i].myelin >= 0.01;
    }
    assert_true(with_myelin >= 1 && with_myelin < TILES); /* half the section is empty */
    for (int k = 0; k < 2; k++) {
        fnr_t2_project p;
        assert_ok(fnr_path_join(path, dir, k ? "manual_b.xml" : "manual_a.xml", &err) && fnr_t2_read(path, &p, &err), err);
        assert_int_equal(p.n_patches, 1 + with_myelin);
        assert_true(p.pixel_nm == 100.0);
        assert_int_equal(p.patches[0].o_height, 510);
        for (size_t i = 1; i < p.n_patches; i++) {
            assert_true(fnr_is_file(p.patches[i].file_path));
            for (int j = 0; j < TILES; j++) {
                if (strstr(p.patches[i].file_path, rows[j].name)) {
                    fnr_transform t = rows[j].t;
                    t.from = p.patches[i].to_world.from, t.to = p.patches[i].to_world.to;
                    assert_at_most(fnr_transform_mean_distance(&t, &p.patches[i].to_world, TILE_W, TILE_H), 1.2);
                }
            }
        }
        fnr_t2_free(&p);
        char command[FNR_PATH_MAX + 64];
        snprintf(command, sizeof command, "xmllint --noout --valid '%s'", path);
        if (system("command -v xmllint >/dev/null") == 0) {
            assert_int_equal(system(command), 0);
        }
    }
    free(dir);
}

static void folders_with_something_in_them_are_left_alone(void **state)
{
    (void)state;
    fnr_error err = {0};
    char dir[FNR_PATH_MAX], file[FNR_PATH_MAX];
    const fnr_sim_options o = small_case(1);
    assert_ok(fnr_path_join(dir, fnr_test_tmpdir(), "taken", &err) && fnr_mkdirs(dir, &err), err);
    assert_ok(fnr_path_join(file, dir, "thesis.txt", &err) && fnr_write_file(file, "x", 1, &err), err);
    assert_false(fnr_simulate(dir, &o, NULL, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    assert_non_null(strstr(err.message, "taken"));
    fnr_listing l;
    assert_ok(fnr_list_dir(dir, &l, &err), err);
    assert_int_equal(l.count, 1);
    fnr_listing_free(&l);
    assert_false(fnr_simulate(file, &o, NULL, &err)); /* a file is no folder */
    assert_int_equal(err.code, FNR_E_IO);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    const struct {
        size_t offset;
        int value;
        const char *expect;
    } ints[] = {
        {offsetof(fnr_sim_options, rows), 0, "rows"},
        {offsetof(fnr_sim_options, tile_px), 10, "tile width"},
        {offsetof(fnr_sim_options, montage_h), -5, "montage height"},
        {offsetof(fnr_sim_options, montage_w), 100, "does not fit|larger"},
    };
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        fnr_error err = {0};
        fnr_sim_options o = small_case(1);
        *(int *)((char *)&o + ints[i].offset) = ints[i].value;
        assert_false(fnr_simulate("/nonexistent/never", &o, NULL, &err));
        assert_int_equal(err.code, FNR_E_USAGE);
        assert_non_null(strstr(err.message, i == 3 ? "larger" : ints[i].expect));
    }
    fnr_error err = {0};
    fnr_sim_options o = small_case(1);
    o.overlap = NAN;
    assert_false(fnr_simulate("/nonexistent/never", &o, NULL, &err));
    assert_non_null(strstr(err.message, "overlap"));
}

static void a_request_to_stop_is_heard(void **state)
{
    (void)state;
    fnr_error err = {0};
    char dir[FNR_PATH_MAX];
    const fnr_sim_options o = small_case(1);
    const fnr_cancel now = {.requested = 1};
    assert_ok(fnr_path_join(dir, fnr_test_tmpdir(), "stopped", &err), err);
    assert_false(fnr_simulate(dir, &o, &now, &err));
    assert_int_equal(err.code, FNR_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_depend_on_the_seed_alone),
        cmocka_unit_test(mbp_lies_where_the_truth_says),
        cmocka_unit_test(widefield_montage_lies_there_too),
        cmocka_unit_test(columns_of_the_truth_can_be_recomputed),
        cmocka_unit_test(overlapping_tiles_agree),
        cmocka_unit_test(annotators_differ_by_the_stated_amount),
        cmocka_unit_test(manual_projects_read_back),
        cmocka_unit_test(folders_with_something_in_them_are_left_alone),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(a_request_to_stop_is_heard),
    };
    return cmocka_run_group_tests(tests, make_shared, free_shared);
}
