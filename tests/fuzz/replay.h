/* Every kept fuzzing input once more, in the ordinary build: what was found once stays fixed. */
#ifndef FNR_TESTS_FUZZ_REPLAY_H
#define FNR_TESTS_FUZZ_REPLAY_H

#include "tests/support/support.h"

#include "src/core/fs.h"

static inline void replay_folder(const char *dir, int (*target)(const uint8_t *data, size_t size))
{
    fnr_error err = {0};
    fnr_listing list;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    assert_true(list.count > 0);
    for (size_t i = 0; i < list.count; i++) {
        char path[512], *data;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
        assert_int_equal(target((const uint8_t *)data, size), 0);
        free(data);
    }
    fnr_listing_free(&list);
}

#endif
