/* Sample types, byte orders, layouts and codecs that our own writer never uses. */
#include "tests/image/tiff_maker.h"

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

static uint64_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t float_ramp(const tiff_spec *s, int x, int y, int page)
{
    if (x == 4 && y == 2) {
        return bits_of_float(NAN);
    }
    if (x == 5 && y == 2) {
        return bits_of_float(-INFINITY);
    }
    if (s->bits == 64) {
        const double value = x - 0.25 * y + page;
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
    }
    return bits_of_float((float)x - 0.25f * (float)y + (float)page);
}

static fnr_image read_back(const char *path, int page)
{
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_tiff_read(path, &(fnr_tiff_read_options){.page = page}, &im, &err), err);
    return im;
}

/* Every pixel of the image must be what `value` computes. */
static void check_all(const fnr_image *im, const tiff_spec *s, fnr_dtype dtype, double (*value)(int x, int y))
{
    assert_true(im->v.w == s->w && im->v.h == s->h && im->v.d == 1 && im->v.c == 1);
    assert_int_equal(im->v.dtype, dtype);
    for (int y = 0; y < s->h; y++) {
        for (int x = 0; x < s->w; x++) {
            if (!((double)fnr_pixel(&im->v, x, y, 0, 0) == value(x, y))) {
                fail_msg("%d bits, compression %d: pixel %d %d is %g instead of %g", s->bits, s->compression, x, y,
                         (double)fnr_pixel(&im->v, x, y, 0, 0), value(x, y));
            }
        }
    }
}

static void make_and_check(const tiff_spec *s, tiff_fill fill, fnr_dtype dtype, double (*value)(int x, int y))
{
    tiff_make(tiff_temp("odd.tif"), s, fill);
    fnr_image im = read_back(tiff_temp("odd.tif"), 0);
    check_all(&im, s, dtype, value);
    fnr_image_free(&im);
}

static double as_ramp(int x, int y)
{
    return x * 5 + y * 300;
}
static double as_u8(int x, int y)
{
    return (x * 5 + y * 300) % 256;
}
static double as_u8_white(int x, int y)
{
    return 255 - as_u8(x, y);
}
static double as_u16_white(int x, int y)
{
    return 65535 - as_ramp(x, y);
}
static double as_s8(int x, int y)
{
    return as_u8(x, y) < 128 ? as_u8(x, y) : as_u8(x, y) - 256;
}
static double as_bits(int x, int y)
{
    return (x / 3 + y / 2) & 1 ? 255 : 0;
}
static double as_bits_white(int x, int y)
{
    return 255 - as_bits(x, y);
}

static void unsigned_samples(void **state)
{
    (void)state;
    static const char *const modes[] = {"w", "wb", "w8", "wb8"};
    for (int i = 0; i < 4; i++) {
        make_and_check(&(tiff_spec){.mode = modes[i], .w = 37, .h = 23, .bits = 8, .rows_per_strip = 5}, ramp, FNR_U8, as_u8);
        make_and_check(&(tiff_spec){.mode = modes[i], .w = 37, .h = 23, .bits = 16, .rows_per_strip = 5}, ramp, FNR_U16, as_ramp);
        make_and_check(&(tiff_spec){.mode = modes[i], .w = 37, .h = 23, .bits = 32, .rows_per_strip = 5}, ramp, FNR_F32, as_ramp);
    }
}

static void one_bit(void **state)
{
    (void)state;
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 1, .rows_per_strip = 4}, checks, FNR_U8, as_bits);
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 1, .white = true, .compression = COMPRESSION_CCITTFAX4}, checks, FNR_U8,
                   as_bits_white);
    make_and_check(
        &(tiff_spec){.w = 37, .h = 23, .bits = 1, .white = true, .compression = COMPRESSION_CCITTFAX3, .rows_per_strip = 7},
        checks, FNR_U8, as_bits_white);
    make_and_check(&(tiff_spec){.w = 70, .h = 23, .bits = 1, .tile_w = 32, .tile_h = 16}, checks, FNR_U8, as_bits);
}

static void min_is_white(void **state)
{
    (void)state;
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 8, .white = true}, ramp, FNR_U8, as_u8_white);
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 16, .white = true}, ramp, FNR_U16, as_u16_white);
}

static uint64_t negative(const tiff_spec *s, int x, int y, int page)
{
    (void)s, (void)page;
    return (uint64_t)((int64_t)x - 20 - 1000 * y);
}
static double as_negative(int x, int y)
{
    return x - 20 - 1000 * y;
}
static double as_negative_white(int x, int y)
{
    return -1 - as_negative(x, y);
}

