#include "src/pipeline/predict_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/tiff.h"
#include "src/pipeline/em_source.h"
#include "src/pipeline/stack.h"
#include "src/pipeline/tile.h"

/* uint16 output: z-scored MBP from -4 to 28 sd in steps of 1/2048 sd, the same for every image, so that pictures compare. */
static const float u16_low = -4.0f, u16_per_sd = 2048.0f;

static const size_t strip_cache_bytes = (size_t)64 << 20;

static void to_u16(const float *from, size_t n, uint16_t *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint16_t)lrintf(fminf(65535.0f, fmaxf(0.0f, (from[i] - u16_low) * u16_per_sd)));
    }
}

bool fnr_prediction_path(const fnr_netdesc *desc, const char *output, int channel, char path[FNR_PATH_MAX], fnr_error *err)
{
    const char *dot = strrchr(fnr_path_base(output), '.');
    const int stem = dot ? (int)(dot - output) : (int)strlen(output);
    const int n = desc->out_channels == 1 ? snprintf(path, FNR_PATH_MAX, "%s", output)
                                          : snprintf(path, FNR_PATH_MAX, "%.*s.c%d%s", stem, output, channel + 1, dot ? dot : "");
    return n < FNR_PATH_MAX || fnr_fail(err, FNR_E_USAGE, "%s: the path is too long", output);
}

/* ---- images ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int n_in, n_out;
    fnr_raster *rasters;     /* n_in */
    fnr_em_source *sources;  /* n_in, all of one size */
    fnr_tiff_writer **writers; /* n_out */
    bool as_u16;
    uint16_t *row; /* one converted row */
    fnr_progress progress;
} one_image;

static bool read_source(void *ctx, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    one_image *im = ctx;
    for (int c = 0; c < im->n_in; c++) {
        if (!fnr_em_source_read(&im->sources[c], x, y, w, h, dst + (size_t)c * (size_t)w * (size_t)h, err)) {
            return false;
        }
    }
    return true;
}

static bool write_channel(one_image *im, fnr_tiff_writer *to, const float *rows, int count, fnr_error *err)
{
    const size_t w = (size_t)im->sources[0].w;
    if (!im->as_u16) {
        return fnr_tiff_writer_rows(to, rows, count, err);
    }
    for (int r = 0; r < count; r++) {
        to_u16(rows + (size_t)r * w, w, im->row);
        if (!fnr_tiff_writer_rows(to, im->row, 1, err)) {
            return false;
        }
    }
    return true;
}

static bool write_rows(void *ctx, int y, int count, const float *rows, fnr_error *err)
{
    one_image *im = ctx;
    const size_t plane = (size_t)count * (size_t)im->sources[0].w;
    for (int c = 0; c < im->n_out; c++) {
        if (!write_channel(im, im->writers[c], rows + (size_t)c * plane, count, err)) {
            return false;
        }
    }
    fnr_progress_update(&im->progress, y + count, "row %d of %d", y + count, im->sources[0].h);
    return true;
}

static bool open_sources(one_image *im, const fnr_predicting *p, const char *input, double em_nm, fnr_error *err)
{
    for (int c = 0; c < im->n_in; c++) {
        if (!fnr_raster_from_tiff(&im->rasters[c], input, c, strip_cache_bytes / (size_t)im->n_in, err) ||
            !fnr_em_source_open(&im->sources[c], &im->rasters[c], input, em_nm, p->net_nm, err)) {
            return false;
        }
        if (im->sources[c].w != im->sources[0].w || im->sources[c].h != im->sources[0].h) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: page %d has another size than page 1; the channels of an image must agree", input, c + 1);
        }
    }
    return true;
}

static bool open_writers(one_image *im, const fnr_predicting *p, const char *output, fnr_error *err)
{
    const fnr_em_source *s = &im->sources[0];
    for (int c = 0; c < im->n_out; c++) {
        char path[FNR_PATH_MAX];
        if (!fnr_prediction_path(p->desc, output, c, path, err) ||
            !(im->writers[c] = fnr_tiff_writer_open(path, s->w, s->h, p->as_u16 ? FNR_U16 : FNR_F32, p->net_nm, true, err))) {
            return false;
        }
    }
    return true;
}

/* Commits all files, or none. */
static bool close_writers(one_image *im, bool ok, fnr_error *err)
{
    for (int c = 0; c < im->n_out; c++) {
        if (ok && im->writers[c]) {
            ok = fnr_tiff_writer_close(im->writers[c], err);
        } else if (im->writers[c]) {
            fnr_tiff_writer_abort(im->writers[c]);
        }
    }
    return ok;
}

static bool right_channels(const fnr_predicting *p, const char *input, fnr_error *err)
{
    fnr_stack s;
    if (p->desc->spatial == 2 && p->desc->in_channels == 1) {
        return true; /* the first page, whatever follows */
    }
    return fnr_stack_open(input, p->desc->spatial, &s, err) &&
           (s.channels == p->desc->in_channels || fnr_fail(err, FNR_E_FORMAT, "%s: has %d channel%s, the network takes %d", input, s.channels,
                                                           s.channels == 1 ? "" : "s", p->desc->in_channels));
}

