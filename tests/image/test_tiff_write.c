/* What the writer writes: read back by us, by plain libtiff calls, and politely refused by a full disk. */
#include "tests/support/support.h"

#include <glob.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>
#include "src/image/tiff.h"

static const char *temp(const char *name)
{
    static char path[2][512];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", fnr_test_tmpdir(), name);
    return out;
}

/* A value that depends on every coordinate and fits the type. */
static double pattern(int x, int y, int z, fnr_dtype dtype)
{
    const int n = x * 7 + y * 131 + z * 1013;
    return dtype == FNR_U8 ? n % 251 : dtype == FNR_U16 ? n % 65521 : n * 0.125 - 100;
}

static void put(const fnr_view *v, int x, int y, int z, double value)
{
    void *p = fnr_at(v, x, y, z, 0);
    switch (v->dtype) {
    case FNR_U8:
        *(uint8_t *)p = (uint8_t)value;
        return;
    case FNR_U16:
        *(uint16_t *)p = (uint16_t)value;
        return;
    case FNR_F32:
        *(float *)p = (float)value;
        return;
    }
}

static fnr_image patterned(int w, int h, int d, fnr_dtype dtype)
{
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_image_new(&im, w, h, d, 1, dtype, &err), err);
    for (int z = 0; z < d; z++) {
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                put(&im.v, x, y, z, pattern(x, y, z, dtype));
            }
        }
    }
    return im;
}

static void check_patterned(const fnr_view *v)
{
    for (int z = 0; z < v->d; z++) {
        for (int y = 0; y < v->h; y++) {
            for (int x = 0; x < v->w; x++) {
                if (!((double)fnr_pixel(v, x, y, z, 0) == pattern(x, y, z, v->dtype))) {
                    fail_msg("pixel %d %d %d is %g", x, y, z, (double)fnr_pixel(v, x, y, z, 0));
                }
            }
        }
    }
}

static void round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        const fnr_dtype dtype = (fnr_dtype)(i % 3);
        const bool compress = i >= 3;
        fnr_error err = {0};
        fnr_tiff_info info;
        fnr_image out = patterned(701, 203, 3, dtype), in;
        out.v.nm = 11.9;
        const char *path = temp("round.tif");
        assert_ok(fnr_tiff_write(path, &out.v, &(fnr_tiff_write_options){.compress = compress}, &err), err);
        assert_ok(fnr_tiff_read(path, &(fnr_tiff_read_options){.depth = 3}, &in, &err), err);
        assert_int_equal(in.v.dtype, dtype);
        assert_true(in.v.w == 701 && in.v.h == 203 && in.v.d == 3);
        check_patterned(&in.v);
        assert_at_most(fabs(in.v.nm - 11.9), 1e-5);
        assert_ok(fnr_tiff_probe(path, &info, &err), err);
        assert_true(info.pages == 3 && info.size_z == 3 && info.samples == 1 && !info.tiled && !info.big);
        assert_int_equal(info.bits, 8 * (int)fnr_dtype_size(dtype));
        assert_int_equal(info.compression, compress ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_NONE);
        fnr_image_free(&in);
        fnr_image_free(&out);
    }
}

/* The tags other programs look at, and pixels through libtiff's own scanline reader. */
static void as_libtiff_sees_it(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im = patterned(37, 19, 1, FNR_U16);
    im.v.nm = 100;
    const char *path = temp("tags.tif");
    assert_ok(fnr_tiff_write(path, &im.v, &(fnr_tiff_write_options){.description = "two words"}, &err), err);
    TIFF *tif = TIFFOpen(path, "r");
    assert_non_null(tif);
    uint16_t orientation = 0, photometric = 99, format = 0, unit = 0;
    float x_resolution = 0, y_resolution = 0;
    char *description = NULL;
    assert_true(TIFFGetField(tif, TIFFTAG_ORIENTATION, &orientation) && TIFFGetField(tif, TIFFTAG_PHOTOMETRIC, &photometric));
    assert_true(TIFFGetField(tif, TIFFTAG_SAMPLEFORMAT, &format) && TIFFGetField(tif, TIFFTAG_RESOLUTIONUNIT, &unit));
    assert_true(TIFFGetField(tif, TIFFTAG_XRESOLUTION, &x_resolution) && TIFFGetField(tif, TIFFTAG_YRESOLUTION, &y_resolution));
    assert_true(TIFFGetField(tif, TIFFTAG_IMAGEDESCRIPTION, &description));
    assert_int_equal(orientation, ORIENTATION_TOPLEFT);
    assert_int_equal(photometric, PHOTOMETRIC_MINISBLACK);
    assert_int_equal(format, SAMPLEFORMAT_UINT);
    assert_int_equal(unit, RESUNIT_CENTIMETER);
    assert_true(x_resolution == 100000 && y_resolution == 100000);
    assert_string_equal(description, "two words");
    uint16_t row[37];
    for (int y = 0; y < 19; y++) {
        assert_int_equal(TIFFReadScanline(tif, row, (uint32_t)y, 0), 1);
        for (int x = 0; x < 37; x++) {
            assert_int_equal(row[x], pattern(x, y, 0, FNR_U16));
        }
    }
    TIFFClose(tif);
    fnr_image_free(&im);
}

