/* Broken and hostile TIFF files: every one ends in an image or in a message that names it, quickly, silently and in little
 * memory. */
#include "tests/image/tiff_maker.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "src/image/raster.h"
#include "src/image/tiff.h"

enum { READ_MAX = 64 << 20 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void must_name(bool ok, const fnr_error *err, const char *name)
{
    if (!ok) {
        assert_true(err->code == FNR_E_FORMAT || err->code == FNR_E_UNSUPPORTED || err->code == FNR_E_LIMIT ||
                    err->code == FNR_E_IO);
        assert_non_null(strstr(err->message, name));
        assert_true(strlen(err->message) > strlen(name) + 10);
    }
}

/* All four ways into a file; returns how many of them succeeded. */
static int open_every_way(const char *path)
{
    const char *name = fnr_path_base(path);
    fnr_error err = {0};
    fnr_tiff_info info;
    fnr_image im;
    fnr_raster r;
    bool ok = fnr_tiff_probe(path, &info, &err);
    must_name(ok, &err, name);
    int good = ok;
    for (int page = 0; page < 2; page++) {
        ok = fnr_tiff_read(path, &(fnr_tiff_read_options){.page = page, .max_bytes = READ_MAX}, &im, &err);
        must_name(ok, &err, name);
        good += ok;
        fnr_image_free(&im);
    }
    ok = fnr_raster_from_tiff(&r, path, 0, 1 << 20, &err);
    must_name(ok, &err, name);
    if (ok) {
        float px[12];
        const int w = r.w < 4 ? r.w : 4, h = r.h < 3 ? r.h : 3;
        ok = r.read(&r, r.w - w, r.h - h, w, h, px, &err);
        must_name(ok, &err, name);
        good += ok;
    }
    fnr_raster_release(&r);
    return good;
}

static void each_file(void **state)
{
    (void)state;
    const char *dir = fnr_test_need("data/formats/tiff_bad");
    fnr_error err = {0};
    fnr_listing list;
    int good = 0;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    assert_true(list.count >= 70);
    const long before = peak_kib();
    for (size_t i = 0; i < list.count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        const double start = cpu_seconds();
        good += open_every_way(path);
        const double spent = cpu_seconds() - start;
        if (getenv("FNR_VERBOSE")) {
            print_message("%s %.3f s %ld KiB\n", list.names[i], spent, peak_kib());
        }
        assert_at_most(spent, 4.0); /* far above what any takes; a hang is what this catches */
    }
    assert_at_most((double)(peak_kib() - before), 256.0 * 1024);
    assert_true(good > 0);
    fnr_listing_free(&list);
}

/* Plain writing of a new file: thousands of small files need no fsync, and overwriting would make some file systems sync. */
static void spill(const char *path, const void *data, size_t size)
{
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void must_fail(const char *path, fnr_code code, const char *word)
{
    fnr_error err = {0};
    fnr_image im;
    const bool ok = fnr_tiff_read(path, NULL, &im, &err);
    if (ok) {
        fnr_image_free(&im);
        fail_msg("%s was read; expected '%s'", path, word);
    }
    must_name(ok, &err, fnr_path_base(path));
    if (err.code != code || !strstr(err.message, word)) {
        fail_msg("no '%s' in: %s", word, err.message);
    }
}

static void not_tiff_at_all(void **state)
{
    (void)state;
    must_fail(tiff_temp("missing.tif"), FNR_E_IO, "No such file");
    spill(tiff_temp("empty.tif"), "", 0);
    must_fail(tiff_temp("empty.tif"), FNR_E_FORMAT, "is empty");
    spill(tiff_temp("png.tif"), "\x89PNG\r\n\x1A\n and more", 17);
    must_fail(tiff_temp("png.tif"), FNR_E_FORMAT, "bad magic number");
    spill(tiff_temp("cut.tif"), "II*\0\x08\0\0\0", 8);
    must_fail(tiff_temp("cut.tif"), FNR_E_FORMAT, "Can not read TIFF directory");
    must_fail(fnr_test_tmpdir(), FNR_E_IO, "not a regular file");
    assert_int_equal(mkfifo(tiff_temp("fifo.tif"), 0600), 0);
    must_fail(tiff_temp("fifo.tif"), FNR_E_IO, "not a regular file");
}

/* A header of our own: every value as the file claims it, whatever libtiff thinks of it. */
typedef struct {
    uint16_t tag, type; /* 3 SHORT, 4 LONG */
    uint32_t count, value;
} entry;

static void write_header(const char *path, const entry *entries, int count, uint32_t next, size_t size)
{
    uint8_t file[1024] = "II*\0\x08\0\0\0";
    const uint16_t n = (uint16_t)count;
    assert_true(size <= sizeof file);
    memcpy(file + 8, &n, 2);
    for (int i = 0; i < count; i++) {
        memcpy(file + 10 + 12 * i, &entries[i], 12);
    }
    memcpy(file + 10 + 12 * count, &next, 4);
    spill(path, file, size);
}

static void claim(uint32_t w, uint32_t h, uint32_t bits, uint32_t compression, uint32_t rows, uint32_t next)
{
    const entry entries[] = {{256, 4, 1, w},   {257, 4, 1, h}, {258, 3, 1, bits}, {259, 3, 1, compression}, {262, 3, 1, 1},
                             {273, 4, 1, 300}, {277, 3, 1, 1}, {278, 4, 1, rows}, {279, 4, 1, 200}};
    write_header(tiff_temp("claim.tif"), entries, 9, next, 500);
}

/* 500 bytes that claim gigabytes must be seen through before anything is allocated. */
static void claimed_sizes(void **state)
{
    (void)state;
    static const uint32_t codecs[] = {1, 5, 8, 7, 32773, 32946, 34925, 50000, 34887};
    const long before = peak_kib();
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (TIFFIsCODECConfigured((uint16_t)codecs[i])) {
            claim(60000, 60000, 8, codecs[i], 60000, 0);
            must_fail(tiff_temp("claim.tif"), FNR_E_FORMAT, "60000 x 60000 pixels of 8 bits, but the file has only 500 bytes");
        }
    }
    claim(0x7FFFFFFF, 0x7FFFFFFF, 16, 1, 0x7FFFFFFF, 0);
    assert_int_equal(open_every_way(tiff_temp("claim.tif")), 1); /* the probe alone */
    claim(0xFFFFFFFF, 0xFFFFFFFF, 8, 1, 1, 0);
    assert_int_equal(open_every_way(tiff_temp("claim.tif")), 0);
    claim(0, 5, 8, 1, 1, 0);
    assert_int_equal(open_every_way(tiff_temp("claim.tif")), 0);
    claim(5, 5, 8, 1, 0, 0);
    assert_int_equal(open_every_way(tiff_temp("claim.tif")), 0);
    assert_at_most((double)(peak_kib() - before), 64.0 * 1024);
}

static void claimed_tiles(void **state)
{
    (void)state;
    static const uint32_t sides[] = {0, 1, 3, 0x10000, 0x7FFFFFF0, 0xFFFFFFF0};
    for (int i = 0; i < 36; i++) {
        const entry entries[] = {{256, 4, 1, 90},  {257, 4, 1, 70}, {258, 3, 1, 16},           {259, 3, 1, i % 2 ? 8 : 1},
                                 {262, 3, 1, 1},   {277, 3, 1, 1},  {322, 4, 1, sides[i % 6]}, {323, 4, 1, sides[i / 6]},
                                 {324, 4, 1, 300}, {325, 4, 1, 200}};
        write_header(tiff_temp("tiles.tif"), entries, 10, 0, 500);
        assert_true(open_every_way(tiff_temp("tiles.tif")) <= 1);
    }
}

static void looping_pages(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tiff_info info;
    claim(10, 20, 8, 1, 20, 8); /* the next directory is this one */
    assert_false(fnr_tiff_probe(tiff_temp("claim.tif"), &info, &err));
    assert_int_equal(err.code, FNR_E_FORMAT);
    assert_non_null(strstr(err.message, "loop"));
    claim(10, 20, 8, 1, 20, 5000); /* behind the end */
    assert_false(fnr_tiff_probe(tiff_temp("claim.tif"), &info, &err));
    assert_non_null(strstr(err.message, "breaks at page 1"));
    static const char *const names[] = {"test_ifd_loop_to_self.tif", "test_ifd_loop_to_first.tif", "test_ifd_loop_subifd.tif"};
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "data/formats/tiff_bad/%s", names[i]);
        assert_false(fnr_tiff_probe(fnr_test_need(path), &info, &err));
        assert_non_null(strstr(err.message, "loop"));
    }
}

