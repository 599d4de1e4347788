#include "src/pipeline/predict_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/mem.h"
#include "src/pipeline/predict_image.h"
#include "src/pipeline/predict_volume.h"

static bool is_tiff_path(const char *path)
{
    const char *dot = strrchr(fnr_path_base(path), '.');
    return dot && (!strcasecmp(dot, ".tif") || !strcasecmp(dot, ".tiff"));
}

/* ---- which file goes where ------------------------------------------------------------------------------------------------- */

static char *output_path(const fnr_predict_job *job, const char *input, fnr_error *err)
{
    char stem[512], name[600], path[FNR_PATH_MAX];
    if (job->n_inputs == 1 && is_tiff_path(job->output) && !fnr_is_dir(job->output)) {
        return fnr_strdup(job->output, err);
    }
    fnr_path_stem(stem, sizeof stem, input);
    snprintf(name, sizeof name, "%s.prediction.tif", stem);
    return fnr_path_join(path, job->output, name, err) ? fnr_strdup(path, err) : NULL;
}

/* A prediction may take the place neither of an input nor of another prediction: that would lose data without a word. */
static bool output_is_free(const fnr_predict_job *job, char *const *paths, size_t i, fnr_error *err)
{
    for (size_t k = 0; k < job->n_inputs; k++) {
        if (fnr_same_file(paths[i], job->inputs[k])) {
            return fnr_fail(err, FNR_E_USAGE, "-o %s: the prediction of %s would overwrite the input %s", job->output, job->inputs[i], job->inputs[k]);
        }
    }
    for (size_t k = 0; k < i; k++) {
        if (!strcmp(paths[i], paths[k])) {
            return fnr_fail(err, FNR_E_USAGE, "%s and %s would both be predicted into %s; give each a folder of its own", job->inputs[k],
                            job->inputs[i], paths[i]);
        }
    }
    return true;
}

static void free_outputs(char **paths, size_t n)
{
    for (size_t i = 0; paths && i < n; i++) {
        free(paths[i]);
    }
    free(paths);
}

/* A picture of another kind was asked for: a folder of that name would be a surprise. */
static bool is_other_picture(const char *path)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".npy", ".h5", ".zarr"};
    const char *dot = strrchr(fnr_path_base(path), '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
        if (!strcasecmp(dot, endings[i])) {
            return !fnr_is_dir(path);
        }
    }
    return false;
}

/* The output of every input, before any work; NULL when they would clash. */
static char **plan_outputs(const fnr_predict_job *job, fnr_error *err)
{
    if (job->n_inputs > 1 && is_tiff_path(job->output) && !fnr_is_dir(job->output)) {
        fnr_fail(err, FNR_E_USAGE, "-o %s: %zu images need a folder to go to", job->output, job->n_inputs);
        return NULL;
    }
    if (is_other_picture(job->output)) {
        fnr_fail(err, FNR_E_USAGE, "-o %s: predictions are TIFF files; give a name that ends in .tif, or a folder", job->output);
        return NULL;
    }
    char **paths = fnr_calloc(job->n_inputs, sizeof *paths, "list of outputs", err);
    bool ok = paths != NULL;
    for (size_t i = 0; ok && i < job->n_inputs; i++) {
        paths[i] = output_path(job, job->inputs[i], err);
        ok = paths[i] && output_is_free(job, paths, i, err);
    }
    if (!ok) {
        free_outputs(paths, job->n_inputs);
        paths = NULL;
    }
    return paths;
}

/* Files per channel have names of their own, which are known only with the model. */
static bool channels_are_free(const fnr_predicting *p, const fnr_predict_job *job, const char *output, fnr_error *err)
{
    for (int c = 0; c < p->desc->out_channels; c++) {
        char path[FNR_PATH_MAX];
        if (!fnr_prediction_path(p->desc, output, c, path, err)) {
            return false;
        }
        for (size_t k = 0; k < job->n_inputs; k++) {
            if (fnr_same_file(path, job->inputs[k])) {
                return fnr_fail(err, FNR_E_USAGE, "-o %s: channel %d would overwrite the input %s", job->output, c + 1, job->inputs[k]);
            }
        }
    }
    return true;
}

