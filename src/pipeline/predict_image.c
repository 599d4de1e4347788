#include "src/pipeline/predict_image.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/image/tiff.h"
#include "src/pipeline/em_source.h"
#include "src/pipeline/tile.h"

static const size_t strip_cache_bytes = (size_t)64 << 20;

/* ---- one image -------------------------------------------------------------------------------------------------------------- */

/* An entry whose files are open. */
typedef struct {
    int n_in, n_out;
    fnr_raster *rasters;       /* n_in */
    fnr_em_source *sources;    /* n_in, all of one size */
    fnr_tiff_writer **writers; /* n_out */
    uint16_t *row;             /* one converted row */
    fnr_progress progress;
} open_image;

static bool open_sources(open_image *im, const fnr_predicting *p, const fnr_predict_entry *e, fnr_error *err)
{
    for (int c = 0; c < im->n_in; c++) {
        if (!fnr_raster_from_tiff(&im->rasters[c], e->input, c, strip_cache_bytes / (size_t)im->n_in, err) ||
            !fnr_em_source_open(&im->sources[c], &im->rasters[c], e->input, e->em_nm, p->net_nm, err)) {
            return false;
        }
        if (im->sources[c].w != e->w || im->sources[c].h != e->h) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: page %d is %d x %d px at the network's pixel size, not %d x %d; the channels of an image must agree",
                            e->input, c + 1, im->sources[c].w, im->sources[c].h, e->w, e->h);
        }
    }
    return true;
}

static bool open_writers(open_image *im, const fnr_predicting *p, const fnr_predict_entry *e, fnr_error *err)
{
    for (int c = 0; c < im->n_out; c++) {
        char path[FNR_PATH_MAX];
        if (!fnr_prediction_path(p->desc, e->output, c, path, err) ||
            !(im->writers[c] = fnr_tiff_writer_open(path, e->w, e->h, p->as_u16 ? FNR_U16 : FNR_F32, p->net_nm, true, err))) {
            return false;
        }
    }
    return true;
}

/* Commits all files, or none; nothing is open afterwards. */
static bool close_image(open_image *im, bool ok, fnr_error *err)
{
    for (int c = 0; im->writers && c < im->n_out; c++) {
        if (ok && im->writers[c]) {
            ok = fnr_tiff_writer_close(im->writers[c], err);
        } else if (im->writers[c]) {
            fnr_tiff_writer_abort(im->writers[c]);
        }
    }
    for (int c = 0; im->rasters && c < im->n_in; c++) {
        fnr_raster_release(&im->rasters[c]);
    }
    free(im->rasters);
    free(im->sources);
    free(im->writers);
    free(im->row);
    *im = (open_image){0};
    return ok;
}

static bool open_files(open_image *im, const fnr_predicting *p, const fnr_predict_entry *e, fnr_error *err)
{
    *im = (open_image){.n_in = p->desc->in_channels, .n_out = p->desc->out_channels};
    im->rasters = fnr_calloc((size_t)im->n_in, sizeof *im->rasters, "input channels", err);
    im->sources = fnr_calloc((size_t)im->n_in, sizeof *im->sources, "input channels", err);
    im->writers = fnr_calloc((size_t)im->n_out, sizeof *im->writers, "output channels", err);
    im->row = fnr_calloc((size_t)e->w, sizeof *im->row, "row of pixels", err);
    return (im->rasters && im->sources && im->writers && im->row && open_sources(im, p, e, err) && open_writers(im, p, e, err)) ||
           close_image(im, false, err);
}

static bool write_channel(const open_image *im, int channel, int w, const float *rows, int count, bool as_u16, fnr_error *err)
{
    fnr_tiff_writer *to = im->writers[channel];
    if (!as_u16) {
        return fnr_tiff_writer_rows(to, rows, count, err);
    }
    for (int r = 0; r < count; r++) {
        fnr_prediction_to_u16(rows + (size_t)r * (size_t)w, (size_t)w, im->row);
        if (!fnr_tiff_writer_rows(to, im->row, 1, err)) {
            return false;
        }
    }
    return true;
}

/* ---- a series of images of one size ----------------------------------------------------------------------------------------- */

typedef struct {
    const fnr_predicting *p;
    fnr_predict_entry *const *entries;
    open_image *images;        /* opened when the first tile is read, closed behind the last row */
    fnr_predict_entry *faulty; /* the one whose files fail; NULL: none */
} series;

static bool read_part(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    series *s = ctx;
    open_image *im = &s->images[image];
    bool ok = im->sources || open_files(im, s->p, s->entries[image], err);
    for (int c = 0; ok && c < im->n_in; c++) {
        ok = fnr_em_source_read(&im->sources[c], x, y, w, h, dst + (size_t)c * (size_t)w * (size_t)h, err);
    }
    s->faulty = ok ? s->faulty : s->entries[image];
    return ok;
}

