/* safetensors against the reference implementation: files it wrote (fixtures/net, and the bytes below), and files it refuses. */
#include "tests/support/support.h"

#include "net/safetensors.h"
#include "src/core/fs.h"

static double sum_f32(const fnr_st_tensor *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->bytes / sizeof(float); i++) {
        float v;
        memcpy(&v, (const char *)t->data + i * sizeof v, sizeof v);
        sum += (double)v;
    }
    return sum;
}

typedef struct {
    const char *name;
    int rank;
    int64_t dims[5];
    double sum; /* numpy, float64, of the array that the Python package read */
} expected_tensor;

static void check_fixture(const char *path, size_t count, const char *label, const expected_tensor *expected, size_t n)
{
    fnr_error err = {0};
    fnr_st_file f;
    assert_ok(fnr_st_read(path, 100 << 20, &f, &err), err);
    assert_int_equal(f.n_tensors, count);
    assert_string_equal(fnr_st_meta_find(&f, "name"), label);
    assert_string_equal(fnr_st_meta_find(&f, "bn_eps"), "1e-05");
    assert_null(fnr_st_meta_find(&f, "nothing"));
    assert_null(fnr_st_find(&f, "nothing"));
    for (size_t i = 0; i < n; i++) {
        const fnr_st_tensor *t = fnr_st_find(&f, expected[i].name);
        assert_non_null(t);
        assert_string_equal(t->dtype, "F32");
        assert_int_equal(t->rank, expected[i].rank);
        assert_memory_equal(t->dims, expected[i].dims, (size_t)t->rank * sizeof *t->dims);
        assert_at_most(fabs(sum_f32(t) - expected[i].sum), 1e-9 * (1 + fabs(expected[i].sum)));
    }
    const fnr_st_tensor *counter = fnr_st_find(&f, "final.net_recurse.sub_2conv_more.bn1.num_batches_tracked");
    assert_non_null(counter);
    assert_string_equal(counter->dtype, "I64");
    int64_t three = 0;
    memcpy(&three, counter->data, sizeof three);
    assert_int_equal(three, 3);
    fnr_st_free(&f);
}

static void reads_what_the_python_package_reads(void **state)
{
    (void)state;
    static const expected_tensor two_d[] = {
        {"final.net_recurse.sub_u.conv_down.weight", 4, {8, 8, 2, 2}, 0.8424337089527398},
        {"final.conv_out.weight", 4, {1, 4, 3, 3}, 0.0001772610703483224},
        {"step0.input", 4, {2, 1, 32, 24}, 71.42768127932504},
        {"adam.exp_avg.conv_out.weight", 4, {1, 4, 3, 3}, -0.15533805248560384},
    };
    static const expected_tensor three_d[] = {
        {"final.net_recurse.sub_u.conv_down.weight", 5, {8, 8, 2, 2, 2}, -0.858104631457536},
        {"step0.input", 5, {1, 1, 16, 32, 48}, -149.16050399520464},
        {"eval.output", 5, {1, 1, 16, 32, 48}, 1173.9486478343606},
    };
    check_fixture(fnr_test_need("fixtures/net/unet2d_m4_d2.safetensors"), 274, "unet2d_m4_d2", two_d, 4);
    check_fixture(fnr_test_need("fixtures/net/unet3d_m4_d4.safetensors"), 490, "unet3d_m4_d4", three_d, 3);
}

