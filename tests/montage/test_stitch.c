#include "tests/support/support.h"

#include "montage/tileset.h"
#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/rng.h"
#include "src/core/threads.h"

/* ---- a section known in closed form: Gaussian blobs, drawn into each tile at its exact place, never resampled --------------------*/

enum { TILES_MAX = 8 };

typedef struct {
    int w, h, n;
    double x[TILES_MAX], y[TILES_MAX];
    double blob_sigma, spacing; /* [px] */
    double noise, shading;      /* shading: brightness rises by this much across a tile, and falls across the next */
    int blank_from;             /* columns of the section right of this hold nothing */
    int broken;                 /* a tile that does not load; -1 none */
    uint64_t seed;
    fnr_dtype dtype;
} section;

/* One blob per cell of a grid, anywhere in it, bright or dark. */
static void draw_blobs(const section *s, int tile, float *px)
{
    const double reach = 4 * s->blob_sigma, x0 = s->x[tile], y0 = s->y[tile];
    const int first_x = (int)floor((x0 - reach) / s->spacing) - 1, last_x = (int)ceil((x0 + s->w + reach) / s->spacing);
    const int first_y = (int)floor((y0 - reach) / s->spacing) - 1, last_y = (int)ceil((y0 + s->h + reach) / s->spacing);
    for (int cy = first_y; cy <= last_y; cy++) {
        for (int cx = first_x; cx <= last_x; cx++) {
            fnr_rng r = fnr_rng_at(s->seed, (uint64_t)(cx + 100000), (uint64_t)(cy + 100000));
            const double bx = (cx + fnr_rng_uniform(&r)) * s->spacing - x0, by = (cy + fnr_rng_uniform(&r)) * s->spacing - y0;
            const double sigma = s->blob_sigma * (0.5 + 0.5 * fnr_rng_uniform(&r)), height = fnr_rng_normal(&r);
            if (bx + x0 > s->blank_from) {
                continue;
            }
            for (int y = (int)fmax(0, by - reach); y < fmin(s->h, by + reach); y++) {
                for (int x = (int)fmax(0, bx - reach); x < fmin(s->w, bx + reach); x++) {
                    px[y * s->w + x] += (float)(height * exp(-0.5 * ((x - bx) * (x - bx) + (y - by) * (y - by)) / (sigma * sigma)));
                }
            }
        }
    }
}

/* Gain, offset, shading and noise of its own for every tile. */
static bool load_section(void *ctx, size_t i, fnr_image *out, fnr_error *err)
{
    const section *s = ctx;
    fnr_image float_image;
    if ((int)i == s->broken) {
        return fnr_fail(err, FNR_E_IO, "tile %zu: gone", i);
    }
    if (!fnr_image_new(&float_image, s->w, s->h, 1, 1, FNR_F32, err) || !fnr_image_new(out, s->w, s->h, 1, 1, s->dtype, err)) {
        return false;
    }
    float *px = float_image.v.px;
    draw_blobs(s, (int)i, px);
    fnr_rng r = fnr_rng_at(s->seed + 1, i, 0);
    const double gain = 18 + 6 * fnr_rng_uniform(&r), offset = 110 + 30 * fnr_rng_uniform(&r);
    for (int y = 0; y < s->h; y++) {
        for (int x = 0; x < s->w; x++) {
            const double shade = (i % 2 ? -s->shading : s->shading) * ((double)x / s->w - (double)y / s->h);
            const double v = offset + gain * ((double)px[y * s->w + x] + shade + s->noise * fnr_rng_normal(&r));
            if (s->dtype == FNR_F32) {
                *(float *)fnr_at(&out->v, x, y, 0, 0) = (float)v;
            } else {
                *(uint8_t *)fnr_at(&out->v, x, y, 0, 0) = (uint8_t)fmin(255, fmax(0, floor(v + 0.5)));
            }
        }
    }
    fnr_image_free(&float_image);
    return true;
}

static void set_new(fnr_tileset *set, const section *s, const char *const *names)
{
    fnr_error err = {0};
    *set = (fnr_tileset){0};
    for (int i = 0; i < s->n; i++) {
        assert_ok(fnr_tileset_add(set, names[i], &err), err);
    }
}

static double worst_pair(const fnr_tileset *set, const double *x, const double *y)
{
    double worst = 0;
    for (size_t i = 0; i < set->count; i++) {
        for (size_t j = i + 1; j < set->count; j++) {
            const fnr_tile *a = &set->tiles[i], *b = &set->tiles[j];
            if (a->group >= 0 && a->group == b->group) {
                const double e = hypot(b->x - a->x - x[j] + x[i], b->y - a->y - y[j] + y[i]);
                worst = e > worst || isnan(e) ? e : worst;
            }
        }
    }
    return worst;
}

static const char *const grid_names[6] = {"s/Tile_r1-c1.tif", "s/Tile_r1-c2.tif", "s/Tile_r1-c3.tif",
                                          "s/Tile_r2-c1.tif", "s/Tile_r2-c2.tif", "s/Tile_r2-c3.tif"};

