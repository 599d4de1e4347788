#include "tests/support/net_fixture.h"

#include "src/core/fs.h"

static char *read_all(const char *relative, size_t *size)
{
    const char *path = fnr_test_need(relative);
    fnr_error err = {0};
    char *data = NULL;
    assert_ok(fnr_read_file(path, (size_t)1 << 30, &data, size, &err), err);
    return data;
}

cJSON *fnr_fixture_json(const char *relative)
{
    size_t size = 0;
    char *text = read_all(relative, &size);
    cJSON *json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}

static fnr_fixture_entry read_entry(const cJSON *item)
{
    fnr_fixture_entry e = {.count = 1};
    snprintf(e.name, sizeof e.name, "%s", cJSON_GetObjectItem(item, "name")->valuestring);
    const cJSON *dim;
    cJSON_ArrayForEach(dim, cJSON_GetObjectItem(item, "shape"))
    {
        assert_true(e.rank < 5);
        e.dims[e.rank++] = dim->valueint;
        e.count *= (size_t)dim->valueint;
    }
    e.offset = (size_t)cJSON_GetObjectItem(item, "offset")->valuedouble / sizeof(float);
    return e;
}

fnr_fixture_index fnr_fixture_read_index(const char *relative)
{
    cJSON *json = fnr_fixture_json(relative);
    const cJSON *tensors = cJSON_GetObjectItem(json, "tensors"), *item;
    fnr_fixture_index index = {.entries = calloc((size_t)cJSON_GetArraySize(tensors) + 1, sizeof *index.entries)};
    assert_non_null(index.entries);
    cJSON_ArrayForEach(item, tensors)
    {
        if (cJSON_HasObjectItem(item, "offset")) {
            const fnr_fixture_entry e = read_entry(item);
            index.entries[index.count++] = e;
            index.floats += e.count;
        }
    }
    cJSON_Delete(json);
    return index;
}

void fnr_fixture_index_free(fnr_fixture_index *index)
{
    free(index->entries);
    *index = (fnr_fixture_index){0};
}

float *fnr_fixture_f32(const char *relative, size_t count)
{
    size_t size = 0;
    char *data = read_all(relative, &size);
    assert_int_equal(size, count * sizeof(float));
    return (float *)(void *)data;
}

float *fnr_fixture_f64(const char *relative, size_t count)
{
    size_t size = 0;
    char *data = read_all(relative, &size);
    assert_int_equal(size, count * sizeof(double));
    float *out = malloc(count * sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, data + i * sizeof value, sizeof value);
        out[i] = (float)value;
    }
    free(data);
    return out;
}