static void signed_samples(void **state)
{
    (void)state;
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 16, .format = SAMPLEFORMAT_INT}, negative, FNR_F32, as_negative);
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 32, .format = SAMPLEFORMAT_INT}, negative, FNR_F32, as_negative);
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 16, .format = SAMPLEFORMAT_INT, .white = true}, negative, FNR_F32,
                   as_negative_white);
    make_and_check(&(tiff_spec){.w = 37, .h = 23, .bits = 8, .format = SAMPLEFORMAT_INT}, ramp, FNR_F32, as_s8);
}

static void large_unsigned(void **state)
{
    (void)state;
    tiff_make(tiff_temp("u32.tif"), &(tiff_spec){.mode = "wb", .w = 5, .h = 3, .bits = 32}, negative);
    fnr_image im = read_back(tiff_temp("u32.tif"), 0);
    assert_true((double)fnr_pixel(&im.v, 0, 0, 0, 0) == (double)(float)(4294967296.0 - 20)); /* 24 bits are all a float has */
    fnr_image_free(&im);
}

static void floats(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const tiff_spec s = {.mode = i % 2 ? "wb" : "w",
                             .w = 37,
                             .h = 23,
                             .bits = i < 2 ? 32 : 64,
                             .format = SAMPLEFORMAT_IEEEFP,
                             .rows_per_strip = 6};
        tiff_make(tiff_temp("float.tif"), &s, float_ramp);
        fnr_image im = read_back(tiff_temp("float.tif"), 0);
        assert_int_equal(im.v.dtype, FNR_F32);
        assert_at_most(fabs((double)fnr_pixel(&im.v, 36, 21, 0, 0) - 30.75), 0);
        assert_at_most(fabs((double)fnr_pixel(&im.v, 0, 22, 0, 0) + 5.5), 0);
        if (s.bits == 32) {
            assert_true(isnan(fnr_pixel(&im.v, 4, 2, 0, 0)));
            assert_true(isinf(fnr_pixel(&im.v, 5, 2, 0, 0)) && fnr_pixel(&im.v, 5, 2, 0, 0) < 0);
        }
        fnr_image_free(&im);
    }
}

/* Neither extent is a multiple of the tile. */
static void tiles(void **state)
{
    (void)state;
    make_and_check(&(tiff_spec){.w = 101, .h = 53, .bits = 16, .tile_w = 32, .tile_h = 16}, ramp, FNR_U16, as_ramp);
    make_and_check(
        &(tiff_spec){
            .mode = "wb8", .w = 101, .h = 53, .bits = 16, .tile_w = 16, .tile_h = 48, .compression = COMPRESSION_ADOBE_DEFLATE},
        ramp, FNR_U16, as_ramp);
    make_and_check(&(tiff_spec){.w = 10, .h = 7, .bits = 8, .tile_w = 64, .tile_h = 64}, ramp, FNR_U8, as_u8);
}

static void lossless_codecs(void **state)
{
    (void)state;
    static const int codecs[] = {COMPRESSION_LZW,  COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE, COMPRESSION_PACKBITS,
                                 COMPRESSION_LZMA, COMPRESSION_ZSTD,          COMPRESSION_LERC};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (!TIFFIsCODECConfigured((uint16_t)codecs[i])) {
            print_message("libtiff has no codec %d\n", codecs[i]);
            continue;
        }
        make_and_check(&(tiff_spec){.w = 41, .h = 29, .bits = 16, .compression = codecs[i], .rows_per_strip = 8}, ramp, FNR_U16,
                       as_ramp);
    }
    make_and_check(
        &(tiff_spec){
            .mode = "wb", .w = 41, .h = 29, .bits = 16, .compression = COMPRESSION_LZW, .predictor = PREDICTOR_HORIZONTAL},
        ramp, FNR_U16, as_ramp);
}

static void jpeg_is_close(void **state)
{
    (void)state;
    const tiff_spec s = {.w = 80, .h = 48, .bits = 8, .compression = COMPRESSION_JPEG, .rows_per_strip = 16};
    tiff_make(tiff_temp("jpeg.tif"), &s, checks);
    fnr_image im = read_back(tiff_temp("jpeg.tif"), 0);
    assert_at_most(fabs((double)fnr_pixel(&im.v, 40, 30, 0, 0) - 0.5), 2);
    fnr_image_free(&im);
}

static void grey_palette(void **state)
{
    (void)state;
    uint16_t colours[768];
    for (int i = 0; i < 768; i++) {
        colours[i] = (uint16_t)(257 * (255 - i % 256)); /* reversed: a reader that ignores it shows the negative */
    }
    const tiff_spec s = {.w = 37, .h = 23, .bits = 8, .photometric = PHOTOMETRIC_PALETTE, .colours = colours};
    make_and_check(&s, ramp, FNR_U8, as_u8_white);
    colours[700]++;
    fnr_error err = {0};
    fnr_image im;
    tiff_make(tiff_temp("palette.tif"), &s, ramp);
    assert_false(fnr_tiff_read(tiff_temp("palette.tif"), NULL, &im, &err));
    assert_int_equal(err.code, FNR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "colour palette"));
}

