/* Real files of other programs against numbers that tifffile (Python) and tiffinfo gave for them. */
#include "tests/support/support.h"

#include <tiffio.h>
#include "src/image/stats.h"
#include "src/image/tiff.h"

typedef struct {
    const char *name;
    int w, h, pages, bits, samples;
    double nm;
    fnr_nm_source source;
    const char *refused; /* a word of the message, or NULL when the pixels can be had */
    fnr_dtype dtype;
    double mean, sd;                  /* of page 0 */
    double at_3_2, at_middle, at_end; /* x=3 y=2; x=w/2 y=h/3; last pixel */
} known;

/* nm: Zeiss AP_IMAGE_PIXEL_SIZE 593.3 nm; Tescan PixelSizeX 2.5012e-6 m; Thermo PixelWidth 2.69792e-007 m; OpenFIBSEM JSON
 * 9.765625e-08 m; OME 39.3939... um; the rest have none, or 254, 400, 72 dpi. */
static const known files[] = {
    {"BigTIFF.tif", 64, 64, 1, 8, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"BigTIFFLong.tif", 64, 64, 1, 8, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"BigTIFFMotorola.tif", 64, 64, 1, 8, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"brightlight-off-slit-ccd.ome.tiff", 1280, 1080, 1, 16, 1, 39393.939393939384, FNR_NM_OME, NULL, FNR_U16, 100.314881366,
     6.209603865, 111, 93, 108},
    {"fibsemos_example_sem.tif", 1536, 1024, 1, 8, 1, 97.65625, FNR_NM_MICROSCOPE, NULL, FNR_U8, 127.608793259, 73.925704130, 240,
     96, 139},
    {"jeol_example_sem.tif", 1280, 960, 1, 8, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U8, 103.726975911, 29.855677380, 105, 94, 123},
    {"lzw-single-strip.tiff", 7795, 3122, 1, 1, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U8, 249.568390889, 36.817902516, 0, 255, 255},
    {"minisblack-1c-16b.tiff", 157, 151, 1, 16, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U16, 30924.462774708, 13654.020330513, 28053,
     21045, 49003},
    {"minisblack-1c-8b.tiff", 157, 151, 1, 8, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U8, 119.833509090, 53.128527930, 109, 81, 190},
    {"miniswhite-1c-1b.tiff", 157, 151, 1, 1, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U8, 127.494621842, 127.499999887, 0, 0, 255},
    {"palette-1c-8b.tiff", 157, 151, 1, 8, 1, 0, FNR_NM_UNKNOWN, "palette", 0, 0, 0, 0, 0, 0},
    {"quad-tile.jpg.tiff", 512, 384, 1, 8, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"rgb-3c-16b.tiff", 157, 151, 1, 16, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"rgb-3c-8b.tiff", 157, 151, 1, 8, 3, 0, FNR_NM_UNKNOWN, "3 samples", 0, 0, 0, 0, 0, 0},
    {"tescan_example_sem1.tif", 1024, 888, 1, 16, 1, 2501.2, FNR_NM_MICROSCOPE, NULL, FNR_U16, 9625.044814101, 14302.972861242, 0,
     18815, 24672},
    {"tfs_example.tif", 1536, 1092, 1, 8, 1, 269.792, FNR_NM_MICROSCOPE, NULL, FNR_U8, 170.114729997, 49.365499436, 156, 102, 46},
    {"tiff_with_subifd_chain.tif", 1024, 512, 2, 8, 1, 0, FNR_NM_UNKNOWN, NULL, FNR_U8, 220, 0, 220, 220, 220},
    {"zeiss_example_sem.tif", 1024, 768, 1, 8, 1, 593.3, FNR_NM_MICROSCOPE, NULL, FNR_U8, 81.885100047, 90.680520457, 133, 255,
     186},
};

static void check_pixels(const known *k, const fnr_image *im)
{
    const fnr_stats s = fnr_stats_of(&im->v);
    assert_int_equal(im->v.w, k->w);
    assert_int_equal(im->v.h, k->h);
    assert_int_equal(im->v.dtype, k->dtype);
    assert_at_most(fabs(s.mean - k->mean), 1e-8 * (1 + k->mean));
    assert_at_most(fabs(s.sd - k->sd), 1e-8 * (1 + k->sd));
    assert_at_most(fabs((double)fnr_pixel(&im->v, 3, 2, 0, 0) - k->at_3_2), 0);
    assert_at_most(fabs((double)fnr_pixel(&im->v, k->w / 2, k->h / 3, 0, 0) - k->at_middle), 0);
    assert_at_most(fabs((double)fnr_pixel(&im->v, k->w - 1, k->h - 1, 0, 0) - k->at_end), 0);
    assert_at_most(fabs(im->v.nm - k->nm), 1e-6 * k->nm);
}

