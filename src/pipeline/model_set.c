#include "src/pipeline/model_set.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"

void fnr_model_set_free(fnr_model_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->paths[i]);
        fnr_model_free(&s->models[i]);
    }
    free(s->paths);
    free(s->models);
    free(s->digests);
    *s = (fnr_model_set){0};
}

static bool read_one(fnr_model_set *s, const char *path, fnr_error *err)
{
    if (!(s->paths[s->count] = fnr_strdup(path, err))) {
        return false;
    }
    s->count++; /* freed as part of the set from here on */
    return fnr_hash_file(path, &s->digests[s->count - 1], err) && fnr_model_read(path, &s->models[s->count - 1], err);
}

static bool read_list(fnr_model_set *s, const char *given, fnr_error *err)
{
    if (fnr_is_file(given) || !strchr(given, ',')) {
        return read_one(s, given, err);
    }
    char *list = fnr_strdup(given, err), *rest = NULL;
    bool ok = list != NULL;
    for (char *name = ok ? strtok_r(list, ",", &rest) : NULL; ok && name; name = strtok_r(NULL, ",", &rest)) {
        ok = read_one(s, name, err);
    }
    free(list);
    return ok;
}

/* They must see the same image and mean the same by their output. */
static bool fits_together(const fnr_model_set *s, fnr_error *err)
{
    const fnr_model *a = &s->models[0];
    for (size_t i = 1; i < s->count; i++) {
        const fnr_model *b = &s->models[i];
        if (a->desc.spatial != b->desc.spatial || a->desc.in_channels != b->desc.in_channels || a->desc.out_channels != b->desc.out_channels) {
            return fnr_fail(err, FNR_E_USAGE, "%s and %s cannot be averaged: a %dD network from %d to %d channels, and a %dD one from %d to %d",
                            s->paths[0], s->paths[i], a->desc.spatial, a->desc.in_channels, a->desc.out_channels, b->desc.spatial,
                            b->desc.in_channels, b->desc.out_channels);
        }
        if (a->pixel_nm != b->pixel_nm) {
            return fnr_fail(err, FNR_E_USAGE, "%s and %s cannot be averaged: they work at %g and %g nm per pixel (0 = unknown); give models of one size",
                            s->paths[0], s->paths[i], a->pixel_nm, b->pixel_nm);
        }
        for (size_t k = 0; k < i; k++) {
            if (!strcmp(s->digests[k].hex, s->digests[i].hex)) {
                return fnr_fail(err, FNR_E_USAGE, "%s and %s are the same model: give each once", s->paths[k], s->paths[i]);
            }
        }
    }
    return s->count > 0 || fnr_fail(err, FNR_E_USAGE, "no model given");
}

static void digest_all(fnr_model_set *s)
{
    size_t used = 0;
    if (s->count == 1) {
        s->digest = s->digests[0];
    } else {
        fnr_hasher *h = fnr_hasher_new();
        for (size_t i = 0; h && i < s->count; i++) {
            fnr_hasher_add_text(h, s->digests[i].hex);
        }
        if (h) {
            fnr_hasher_finish(h, &s->digest);
        }
    }
    for (size_t i = 0; i < s->count && used < sizeof s->names; i++) {
        used += (size_t)snprintf(s->names + used, sizeof s->names - used, "%s%s", i ? ", " : "", fnr_path_base(s->paths[i]));
    }
}

static size_t count_names(const char *const *given, size_t n)
{
    size_t names = n;
    for (size_t i = 0; i < n; i++) {
        for (const char *c = given[i]; *c; c++) {
            names += *c == ',';
        }
    }
    return names;
}

bool fnr_model_set_read(const char *const *given, size_t n, fnr_model_set *out, fnr_error *err)
{
    const size_t most = count_names(given, n);
    fnr_model_set s = {.paths = fnr_calloc(most + 1, sizeof *s.paths, "list of models", err),
                       .models = fnr_calloc(most + 1, sizeof *s.models, "list of models", err),
                       .digests = fnr_calloc(most + 1, sizeof *s.digests, "list of models", err)};
    bool ok = s.paths && s.models && s.digests;
    for (size_t i = 0; ok && i < n; i++) {
        ok = read_list(&s, given[i], err);
    }
    if (!ok || !fits_together(&s, err)) {
        fnr_model_set_free(&s);
        return false;
    }
    digest_all(&s);
    *out = s;
    return true;
}

fnr_predictor *fnr_model_set_open(const fnr_model_set *s, const fnr_run *run, fnr_error *err)
{
    const fnr_predict_options options = {
        .max_bytes = (size_t)run->config.compute.max_mb << 20, .tile = run->config.predict.tile, .tta = run->config.predict.tta};
    const fnr_model **list = fnr_calloc(s->count, sizeof *list, "list of models", err);
    if (!list) {
        return NULL;
    }
    for (size_t i = 0; i < s->count; i++) {
        list[i] = &s->models[i];
    }
    fnr_predictor *p = fnr_predictor_new_mean(run->be, run->device, list, s->count, &options, err);
    free(list);
    return p;
}

static cJSON *entry_of(const fnr_model_set *s, size_t i)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "path", s->paths[i]);
    cJSON_AddStringToObject(entry, "sha256", s->digests[i].hex);
    return entry;
}

cJSON *fnr_model_set_record(const fnr_model_set *s)
{
    if (s->count == 1) {
        return entry_of(s, 0);
    }
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list && i < s->count; i++) {
        cJSON_AddItemToArray(list, entry_of(s, i));
    }
    return list;
}