static void must_refuse(const tiff_spec *s, const char *word)
{
    fnr_error err = {0};
    fnr_image im;
    tiff_make(tiff_temp("refused.tif"), s, checks);
    assert_false(fnr_tiff_read(tiff_temp("refused.tif"), NULL, &im, &err));
    assert_int_equal(err.code, FNR_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "refused.tif"));
    if (!strstr(err.message, word)) {
        fail_msg("no '%s' in: %s", word, err.message);
    }
}

static void refused_kinds(void **state)
{
    (void)state;
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 8, .photometric = PHOTOMETRIC_RGB, .samples = 3}, "3 samples");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 16, .samples = 2, .planar = PLANARCONFIG_SEPARATE}, "2 samples");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 4}, "4-bit unsigned");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 16, .format = SAMPLEFORMAT_IEEEFP}, "16-bit floating");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 64, .format = SAMPLEFORMAT_UINT}, "64-bit unsigned");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 32, .format = SAMPLEFORMAT_COMPLEXINT}, "complex");
    must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 8, .photometric = PHOTOMETRIC_CFA}, "not greyscale");
    if (TIFFIsCODECConfigured(COMPRESSION_PIXARLOG)) {
        must_refuse(&(tiff_spec){.w = 20, .h = 9, .bits = 8, .compression = COMPRESSION_PIXARLOG}, "compression scheme 32909");
    }
}

static void pages(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tiff_info info;
    fnr_image im;
    const tiff_spec s = {.w = 37, .h = 23, .bits = 16, .pages = 5, .rows_per_strip = 4};
    tiff_make(tiff_temp("pages.tif"), &s, ramp);
    assert_ok(fnr_tiff_probe(tiff_temp("pages.tif"), &info, &err), err);
    assert_true(info.pages == 5 && info.size_z == 5 && info.size_c == 1 && info.size_t_ == 1);
    im = read_back(tiff_temp("pages.tif"), 4);
    assert_int_equal(fnr_pixel(&im.v, 6, 7, 0, 0), 6 * 5 + 7 * 300 + 4 * 7000);
    fnr_image_free(&im);
    assert_ok(fnr_tiff_read(tiff_temp("pages.tif"), &(fnr_tiff_read_options){.page = 1, .depth = 3}, &im, &err), err);
    for (int z = 0; z < 3; z++) {
        assert_int_equal(fnr_pixel(&im.v, 36, 22, z, 0), 36 * 5 + 22 * 300 + (z + 1) * 7000);
    }
    fnr_image_free(&im);
    assert_false(fnr_tiff_read(tiff_temp("pages.tif"), &(fnr_tiff_read_options){.page = 5}, &im, &err));
    assert_non_null(strstr(err.message, "has 5 pages (0 to 4); page 5"));
    assert_false(
        fnr_tiff_read(tiff_temp("pages.tif"), &(fnr_tiff_read_options){.depth = 5, .max_bytes = 37 * 23 * 2 * 5 - 1}, &im, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_ok(
        fnr_tiff_read(tiff_temp("pages.tif"), &(fnr_tiff_read_options){.depth = 5, .max_bytes = 37 * 23 * 2 * 5}, &im, &err),
        err);
    fnr_image_free(&im);
}

static void pages_of_different_size(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im;
    TIFF *tif = TIFFOpen(tiff_temp("mixed.tif"), "w");
    for (int i = 0; i < 2; i++) {
        const tiff_spec s = {.w = 20 + i, .h = 9, .bits = 8};
        tiff_set_tags(tif, &s);
        tiff_write_block(tif, &s, ramp, i, 0, 0, s.w, s.h, 0);
        assert_true(TIFFWriteDirectory(tif));
    }
    TIFFClose(tif);
    assert_false(fnr_tiff_read(tiff_temp("mixed.tif"), &(fnr_tiff_read_options){.depth = 2}, &im, &err));
    assert_int_equal(err.code, FNR_E_FORMAT);
    assert_non_null(strstr(err.message, "page 1 (21 x 9)"));
    im = read_back(tiff_temp("mixed.tif"), 1);
    assert_int_equal(im.v.w, 21);
    fnr_image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_samples),
        cmocka_unit_test(one_bit),
        cmocka_unit_test(min_is_white),
        cmocka_unit_test(signed_samples),
        cmocka_unit_test(large_unsigned),
        cmocka_unit_test(floats),
        cmocka_unit_test(tiles),
        cmocka_unit_test(lossless_codecs),
        cmocka_unit_test(jpeg_is_close),
        cmocka_unit_test(grey_palette),
        cmocka_unit_test(refused_kinds),
        cmocka_unit_test(pages),
        cmocka_unit_test(pages_of_different_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
