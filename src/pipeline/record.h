/* JSON records: what was run, with which settings, on which inputs. */
#ifndef FNR_PIPELINE_RECORD_H
#define FNR_PIPELINE_RECORD_H

#include <cjson/cJSON.h>

#include "src/core/hash.h"
#include "src/pipeline/config.h"

/* All settings as {"section.key": "value"}; NULL when out of memory. */
cJSON *fnr_record_settings(const fnr_config *config);

/* {"path": ..., "sha256": ...}; a file that cannot be read has "sha256": null. */
cJSON *fnr_record_file(const char *path, fnr_digest *digest_or_null);

/* Digest of the settings whose names begin with one of the `prefixes` (NULL-terminated list). */
void fnr_record_settings_digest(const fnr_config *config, const char *const *prefixes, fnr_hasher *into);

/* Pretty-printed and atomic. */
bool fnr_record_write(const char *path, const cJSON *json, fnr_error *err);
/* Parses a record file of at most 64 MiB; NULL and an error when it is missing or broken.  Caller deletes. */
cJSON *fnr_record_read(const char *path, fnr_error *err);

/* Number or string member; the default when it is missing or of another type. */
double fnr_record_number(const cJSON *object, const char *key, double otherwise);
const char *fnr_record_text(const cJSON *object, const char *key, const char *otherwise);

/* Reads back to the same bits; numbers that JSON cannot hold (NaN, infinity) are written as null. */
void fnr_record_add_number(cJSON *object, const char *key, double value);

/* Text that may be a file's name: bytes that are not UTF-8, which JSON cannot hold, are written as fnr_text_escape does. */
void fnr_record_add_text(cJSON *object, const char *key, const char *text);

/* Peak resident memory of this process so far [MiB]. */
double fnr_peak_rss_mib(void);

#endif
