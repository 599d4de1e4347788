#include "src/pipeline/artifact.h"

#include <limits.h>
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

/* A name with its suffix that the file system takes: of a name that would become too long, its beginning and its digest. */
static void file_name(char out[NAME_MAX + 1], const char *item, const char *suffix)
{
    enum { DIGITS = 16 };
    fnr_digest digest = {0};
    if (strlen(item) + strlen(suffix) <= NAME_MAX) {
        snprintf(out, NAME_MAX + 1, "%s%s", item, suffix);
        return;
    }
    fnr_hasher *h = fnr_hasher_new();
    if (h) {
        fnr_hasher_add_text(h, item);
        fnr_hasher_finish(h, &digest);
    }
    const int kept = NAME_MAX - DIGITS - 1 - (int)strlen(suffix);
    snprintf(out, NAME_MAX + 1, "%.*s~%.*s%s", kept, item, DIGITS, digest.hex, suffix);
}

bool fnr_artifact_path(const fnr_stage *s, const char *out_dir, const char *item, const char *suffix, char path[FNR_PATH_MAX], fnr_error *err)
{
    char dir[FNR_PATH_MAX], name[NAME_MAX + 1];
    file_name(name, item, suffix);
    return fnr_path_join(dir, out_dir, s->name, err) && fnr_path_join(path, dir, name, err);
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
