#include "src/pipeline/train_record.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/timer.h"
#include "src/pipeline/record.h"

/* {"path": name without folder, "sha256": ...} */
static cJSON *file_entry(const char *path)
{
    cJSON *entry = fnr_record_file(path, NULL);
    cJSON_ReplaceItemInObjectCaseSensitive(entry, "path", cJSON_CreateString(fnr_path_base(path)));
    return entry;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every file of an image once, in the order of their paths. */
static cJSON *image_entries(const fnr_run *run, const fnr_train_set *set, fnr_error *err)
{
    enum { MOST = 2 * FNR_LIST_MAX_FILES };
    const char **paths = fnr_calloc(MOST * set->count + 1, sizeof *paths, "list of images", err);
    cJSON *list = paths ? cJSON_CreateArray() : NULL;
    size_t n = 0;
    for (size_t i = 0; paths && i < set->count; i++) {
        n += fnr_train_item_files(set, &set->items[i], paths + n, MOST);
    }
    if (n > 0) {
        qsort(paths, n, sizeof *paths, by_text);
    }
    for (size_t i = 0; list && i < n; i++) {
        if (fnr_cancelled(run->cancel)) {
            cJSON_Delete(list);
            list = NULL;
            fnr_fail(err, FNR_E_CANCELLED, "stopped while reading the training images");
        } else if (i == 0 || strcmp(paths[i], paths[i - 1])) {
            cJSON_AddItemToArray(list, file_entry(paths[i]));
        }
    }
    free(paths);
    return list;
}

cJSON *fnr_train_record_make(const fnr_run *run, const fnr_train_job *job, const fnr_train_set *set, fnr_error *err)
{
    char now[32];
    cJSON *images = image_entries(run, set, err);
    if (!images) {
        return NULL;
    }
    cJSON *r = cJSON_CreateObject(), *projects = cJSON_AddArrayToObject(r, "projects"), *val = cJSON_CreateArray();
    fnr_utc_now(now);
    cJSON_AddStringToObject(r, "program", "fnet-register " FNR_VERSION);
    cJSON_AddStringToObject(r, "started", now);
    cJSON_AddStringToObject(r, "backend", run->be->description);
    for (size_t i = 0; i < job->n_projects; i++) {
        cJSON_AddItemToArray(projects, file_entry(job->projects[i]));
    }
    cJSON_AddNumberToObject(r, "training_tiles", (double)set->n_train);
    cJSON_AddNumberToObject(r, "if_nm", set->if_nm);
    for (size_t i = 0; i < set->n_val; i++) {
        cJSON_AddItemToArray(val, cJSON_CreateString(fnr_path_base(set->val[i]->name)));
    }
    cJSON_AddItemToObject(r, "validation_tiles", val);
    cJSON_AddItemToObject(r, "images", images);
    cJSON_AddItemToObject(r, "settings", fnr_record_settings(&run->config));
    return r;
}

/* ---- the same training? --------------------------------------------------------------------------------------------------- */

/* Settings that change the result may not differ.  A setting that the older record lacks is taken as it is. */
static bool same_settings(const cJSON *now, const cJSON *before, const char *path, fnr_error *err)
{
    static const char *const matter[] = {"images.", "net.", "data.", "train.", NULL};
    const cJSON *item;
    cJSON_ArrayForEach(item, now)
    {
        bool relevant = false;
        for (const char *const *p = matter; *p; p++) {
            relevant |= !strncmp(item->string, *p, strlen(*p));
        }
        const char *was = fnr_record_text(before, item->string, NULL);
        if (relevant && was && strcmp(item->string, "train.checkpoint_s") && strcmp(was, item->valuestring)) {
            return fnr_fail(err, FNR_E_USAGE, "%s was made with %s = %s, now it is %s: give the same settings, or train anew without --resume", path,
                            item->string, was, item->valuestring);
        }
    }
    return true;
}

static bool same_file(const cJSON *a, const cJSON *b)
{
    return !strcmp(fnr_record_text(a, "sha256", ""), fnr_record_text(b, "sha256", ""));
}

/* The list `key` of both records: the same files with the same content, in the same order. */
static bool same_files(const cJSON *now, const cJSON *before, const char *key, const char *path, fnr_error *err)
{
    const cJSON *was = cJSON_GetObjectItemCaseSensitive(before, key), *is = cJSON_GetObjectItemCaseSensitive(now, key);
    const int n_was = cJSON_GetArraySize(was), n_is = cJSON_GetArraySize(is);
    for (int i = 0; was && (i < n_was || i < n_is); i++) {
        const cJSON *a = cJSON_GetArrayItem(is, i), *b = cJSON_GetArrayItem(was, i);
        const char *name = fnr_path_base(fnr_record_text(a ? a : b, "path", "?"));
        const char *old_name = fnr_path_base(fnr_record_text(b, "path", name));
        if (a && b && same_file(a, b)) {
            continue;
        }
        if (a && b && !strcmp(name, old_name)) {
            return fnr_fail(err, FNR_E_USAGE, "%s has changed since %s was made from it: restore it, or train anew without --resume", name, path);
        }
        return fnr_fail(err, FNR_E_USAGE,
                        "%s was made from other %s (%d of them, now %d; the first that differs: %s, now %s): give the same ones in the same order, or "
                        "train anew without --resume",
                        path, key, n_was, n_is, b ? old_name : "none", a ? name : "none");
    }
    return true;
}

bool fnr_train_record_same(const cJSON *now, const cJSON *before, const char *path, fnr_error *err)
{
    return same_settings(cJSON_GetObjectItemCaseSensitive(now, "settings"), cJSON_GetObjectItemCaseSensitive(before, "settings"), path, err) &&
           same_files(now, before, "projects", path, err) && same_files(now, before, "images", path, err);
}

/* ---- the record of a run --------------------------------------------------------------------------------------------------- */

bool fnr_train_record_write(const char *path, const fnr_train_job *job, const cJSON *record, const fnr_train_status *final, const char *ended,
                            double seconds, fnr_error *err)
{
    char now[32];
    cJSON *r = cJSON_CreateObject();
    fnr_utc_now(now);
    cJSON_AddStringToObject(r, "finished", now);
    cJSON_AddStringToObject(r, "ended", ended);
    cJSON_AddNumberToObject(r, "step", (double)final->step);
    cJSON_AddNumberToObject(r, "steps", (double)final->steps);
    cJSON_AddNumberToObject(r, "best_step", (double)final->best_step);
    fnr_record_add_number(r, "best_validation_r", final->best_val_r);
    fnr_record_add_number(r, "seconds", seconds);
    fnr_record_add_number(r, "peak_rss_mib", fnr_peak_rss_mib());
    if (fnr_is_file(job->model_path)) {
        cJSON_AddItemToObject(r, "model", file_entry(job->model_path));
    }
    cJSON_AddItemToObject(r, "training", cJSON_Duplicate(record, true));
    const bool ok = fnr_record_write(path, r, err);
    cJSON_Delete(r);
    return ok;
}