static uint64_t noise(const tiff_spec *s, int x, int y, int page)
{
    uint64_t z = (uint64_t)x * 0x9E3779B97F4A7C15u + (uint64_t)y * 0xBF58476D1CE4E5B9u + (uint64_t)page;
    z = (z ^ (z >> 29)) * 0x94D049BB133111EBu;
    return s->bits == 1 ? (z >> 40 & 7) == 0 : z >> 32;
}

/* The same file with only the first half of the stored bytes of strip or tile 2. */
static void make_with_half_a_block(const tiff_spec *s)
{
    tiff_make(tiff_temp("good.tif"), s, noise);
    TIFF *good = TIFFOpen(tiff_temp("good.tif"), "r"), *bad = TIFFOpen(tiff_temp("damaged.tif"), "w");
    assert_true(good && bad);
    tiff_set_tags(bad, s);
    uint32_t table_size;
    void *tables;
    if (s->compression == COMPRESSION_JPEG && TIFFGetField(good, TIFFTAG_JPEGTABLES, &table_size, &tables)) {
        TIFFSetField(bad, TIFFTAG_JPEGTABLES, table_size, tables);
    }
    const uint32_t count = s->tile_w ? TIFFNumberOfTiles(good) : TIFFNumberOfStrips(good);
    for (uint32_t i = 0; i < count; i++) {
        const tmsize_t size = (tmsize_t)TIFFGetStrileByteCount(good, i), keep = i == 2 ? size / 2 : size;
        uint8_t *raw = malloc((size_t)size);
        assert_true((s->tile_w ? TIFFReadRawTile(good, i, raw, size) : TIFFReadRawStrip(good, i, raw, size)) == size);
        assert_true((s->tile_w ? TIFFWriteRawTile(bad, i, raw, keep) : TIFFWriteRawStrip(bad, i, raw, keep)) == keep);
        free(raw);
    }
    TIFFClose(good);
    TIFFClose(bad);
}

