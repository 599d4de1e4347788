#include "src/pipeline/artifact.h"

#include <string.h>

#include "src/pipeline/record.h"

fnr_digest fnr_stage_key(const fnr_stage *s, const fnr_config *config, const fnr_digest *inputs, size_t n_inputs)
{
    fnr_digest key = {0};
    char version[32];
    fnr_hasher *h = fnr_hasher_new();
    if (!h) {
        return key; /* an empty key matches nothing, so the stage runs */
    }
    snprintf(version, sizeof version, "%d", s->version);
    fnr_hasher_add_text(h, s->name);
    fnr_hasher_add_text(h, version);
    fnr_record_settings_digest(config, s->settings, h);
    for (size_t i = 0; i < n_inputs; i++) {
        fnr_hasher_add_text(h, inputs[i].hex);
    }
    fnr_hasher_finish(h, &key);
    return key;
}

bool fnr_artifact_path(const fnr_stage *s, const char *out_dir, const char *item, const char *suffix, char path[FNR_PATH_MAX], fnr_error *err)
{
    char dir[FNR_PATH_MAX], name[FNR_PATH_MAX];
    if (!fnr_path_join(dir, out_dir, s->name, err)) {
        return false;
    }
    if ((size_t)snprintf(name, sizeof name, "%s%s", item, suffix) >= sizeof name) {
        return fnr_fail(err, FNR_E_IO, "%s: the name is too long", item);
    }
    return fnr_path_join(path, dir, name, err);
}

bool fnr_artifact_prepare(const fnr_stage *s, const char *out_dir, fnr_error *err)
{
    char dir[FNR_PATH_MAX];
    return fnr_path_join(dir, out_dir, s->name, err) && fnr_mkdirs(dir, err);
}

cJSON *fnr_artifact_find(const fnr_stage *s, const char *out_dir, const char *item, const fnr_digest *key)
{
    char path[FNR_PATH_MAX];
    if (!key->hex[0] || !fnr_artifact_path(s, out_dir, item, ".json", path, NULL)) {
        return NULL;
    }
    cJSON *record = fnr_record_read(path, NULL);
    if (record && strcmp(fnr_record_text(record, "key", ""), key->hex)) {
        cJSON_Delete(record);
        record = NULL;
    }
    return record;
}

bool fnr_artifact_commit(const fnr_stage *s, const char *out_dir, const char *item, const fnr_digest *key, cJSON *record, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    cJSON_AddStringToObject(record, "key", key->hex);
    return fnr_artifact_prepare(s, out_dir, err) && fnr_artifact_path(s, out_dir, item, ".json", path, err) && fnr_record_write(path, record, err);
}
