/* A finished registration as JSON and back, to the same bits. */
#ifndef FNR_PIPELINE_REGISTRATION_RECORD_H
#define FNR_PIPELINE_REGISTRATION_RECORD_H

#include <cjson/cJSON.h>

#include "register/register.h"

/* NULL when out of memory; caller deletes. */
cJSON *fnr_registration_to_json(const fnr_registration *r);
/* False when it is no record of a tile that was looked at; *out is set on success only. */
bool fnr_registration_from_json(const cJSON *json, fnr_registration *out);

#endif
