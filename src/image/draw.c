/* Pictures for people: grey to RGB, and lines. */
#include "src/image/encode.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"

bool fnr_rgb_new(fnr_rgb *out, int w, int h, fnr_error *err)
{
    *out = (fnr_rgb){0};
    if (w < 1 || h < 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "a picture of %d x %d pixels cannot exist", w, h);
    }
    uint8_t *rgb = fnr_calloc((size_t)w * (size_t)h, 3, "a picture", err);
    if (!rgb) {
        return false;
    }
    *out = (fnr_rgb){.w = w, .h = h, .rgb = rgb};
    return true;
}

void fnr_rgb_free(fnr_rgb *im)
{
    if (im) {
        free(im->rgb);
        *im = (fnr_rgb){0};
    }
}

bool fnr_rgb_from_view(fnr_rgb *out, const fnr_view *v, double lo, double hi, fnr_error *err)
{
    if (!fnr_rgb_new(out, v->w, v->h, err)) {
        return false;
    }
    float *row = fnr_calloc((size_t)v->w, sizeof *row, "a row of a picture", err);
    if (!row) {
        fnr_rgb_free(out);
        return false;
    }
    const double scale = hi > lo ? 255 / (hi - lo) : 0;
    uint8_t *p = out->rgb;
    for (int y = 0; y < v->h; y++) {
        fnr_row_to_f32(v, 0, y, 0, 0, v->w, row);
        for (int x = 0; x < v->w; x++, p += 3) {
            const double grey = ((double)row[x] - lo) * scale;
            p[0] = p[1] = p[2] = !(grey > 0) ? 0 : grey >= 255 ? 255 : (uint8_t)(grey + 0.5); /* NaN is black */
        }
    }
    free(row);
    return true;
}

static void blend(uint8_t *px, const uint8_t colour[3], double alpha)
{
    for (int i = 0; i < 3; i++) {
        px[i] = (uint8_t)lround(px[i] + alpha * (colour[i] - px[i]));
    }
}

typedef struct {
    double x0, y0, dx, dy, length2, reach;
} segment;

static double distance(const segment *s, double x, double y)
{
    const double t = s->length2 > 0 ? ((x - s->x0) * s->dx + (y - s->y0) * s->dy) / s->length2 : 0;
    const double on = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - s->x0 - on * s->dx, y - s->y0 - on * s->dy);
}

/* Columns that the part of the segment near row y can reach; false when there are none. */
static bool row_span(const segment *s, int y, int w, int *first, int *last)
{
    double t0 = 0, t1 = 1;
    if (s->dy != 0) {
        const double a = (y - s->reach - s->y0) / s->dy, b = (y + s->reach - s->y0) / s->dy;
        t0 = fmax(0, fmin(a, b));
        t1 = fmin(1, fmax(a, b));
    } else if (fabs(y - s->y0) > s->reach) {
        return false;
    }
    const double a = s->x0 + t0 * s->dx, b = s->x0 + t1 * s->dx;
    const double left = fmax(0, ceil(fmin(a, b) - s->reach)), right = fmin(w - 1, floor(fmax(a, b) + s->reach));
    if (t0 > t1 || !(left <= right)) {
        return false;
    }
    *first = (int)left;
    *last = (int)right;
    return true;
}

void fnr_rgb_line(fnr_rgb *im, double x0, double y0, double x1, double y1, const uint8_t colour[3], double width)
{
    const double dx = x1 - x0, dy = y1 - y0;
    const segment s = {.x0 = x0, .y0 = y0, .dx = dx, .dy = dy, .length2 = dx * dx + dy * dy, .reach = width / 2 + 0.5};
    if (!isfinite(s.length2) || !isfinite(x0 + y0) || !(width > 0) || !isfinite(width)) {
        return;
    }
    const double top = fmax(0, ceil(fmin(y0, y1) - s.reach)), bottom = fmin(im->h - 1, floor(fmax(y0, y1) + s.reach));
    if (!(top <= bottom)) {
        return;
    }
    for (int y = (int)top; y <= (int)bottom; y++) {
        int first, last;
        if (!row_span(&s, y, im->w, &first, &last)) {
            continue;
        }
        for (int x = first; x <= last; x++) {
            /* Coverage of a pixel: falls from 1 to 0 over the one pixel at the line's edge; a hair line keeps its weight. */
            const double cover = fmin(fmin(1, width), s.reach - distance(&s, x, y));
            if (cover > 0) {
                blend(im->rgb + ((size_t)y * (size_t)im->w + (size_t)x) * 3, colour, cover);
            }
        }
    }
}
