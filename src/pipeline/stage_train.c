#include "src/pipeline/stage_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/timer.h"
#include "src/pipeline/loss_plot.h"
#include "src/pipeline/train_record.h"

typedef struct {
    fnr_run *run;
    const fnr_train_job *job;
    char last_path[FNR_PATH_MAX], loss_path[FNR_PATH_MAX], plot_path[FNR_PATH_MAX], record_path[FNR_PATH_MAX];
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
        fprintf(t->loss_file, "%ld,%.6g,%.6g,%.6g", s->step, s->loss, s->val_loss, s->val_r);
        for (int c = 0; s->n_channels > 1 && c < s->n_channels; c++) {
            fprintf(t->loss_file, ",%.6g", s->channel_r ? s->channel_r[c] : NAN);
        }
        fputc('\n', t->loss_file);
        fflush(t->loss_file);
    }
}

/* The curve is a convenience: a picture that cannot be written is no reason to lose a training. */
static void plot(void *ctx, const fnr_model *m)
{
    const training *t = ctx;
    fnr_error err = {0};
    if (!fnr_loss_plot_write(t->plot_path, fnr_path_base(t->job->model_path), m, &err)) {
        fnr_log_warn(t->run->log, "%s", err.message);
    }
}

/* The record travels inside the weights, so a model file alone tells how it was made. */
static bool save(void *ctx, const fnr_model *m, bool best, fnr_error *err)
{
    training *t = ctx;
    return fnr_model_write(best ? t->job->model_path : t->last_path, m, err);
}

static bool start_model(fnr_run *run, const training *t, const fnr_train_set *set, fnr_model *model, fnr_error *err)
{
    const fnr_config *c = &run->config;
    if (t->job->resume) {
        if (!fnr_model_read(t->last_path, model, err)) {
            fnr_error_prefix(err, "--resume");
            return false;
        }
        cJSON *old = model->record ? cJSON_Parse(model->record) : NULL;
        const bool ok = fnr_train_record_same(t->record, old, t->last_path, err);
        cJSON_Delete(old);
        if (!ok) {
            fnr_model_free(model);
        }
        return ok;
    }
    const fnr_netdesc desc = {.spatial = c->net.spatial,
                              .in_channels = set->in_channels,
                              .out_channels = set->out_channels,
                              .base_channels = c->net.base_channels,
                              .depth = c->net.depth};
    if (!fnr_model_new(&desc, (unsigned long long)c->train_plain.seed, model, err)) {
        return false;
    }
    model->pixel_nm = set->pixel_nm;
    char *text = cJSON_PrintUnformatted(t->record);
    model->record = text ? fnr_strdup(text, err) : NULL;
    cJSON_free(text);
    return model->record || fnr_fail(err, FNR_E_LIMIT, "out of memory for the training record");
}

/* Hours of work are not replaced without a word. */
static bool refuse_overwrite(const training *t, fnr_error *err)
{
    if (t->job->resume) {
        return fnr_is_file(t->last_path) ||
               fnr_fail(err, FNR_E_USAGE, "--resume: %s does not exist: there is no state to go on from; train anew without --resume", t->last_path);
    }
    if (!t->job->force && fnr_is_file(t->last_path)) {
        return fnr_fail(err, FNR_E_USAGE, "%s holds an earlier training: continue it with --resume, or replace it with --force", t->last_path);
    }
    if (!t->job->force && fnr_is_file(t->job->model_path)) {
        return fnr_fail(err, FNR_E_USAGE, "%s exists: give another name to -o, or replace it with --force", t->job->model_path);
    }
    return true;
}

static void open_loss_file(training *t, int channels)
{
    const bool fresh = !t->job->resume || !fnr_is_file(t->loss_path);
    t->loss_file = fopen(t->loss_path, fresh ? "w" : "a");
    if (t->loss_file && fresh) {
        fputs("step,loss,validation_mse,validation_r", t->loss_file);
        for (int c = 1; channels > 1 && c <= channels; c++) {
            fprintf(t->loss_file, ",validation_r_%d", c);
        }
        fputc('\n', t->loss_file);
    }
}

/* Why a run ended, as a sentence for people and for its record. */
static void say_end(const fnr_train_options *o, const fnr_train_status *final, const fnr_error *err, char *out, size_t size)
{
    switch (final->end) {
    case FNR_TRAIN_ALL_STEPS:
        snprintf(out, size, "all %ld steps done", final->steps);
        break;
    case FNR_TRAIN_NO_PROGRESS:
        snprintf(out, size, "stopped early at step %ld: validation r did not rise for %ld validations", final->step, o->patience);
        break;
    case FNR_TRAIN_CANCELLED:
        snprintf(out, size, "stopped by the user at step %ld", final->step);
        break;
    default:
        snprintf(out, size, "failed: %s", err->message);
        break;
    }
}