/* Every codec must notice, also those that are made to forgive: libjpeg fills with grey, fax decoders with white. */
static void half_a_block(void **state)
{
    (void)state;
    static const int codecs[][2] = {{COMPRESSION_ADOBE_DEFLATE, 8}, {COMPRESSION_LZW, 8},       {COMPRESSION_PACKBITS, 8},
                                    {COMPRESSION_ZSTD, 8},          {COMPRESSION_LZMA, 8},      {COMPRESSION_LERC, 8},
                                    {COMPRESSION_JPEG, 8},          {COMPRESSION_CCITTFAX4, 1}, {COMPRESSION_CCITTFAX3, 1},
                                    {COMPRESSION_CCITTRLE, 1}};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (!TIFFIsCODECConfigured((uint16_t)codecs[i][0])) {
            continue;
        }
        tiff_spec s = {.w = 120, .h = 90, .bits = codecs[i][1], .compression = codecs[i][0], .rows_per_strip = 16};
        print_message("codec %d\n", s.compression);
        make_with_half_a_block(&s);
        must_fail(tiff_temp("damaged.tif"), FNR_E_FORMAT, "strip 2 of 6 (from pixel x 0, y 32) cannot be decoded (libtiff: ");
    }
    /* Uncompressed strips are read by size: here what follows would be taken for the missing half. */
    char padding[3000] = "";
    memset(padding, 'x', sizeof padding - 1);
    make_with_half_a_block(&(tiff_spec){.w = 120, .h = 90, .bits = 8, .rows_per_strip = 16, .description = padding});
    must_fail(tiff_temp("damaged.tif"), FNR_E_FORMAT, "strip 2 of 6 (from pixel x 0, y 32) cannot be decoded: bytes are missing");
    make_with_half_a_block(
        &(tiff_spec){.w = 120, .h = 90, .bits = 8, .compression = COMPRESSION_ADOBE_DEFLATE, .tile_w = 48, .tile_h = 32});
    must_fail(tiff_temp("damaged.tif"), FNR_E_FORMAT, "tile 2 of 9 (from pixel x 96, y 0) cannot be decoded (libtiff: ");
}

