#include "tests/support/support.h"

#include "src/core/fs.h"
#include "src/core/hash.h"
#include "src/core/rng.h"

static void assert_digest(const char *message, size_t size, size_t step, const char *want)
{
    fnr_hasher *h = fnr_hasher_new();
    assert_non_null(h);
    for (size_t i = 0; i < size; i += step) {
        fnr_hasher_add(h, message + i, i + step <= size ? step : size - i);
    }
    fnr_digest digest;
    fnr_hasher_finish(h, &digest);
    assert_string_equal(digest.hex, want);
}

/* The messages of FIPS 180-2, appendix B, and the empty one. */
static void fips_180_vectors(void **state)
{
    (void)state;
    assert_digest("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest("abc", 3, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest("abc", 3, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    enum { MILLION = 1000000 };
    char *a = malloc(MILLION);
    assert_non_null(a);
    memset(a, 'a', MILLION);
    assert_digest(a, MILLION, 4097, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

/* SHA-256 of the five bytes "ab\0c\0" and so on, by `printf 'ab\0c\0' | sha256sum`. */
static void texts_are_separated(void **state)
{
    (void)state;
    fnr_digest one, other;
    fnr_hasher *h = fnr_hasher_new();
    fnr_hasher_add_text(h, "ab");
    fnr_hasher_add_text(h, "c");
    fnr_hasher_finish(h, &one);
    assert_string_equal(one.hex, "629c2f14f654f026086f2aefe1855533d0897f49df86a19073be17b237361b09");
    h = fnr_hasher_new();
    fnr_hasher_add_text(h, "a");
    fnr_hasher_add_text(h, "bc");
    fnr_hasher_finish(h, &other);
    assert_string_equal(other.hex, "aa795aa4bbb6117911ef062e271bcb05ccfd58ea439da7d46a44e3a3fcefa790");
}

static void file_agrees_with_sha256sum(void **state)
{
    (void)state;
    enum { SIZE = 300001 }; /* more than one chunk, and no whole number of blocks */
    char path[FNR_PATH_MAX], command[FNR_PATH_MAX + 32], theirs[65] = "";
    fnr_error err = {0};
    unsigned char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    fnr_rng r = fnr_rng_at(1, 1, 1);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (unsigned char)fnr_rng_below(&r, 256);
    }
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), "noise.bin", &err), err);
    assert_ok(fnr_write_file(path, bytes, SIZE, &err), err);
    free(bytes);
    fnr_digest ours;
    assert_ok(fnr_hash_file(path, &ours, &err), err);
    snprintf(command, sizeof command, "sha256sum '%s'", path);
    FILE *tool = popen(command, "r");
    assert_non_null(tool);
    assert_int_equal(fscanf(tool, "%64s", theirs), 1);
    assert_int_equal(pclose(tool), 0);
    assert_string_equal(ours.hex, theirs);
}

static void missing_file_and_folder_are_named(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_digest digest = {.hex = "untouched"};
    assert_false(fnr_hash_file("/nowhere/x.tif", &digest, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "/nowhere/x.tif"));
    assert_string_equal(digest.hex, "untouched");
    assert_false(fnr_hash_file(fnr_test_tmpdir(), &digest, &err));
    assert_non_null(strstr(err.message, fnr_test_tmpdir()));
    assert_non_null(strstr(err.message, "directory"));
    assert_string_equal(digest.hex, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fips_180_vectors),
        cmocka_unit_test(texts_are_separated),
        cmocka_unit_test(file_agrees_with_sha256sum),
        cmocka_unit_test(missing_file_and_folder_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
