#include "src/pipeline/registration_record.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "src/pipeline/record.h"

/* Members that are one number each. */
typedef struct {
    const char *name;
    size_t offset;
} number;

#define REGISTRATION(member) {#member, offsetof(fnr_registration, member)}
#define CANDIDATE(member) {#member, offsetof(fnr_candidate, member)}
static const number of_registration[] = {REGISTRATION(scale), REGISTRATION(rotation_deg), REGISTRATION(score),
                                         REGISTRATION(peak_ratio), REGISTRATION(content), REGISTRATION(flow_inliers),
                                         REGISTRATION(flow_rms_px), REGISTRATION(blur_px), REGISTRATION(expected_error_px),
                                         REGISTRATION(flow_apart_px), REGISTRATION(probability), REGISTRATION(probability_5px)};
static const number of_candidate[] = {CANDIDATE(scale), CANDIDATE(rotation_deg), CANDIDATE(score)};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static void write_numbers(cJSON *json, const void *from, const number *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, (const char *)from + table[i].offset, sizeof v);
        fnr_record_add_number(json, table[i].name, v);
    }
}

static void read_numbers(const cJSON *json, void *to, const number *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = fnr_record_number(json, table[i].name, NAN);
        memcpy((char *)to + table[i].offset, &v, sizeof v);
    }
}

static void write_transform(cJSON *json, const fnr_transform *t)
{
    char text[FNR_TRANSFORM_TEXT];
    fnr_transform_format(t, text);
    cJSON_AddStringToObject(json, "net_to_if", text);
}

static bool read_transform(const cJSON *json, fnr_transform *t)
{
    return fnr_transform_parse(fnr_record_text(json, "net_to_if", ""), FNR_FRAME_NET, FNR_FRAME_IF, t, NULL);
}

static void write_covariance(cJSON *json, const double covariance[16])
{
    cJSON *list = cJSON_AddArrayToObject(json, "covariance");
    for (int i = 0; i < 16; i++) {
        char digits[32];
        snprintf(digits, sizeof digits, "%.17g", covariance[i]);
        cJSON_AddItemToArray(list, cJSON_CreateRaw(digits));
    }
}

static void read_covariance(const cJSON *list, fnr_registration *r)
{
    const cJSON *c;
    int n = 0;
    cJSON_ArrayForEach(c, list)
    {
        if (n < 16 && cJSON_IsNumber(c)) {
            r->covariance[n++] = c->valuedouble;
        }
    }
    r->has_covariance = n == 16;
}

cJSON *fnr_registration_to_json(const fnr_registration *r)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "verdict", r->verdict);
    cJSON_AddStringToObject(json, "reason", r->reason);
    if (r->has_transform) {
        write_transform(json, &r->t);
    }
    write_numbers(json, r, of_registration, COUNT(of_registration));
    if (r->has_covariance) {
        write_covariance(json, r->covariance);
    }
    cJSON *list = cJSON_AddArrayToObject(json, "candidates");
    for (int i = 0; i < r->n_candidates; i++) {
        cJSON *c = cJSON_CreateObject();
        write_transform(c, &r->candidates[i].t);
        write_numbers(c, &r->candidates[i], of_candidate, COUNT(of_candidate));
        cJSON_AddItemToArray(list, c);
    }
    return json;
}

bool fnr_registration_from_json(const cJSON *json, fnr_registration *out)
{
    fnr_registration r = {0};
    const double verdict = fnr_record_number(json, "verdict", -1);
    if (!(verdict >= FNR_REGISTERED && verdict <= FNR_FAILED)) { /* the others are never recorded */
        return false;
    }
    r.verdict = (fnr_verdict)(int)verdict;
    snprintf(r.reason, sizeof r.reason, "%s", fnr_record_text(json, "reason", ""));
    r.has_transform = read_transform(json, &r.t);
    read_numbers(json, &r, of_registration, COUNT(of_registration));
    read_covariance(cJSON_GetObjectItemCaseSensitive(json, "covariance"), &r);
    const cJSON *c;
    cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(json, "candidates"))
    {
        fnr_candidate *candidate = &r.candidates[r.n_candidates];
        if (r.n_candidates < FNR_MAX_CANDIDATES && read_transform(c, &candidate->t)) {
            read_numbers(c, candidate, of_candidate, COUNT(of_candidate));
            r.n_candidates++;
        }
    }
    *out = r;
    return true;
}
