#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "src/cv/cv.h"
#include "src/image/encode.h"
#include "src/image/stats.h"
#include "src/pipeline/report_parts.h"

enum { MAP_SIDE = 1100, MAP_QUALITY = 75, SIDE_LEAST = 64, N_FIGURES = 5 };

/* A view reduced to w x h, values as they are. */
static bool reduce(const fnr_view *v, int w, int h, fnr_image *out, fnr_error *err)
{
    if (!fnr_image_new(out, w, h, 1, 1, FNR_F32, err)) {
        return false;
    }
    const bool ok = fnr_cv_resize(v, &out->v, err);
    if (!ok) {
        fnr_image_free(out);
    }
    return ok;
}

/* [lo, hi] to [0, 1]; not a number becomes 0. */
static void stretch(fnr_image *im, const fnr_report_range *range)
{
    float *px = im->v.px;
    const double span = range->hi > range->lo ? range->hi - range->lo : 1.0;
    for (size_t i = 0; i < (size_t)im->v.w * (size_t)im->v.h; i++) {
        const double x = ((double)px[i] - range->lo) / span;
        px[i] = x > 0.0 ? (float)fmin(x, 1.0) : 0.0f;
    }
}

/* Black at the lower quantile, full at the upper; a constant image stays dark. */
static fnr_report_range quantile_range(const fnr_view *v, double lower, double upper)
{
    fnr_report_range r = {fnr_quantile(v, lower), fnr_quantile(v, upper)};
    if (!(r.hi > r.lo)) {
        const fnr_stats s = fnr_stats_of(v);
        r = s.max > s.min ? (fnr_report_range){s.min, s.max}
                          : (fnr_report_range){s.count ? s.min : 0.0, s.count ? s.min + 1.0 : 1.0};
    }
    return r;
}

static uint8_t byte_of(float x)
{
    return (uint8_t)(fminf(fmaxf(x, 0.0f), 1.0f) * 255.0f + 0.5f);
}

static char *jpeg_text(const fnr_rgb *im, int quality, fnr_error *err)
{
    uint8_t *bytes = NULL;
    size_t size;
    char *text = fnr_encode_jpeg(im, quality, &bytes, &size, err) ? fnr_base64(bytes, size, err) : NULL;
    free(bytes);
    return text;
}

static bool paint_grey(const fnr_image *grey, fnr_rgb *out, fnr_error *err)
{
    if (!fnr_rgb_new(out, grey->v.w, grey->v.h, err)) {
        return false;
    }
    const float *px = grey->v.px;
    for (size_t i = 0; i < (size_t)out->w * (size_t)out->h; i++) {
        out->rgb[3 * i] = out->rgb[3 * i + 1] = out->rgb[3 * i + 2] = byte_of(px[i]);
    }
    return true;
}

/* EM grey, prediction green, MBP magenta: where both lie on each other the sheath turns white. */
static bool paint_overlay(const fnr_image *em, const fnr_image *prediction, const fnr_image *mbp, fnr_rgb *out, fnr_error *err)
{
    if (!fnr_rgb_new(out, em->v.w, em->v.h, err)) {
        return false;
    }
    const float *g = em->v.px, *p = prediction->v.px, *m = mbp->v.px;
    for (size_t i = 0; i < (size_t)out->w * (size_t)out->h; i++) {
        const float base = 0.5f * g[i], green = 0.9f * p[i], magenta = 0.9f * m[i];
        out->rgb[3 * i] = out->rgb[3 * i + 2] = byte_of(base + magenta);
        out->rgb[3 * i + 1] = byte_of(base + green);
    }
    return true;
}

bool fnr_report_montage_figure(const fnr_view *montage, fnr_report_range *range, char **jpeg, fnr_error *err)
{
    /* The longer side is bounded: a tall montage must not make a long page. */
    const double f = fmin(1.0, (double)MAP_SIDE / (montage->w > montage->h ? montage->w : montage->h));
    const int w = (int)fmax(1.0, montage->w * f), h = (int)fmax(1.0, montage->h * f);
    fnr_report_range shown = {0, 0};
    fnr_image small = {0};
    fnr_rgb rgb = {0};
    char *text = NULL;
    if (reduce(montage, w, h, &small, err)) {
        shown = quantile_range(&small.v, 0.5, 0.995);
        stretch(&small, &shown);
        text = paint_grey(&small, &rgb, err) ? jpeg_text(&rgb, MAP_QUALITY, err) : NULL;
    }
    fnr_image_free(&small);
    fnr_rgb_free(&rgb);
    if (!text) {
        return false;
    }
    *jpeg = text;
    *range = shown;
    return true;
}

/* Sheaths stain unevenly: a pale tile is lifted, but not so far that background looks like myelin. */
static fnr_report_range mbp_range(const fnr_view *v, const fnr_report_range *montage)
{
    fnr_report_range own = quantile_range(v, 0.2, 0.995);
    if (montage->hi > montage->lo) {
        const double span = montage->hi - montage->lo;
        own = (fnr_report_range){montage->lo, fmin(fmax(own.hi, montage->lo + 0.3 * span), montage->hi)};
    }
    return own;
}

static fnr_report_range prediction_range(const fnr_view *v, const fnr_report_range *given)
{
    return given->hi > given->lo ? *given : quantile_range(v, 0.2, 0.998);
}

