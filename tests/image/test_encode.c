/* Pictures: decoded again by libjpeg and libpng; base64 by the vectors of RFC 4648. */
#include "tests/support/support.h"

#include <jpeglib.h>
#include <png.h>
#include "src/image/encode.h"

/* Smooth, non-square, with every channel different. */
static fnr_rgb gradient(int w, int h)
{
    fnr_error err = {0};
    fnr_rgb im;
    assert_ok(fnr_rgb_new(&im, w, h, &err), err);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            uint8_t *p = im.rgb + (y * w + x) * 3;
            p[0] = (uint8_t)(255 * x / (w - 1));
            p[1] = (uint8_t)(255 * y / (h - 1));
            p[2] = (uint8_t)(60 + x);
        }
    }
    return im;
}

static void jpeg_comes_back(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_rgb im = gradient(83, 47);
    uint8_t *bytes, *row = malloc(83 * 3);
    size_t size;
    assert_ok(fnr_encode_jpeg(&im, 95, &bytes, &size, &err), err);
    assert_memory_equal(bytes, "\xFF\xD8\xFF", 3);
    assert_memory_equal(bytes + size - 2, "\xFF\xD9", 2);
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    d.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, bytes, size);
    jpeg_read_header(&d, TRUE);
    d.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d);
    assert_true(d.output_width == 83 && d.output_height == 47 && d.output_components == 3);
    double sum = 0;
    while (d.output_scanline < d.output_height) {
        const uint8_t *expected = im.rgb + d.output_scanline * 83 * 3;
        jpeg_read_scanlines(&d, &row, 1);
        for (int i = 0; i < 83 * 3; i++) {
            sum += abs(row[i] - expected[i]);
        }
    }
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    assert_at_most(sum / (83 * 47 * 3), 2.0);
    free(row);
    free(bytes);
    fnr_rgb_free(&im);
}

static void jpeg_too_wide(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_rgb im;
    uint8_t *bytes;
    size_t size;
    assert_ok(fnr_rgb_new(&im, 70000, 2, &err), err); /* JPEG ends at 65,500 */
    assert_false(fnr_encode_jpeg(&im, 80, &bytes, &size, &err));
    assert_non_null(strstr(err.message, "70000 x 2"));
    fnr_rgb_free(&im);
}

static void png_comes_back(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_rgb im = gradient(83, 47);
    uint8_t *bytes;
    size_t size;
    assert_ok(fnr_encode_png(&im, &bytes, &size, &err), err);
    assert_memory_equal(bytes, "\x89PNG\r\n\x1A\n", 8);
    png_image png = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&png, bytes, size));
    assert_true(png.width == 83 && png.height == 47);
    png.format = PNG_FORMAT_RGB;
    uint8_t *back = malloc(PNG_IMAGE_SIZE(png));
    assert_true(png_image_finish_read(&png, NULL, back, 0, NULL));
    assert_memory_equal(back, im.rgb, 83 * 47 * 3);
    free(back);
    free(bytes);
    fnr_rgb_free(&im);
}

static void base64_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    fnr_error err = {0};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char *text = fnr_base64((const uint8_t *)vectors[i][0], strlen(vectors[i][0]), &err);
        assert_string_equal(text, vectors[i][1]);
        free(text);
    }
    const uint8_t high[] = {0xFB, 0xFF, 0xBF};
    char *text = fnr_base64(high, 3, &err);
    assert_string_equal(text, "+/+/");
    free(text);
}

static void grey_levels(void **state)
{
    (void)state;
    fnr_error err = {0};
    float px[6] = {-5, 10, 15, 20, 99, NAN};
    const fnr_view v = fnr_view_f32(px, 3, 2);
    fnr_rgb im;
    assert_ok(fnr_rgb_from_view(&im, &v, 10, 20, &err), err);
    const uint8_t expected[6] = {0, 0, 128, 255, 255, 0};
    for (int i = 0; i < 6; i++) {
        assert_true(im.rgb[3 * i] == expected[i] && im.rgb[3 * i + 1] == expected[i] && im.rgb[3 * i + 2] == expected[i]);
    }
    fnr_rgb_free(&im);
}

static int red(const fnr_rgb *im, int x, int y)
{
    return im->rgb[(y * im->w + x) * 3];
}

static void lines(void **state)
{
    (void)state;
    static const uint8_t colour[3] = {200, 100, 0};
    fnr_error err = {0};
    fnr_rgb im;
    assert_ok(fnr_rgb_new(&im, 40, 30, &err), err);
    fnr_rgb_line(&im, 5, 10, 20, 10, colour, 1);
    assert_int_equal(red(&im, 12, 10), 200);
    assert_int_equal(im.rgb[(10 * 40 + 12) * 3 + 1], 100);
    assert_int_equal(red(&im, 12, 9), 0);
    assert_int_equal(red(&im, 3, 10), 0);
    fnr_rgb_line(&im, 5, 20.5, 20, 20.5, colour, 1); /* between two rows: half in each */
    assert_int_equal(red(&im, 12, 20), 100);
    assert_int_equal(red(&im, 12, 21), 100);
    fnr_rgb_line(&im, 30, -1e6, 30, 1e6, colour, 3); /* clipped at both ends */
    for (int y = 0; y < 30; y++) {
        assert_true(red(&im, 29, y) == 200 && red(&im, 30, y) == 200 && red(&im, 31, y) == 200 && red(&im, 28, y) == 0);
    }
    fnr_rgb_free(&im);
}

/* The weight of a long slanted line is its length times its width, wherever the pixels lie. */
static void slanted_line_keeps_its_weight(void **state)
{
    (void)state;
    static const uint8_t colour[3] = {255, 255, 255};
    fnr_error err = {0};
    fnr_rgb im;
    assert_ok(fnr_rgb_new(&im, 200, 120, &err), err);
    fnr_rgb_line(&im, 20.3, 15.2, 170.8, 95.6, colour, 2);
    double sum = 0;
    for (int i = 0; i < 200 * 120; i++) {
        sum += im.rgb[3 * i] / 255.0;
    }
    const double length = hypot(150.5, 80.4);
    assert_at_most(fabs(sum / (2 * length) - 1), 0.03);
    fnr_rgb_free(&im);
}

static void hostile_lines(void **state)
{
    (void)state;
    static const uint8_t colour[3] = {255, 255, 255};
    fnr_error err = {0};
    fnr_rgb im;
    assert_ok(fnr_rgb_new(&im, 20, 10, &err), err);
    fnr_rgb_line(&im, NAN, 1, 2, 3, colour, 1);
    fnr_rgb_line(&im, 1, 1, INFINITY, 3, colour, 1);
    fnr_rgb_line(&im, 1e300, 1e300, -1e300, 5, colour, 1);
    fnr_rgb_line(&im, 100, 100, 200, 300, colour, 1);
    fnr_rgb_line(&im, 1, 1, 9, 9, colour, 0);
    fnr_rgb_line(&im, 1, 1, 9, 9, colour, -4);
    for (int i = 0; i < 20 * 10 * 3; i++) {
        assert_int_equal(im.rgb[i], 0);
    }
    fnr_rgb_line(&im, 4, 4, 4, 4, colour, 1); /* a point is a dot */
    assert_int_equal(red(&im, 4, 4), 255);
    fnr_rgb_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_comes_back),
        cmocka_unit_test(jpeg_too_wide),
        cmocka_unit_test(png_comes_back),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(grey_levels),
        cmocka_unit_test(lines),
        cmocka_unit_test(slanted_line_keeps_its_weight),
        cmocka_unit_test(hostile_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
