/* A raster gives the pixels of a whole read, whatever the rectangle, the layout of the file and the size of the cache. */
#include "tests/image/tiff_maker.h"

#include "src/core/rng.h"
#include "src/image/raster.h"
#include "src/image/tiff.h"

static uint64_t ramp(const tiff_spec *s, int x, int y, int page)
{
    (void)s;
    return (uint64_t)(x * 5 + y * 300 + page * 7000);
}

static uint64_t checks(const tiff_spec *s, int x, int y, int page)
{
    (void)s;
    return (uint64_t)((x / 3 + y / 2 + page) & 1);
}

static void compare_rectangles(fnr_raster *r, const fnr_view *whole, int count)
{
    fnr_error err = {0};
    assert_true(r->w == whole->w && r->h == whole->h);
    for (int i = 0; i < count; i++) {
        fnr_rng rng = fnr_rng_at(7, (uint64_t)i, 0);
        const int x = (int)fnr_rng_below(&rng, (uint64_t)r->w), y = (int)fnr_rng_below(&rng, (uint64_t)r->h);
        const int w = 1 + (int)fnr_rng_below(&rng, (uint64_t)(r->w - x)), h = 1 + (int)fnr_rng_below(&rng, (uint64_t)(r->h - y));
        float *px = fnr_test_guarded((size_t)w * (size_t)h);
        assert_ok(r->read(r, x, y, w, h, px, &err), err);
        fnr_test_check_guards(px, (size_t)w * (size_t)h);
        for (int k = 0; k < w * h; k++) {
            if (!(px[k] == fnr_pixel(whole, x + k % w, y + k / w, 0, 0))) {
                fail_msg("rectangle %d %d %d %d: pixel %d is %g", x, y, w, h, k, (double)px[k]);
            }
        }
        fnr_test_guarded_free(px);
    }
}

static void check_file(const tiff_spec *s, tiff_fill fill, int page)
{
    static const size_t caches[] = {0, 5000, 1 << 20};
    fnr_error err = {0};
    fnr_image whole;
    tiff_make(tiff_temp("raster.tif"), s, fill);
    assert_ok(fnr_tiff_read(tiff_temp("raster.tif"), &(fnr_tiff_read_options){.page = page}, &whole, &err), err);
    for (int i = 0; i < 3; i++) {
        fnr_raster r;
        assert_ok(fnr_raster_from_tiff(&r, tiff_temp("raster.tif"), page, caches[i], &err), err);
        compare_rectangles(&r, &whole.v, 60);
        fnr_raster_release(&r);
    }
    fnr_image_free(&whole);
}

static void strips(void **state)
{
    (void)state;
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 16, .rows_per_strip = 7, .compression = COMPRESSION_LZW}, ramp, 0);
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 8}, ramp, 0);
    check_file(&(tiff_spec){.mode = "wb", .w = 131, .h = 67, .bits = 32, .format = SAMPLEFORMAT_INT, .rows_per_strip = 9}, ramp,
               0);
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 16, .rows_per_strip = 20, .pages = 3}, ramp, 2);
}

static void tiles(void **state)
{
    (void)state;
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 16, .tile_w = 48, .tile_h = 16}, ramp, 0);
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 8, .tile_w = 16, .tile_h = 32, .compression = COMPRESSION_PACKBITS}, ramp,
               0);
    check_file(&(tiff_spec){.w = 131, .h = 67, .bits = 1, .white = true, .tile_w = 32, .tile_h = 32}, checks, 0);
}

static void real_files(void **state)
{
    (void)state;
    static const char *const names[] = {"zeiss_example_sem.tif", "lzw-single-strip.tiff", "tfs_example.tif",
                                        "tiff_with_subifd_chain.tif"};
    for (int i = 0; i < 4; i++) {
        char name[128];
        fnr_error err = {0};
        fnr_image whole;
        fnr_raster r;
        snprintf(name, sizeof name, "data/formats/tiff_ok/%s", names[i]);
        const char *path = fnr_test_need(name);
        assert_ok(fnr_tiff_read(path, NULL, &whole, &err), err);
        assert_ok(fnr_raster_from_tiff(&r, path, 0, 200000, &err), err);
        assert_at_most(fabs(r.nm - whole.v.nm), 0);
        compare_rectangles(&r, &whole.v, 5);
        fnr_raster_release(&r);
        fnr_image_free(&whole);
    }
}

static void memory(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im;
    fnr_raster r;
    assert_ok(fnr_image_new(&im, 31, 17, 1, 1, FNR_U16, &err), err);
    for (int i = 0; i < 31 * 17; i++) {
        ((uint16_t *)im.v.px)[i] = (uint16_t)(i * 119);
    }
    fnr_view crop = fnr_view_crop(&im.v, 2, 3, 20, 11);
    crop.nm = 5;
    assert_ok(fnr_raster_from_view(&r, &crop, &err), err);
    assert_at_most(fabs(r.nm - 5), 0);
    compare_rectangles(&r, &crop, 40);
    fnr_raster_release(&r);
    assert_null(r.read);
    crop.d = 2;
    assert_false(fnr_raster_from_view(&r, &crop, &err));
    fnr_raster_release(&r);
    fnr_raster_release(NULL);
    fnr_image_free(&im);
}

static void missing_file(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_raster r;
    assert_false(fnr_raster_from_tiff(&r, tiff_temp("none.tif"), 0, 1000, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "none.tif"));
    fnr_raster_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strips), cmocka_unit_test(tiles),        cmocka_unit_test(real_files),
        cmocka_unit_test(memory), cmocka_unit_test(missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