static bool write_rows(series *s, open_image *im, fnr_predict_entry *e, int y, int count, const float *rows, fnr_error *err)
{
    if (y == 0) {
        fnr_progress_begin(&im->progress, s->p->run->log, fnr_path_base(e->input), e->h, 0);
    }
    const size_t plane = (size_t)count * (size_t)e->w;
    for (int c = 0; c < im->n_out; c++) {
        if (!write_channel(im, c, e->w, rows + (size_t)c * plane, count, s->p->as_u16, err)) {
            return false;
        }
    }
    fnr_progress_update(&im->progress, y + count, "row %d of %d", y + count, e->h);
    return true;
}

static bool finish(series *s, open_image *im, fnr_predict_entry *e, fnr_error *err)
{
    fnr_progress progress = im->progress;
    const bool several = im->n_out > 1;
    if (!close_image(im, true, err)) {
        return false;
    }
    fnr_progress_end(&progress, "%d x %d px of %g nm -> %s%s", e->w, e->h, s->p->net_nm, e->output, several ? " (one file per channel)" : "");
    e->state = FNR_PREDICT_WRITTEN;
    return true;
}

static bool give_rows(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err)
{
    series *s = ctx;
    open_image *im = &s->images[image];
    fnr_predict_entry *e = s->entries[image];
    const bool ok = write_rows(s, im, e, y, count, rows, err) && (y + count < e->h || finish(s, im, e, err));
    s->faulty = ok ? s->faulty : e;
    return ok;
}

static fnr_predict_entry *first_waiting(fnr_predict_entry *const *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (entries[i]->state == FNR_PREDICT_WAITS) {
            return entries[i];
        }
    }
    return NULL;
}

/* All are written, or one has failed; those behind it wait. */
static bool predict_series(const fnr_predicting *p, fnr_predict_entry *const *entries, size_t n, fnr_error *err)
{
    series s = {.p = p, .entries = entries};
    fnr_error failure = {0};
    s.images = fnr_calloc(n, sizeof *s.images, "images of a series", err);
    if (!s.images) {
        return false;
    }
    const bool ok = fnr_predict_series(p->predictor, n, entries[0]->w, entries[0]->h, read_part, &s, give_rows, &s, p->run->cancel, &failure);
    for (size_t i = 0; i < n; i++) {
        close_image(&s.images[i], false, NULL);
    }
    free(s.images);
    if (!ok && failure.code == FNR_E_CANCELLED) {
        return fnr_fail(err, failure.code, "%s", failure.message);
    }
    if (!ok) {
        fnr_predict_entry *e = s.faulty ? s.faulty : first_waiting(entries, n);
        e->state = FNR_PREDICT_FAILED;
        e->failure = failure;
    }
    return true;
}

/* ---- which images make a series ---------------------------------------------------------------------------------------------- */

/* Looks at the file's header; a file that cannot be taken fails here. */
static bool look_up_size(const fnr_predicting *p, fnr_predict_entry *e)
{
    fnr_tiff_info info;
    if (e->state == FNR_PREDICT_WAITS && e->w == 0 &&
        !(fnr_prediction_channels_fit(p, e->input, &e->failure) && fnr_pixel_size(e->input, p->run->config.images.em_nm, "--em-nm", &e->em_nm, &e->failure) &&
          fnr_tiff_probe(e->input, &info, &e->failure) &&
          fnr_em_source_extent(e->input, info.w, info.h, e->em_nm, p->net_nm, &e->w, &e->h, &e->failure))) {
        e->state = FNR_PREDICT_FAILED;
    }
    return e->state == FNR_PREDICT_WAITS;
}

/* The first that waits, and those behind it up to one of another size. */
static size_t collect(const fnr_predicting *p, fnr_predict_entry *entries, size_t n, fnr_predict_entry **members)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!look_up_size(p, &entries[i])) {
            continue;
        }
        if (count && (entries[i].w != members[0]->w || entries[i].h != members[0]->h)) {
            break;
        }
        members[count++] = &entries[i];
    }
    return count;
}

bool fnr_predict_image_files(const fnr_predicting *p, fnr_predict_entry *entries, size_t n, fnr_error *err)
{
    fnr_predict_entry **members = fnr_calloc(n, sizeof *members, "images of a series", err);
    bool ok = members != NULL;
    for (size_t count; ok && (count = collect(p, entries, n, members)) > 0;) {
        ok = predict_series(p, members, count, err);
    }
    free(members);
    return ok;
}
