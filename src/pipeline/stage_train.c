#include "src/pipeline/stage_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/timer.h"
#include "src/pipeline/pairs.h"
#include "src/pipeline/record.h"

typedef struct {
    fnr_run *run;
    const fnr_train_job *job;
    char last_path[FNR_PATH_MAX], loss_path[FNR_PATH_MAX];
    FILE *loss_file; /* NULL when it could not be opened: the curve is a convenience */
    fnr_progress progress;
    cJSON *record;
} training;

/* "dir/name.safetensors" -> "dir/name<suffix>" */
static bool sibling_path(char out[FNR_PATH_MAX], const char *model_path, const char *suffix, fnr_error *err)
{
    static const char extension[] = ".safetensors";
    size_t keep = strlen(model_path);
    if (keep > sizeof extension - 1 && !strcmp(model_path + keep - (sizeof extension - 1), extension)) {
        keep -= sizeof extension - 1;
    }
    if (keep + strlen(suffix) >= FNR_PATH_MAX) {
        return fnr_fail(err, FNR_E_USAGE, "%s: the path is too long", model_path);
    }
    memcpy(out, model_path, keep);
    memcpy(out + keep, suffix, strlen(suffix) + 1);
    return true;
}

static void show_status(void *ctx, const fnr_train_status *s)
{
    training *t = ctx;
    if (isnan(s->val_r)) {
        fnr_progress_update(&t->progress, (double)s->step, "loss %.4f, %.1f steps/s", s->loss, s->steps_per_s);
    } else {
        fnr_progress_update(&t->progress, (double)s->step, "loss %.4f, validation r %.4f (best %.4f), %.1f steps/s", s->loss, s->val_r, s->best_val_r,
                            s->steps_per_s);
    }
    if (t->loss_file) {
        fprintf(t->loss_file, "%ld,%.6g,%.6g,%.6g\n", s->step, s->loss, s->val_loss, s->val_r);
        fflush(t->loss_file);
    }
}

/* The record travels inside the weights, so a model file alone tells how it was made. */
static bool save(void *ctx, const fnr_model *m, bool best, fnr_error *err)
{
    training *t = ctx;
    return fnr_model_write(best ? t->job->model_path : t->last_path, m, err);
}

static cJSON *make_record(const fnr_run *run, const fnr_train_job *job, const fnr_training_set *pairs)
{
    char now[32];
    cJSON *r = cJSON_CreateObject(), *projects = cJSON_AddArrayToObject(r, "projects"), *val = cJSON_CreateArray();
    fnr_utc_now(now);
    cJSON_AddStringToObject(r, "program", "fnet-register " FNR_VERSION);
    cJSON_AddStringToObject(r, "started", now);
    cJSON_AddStringToObject(r, "backend", run->be->description);
    for (size_t i = 0; i < job->n_projects; i++) {
        cJSON_AddItemToArray(projects, fnr_record_file(job->projects[i], NULL));
    }
    cJSON_AddNumberToObject(r, "training_tiles", (double)pairs->n_train);
    cJSON_AddNumberToObject(r, "if_nm", pairs->if_nm);
    for (size_t i = 0; i < pairs->n_val; i++) {
        cJSON_AddItemToArray(val, cJSON_CreateString(pairs->val[i].name));
    }
    cJSON_AddItemToObject(r, "validation_tiles", val);
    cJSON_AddItemToObject(r, "settings", fnr_record_settings(&run->config));
    return r;
}

/* A resumed training must be the same training: settings that change the result may not differ. */
static bool same_settings(const fnr_run *run, const char *path, const cJSON *old, fnr_error *err)
{
    static const char *const matter[] = {"images.", "net.", "data.", "train.", NULL};
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(old, "settings");
    for (size_t i = 0; i < fnr_config_table.count; i++) {
        const fnr_setting *row = &fnr_config_table.rows[i];
        char now[FNR_SET_TEXT_MAX];
        bool relevant = false;
        for (const char *const *p = matter; *p; p++) {
            relevant |= !strncmp(row->name, *p, strlen(*p));
        }
        if (!relevant || !strcmp(row->name, "train.checkpoint_s")) {
            continue;
        }
        fnr_settings_format(row, &run->config, now, sizeof now);
        const char *before = fnr_record_text(settings, row->name, NULL);
        if (before && strcmp(before, now)) {
            return fnr_fail(err, FNR_E_USAGE, "%s was made with %s = %s, now it is %s: give the same settings, or train anew without --resume", path,
                            row->name, before, now);
        }
    }
    return true;
}

/* ... and must see the same placements. */
static bool same_projects(const cJSON *now, const char *path, const cJSON *old, fnr_error *err)
{
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(old, "projects"), *given = cJSON_GetObjectItemCaseSensitive(now, "projects");
    bool same = !before || cJSON_GetArraySize(before) == cJSON_GetArraySize(given);
    for (int i = 0; before && same && i < cJSON_GetArraySize(given); i++) {
        same = !strcmp(fnr_record_text(cJSON_GetArrayItem(before, i), "sha256", ""), fnr_record_text(cJSON_GetArrayItem(given, i), "sha256", ""));
    }
    return same || fnr_fail(err, FNR_E_USAGE,
                            "%s was made from other projects, or they have changed: give the same ones in the same order, or train anew "
                            "without --resume", path);
}