/* A view with gaps between its pixels and rows, as a crop of a channel is. */
static void strided_view(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im = patterned(50, 40, 1, FNR_F32), in;
    fnr_view v = fnr_view_crop(&im.v, 3, 5, 40, 30);
    v.w = 20;
    v.sx *= 2;
    assert_ok(fnr_tiff_write(temp("strided.tif"), &v, NULL, &err), err);
    assert_ok(fnr_tiff_read(temp("strided.tif"), NULL, &in, &err), err);
    assert_true(in.v.w == 20 && in.v.h == 30 && in.v.nm == 0);
    assert_true((double)fnr_pixel(&in.v, 7, 11, 0, 0) == pattern(3 + 14, 5 + 11, 0, FNR_F32));
    assert_true((double)fnr_pixel(&in.v, 19, 29, 0, 0) == pattern(3 + 38, 5 + 29, 0, FNR_F32));
    fnr_image_free(&in);
    fnr_image_free(&im);
}

static void rows_in_odd_portions(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im = patterned(1500, 211, 1, FNR_U16), in;
    fnr_tiff_writer *wr = fnr_tiff_writer_open(temp("rows.tif"), 1500, 211, FNR_U16, 11.9, true, &err);
    assert_non_null(wr);
    for (int y = 0, n = 1; y < 211; y += n, n = n % 29 + 1) {
        n = n < 211 - y ? n : 211 - y;
        assert_ok(fnr_tiff_writer_rows(wr, fnr_at(&im.v, 0, y, 0, 0), n, &err), err);
        assert_int_equal(access(temp("rows.tif"), F_OK), -1); /* the name appears with the whole file only */
    }
    assert_ok(fnr_tiff_writer_close(wr, &err), err);
    assert_ok(fnr_tiff_read(temp("rows.tif"), NULL, &in, &err), err);
    check_patterned(&in.v);
    assert_at_most(fabs(in.v.nm - 11.9), 1e-5);
    fnr_image_free(&in);
    fnr_image_free(&im);
}

/* First bytes of the file while it is being written: "II" 42 is classic TIFF, "II" 43 is BigTIFF. */
static int version_being_written(int w, int h, fnr_dtype dtype)
{
    fnr_error err = {0};
    glob_t found;
    uint8_t header[4] = {0};
    char pattern[600];
    fnr_tiff_writer *wr = fnr_tiff_writer_open(temp("huge.tif"), w, h, dtype, 0, false, &err);
    assert_non_null(wr);
    snprintf(pattern, sizeof pattern, "%s/.huge.tif*", fnr_test_tmpdir());
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    FILE *file = fopen(found.gl_pathv[0], "rb");
    assert_true(file && fread(header, 1, 4, file) == 4);
    fclose(file);
    globfree(&found);
    fnr_tiff_writer_abort(wr);
    assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH); /* and nothing stays behind */
    assert_memory_equal(header, "II", 2);
    return header[2];
}

static void big_files_are_bigtiff(void **state)
{
    (void)state;
    assert_int_equal(version_being_written(60000, 64000, FNR_U8), 42);
    assert_int_equal(version_being_written(60000, 66000, FNR_U8), 43);
    assert_int_equal(version_being_written(60000, 32000, FNR_U16), 42);
    assert_int_equal(version_being_written(60000, 33000, FNR_F32), 43);
}