bool fnr_predict_image_file(const fnr_predicting *p, const char *input, const char *output, fnr_error *err)
{
    one_image im = {.n_in = p->desc->in_channels, .n_out = p->desc->out_channels, .as_u16 = p->as_u16};
    double em_nm;
    if (!right_channels(p, input, err) || !fnr_pixel_size(input, p->run->config.images.em_nm, "--em-nm", &em_nm, err)) {
        return false;
    }
    im.rasters = fnr_calloc((size_t)im.n_in, sizeof *im.rasters, "input channels", err);
    im.sources = fnr_calloc((size_t)im.n_in, sizeof *im.sources, "input channels", err);
    im.writers = fnr_calloc((size_t)im.n_out, sizeof *im.writers, "output channels", err);
    bool ok = im.rasters && im.sources && im.writers && open_sources(&im, p, input, em_nm, err) && open_writers(&im, p, output, err) &&
              (im.row = fnr_calloc((size_t)im.sources[0].w, sizeof *im.row, "row of pixels", err));
    if (ok) {
        const fnr_em_source *s = &im.sources[0];
        fnr_progress_begin(&im.progress, p->run->log, fnr_path_base(input), s->h, 0);
        ok = fnr_predict_stream(p->predictor, s->w, s->h, read_source, &im, write_rows, &im, p->run->cancel, err);
        if (ok) {
            fnr_progress_end(&im.progress, "%d x %d px of %g nm -> %s%s", s->w, s->h, p->net_nm, output, im.n_out > 1 ? " (one file per channel)" : "");
        }
    }
    ok = im.writers ? close_writers(&im, ok, err) : ok;
    for (int c = 0; im.rasters && c < im.n_in; c++) {
        fnr_raster_release(&im.rasters[c]);
    }
    free(im.rasters);
    free(im.sources);
    free(im.writers);
    free(im.row);
    return ok;
}

/* ---- volumes --------------------------------------------------------------------------------------------------------------- */

static bool read_volume(const char *input, const fnr_stack *s, float *in, fnr_error *err)
{
    const size_t n = (size_t)s->depth * (size_t)s->h * (size_t)s->w;
    for (int c = 0; c < s->channels; c++) {
        if (!fnr_stack_read(input, s, c, in + (size_t)c * n, err)) {
            return false;
        }
        if (!fnr_stack_zscore(in + (size_t)c * n, n)) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: every pixel of channel %d has the same value; there is nothing to predict from", input, c + 1);
        }
    }
    return true;
}

static bool write_volume(const fnr_predicting *p, const fnr_stack *s, const float *out, int channel, const char *output, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    fnr_image im = {0};
    const size_t n = (size_t)s->depth * (size_t)s->h * (size_t)s->w;
    if (!fnr_prediction_path(p->desc, output, channel, path, err) ||
        !fnr_image_new(&im, s->w, s->h, s->depth, 1, p->as_u16 ? FNR_U16 : FNR_F32, err)) {
        return false;
    }
    if (p->as_u16) {
        to_u16(out + (size_t)channel * n, n, im.v.px);
    } else {
        memcpy(im.v.px, out + (size_t)channel * n, n * sizeof *out);
    }
    im.v.nm = s->nm;
    const bool ok = fnr_tiff_write(path, &im.v, &(fnr_tiff_write_options){.compress = true}, err);
    fnr_image_free(&im);
    return ok;
}

bool fnr_predict_volume_file(const fnr_predicting *p, const char *input, const char *output, fnr_error *err)
{
    fnr_stack s;
    if (!right_channels(p, input, err) || !fnr_stack_open(input, 3, &s, err)) {
        return false;
    }
    s.nm = p->run->config.images.em_nm > 0 ? p->run->config.images.em_nm : s.nm;
    if (s.nm > 0 && p->net_nm > 0 && fabs(s.nm / p->net_nm - 1) > 0.01) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: pixels of %g nm, but the 3D network works at %g nm; resample the stack (or correct its pixel size with --em-nm)",
                        input, s.nm, p->net_nm);
    }
    const size_t n = (size_t)s.depth * (size_t)s.h * (size_t)s.w;
    float *in = fnr_alloc_aligned(n * (size_t)s.channels, sizeof *in, "stack", err);
    float *out = in ? fnr_alloc_aligned(n * (size_t)p->desc->out_channels, sizeof *out, "predicted stack", err) : NULL;
    bool ok = out && read_volume(input, &s, in, err) && fnr_predict_array(p->predictor, s.depth, s.h, s.w, in, out, p->run->cancel, err);
    for (int c = 0; ok && c < p->desc->out_channels; c++) {
        ok = write_volume(p, &s, out, c, output, err);
    }
    if (ok) {
        fnr_log_info(p->run->log, "%s: %d x %d x %d px -> %s", fnr_path_base(input), s.w, s.h, s.depth, output);
    }
    free(in);
    free(out);
    return ok;
}
