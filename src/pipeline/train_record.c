#include "src/pipeline/train_record.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/timer.h"
#include "src/pipeline/record.h"

/* The path without its first `skip` characters, the folder that all files lie in; the name alone where they share none. */
static cJSON *recorded_name(const char *path, size_t skip)
{
    const char *rest = path + skip;
    return cJSON_CreateString(rest[0] == '/' || strstr(rest, "..") ? fnr_path_base(path) : rest);
}

static cJSON *file_entry(const char *path, size_t skip)
{
    cJSON *entry = fnr_record_file(path, NULL);
    cJSON_ReplaceItemInObjectCaseSensitive(entry, "path", recorded_name(path, skip));
    return entry;
}

/* Shortens *n, the length of a folder's name with its '/', until `path` begins with it. */
static void share_folder(const char *folder, const char *path, size_t *n)
{
    while (*n > 0 && (strncmp(folder, path, *n) || folder[*n - 1] != '/')) {
        --*n;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum { MOST = 2 * FNR_LIST_MAX_FILES }; /* files of an image */

/* Length of the folder that all files lie in: it tells about the machine, not about the data. */
static size_t common_folder(const fnr_train_job *job, const fnr_train_set *set)
{
    const char *first = job->projects[0], *files[MOST];
    size_t n = strlen(first);
    for (size_t i = 0; i < job->n_projects; i++) {
        share_folder(first, job->projects[i], &n);
    }
    while (n > 0 && first[n - 1] != '/') {
        n--;
    }
    for (size_t i = 0; i < set->count; i++) {
        const size_t count = fnr_train_item_files(set, &set->items[i], files, MOST);
        for (size_t k = 0; k < count; k++) {
            share_folder(first, files[k], &n);
        }
    }
    return n;
}

/* Every file of an image once, in the order of their paths. */
static cJSON *image_entries(const fnr_run *run, const fnr_train_set *set, size_t skip, fnr_error *err)
{
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
            cJSON_AddItemToArray(list, file_entry(paths[i], skip));
        }
    }
    free(paths);
    return list;
}

cJSON *fnr_train_record_make(const fnr_run *run, const fnr_train_job *job, const fnr_train_set *set, fnr_error *err)
{
    char now[32];
    const size_t skip = common_folder(job, set);
    cJSON *images = image_entries(run, set, skip, err);
    if (!images) {
        return NULL;
    }
    cJSON *r = cJSON_CreateObject(), *projects = cJSON_AddArrayToObject(r, "projects"), *val = cJSON_CreateArray();
    fnr_utc_now(now);
    cJSON_AddStringToObject(r, "program", "fnet-register " FNR_VERSION);
    cJSON_AddStringToObject(r, "started", now);
    cJSON_AddStringToObject(r, "backend", run->be->description);
    for (size_t i = 0; i < job->n_projects; i++) {
        cJSON_AddItemToArray(projects, file_entry(job->projects[i], skip));
    }
    cJSON_AddNumberToObject(r, "training_tiles", (double)set->n_train);
    cJSON_AddNumberToObject(r, "if_nm", set->if_nm);
    for (size_t i = 0; i < set->n_val; i++) {
        cJSON_AddItemToArray(val, recorded_name(set->val[i]->name, skip));
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
        const char *name = fnr_record_text(a ? a : b, "path", "?"), *old_name = fnr_record_text(b, "path", name);
        if (a && b && same_file(a, b)) {
            continue;
        }
        if (a && b && !strcmp(fnr_path_base(name), fnr_path_base(old_name))) {
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
        cJSON_AddItemToObject(r, "model", file_entry(job->model_path, (size_t)(fnr_path_base(job->model_path) - job->model_path)));
    }
    cJSON_AddItemToObject(r, "training", cJSON_Duplicate(record, true));
    const bool ok = fnr_record_write(path, r, err);
    cJSON_Delete(r);
    return ok;
}