static void release(fnr_rgb picture[N_FIGURES])
{
    for (int i = 0; i < N_FIGURES; i++) {
        fnr_rgb_free(&picture[i]);
    }
}

/* Encodes what was painted; lowers the quality until the text fits, or says in *fits that it does not. */
static bool encode(const fnr_rgb picture[N_FIGURES], size_t bytes, fnr_report_figures *out, bool *fits, fnr_error *err)
{
    static const int qualities[] = {82, 70, 55, 40};
    enum { N_QUALITIES = sizeof qualities / sizeof qualities[0] };
    *fits = false;
    for (int q = 0; q < N_QUALITIES && !*fits; q++) {
        char *text[N_FIGURES] = {0};
        size_t sum = 0;
        bool ok = true;
        for (int i = 0; ok && i < N_FIGURES; i++) {
            if (picture[i].rgb) {
                text[i] = jpeg_text(&picture[i], qualities[q], err);
                ok = text[i] != NULL;
                sum += ok ? strlen(text[i]) : 0;
            }
        }
        fnr_report_figures_free(out);
        *out = (fnr_report_figures){
            .em = text[0], .prediction = text[1], .mbp = text[2], .overlay = text[3], .placed = text[4], .w = picture[0].w,
            .h = picture[0].h, .placed_w = picture[4].w, .placed_h = picture[4].h};
        if (!ok) {
            fnr_report_figures_free(out);
            return false;
        }
        *fits = sum <= bytes;
    }
    return true;
}

/* Prediction in green over the MBP around it in magenta, as the montage shows it; nothing is painted when it is not to be had. */
static bool paint_placed(const fnr_report_tile *t, const fnr_report_range *mbp, const fnr_report_range *prediction, int side, fnr_rgb *out,
                         fnr_error *err)
{
    if (!t->around || !t->placed) {
        return true;
    }
    const double f = fmin(1.0, (double)side / (t->around->w > t->around->h ? t->around->w : t->around->h));
    const int w = (int)fmax(1.0, rint(t->around->w * f)), h = (int)fmax(1.0, rint(t->around->h * f));
    fnr_image small[2] = {{{0}}}, none = {{0}};
    bool ok = reduce(t->around, w, h, &small[0], err) && reduce(t->placed, w, h, &small[1], err) && fnr_image_new(&none, w, h, 1, 1, FNR_F32, err);
    if (ok) {
        const fnr_report_range ranges[2] = {mbp_range(&small[0].v, mbp), prediction_range(&small[1].v, prediction)};
        stretch(&small[0], &ranges[0]);
        stretch(&small[1], &ranges[1]);
        ok = paint_overlay(&none, &small[1], &small[0], out, err);
    }
    fnr_image_free(&small[0]);
    fnr_image_free(&small[1]);
    fnr_image_free(&none);
    return ok;
}

/* All pictures of a tile with the longer side `side`. */
static bool figures_of_side(const fnr_report_tile *t, const fnr_report_range *mbp, const fnr_report_range *prediction, int side,
                            size_t bytes, fnr_report_figures *out, bool *fits, fnr_error *err)
{
    const double f = fmin(1.0, (double)side / (t->em->w > t->em->h ? t->em->w : t->em->h));
    const int w = (int)fmax(1.0, rint(t->em->w * f)), h = (int)fmax(1.0, rint(t->em->h * f));
    const fnr_view *views[3] = {t->em, t->prediction, t->mbp};
    fnr_image small[3] = {{{0}}};
    fnr_rgb picture[N_FIGURES] = {{0}};
    bool ok = true;
    for (int k = 0; ok && k < 3; k++) {
        if (!views[k]) {
            continue;
        }
        ok = reduce(views[k], w, h, &small[k], err);
        if (ok) {
            const fnr_report_range range = k == 0   ? quantile_range(&small[k].v, 0.005, 0.995)
                                           : k == 1 ? prediction_range(&small[k].v, prediction)
                                                    : mbp_range(&small[k].v, mbp);
            stretch(&small[k], &range);
            ok = paint_grey(&small[k], &picture[k], err);
        }
    }
    if (ok && t->prediction && t->mbp) {
        ok = paint_overlay(&small[0], &small[1], &small[2], &picture[3], err);
    }
    ok = ok && paint_placed(t, mbp, prediction, side, &picture[4], err);
    ok = ok && encode(picture, bytes, out, fits, err);
    for (int k = 0; k < 3; k++) {
        fnr_image_free(&small[k]);
    }
    release(picture);
    return ok;
}

bool fnr_report_tile_figures(const fnr_report_tile *t, const fnr_report_range *mbp, const fnr_report_range *prediction, int side,
                             size_t bytes, fnr_report_figures *out, fnr_error *err)
{
    *out = (fnr_report_figures){0};
    if (!t->em) { /* without EM there is nothing to lay the others over */
        return true;
    }
    for (bool fits = false; !fits; side = side * 2 / 3) {
        if (!figures_of_side(t, mbp, prediction, side, bytes, out, &fits, err)) {
            return false;
        }
        if (side <= SIDE_LEAST) {
            break;
        }
    }
    return true;
}

void fnr_report_figures_free(fnr_report_figures *f)
{
    free(f->em);
    free(f->prediction);
    free(f->mbp);
    free(f->overlay);
    free(f->placed);
    *f = (fnr_report_figures){0};
}