static bool start_model(fnr_run *run, const training *t, fnr_model *model, fnr_error *err)
{
    const fnr_config *c = &run->config;
    if (t->job->resume) {
        if (!fnr_model_read(t->last_path, model, err)) {
            fnr_error_prefix(err, "--resume");
            return false;
        }
        cJSON *old = model->record ? cJSON_Parse(model->record) : NULL;
        const bool ok = same_settings(run, t->last_path, old, err) && same_projects(t->record, t->last_path, old, err);
        cJSON_Delete(old);
        if (!ok) {
            fnr_model_free(model);
        }
        return ok;
    }
    const fnr_netdesc desc = {.spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = c->net.base_channels, .depth = c->net.depth};
    if (!fnr_model_new(&desc, (unsigned long long)c->train_plain.seed, model, err)) {
        return false;
    }
    model->pixel_nm = c->net.pixel_nm;
    char *text = cJSON_PrintUnformatted(t->record);
    model->record = text ? fnr_strdup(text, err) : NULL;
    cJSON_free(text);
    return model->record || fnr_fail(err, FNR_E_LIMIT, "out of memory for the training record");
}

static bool refuse_overwrite(const training *t, fnr_error *err)
{
    if (!t->job->resume && fnr_is_file(t->last_path)) {
        return fnr_fail(err, FNR_E_USAGE, "%s holds an earlier training: continue it with --resume, or remove it first", t->last_path);
    }
    return true;
}

static void open_loss_file(training *t)
{
    const bool fresh = !t->job->resume || !fnr_is_file(t->loss_path);
    t->loss_file = fopen(t->loss_path, fresh ? "w" : "a");
    if (t->loss_file && fresh) {
        fputs("step,loss,validation_mse,validation_r\n", t->loss_file);
    }
}

static bool train_on(fnr_run *run, training *t, const fnr_training_set *pairs, fnr_error *err)
{
    fnr_model model = {0};
    fnr_train_status final = {0};
    t->record = make_record(run, t->job, pairs);
    if (!start_model(run, t, &model, err)) {
        return false;
    }
    const fnr_train_options *options = &run->config.train;
    fnr_log_info(run->log, "training on %zu tiles, %zu held back; network of %d channels, depth %d, at %g nm; %s", pairs->n_train, pairs->n_val,
                 model.desc.base_channels, model.desc.depth, model.pixel_nm, run->be->description);
    open_loss_file(t);
    fnr_progress_begin(&t->progress, run->log, "training", (double)options->steps, (double)model.step);
    const double start = fnr_now_s();
    const fnr_train_callbacks callbacks = {.ctx = t, .status = show_status, .save = save};
    const bool ok = fnr_train(run->be, run->device, &model, pairs->train, pairs->n_train, pairs->val, pairs->n_val, options, &callbacks, run->cancel,
                              &final, err);
    if (ok) {
        char duration[32];
        fnr_format_duration(fnr_now_s() - start, duration);
        fnr_progress_end(&t->progress, "%s; best validation r %.4f at step %ld", duration, final.best_val_r, final.best_step);
        fnr_log_info(run->log, "wrote %s", t->job->model_path);
    } else if (err && err->code == FNR_E_CANCELLED) {
        fnr_progress_end(&t->progress, "stopped; continue with --resume");
    }
    if (t->loss_file) {
        fclose(t->loss_file);
    }
    fnr_model_free(&model);
    return ok;
}

bool fnr_stage_train(fnr_run *run, const fnr_train_job *job, fnr_error *err)
{
    training t = {.run = run, .job = job};
    fnr_placements placements = {0};
    fnr_training_set pairs = {0};
    bool ok = sibling_path(t.last_path, job->model_path, ".last.safetensors", err) && sibling_path(t.loss_path, job->model_path, ".loss.csv", err) &&
              refuse_overwrite(&t, err) && (run->dry_run || fnr_mkdirs_for(job->model_path, err)) &&
              fnr_run_open_device(run, run->config.compute.winograd_train, err) &&
              fnr_placements_read(job->projects, job->n_projects, &run->config, run->log, &placements, err);
    if (ok && run->dry_run) {
        fnr_log_info(run->log, "would train on %zu tiles for %ld steps and write %s", placements.count, run->config.train.steps, job->model_path);
    } else if (ok) {
        ok = fnr_training_set_load(&placements, &run->config, run->log, run->cancel, &pairs, err) && train_on(run, &t, &pairs, err);
    }
    cJSON_Delete(t.record);
    fnr_training_set_free(&pairs);
    fnr_placements_free(&placements);
    fnr_run_close_device(run);
    return ok;
}
