#include "src/pipeline/predict_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/model.h"
#include "net/predict.h"
#include "src/core/mem.h"
#include "src/image/tiff.h"
#include "src/pipeline/em_source.h"
#include "src/pipeline/tile.h"

/* uint16 output: z-scored MBP from -4 to 28 sd in steps of 1/2048 sd, the same for every image, so that pictures compare. */
static const float u16_low = -4.0f, u16_per_sd = 2048.0f;

static const size_t strip_cache_bytes = (size_t)64 << 20;

typedef struct {
    fnr_run *run;
    const fnr_predict_job *job;
    fnr_model model;
    fnr_predictor *predictor;
    double net_nm;
} predicting;

typedef struct {
    fnr_em_source source;
    fnr_tiff_writer *writer;
    bool as_u16;
    uint16_t *row; /* one converted row */
    fnr_progress progress;
    int rows_done;
} one_image;

static bool read_source(void *ctx, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    one_image *im = ctx;
    return fnr_em_source_read(&im->source, x, y, w, h, dst, err);
}

static bool write_rows(void *ctx, int y, int count, const float *rows, fnr_error *err)
{
    one_image *im = ctx;
    const int w = im->source.w;
    bool ok = true;
    if (!im->as_u16) {
        ok = fnr_tiff_writer_rows(im->writer, rows, count, err);
    }
    for (int r = 0; im->as_u16 && ok && r < count; r++) {
        for (int x = 0; x < w; x++) {
            const float v = (rows[(size_t)r * (size_t)w + (size_t)x] - u16_low) * u16_per_sd;
            im->row[x] = (uint16_t)lrintf(fminf(65535.0f, fmaxf(0.0f, v)));
        }
        ok = fnr_tiff_writer_rows(im->writer, im->row, 1, err);
    }
    im->rows_done = y + count;
    fnr_progress_update(&im->progress, im->rows_done, "row %d of %d", im->rows_done, im->source.h);
    return ok;
}

static bool predict_raster(predicting *p, fnr_raster *raster, const char *input, double em_nm, const char *output, fnr_error *err)
{
    one_image im = {.as_u16 = p->job->as_u16};
    if (!fnr_em_source_open(&im.source, raster, input, em_nm, p->net_nm, err)) {
        return false;
    }
    im.row = fnr_calloc((size_t)im.source.w, sizeof *im.row, "row of pixels", err);
    im.writer = im.row ? fnr_tiff_writer_open(output, im.source.w, im.source.h, im.as_u16 ? FNR_U16 : FNR_F32, p->net_nm, true, err) : NULL;
    bool ok = im.writer != NULL;
    if (ok) {
        fnr_progress_begin(&im.progress, p->run->log, fnr_path_base(input), im.source.h, 0);
        ok = fnr_predict_stream(p->predictor, im.source.w, im.source.h, read_source, &im, write_rows, &im, p->run->cancel, err);
        if (ok) {
            fnr_progress_end(&im.progress, "%d x %d px of %g nm -> %s", im.source.w, im.source.h, p->net_nm, output);
            ok = fnr_tiff_writer_close(im.writer, err);
        } else {
            fnr_tiff_writer_abort(im.writer);
        }
    }
    free(im.row);
    return ok;
}

static bool predict_one(predicting *p, const char *input, const char *output, fnr_error *err)
{
    fnr_raster raster = {0};
    double em_nm;
    const bool ok = fnr_pixel_size(input, p->run->config.images.em_nm, "--em-nm", &em_nm, err) &&
                    fnr_raster_from_tiff(&raster, input, 0, strip_cache_bytes, err) && predict_raster(p, &raster, input, em_nm, output, err);
    fnr_raster_release(&raster);
    return ok;
}

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

/* The output of every input, before any work; NULL when they would clash. */
static char **plan_outputs(const fnr_predict_job *job, fnr_error *err)
{
    if (job->n_inputs > 1 && is_tiff_path(job->output) && !fnr_is_dir(job->output)) {
        fnr_fail(err, FNR_E_USAGE, "-o %s: %zu images need a folder to go to", job->output, job->n_inputs);
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

static bool predict_all(predicting *p, char *const *paths, size_t *n_failed, fnr_error *err)
{
    for (size_t i = 0; i < p->job->n_inputs; i++) {
        fnr_error one = {0};
        const char *input = p->job->inputs[i];
        if (p->run->dry_run) {
            fnr_log_info(p->run->log, "would predict %s -> %s", input, paths[i]);
        } else if (!fnr_mkdirs_for(paths[i], &one) || !predict_one(p, input, paths[i], &one)) {
            if (one.code == FNR_E_CANCELLED || p->job->n_inputs == 1) {
                *err = one;
                return false;
            }
            fnr_log_error(p->run->log, &one);
            ++*n_failed;
        }
    }
    return true;
}

bool fnr_stage_predict(fnr_run *run, const fnr_predict_job *job, size_t *n_failed, fnr_error *err)
{
    predicting p = {.run = run, .job = job};
    const fnr_predict_options options = {.max_bytes = (size_t)run->config.compute.max_mb << 20, .tile = run->config.predict.tile};
    *n_failed = 0;
    char **paths = plan_outputs(job, err);
    bool ok = paths && fnr_model_read(job->model_path, &p.model, err) && fnr_run_open_device(run, false, err);
    if (ok && (p.model.desc.spatial != 2 || p.model.desc.in_channels != 1 || p.model.desc.out_channels != 1)) {
        ok = fnr_fail(err, FNR_E_UNSUPPORTED, "%s: a %dD network from %d to %d channels does not predict one image from one image", job->model_path,
                      p.model.desc.spatial, p.model.desc.in_channels, p.model.desc.out_channels);
    }
    if (ok) {
        p.net_nm = p.model.pixel_nm > 0 ? p.model.pixel_nm : run->config.net.pixel_nm;
        p.predictor = fnr_predictor_new(run->be, run->device, &p.model, &options, err);
        ok = p.predictor && predict_all(&p, paths, n_failed, err);
    }
    fnr_predictor_free(p.predictor);
    fnr_run_close_device(run);
    fnr_model_free(&p.model);
    free_outputs(paths, job->n_inputs);
    return ok;
}