/* 2 x 3 tiles, the last column pushed back over its neighbour, nothing known but the names. */
static section grid_section(void)
{
    return (section){.w = 300, .h = 230, .n = 6, .x = {0, 268.37, 368.12, 5.21, 275.8, 371.49},
                     .y = {0, 7.45, -3.3, 205.63, 199.17, 208.9}, .blob_sigma = 4, .spacing = 9, .noise = 0.15, .shading = 1.5,
                     .blank_from = 1 << 20, .broken = -1, .seed = 5, .dtype = FNR_U8};
}

static void grid_without_stage_positions(void **state)
{
    (void)state;
    fnr_error err = {0};
    section s = grid_section();
    fnr_tileset set;
    fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    opt.load = load_section;
    opt.load_ctx = &s;
    set_new(&set, &s, grid_names);
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
    assert_int_equal(set.n_links, 7);
    assert_int_equal(set.groups, 1);
    assert_int_equal(set.tiles[5].w, 300);
    assert_int_equal(set.tiles[5].h, 230);
    assert_at_most(worst_pair(&set, s.x, s.y), 0.1);
    assert_at_most(set.rms_residual, 0.05);
    assert_true(set.tiles[0].x == 0); /* smallest coordinates of a group without nominal positions */
    assert_true(set.tiles[2].y == 0);

    /* The same, columns running left and rows up; and on one thread, to the bit. */
    double first[6];
    const int threads = fnr_threads_get();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < s.n && round == 0; i++) {
            s.x[i] = -s.x[i];
            s.y[i] = -s.y[i];
        }
        fnr_threads_set(round == 0 ? 3 : 1);
        assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
        assert_at_most(worst_pair(&set, s.x, s.y), 0.1);
        for (int i = 0; i < s.n; i++) {
            assert_true(round == 0 || first[i] == set.tiles[i].x);
            first[i] = set.tiles[i].x;
        }
    }
    fnr_threads_set(threads);
    fnr_tileset_free(&set);
}

/* Large tiles go through the reduced copies; float with holes. */
static void stage_positions_and_large_tiles(void **state)
{
    (void)state;
    fnr_error err = {0};
    section s = {.w = 1100, .h = 820, .n = 3, .x = {0, 1052.29, 1.63}, .y = {0, 11.71, 795.84}, .blob_sigma = 6, .spacing = 14,
                 .noise = 0.2, .shading = 1, .blank_from = 1 << 20, .broken = -1, .seed = 8, .dtype = FNR_F32};
    const char *names[3] = {"p.tif", "q.tif", "r.tif"};
    fnr_tileset set;
    fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    opt.load = load_section;
    opt.load_ctx = &s;
    set_new(&set, &s, names);
    for (int i = 0; i < s.n; i++) { /* 30 px off */
        set.tiles[i].has_nominal = true;
        set.tiles[i].nominal_x = 5000 + s.x[i] + (i == 1 ? 30 : 0);
        set.tiles[i].nominal_y = s.y[i] + (i == 2 ? 30 : 0);
    }
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
    assert_int_equal(set.groups, 1);
    assert_int_equal(set.isolated, 0);
    assert_at_most(worst_pair(&set, s.x, s.y), 0.1);
    assert_at_most(fabs(set.tiles[0].x + set.tiles[1].x + set.tiles[2].x - 15000 - s.x[1] - s.x[2] - 30), 0.01);
    fnr_tileset_free(&set);
}

/* Neighbours by name that show different places, a blank column, a tile that does not load: no links, no failure. */
static void nothing_to_match(void **state)
{
    (void)state;
    fnr_error err = {0};
    section s = grid_section();
    fnr_tileset set;
    fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    opt.load = load_section;
    opt.load_ctx = &s;
    for (int i = 0; i < s.n; i++) {
        s.x[i] += 5000 * i;
    }
    set_new(&set, &s, grid_names);
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
    assert_int_equal(set.n_links, 0);
    assert_int_equal(set.isolated, 6);
    fnr_tileset_free(&set);

    s = grid_section();
    s.blank_from = 340; /* the last column is empty to the right of its overlap with the second, and its two tiles to each other */
    s.x[2] += 230;
    s.x[5] += 230;
    s.broken = 3;
    set_new(&set, &s, grid_names);
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
    assert_int_equal(set.n_links, 2);
    assert_int_equal(set.groups, 1);
    assert_int_equal(set.isolated, 3);
    assert_int_equal(set.tiles[3].group, -1);
    assert_non_null(strstr(set.tiles[3].problem, "gone"));
    assert_int_equal(set.tiles[2].group, -1);
    assert_at_most(worst_pair(&set, s.x, s.y), 0.1);
    fnr_tileset_free(&set);

    const char *unrelated[6] = {"a.tif", "b.tif", "c.tif", "d.tif", "e.tif", "f.tif"};
    s.broken = -1;
    set_new(&set, &s, unrelated);
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err);
    assert_int_equal(set.n_links, 0);
    assert_int_equal(set.groups, 0);
    fnr_tileset_free(&set);
    assert_ok(fnr_tileset_stitch(&set, &opt, NULL, &err), err); /* an empty set */
    fnr_tileset_free(&set);

    const fnr_cancel stop = {.requested = 1};
    set_new(&set, &s, grid_names);
    assert_false(fnr_tileset_stitch(&set, &opt, &stop, &err));
    assert_int_equal(err.code, FNR_E_CANCELLED);
    fnr_tileset_free(&set);
}