/* A path that is not free, or a folder that cannot be made: before any work on the file. */
static void prepare_output(const fnr_predicting *p, const fnr_predict_job *job, fnr_predict_entry *e)
{
    if (!channels_are_free(p, job, e->output, &e->failure) || !fnr_mkdirs_for(e->output, &e->failure)) {
        e->state = FNR_PREDICT_FAILED;
    }
}

static bool predict_volumes(const fnr_predicting *p, fnr_predict_entry *entries, size_t n, fnr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        fnr_predict_entry *e = &entries[i];
        if (e->state == FNR_PREDICT_WAITS) {
            e->state = fnr_predict_volume_file(p, e->input, e->output, &e->failure) ? FNR_PREDICT_WRITTEN : FNR_PREDICT_FAILED;
        }
        if (e->failure.code == FNR_E_CANCELLED) {
            *err = e->failure;
            return false;
        }
    }
    return true;
}

/* Said at the end, together; an only file's failure is that of the command. */
static bool count_failures(const fnr_predicting *p, const fnr_predict_entry *entries, size_t n, size_t *n_failed, fnr_error *err)
{
    if (n == 1 && entries[0].state == FNR_PREDICT_FAILED) {
        *err = entries[0].failure;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (entries[i].state == FNR_PREDICT_FAILED) {
            fnr_log_error(p->run->log, &entries[i].failure);
            ++*n_failed;
        }
    }
    return true;
}

static bool predict_all(const fnr_predicting *p, const fnr_predict_job *job, char *const *paths, size_t *n_failed, fnr_error *err)
{
    fnr_predict_entry *entries = fnr_calloc(job->n_inputs, sizeof *entries, "list of images", err);
    if (!entries) {
        return false;
    }
    for (size_t i = 0; i < job->n_inputs; i++) {
        entries[i] = (fnr_predict_entry){.input = job->inputs[i], .output = paths[i]};
        prepare_output(p, job, &entries[i]);
    }
    fnr_error stopped = {0}, only = {0};
    const bool ok = (p->desc->spatial == 3 ? predict_volumes : fnr_predict_image_files)(p, entries, job->n_inputs, &stopped);
    const bool counted = count_failures(p, entries, job->n_inputs, n_failed, &only);
    free(entries);
    return (ok && counted) || fnr_fail(err, ok ? only.code : stopped.code, "%s", ok ? only.message : stopped.message);
}

static void say_plan(const fnr_run *run, const fnr_predict_job *job, char *const *paths)
{
    for (size_t i = 0; i < job->n_inputs; i++) {
        fnr_log_info(run->log, "would predict %s -> %s", job->inputs[i], paths[i]);
    }
}

bool fnr_stage_predict(fnr_run *run, const fnr_predict_job *job, size_t *n_failed, fnr_error *err)
{
    fnr_model_set models = {0};
    fnr_predicting p = {.run = run, .as_u16 = job->as_u16};
    *n_failed = 0;
    char **paths = plan_outputs(job, err);
    bool ok = paths && fnr_model_set_read(job->models, job->n_models, &models, err) && fnr_run_open_device(run, true, err);
    if (ok) {
        p.desc = &models.models[0].desc;
        p.net_nm = models.models[0].pixel_nm > 0 || p.desc->spatial == 3 ? models.models[0].pixel_nm : run->config.net.pixel_nm;
        p.predictor = fnr_model_set_open(&models, run, err);
        if (p.predictor && run->dry_run) {
            say_plan(run, job, paths);
        }
        ok = p.predictor && (run->dry_run || predict_all(&p, job, paths, n_failed, err));
    }
    fnr_predictor_free(p.predictor);
    fnr_run_close_device(run);
    fnr_model_set_free(&models);
    free_outputs(paths, job->n_inputs);
    return ok;
}