static void finish(training *t, const fnr_train_status *final, double seconds, const fnr_error *why)
{
    char ended[sizeof why->message + 32], duration[32];
    fnr_error err = {0};
    say_end(&t->run->config.train, final, why, ended, sizeof ended);
    if (!fnr_train_record_write(t->record_path, t->job, t->record, final, ended, seconds, &err)) {
        fnr_log_warn(t->run->log, "%s", err.message);
    }
    if (final->end == FNR_TRAIN_CANCELLED) {
        fnr_progress_end(&t->progress, "stopped; continue with --resume");
    } else if (final->end != FNR_TRAIN_UNDER_WAY) {
        fnr_format_duration(seconds, duration);
        if (isnan(final->best_val_r)) {
            fnr_progress_end(&t->progress, "%s; nothing to validate on", duration);
        } else {
            fnr_progress_end(&t->progress, "%s; best validation r %.4f at step %ld", duration, final->best_val_r, final->best_step);
        }
        fnr_log_info(t->run->log, "wrote %s (%s)", t->job->model_path, ended);
    }
}

static bool train_on(fnr_run *run, training *t, fnr_train_set *pairs, fnr_error *err)
{
    fnr_model model = {0};
    fnr_train_status final = {0};
    fnr_error why = {0};
    if (!start_model(run, t, pairs, &model, err)) {
        return false;
    }
    fnr_train_options options = run->config.train;
    options.sampler.buffer = pairs->buffer;
    fnr_log_info(run->log, "training on %zu images, %zu held back; %dD network from %d to %d channels, %d base channels, depth %d, at %g nm; %s",
                 pairs->n_train, pairs->n_val, model.desc.spatial, model.desc.in_channels, model.desc.out_channels, model.desc.base_channels,
                 model.desc.depth, model.pixel_nm, run->be->description);
    if (options.patience > 0 && (pairs->n_val == 0 || options.validate_every == 0)) {
        fnr_log_warn(run->log, "train.patience = %ld has no effect: no tile is validated on (data.validation_fraction, train.validate_every)",
                     options.patience);
    }
    open_loss_file(t, model.desc.out_channels);
    fnr_progress_begin(&t->progress, run->log, "training", (double)options.steps, (double)model.step);
    const double start = fnr_now_s();
    const fnr_train_callbacks callbacks = {.ctx = t, .status = show_status, .validated = plot, .save = save};
    fnr_pair_source train, val;
    fnr_train_set_sources(pairs, &train, &val);
    const bool ok = fnr_train_from(run->be, run->device, &model, &train, &val, &options, &callbacks, run->cancel, &final, &why);
    finish(t, &final, fnr_now_s() - start, &why);
    if (!ok && err) {
        *err = why;
    }
    if (t->loss_file) {
        fclose(t->loss_file);
    }
    fnr_model_free(&model);
    return ok;
}

static bool name_files(training *t, fnr_error *err)
{
    const char *model = t->job->model_path;
    return sibling_path(t->last_path, model, ".last.safetensors", err) && sibling_path(t->loss_path, model, ".loss.csv", err) &&
           sibling_path(t->plot_path, model, ".loss.svg", err) && sibling_path(t->record_path, model, ".train.json", err);
}

bool fnr_stage_train(fnr_run *run, const fnr_train_job *job, fnr_error *err)
{
    training t = {.run = run, .job = job};
    fnr_train_set set = {0};
    bool ok = name_files(&t, err) && refuse_overwrite(&t, err) && (run->dry_run || fnr_mkdirs_for(job->model_path, err)) &&
              fnr_run_open_device(run, run->config.compute.winograd_train, err) &&
              fnr_train_set_find(job->projects, job->n_projects, &run->config, run->log, &set, err);
    if (ok && run->dry_run) {
        fnr_log_info(run->log, "would train on %zu images for %ld steps and write %s", set.count, run->config.train.steps, job->model_path);
    } else if (ok) {
        ok = fnr_train_set_load(&set, run->log, run->cancel, err) && (t.record = fnr_train_record_make(run, job, &set, err)) &&
             train_on(run, &t, &set, err);
    }
    cJSON_Delete(t.record);
    fnr_train_set_free(&set);
    fnr_run_close_device(run);
    return ok;
}