/* safetensors.numpy.save() of the tensors in writes_the_reference_bytes, package version 0.8.0. */
static const char reference_bytes[] =
    "\xd8\x01\0\0\0\0\0\0{\"__metadata__\":{\"note\":\"tab\\t quote\\\" \\u0001 \xc3\xbc\"},"
    "\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},\"scalar\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":["
    "8,16]},"
    "\"a.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]},"
    "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[20,44]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[44,44]},"
    "\"half\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[44,48]},"
    "\"z\\\"\\\\\xc3\xa9\\n\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[48,51]}}     "
    "\7\0\0\0\0\0\0\0\0\0\0\0\0\0\x08@\0\0\x80\xbe\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0\0\xd0@\0>\0\xc0\1\2\3";

static fnr_st_tensor tensor(char *name, const char *dtype, int rank, int64_t d0, int64_t d1, const void *data, size_t bytes)
{
    fnr_st_tensor t = {.name = name, .rank = rank, .dims = {d0, d1}, .data = data, .bytes = bytes};
    snprintf(t.dtype, sizeof t.dtype, "%s", dtype);
    return t;
}

static void writes_the_reference_bytes(void **state)
{
    (void)state;
    static char names[][16] = {"b.weight", "a", "z\"\\\xc3\xa9\n", "a.bias", "empty", "half", "scalar", "note"};
    static char note[] = "tab\t quote\" \x01 \xc3\xbc";
    const float weight[] = {1, 2, 3, 4, 5, 6.5f}, bias = -0.25f;
    const int64_t seven = 7;
    const double three = 3;
    const uint8_t bytes[] = {1, 2, 3};
    const uint16_t halves[] = {0x3E00, 0xC000};
    const fnr_st_tensor tensors[] = {
        tensor(names[0], "F32", 2, 2, 3, weight, sizeof weight),
        tensor(names[1], "I64", 1, 1, 0, &seven, 8),
        tensor(names[2], "U8", 1, 3, 0, bytes, 3),
        tensor(names[3], "F32", 1, 1, 0, &bias, 4),
        tensor(names[4], "F32", 2, 0, 4, weight, 0),
        tensor(names[5], "F16", 1, 2, 0, halves, 4),
        tensor(names[6], "F64", 0, 0, 0, &three, 8),
    };
    const fnr_st_meta meta = {names[7], note};
    char path[512];
    snprintf(path, sizeof path, "%s/written.safetensors", fnr_test_tmpdir());
    fnr_error err = {0};
    assert_ok(fnr_st_write(path, tensors, 7, &meta, 1, &err), err);
    char *data;
    size_t size;
    assert_ok(fnr_read_file(path, 10000, &data, &size, &err), err);
    assert_int_equal(size, sizeof reference_bytes - 1);
    assert_memory_equal(data, reference_bytes, size);
    fnr_st_file f;
    assert_ok(fnr_st_parse(data, size, "again", &f, &err), err); /* owns data now */
    assert_int_equal(f.n_tensors, 7);
    assert_string_equal(fnr_st_meta_find(&f, "note"), note);
    assert_non_null(fnr_st_find(&f, names[2]));
    assert_int_equal(fnr_st_find(&f, "scalar")->rank, 0);
    assert_int_equal(fnr_st_find(&f, "empty")->bytes, 0);
    fnr_st_free(&f);
}

/* malloc'ed file of exactly its size, so that AddressSanitizer sees one byte too far. */
static char *make_file(const char *header, size_t header_size, size_t data_size, size_t *size)
{
    *size = 8 + header_size + data_size;
    char *file = calloc(1, *size);
    assert_non_null(file);
    const uint64_t n = header_size;
    memcpy(file, &n, sizeof n);
    memcpy(file + 8, header, header_size);
    return file;
}

static void expect_refused(char *file, size_t size, const char *message)
{
    fnr_error err = {0};
    fnr_st_file f = {.n_tensors = 12345};
    assert_false(fnr_st_parse(file, size, "bad.safetensors", &f, &err));
    assert_int_equal(f.n_tensors, 12345); /* untouched */
    assert_int_equal(err.code, FNR_E_FORMAT);
    if (strncmp(err.message, "bad.safetensors: ", 17) != 0 || !strstr(err.message, message)) {
        fail_msg("expected a message with '%s', got '%s'", message, err.message);
    }
}

/* 61 bytes: twice this and one more letter is what a message shows. */
#define LONG "\xc3\xa9 is a letter of two bytes, and this is a very long name, xx"

#define F32(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data_size;
    const char *message;
} hostile[] = {
    {"[]", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"{}", 4, "4 bytes behind the last tensor"},
    {"{", 0, "header would have 1 bytes"},
    {"{}x", 0, "something other"},
    {"{}{}", 0, "not JSON"},
    {"{}\n", 0, "not JSON"}, /* padding is spaces */
    {"{\"a\":" F32("[1]", "[0,4]"), 4, "not JSON"},
    {"{\"a\":" F32("[2]", "[0,8]") "}", 4, "is cut: tensor 'a' ends at byte 8 of the data, the file has 4"},
    {"{\"a\":" F32("[1]", "[0,4]") "}", 8, "4 bytes behind the last tensor"},
    {"{\"a\":" F32("[1]", "[4,8]") "}", 8, "has a hole before its data"},
    {"{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[2,6]") "}", 6, "'b' overlaps"},
    {"{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[0,8]") "}", 8, "overlaps"},
    {"{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[0]", "[4,4]") "}", 8, "'b' overlaps"},
    {"{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[8,12]") "}", 12, "'b' has a hole"},
    {"{\"a\":" F32("[1]", "[0,4]") ",\"a\":" F32("[1]", "[4,8]") "}", 8, "'a' occurs twice"},
    {"{\"a\":" F32("[1]", "[0,4]") ",\"\\u0061\":" F32("[1]", "[4,8]") "}", 8, "'a' occurs twice"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "'k' occurs twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "occurs twice"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'k' is not a text"},
    {"{\"__metadata__\":\"k\"}", 0, "is not an object"},
    {"{\"a\":" F32("[1]", "[4,0]") "}", 4, "two rising integers"},
    {"{\"a\":" F32("[1]", "[0]") "}", 4, "two rising integers"},
    {"{\"a\":" F32("[1]", "[0,4,4]") "}", 4, "two rising integers"},
    {"{\"a\":" F32("[1]", "0") "}", 4, "two rising integers"},
    {"{\"a\":" F32("[1]", "[0,99999999999999999999]") "}", 4, "two rising integers"},
    {"{\"a\":" F32("[1]", "[0,8]") "}", 8, "needs 4 bytes, its data_offsets span 8"},
    {"{\"a\":" F32("[3]", "[0,8]") "}", 8, "needs 12 bytes, its data_offsets span 8"},
    {"{\"a\":" F32("[-1]", "[0,4]") "}", 4, "something other"},
    {"{\"a\":" F32("[1.0]", "[0,4]") "}", 4, "something other"},
    {"{\"a\":" F32("[1e0]", "[0,4]") "}", 4, "something other"},
    {"{\"a\":" F32("[01]", "[0,4]") "}", 4, "leading zero"},
    {"{\"a\":" F32("[10]", "[00,40]") "}", 40, "leading zero"},
    {"{\"a\":" F32("[\"1\"]", "[0,4]") "}", 4, "extent"},
    {"{\"a\":" F32("[9007199254740993]", "[0,4]") "}", 4, "needs 36028797018963968 bytes"},
    {"{\"a\":" F32("[9223372036854775808]", "[0,4]") "}", 4, "extent"},
    {"{\"a\":" F32("[4294967296,4294967296]", "[0,0]") "}", 0, "product overflows"},
    {"{\"a\":" F32("[2147483648,2147483648,4,2]", "[0,0]") "}", 0, "product overflows"},
    {"{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "too many dimensions"},
    {"{\"a\":" F32("[[1]]", "[0,4]") "}", 4, "nested too deeply"},
    {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'a' has the unknown dtype 'F31'"},
    {"{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype"},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "does not consist of"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":\"1\"}}", 4, "does not consist of"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1]}}", 4, "does not consist of"},
    {"{\"a\":[1]}", 4, "does not consist of"},
    {"{\"a\":null}", 0, "something other"},
    {"{\"\xff\":" F32("[1]", "[0,4]") "}", 4, "not UTF-8"},
    {"{\"\xc0\xaf\":" F32("[1]", "[0,4]") "}", 4, "not UTF-8"},         /* overlong '/' */
    {"{\"\xed\xa0\x80\":" F32("[1]", "[0,4]") "}", 4, "not UTF-8"},     /* surrogate */
    {"{\"\xf4\x90\x80\x80\":" F32("[1]", "[0,4]") "}", 4, "not UTF-8"}, /* above U+10FFFF */
    {"{\"a\\ud800\":" F32("[1]", "[0,4]") "}", 4, "not JSON"},          /* lone surrogate, escaped */
    {"{\"a\\u0000b\":" F32("[1]", "[0,4]") "}", 4, "zero character"},
    {"{\"a\nb\":" F32("[1]", "[0,4]") "}", 4, "control character"},
    {"{\"a\\n\\u001b[31m\\u009b\\u007f\":" F32("[2]", "[0,4]") "}", 4,
     "tensor 'a?\?[31m?\?' needs"}, /* nothing for the terminal */
    {"{\"" LONG LONG LONG "\":" F32("[2]", "[0,4]") "}", 4, "tensor '" LONG LONG "\xc3\xa9...' needs"},
    {"{\"a", 0, "not JSON"},
    {"{\"a\\", 0, "not JSON"},
};

