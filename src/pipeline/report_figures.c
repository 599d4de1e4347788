#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "src/cv/cv.h"
#include "src/image/encode.h"
#include "src/image/stats.h"
#include "src/pipeline/report_parts.h"

enum { MAP_WIDTH = 1100, MAP_QUALITY = 75, N_FIGURES = 4 };

/* A view reduced to w x h with [lo, hi] stretched to [0, 1]; not a number becomes 0. */
static bool reduced(const fnr_view *v, int w, int h, const fnr_report_range *range, fnr_image *out, fnr_error *err)
{
    if (!fnr_image_new(out, w, h, 1, 1, FNR_F32, err)) {
        return false;
    }
    if (!fnr_cv_resize(v, &out->v, err)) {
        fnr_image_free(out);
        return false;
    }
    float *px = out->v.px;
    const double span = range->hi > range->lo ? range->hi - range->lo : 1.0;
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++) {
        const double x = ((double)px[i] - range->lo) / span;
        px[i] = x > 0.0 ? (float)fmin(x, 1.0) : 0.0f;
    }
    return true;
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
    /* The longer side is bounded too: a tall montage must not make a long page. */
    const double f = fmin(1.0, (double)MAP_WIDTH / (montage->w > montage->h ? montage->w : montage->h));
    const int w = (int)fmax(1.0, montage->w * f), h = (int)fmax(1.0, montage->h * f);
    const fnr_report_range shown = quantile_range(montage, 0.5, 0.995);
    fnr_image small = {0};
    fnr_rgb rgb = {0};
    char *text = NULL;
    if (reduced(montage, w, h, &shown, &small, err) && paint_grey(&small, &rgb, err)) {
        text = jpeg_text(&rgb, MAP_QUALITY, err);
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

static void release(fnr_rgb picture[N_FIGURES])
{
    for (int i = 0; i < N_FIGURES; i++) {
        fnr_rgb_free(&picture[i]);
    }
}

/* Encodes what was painted; lowers the quality until the text fits. */
static bool encode(const fnr_rgb picture[N_FIGURES], size_t bytes, fnr_report_figures *out, fnr_error *err)
{
    static const int qualities[] = {82, 70, 55, 40, 25};
    for (size_t q = 0; q < sizeof qualities / sizeof qualities[0]; q++) {
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
        *out = (fnr_report_figures){
            .em = text[0], .prediction = text[1], .mbp = text[2], .overlay = text[3], .w = picture[0].w, .h = picture[0].h};
        if (!ok) {
            fnr_report_figures_free(out);
            return false;
        }
        if (sum <= bytes || q + 1 == sizeof qualities / sizeof qualities[0]) {
            break;
        }
        fnr_report_figures_free(out);
    }
    return true;
}

bool fnr_report_tile_figures(const fnr_report_tile *t, const fnr_report_range *mbp, const fnr_report_range *prediction, int side,
                             size_t bytes, fnr_report_figures *out, fnr_error *err)
{
    *out = (fnr_report_figures){0};
    if (!t->em) { /* without EM there is nothing to lay the others over */
        return true;
    }
    const double f = fmin(1.0, (double)side / (t->em->w > t->em->h ? t->em->w : t->em->h));
    const int w = (int)fmax(1.0, rint(t->em->w * f)), h = (int)fmax(1.0, rint(t->em->h * f));
    const fnr_report_range em_range = quantile_range(t->em, 0.005, 0.995);
    fnr_image em = {0}, pred = {0}, target = {0};
    fnr_rgb picture[N_FIGURES] = {{0}};
    bool ok = reduced(t->em, w, h, &em_range, &em, err) && paint_grey(&em, &picture[0], err);
    if (ok && t->prediction) {
        const fnr_report_range range = prediction->hi > prediction->lo ? *prediction : quantile_range(t->prediction, 0.2, 0.998);
        ok = reduced(t->prediction, w, h, &range, &pred, err) && paint_grey(&pred, &picture[1], err);
    }
    if (ok && t->mbp) {
        const fnr_report_range range = mbp_range(t->mbp, mbp);
        ok = reduced(t->mbp, w, h, &range, &target, err) && paint_grey(&target, &picture[2], err);
    }
    if (ok && t->prediction && t->mbp) {
        ok = paint_overlay(&em, &pred, &target, &picture[3], err);
    }
    ok = ok && encode(picture, bytes, out, err);
    release(picture);
    fnr_image_free(&em);
    fnr_image_free(&pred);
    fnr_image_free(&target);
    return ok;
}

void fnr_report_figures_free(fnr_report_figures *f)
{
    free(f->em);
    free(f->prediction);
    free(f->mbp);
    free(f->overlay);
    *f = (fnr_report_figures){0};
}
