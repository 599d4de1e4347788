#include "src/pipeline/predict_volume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/tiff.h"
#include "src/pipeline/stack.h"

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
        fnr_prediction_to_u16(out + (size_t)channel * n, n, im.v.px);
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
    if (!fnr_prediction_channels_fit(p, input, err) || !fnr_stack_open(input, 3, &s, err)) {
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