/* ImageJ writes the directory first, so that a cut file loses pixels only. */
static void cut_short(void **state)
{
    (void)state;
    const entry entries[] = {{256, 4, 1, 90},  {257, 4, 1, 10}, {258, 3, 1, 8},  {259, 3, 1, 1},  {262, 3, 1, 1},
                             {273, 4, 1, 122}, {277, 3, 1, 1},  {278, 4, 1, 10}, {279, 4, 1, 900}};
    write_header(tiff_temp("cut.tif"), entries, 9, 0, 1000);
    must_fail(tiff_temp("cut.tif"), FNR_E_FORMAT, "cannot be decoded (libtiff: ");
    fnr_error err = {0};
    fnr_raster r;
    float px[90 * 10];
    assert_ok(fnr_raster_from_tiff(&r, tiff_temp("cut.tif"), 0, 1 << 20, &err), err);
    assert_false(r.read(&r, 0, 0, 90, 10, px, &err));
    assert_false(r.read(&r, 3, 9, 1, 1, px, &err)); /* and stays an error */
    assert_non_null(strstr(err.message, "cut.tif"));
    fnr_raster_release(&r);
}

/* A small file of each layout, cut at every length and with every byte changed. */
static void cut_and_flipped(void **state)
{
    (void)state;
    static const tiff_spec specs[] = {
        {.w = 9,
         .h = 5,
         .bits = 16,
         .rows_per_strip = 2,
         .description = "ImageJ=1.53t\nunit=um\n",
         .x_resolution = 3,
         .y_resolution = 3,
         .resolution_unit = 1},
        {.mode = "wb8", .w = 9, .h = 5, .bits = 8, .tile_w = 16, .tile_h = 16, .compression = COMPRESSION_PACKBITS, .pages = 2}};
    for (int k = 0; k < 2; k++) {
        fnr_error err = {0};
        char *file;
        size_t size;
        tiff_make(tiff_temp("whole.tif"), &specs[k], noise);
        assert_ok(fnr_read_file(tiff_temp("whole.tif"), 1 << 16, &file, &size, &err), err);
        for (size_t i = 0; i < size; i++) {
            spill(tiff_temp("part.tif"), file, i);
            open_every_way(tiff_temp("part.tif"));
            const char was = file[i];
            for (int flip = 1; flip < 256; flip *= 4) {
                file[i] = (char)(was ^ (flip * 3));
                spill(tiff_temp("flip.tif"), file, size);
                open_every_way(tiff_temp("flip.tif"));
            }
            file[i] = was;
        }
        free(file);
    }
}

/* libtiff would tell the terminal; we tell the caller. */
static void prints_nothing(void **state)
{
    (void)state;
    const char *dir = fnr_test_need("data/formats/tiff_bad");
    fnr_error err = {0};
    fnr_listing list;
    struct stat st;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    FILE *said = fopen(tiff_temp("said.txt"), "w");
    const int keep_out = dup(1), keep_err = dup(2);
    assert_true(said && dup2(fileno(said), 1) == 1 && dup2(fileno(said), 2) == 2);
    for (size_t i = 0; i < list.count; i++) {
        char path[1024];
        fnr_tiff_info info;
        fnr_image im;
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        fnr_tiff_probe(path, &info, &err);
        fnr_tiff_read(path, &(fnr_tiff_read_options){.max_bytes = READ_MAX}, &im, &err);
        fnr_image_free(&im);
    }
    fflush(NULL);
    dup2(keep_out, 1);
    dup2(keep_err, 2);
    close(keep_out);
    close(keep_err);
    fclose(said);
    assert_int_equal(stat(tiff_temp("said.txt"), &st), 0);
    assert_int_equal(st.st_size, 0);
    fnr_listing_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file),     cmocka_unit_test(not_tiff_at_all), cmocka_unit_test(claimed_sizes),
        cmocka_unit_test(claimed_tiles), cmocka_unit_test(looping_pages),   cmocka_unit_test(half_a_block),
        cmocka_unit_test(cut_short),     cmocka_unit_test(cut_and_flipped), cmocka_unit_test(prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
