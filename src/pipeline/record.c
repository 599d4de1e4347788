#include "src/pipeline/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "src/core/fs.h"
#include "src/core/text.h"

cJSON *fnr_record_settings(const fnr_config *config)
{
    cJSON *out = cJSON_CreateObject();
    for (size_t i = 0; out && i < fnr_config_table.count; i++) {
        char text[FNR_SET_TEXT_MAX];
        fnr_settings_format(&fnr_config_table.rows[i], config, text, sizeof text);
        fnr_record_add_text(out, fnr_config_table.rows[i].name, text);
    }
    return out;
}

cJSON *fnr_record_file(const char *path, fnr_digest *digest_or_null)
{
    fnr_digest digest;
    cJSON *out = cJSON_CreateObject();
    fnr_record_add_text(out, "path", path);
    if (fnr_hash_file(path, &digest, NULL)) {
        cJSON_AddStringToObject(out, "sha256", digest.hex);
    } else {
        digest = (fnr_digest){0};
        cJSON_AddNullToObject(out, "sha256");
    }
    if (digest_or_null) {
        *digest_or_null = digest;
    }
    return out;
}

void fnr_record_settings_digest(const fnr_config *config, const char *const *prefixes, fnr_hasher *into)
{
    for (size_t i = 0; i < fnr_config_table.count; i++) {
        const fnr_setting *row = &fnr_config_table.rows[i];
        for (const char *const *p = prefixes; *p; p++) {
            if (!strncmp(row->name, *p, strlen(*p))) {
                char text[FNR_SET_TEXT_MAX];
                fnr_settings_format(row, config, text, sizeof text);
                fnr_hasher_add_text(into, row->name);
                fnr_hasher_add_text(into, text);
            }
        }
    }
}

bool fnr_record_write(const char *path, const cJSON *json, fnr_error *err)
{
    char *text = cJSON_Print(json);
    if (!text) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: out of memory while writing the record", path);
    }
    const bool ok = fnr_write_file(path, text, strlen(text), err);
    cJSON_free(text);
    return ok;
}

cJSON *fnr_record_read(const char *path, fnr_error *err)
{
    char *text;
    size_t size;
    if (!fnr_read_file(path, (size_t)64 << 20, &text, &size, err)) {
        return NULL;
    }
    cJSON *json = cJSON_ParseWithLength(text, size);
    free(text);
    if (!json) {
        fnr_fail(err, FNR_E_FORMAT, "%s: not a JSON record", path);
    }
    return json;
}

double fnr_record_number(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

const char *fnr_record_text(const cJSON *object, const char *key, const char *otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

void fnr_record_add_number(cJSON *object, const char *key, double value)
{
    if (isfinite(value)) {
        char text[32]; /* all digits: cJSON's own printing may change the last bit */
        snprintf(text, sizeof text, "%.17g", value);
        cJSON_AddRawToObject(object, key, text);
    } else {
        cJSON_AddNullToObject(object, key);
    }
}

void fnr_record_add_text(cJSON *object, const char *key, const char *text)
{
    char *utf8 = fnr_text_escape(text, NULL, NULL);
    if (utf8) { /* without memory the member is missing, as everywhere in cJSON */
        cJSON_AddStringToObject(object, key, utf8);
    }
    free(utf8);
}

double fnr_peak_rss_mib(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024.0 : NAN;
}
