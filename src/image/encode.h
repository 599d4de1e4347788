/* Pictures for people (reports, screenshots), 8 bits per channel: JPEG and PNG bytes in memory. Never used for measurement. */
#ifndef FNR_IMAGE_ENCODE_H
#define FNR_IMAGE_ENCODE_H

#include <stdint.h>
#include "src/image/view.h"

typedef struct {
    int w, h;
    uint8_t *rgb; /* w*h*3, owned */
} fnr_rgb;

bool fnr_rgb_new(fnr_rgb *out, int w, int h, fnr_error *err); /* black */
void fnr_rgb_free(fnr_rgb *im);
/* Grey -> RGB with [lo, hi] mapped to [0, 255]. */
bool fnr_rgb_from_view(fnr_rgb *out, const fnr_view *v, double lo, double hi, fnr_error *err);
/* Anti-aliased line, coordinates in pixel centres, clipped. */
void fnr_rgb_line(fnr_rgb *im, double x0, double y0, double x1, double y1, const uint8_t colour[3], double width);

/* Caller frees *bytes. */
bool fnr_encode_jpeg(const fnr_rgb *im, int quality, uint8_t **bytes, size_t *size, fnr_error *err);
bool fnr_encode_png(const fnr_rgb *im, uint8_t **bytes, size_t *size, fnr_error *err);
/* NUL-terminated; caller frees. */
char *fnr_base64(const uint8_t *bytes, size_t size, fnr_error *err);

#endif
