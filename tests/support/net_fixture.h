/* What the networks' fixtures hold, for the tests of net/ and of the backends: named tensors as flat vectors of a graph. */
#ifndef FNR_TESTS_NET_FIXTURE_H
#define FNR_TESTS_NET_FIXTURE_H

#include "tests/support/support.h"
#include <cjson/cJSON.h>

#include "net/graph.h"

/* An index beside a raw file, as in fixtures/net64 (state0.json and state0.f32): one tensor after the other. */
typedef struct {
    char name[160];
    int rank, dims[5];
    size_t offset, count; /* in floats */
} fnr_fixture_entry;

typedef struct {
    fnr_fixture_entry *entries; /* without num_batches_tracked, which has no data */
    int count;
    size_t floats;
} fnr_fixture_index;

/* Skips the test when there is no ../shared, fails it when a file is not what it should be. */
fnr_fixture_index fnr_fixture_read_index(const char *relative);
void fnr_fixture_index_free(fnr_fixture_index *index);

/* A whole JSON file; cJSON_Delete it. */
cJSON *fnr_fixture_json(const char *relative);

/* A whole raw file of float32 (or float64, rounded) with exactly `count` elements. Caller frees. */
float *fnr_fixture_f32(const char *relative, size_t count);
float *fnr_fixture_f64(const char *relative, size_t count);

#endif