static void refuses_hostile_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        size_t size;
        char *file = make_file(hostile[i].header, strlen(hostile[i].header), hostile[i].data_size, &size);
        expect_refused(file, size, hostile[i].message);
    }
}

static void refuses_wrong_header_lengths(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        const char *message;
    } cases[] = {
        {0, "header would have 0 bytes"},
        {1, "header would have 1 bytes"},
        {3, "is cut: the header says 3 bytes, the file has 2"},
        {100000000, "is cut: the header says 100000000 bytes, the file has 2"},
        {100000001, "header would have"},
        {(uint64_t)1 << 63, "header would have 9223372036854775808 bytes"},
        {UINT64_MAX, "header would have 18446744073709551615 bytes"},
        {UINT64_MAX - 7, "header would have"}, /* + 8 wraps to 0 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *file = make_file("{}", 2, 0, &size);
        memcpy(file, &cases[i].length, sizeof(uint64_t));
        expect_refused(file, size, cases[i].message);
    }
    for (size_t size = 0; size < 8; size++) {
        char *file = calloc(1, size + 1);
        expect_refused(file, size, "not a safetensors file: it has only");
    }
}

static void refuses_every_shorter_file(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof reference_bytes - 1; size++) {
        char *file = malloc(size + (size == 0));
        assert_non_null(file);
        memcpy(file, reference_bytes, size);
        expect_refused(file, size, size < 8 ? "it has only" : "is cut");
    }
}

/* A small file must not ask for much memory or time: depth and number of values are bounded before the JSON parser runs. */
static void bounds_depth_and_values(void **state)
{
    (void)state;
    const size_t n = 3 * FNR_ST_MAX_VALUES;
    char *header = malloc(n);
    assert_non_null(header);
    size_t size;
    char *file;
    memset(header, '[', n);
    header[0] = '{';
    file = make_file(header, n, 0, &size);
    expect_refused(file, size, "nested too deeply");
    for (size_t i = 1; i < n; i++) {
        header[i] = i % 2 ? ',' : '1';
    }
    file = make_file(header, n, 0, &size);
    expect_refused(file, size, "too many tensors");
    free(header);
}

static void reading_names_the_file_and_keeps_the_limit(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/limit.safetensors", fnr_test_tmpdir());
    fnr_error err = {0};
    fnr_st_file f;
    assert_ok(fnr_write_file(path, reference_bytes, sizeof reference_bytes - 1, &err), err);
    assert_false(fnr_st_read(path, sizeof reference_bytes - 2, &f, &err));
    assert_non_null(strstr(err.message, "limit.safetensors"));
    assert_ok(fnr_st_read(path, sizeof reference_bytes - 1, &f, &err), err);
    fnr_st_free(&f);
    assert_false(fnr_st_read("/nowhere/m.safetensors", 1000, &f, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "/nowhere/m.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_python_package_reads),
        cmocka_unit_test(writes_the_reference_bytes),
        cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(refuses_wrong_header_lengths),
        cmocka_unit_test(refuses_every_shorter_file),
        cmocka_unit_test(bounds_depth_and_values),
        cmocka_unit_test(reading_names_the_file_and_keeps_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