static void check_file(const known *k, const char *path)
{
    fnr_error err = {0};
    fnr_tiff_info info;
    fnr_image im;
    assert_ok(fnr_tiff_probe(path, &info, &err), err);
    assert_int_equal(info.w, k->w);
    assert_int_equal(info.h, k->h);
    assert_int_equal(info.pages, k->pages);
    assert_int_equal(info.bits, k->bits);
    assert_int_equal(info.samples, k->samples);
    assert_at_most(fabs(info.nm - k->nm), 1e-6 * k->nm);
    assert_at_most(fabs(info.nm_y - k->nm), 1e-6 * k->nm);
    assert_int_equal(info.nm_source, k->source);
    const bool ok = fnr_tiff_read(path, NULL, &im, &err);
    if (k->refused) {
        assert_false(ok);
        assert_int_equal(err.code, FNR_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, k->refused));
        assert_non_null(strstr(err.message, k->name));
        assert_null(im.v.px);
    } else {
        assert_ok(ok, err);
        check_pixels(k, &im);
        fnr_image_free(&im);
    }
}

static void known_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[256];
        snprintf(name, sizeof name, "data/formats/tiff_ok/%s", files[i].name);
        print_message("%s\n", files[i].name);
        check_file(&files[i], fnr_test_need(name));
    }
}

static void flags_of_files(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tiff_info info;
    assert_ok(fnr_tiff_probe(fnr_test_need("data/formats/tiff_ok/quad-tile.jpg.tiff"), &info, &err), err);
    assert_true(info.tiled && info.is_rgb && !info.big && info.compression == COMPRESSION_JPEG);
    assert_ok(fnr_tiff_probe(fnr_test_need("data/formats/tiff_ok/BigTIFFMotorola.tif"), &info, &err), err);
    assert_true(info.big && !info.tiled && info.is_rgb && !info.is_float && info.compression == COMPRESSION_NONE);
    assert_ok(fnr_tiff_probe(fnr_test_need("data/formats/tiff_ok/miniswhite-1c-1b.tiff"), &info, &err), err);
    assert_true(info.min_is_white && !info.is_palette);
    assert_ok(fnr_tiff_probe(fnr_test_need("data/formats/tiff_ok/jeol_example_sem.tif"), &info, &err), err);
    assert_true(info.is_palette && info.compression == COMPRESSION_LZW);
    assert_ok(fnr_tiff_probe(fnr_test_need("data/formats/tiff_ok/brightlight-off-slit-ccd.ome.tiff"), &info, &err), err);
    assert_string_equal(info.ome_dimension_order, "XYZTC");
    assert_int_equal(info.size_z, 1);
}

/* An EM tile says 840338 px/cm, the MBP montage 100000 px/cm. */
static void nerve_files(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_tiff_read(fnr_test_need("data/nerve/train/A/em/Tile_r1-c3.tif"), NULL, &im, &err), err);
    check_pixels(&(known){"", 1250, 1250, 1, 8, 1, 1e7 * 5111 / 4294967295.0, FNR_NM_RESOLUTION, NULL, FNR_U8, 151.808650880,
                          66.603364657, 155, 162, 137},
                 &im);
    assert_at_most(fabs(im.v.nm - 11.9), 1e-4);
    fnr_image_free(&im);
    assert_ok(fnr_tiff_read(fnr_test_need("data/nerve/train/A/mbp.tif"), NULL, &im, &err), err);
    check_pixels(&(known){"", 2048, 2048, 1, 16, 1, 100, FNR_NM_RESOLUTION, NULL, FNR_U16, 100.255770683, 704.923457831, 0, 0, 0},
                 &im);
    fnr_image_free(&im);
}

static void stack_of_floats(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im;
    fnr_tiff_info info;
    const char *path = fnr_test_need("data/labelfree3d/run_170622_174530_whole_cropped_light.tif");
    assert_ok(fnr_tiff_probe(path, &info, &err), err);
    assert_int_equal(info.pages, 32);
    assert_true(info.is_float);
    assert_ok(fnr_tiff_read(path, &(fnr_tiff_read_options){.depth = 32}, &im, &err), err);
    double sum = 0, last = 0;
    for (int z = 0; z < 32; z++) {
        const fnr_view plane = fnr_view_plane(&im.v, z, 0);
        last = fnr_stats_of(&plane).mean;
        sum += last;
    }
    assert_at_most(fabs(sum / 32 - 0.523778073), 1e-8);
    assert_at_most(fabs(last - 0.5253378085), 1e-8);
    assert_at_most(fabs((double)fnr_pixel(&im.v, 0, 0, 0, 0) - 0.4951481819152832), 1e-9);
    assert_at_most(fabs((double)fnr_pixel(&im.v, 127, 127, 31, 0) - 0.4535798728466034), 1e-9);
    fnr_image_free(&im);
    assert_false(fnr_tiff_read(path, &(fnr_tiff_read_options){.page = 20, .depth = 13}, &im, &err));
    assert_non_null(strstr(err.message, "32 pages"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_files),
        cmocka_unit_test(flags_of_files),
        cmocka_unit_test(nerve_files),
        cmocka_unit_test(stack_of_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