static void wrong_number_of_rows(void **state)
{
    (void)state;
    fnr_error err = {0};
    const uint8_t rows[3 * 10] = {0};
    fnr_tiff_writer *wr = fnr_tiff_writer_open(temp("few.tif"), 10, 5, FNR_U8, 0, false, &err);
    assert_true(wr && fnr_tiff_writer_rows(wr, rows, 3, &err));
    assert_false(fnr_tiff_writer_close(wr, &err));
    assert_non_null(strstr(err.message, "only 3 of 5 rows"));
    assert_int_equal(access(temp("few.tif"), F_OK), -1);
    wr = fnr_tiff_writer_open(temp("many.tif"), 10, 5, FNR_U8, 0, false, &err);
    assert_true(wr && fnr_tiff_writer_rows(wr, rows, 3, &err));
    assert_false(fnr_tiff_writer_rows(wr, rows, 3, &err));
    assert_false(fnr_tiff_writer_close(wr, &err));
    assert_int_equal(access(temp("many.tif"), F_OK), -1);
}

static int files_in_temp_dir(void)
{
    fnr_error err = {0};
    fnr_listing l;
    assert_ok(fnr_list_dir(fnr_test_tmpdir(), &l, &err), err);
    const int n = (int)l.count;
    fnr_listing_free(&l);
    return n;
}

/* A file-size limit makes write() fail as a full disk does. */
static void full_disk(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    fnr_image im = patterned(900, 700, 1, FNR_F32), old = patterned(9, 7, 1, FNR_U8), in;
    fnr_error err = {0};
    assert_ok(fnr_tiff_write(temp("full.tif"), &old.v, NULL, &err), err);
    const int count = files_in_temp_dir();
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 3000000; limit = limit * 3 + 1) {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max});
        const bool ok = fnr_tiff_write(temp("full.tif"), &im.v, NULL, &err);
        setrlimit(RLIMIT_FSIZE, &before);
        if (limit < 2520000) { /* the pixels alone */
            assert_false(ok);
            assert_int_equal(err.code, FNR_E_IO);
            assert_non_null(strstr(err.message, "full.tif"));
            assert_non_null(strstr(err.message, "File too large"));
            assert_int_equal(files_in_temp_dir(), count);
            assert_ok(fnr_tiff_read(temp("full.tif"), NULL, &in, &err), err); /* the old file is untouched */
            check_patterned(&in.v);
            fnr_image_free(&in);
        }
    }
    fnr_image_free(&old);
    fnr_image_free(&im);
}

/* Space that was missing for a moment only: the file has a hole and must not get its name. */
static void full_for_a_moment(void **state)
{
    (void)state;
    struct rlimit before;
    fnr_error err = {0};
    fnr_image im = patterned(900, 700, 1, FNR_F32);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    fnr_tiff_writer *wr = fnr_tiff_writer_open(temp("hole.tif"), 900, 700, FNR_F32, 0, false, &err);
    assert_true(wr && fnr_tiff_writer_rows(wr, im.v.px, 200, &err));
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 1000000, .rlim_max = before.rlim_max});
    bool ok = fnr_tiff_writer_rows(wr, fnr_at(&im.v, 0, 200, 0, 0), 300, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_non_null(strstr(err.message, "File too large"));
    assert_false(fnr_tiff_writer_rows(wr, fnr_at(&im.v, 0, 500, 0, 0), 200, &err));
    assert_false(fnr_tiff_writer_close(wr, &err));
    assert_int_equal(access(temp("hole.tif"), F_OK), -1);
    fnr_image_free(&im);
}

static void no_such_folder(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im = patterned(9, 7, 1, FNR_U8);
    assert_false(fnr_tiff_write(temp("missing/x.tif"), &im.v, NULL, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "missing/x.tif"));
    fnr_image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(as_libtiff_sees_it),
        cmocka_unit_test(strided_view),
        cmocka_unit_test(rows_in_odd_portions),
        cmocka_unit_test(wrong_number_of_rows),
        cmocka_unit_test(big_files_are_bigtiff),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(full_for_a_moment),
        cmocka_unit_test(no_such_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