/* ---- real tiles ------------------------------------------------------------------------------------------------------------------*/

static void add_folder(fnr_tileset *set, const char *dir)
{
    fnr_error err = {0};
    fnr_listing l;
    assert_ok(fnr_list_dir(dir, &l, &err), err);
    for (size_t i = 0; i < l.count; i++) {
        char path[FNR_PATH_MAX];
        if (strstr(l.names[i], ".tif")) {
            assert_ok(fnr_path_join(path, dir, l.names[i], &err), err);
            assert_ok(fnr_tileset_add(set, path, &err), err);
        }
    }
    fnr_listing_free(&l);
}

static void true_positions(const fnr_tileset *set, const char *path, double *x, double *y)
{
    fnr_error err = {0};
    fnr_csv t;
    assert_ok(fnr_csv_read(path, &t, &err), err);
    for (size_t i = 0; i < set->count; i++) {
        x[i] = y[i] = NAN;
        for (size_t row = 0; row + 1 < t.rows; row++) {
            if (strcmp(set->tiles[i].name, fnr_csv_cell(&t, row, fnr_csv_column(&t, "tile"))) == 0) {
                x[i] = strtod(fnr_csv_cell(&t, row, fnr_csv_column(&t, "true_x")), NULL);
                y[i] = strtod(fnr_csv_cell(&t, row, fnr_csv_column(&t, "true_y")), NULL);
            }
        }
    }
    fnr_csv_free(&t);
}

/* Section B: 11 tiles, 4 % overlap, the last row and column pushed back; by names, then with stage positions. */
static void nerve_section(void **state)
{
    (void)state;
    fnr_error err = {0};
    char em[512], truth[512];
    snprintf(em, sizeof em, "%s", fnr_test_need("data/nerve/train/B/em"));
    snprintf(truth, sizeof truth, "%s", fnr_test_need("data/nerve/train/B/truth.csv"));
    fnr_tileset set = {0};
    double x[16], y[16];
    size_t matched = 0;
    add_folder(&set, em);
    assert_int_equal(set.count, 11);
    true_positions(&set, truth, x, y);
    for (int round = 0; round < 2; round++) {
        assert_ok(fnr_tileset_stitch(&set, NULL, NULL, &err), err);
        assert_int_equal(set.groups, 1);
        assert_int_equal(set.isolated, 0);
        assert_at_most(worst_pair(&set, x, y), 0.2);
        assert_at_most(set.rms_residual, 0.05);
        assert_ok(fnr_tileset_read_positions(&set, truth, &matched, &err), err);
        assert_int_equal(matched, 11);
    }
    fnr_tileset_free(&set);
}

/* Fluorescence tiles with stage positions, against the affine maps another aligner found: the offset they imply in the middle of the
 * overlap.  That aligner bends tiles by up to 1.6 % in scale, so the two agree to about half a pixel, not better. */
static void fluorescence_tiles(void **state)
{
    (void)state;
    fnr_error err = {0};
    char raw[512], folder[512];
    snprintf(folder, sizeof folder, "%s", fnr_test_need("data/stitching/karsh_section_A"));
    snprintf(raw, sizeof raw, "%s/RawData.xml", folder);
    fnr_tileset set = {0};
    size_t matched = 0;
    add_folder(&set, folder);
    assert_ok(fnr_tileset_read_trakem2(&set, raw, &matched, &err), err);
    assert_int_equal(set.count, 14);
    assert_int_equal(matched, 14);
    assert_ok(fnr_tileset_stitch(&set, NULL, NULL, &err), err);
    assert_int_equal(set.groups, 1);
    assert_at_most(set.rms_residual, 0.2);
    /* Affine.xml maps the point (689.535, 950.090) of A1_0_2 and (686.997, 89.775) of A1_1_2 to one place. */
    const fnr_tile *first = NULL, *second = NULL;
    for (size_t i = 0; i < set.count; i++) {
        first = strcmp(set.tiles[i].name, "A1_0_2.tif") == 0 ? &set.tiles[i] : first;
        second = strcmp(set.tiles[i].name, "A1_1_2.tif") == 0 ? &set.tiles[i] : second;
    }
    assert_non_null(first);
    assert_non_null(second);
    assert_at_most(hypot(second->x - first->x - 2.54, second->y - first->y - 860.31), 0.8);
    fnr_tileset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grid_without_stage_positions), cmocka_unit_test(stage_positions_and_large_tiles),
                                       cmocka_unit_test(nothing_to_match), cmocka_unit_test(nerve_section),
                                       cmocka_unit_test(fluorescence_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
