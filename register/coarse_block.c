#include <stdlib.h>

#include "register/coarse.h"
#include "src/core/mem.h"

void fnr_coarse_block_free(fnr_coarse_block *b)
{
    free(b->image);
    *b = (fnr_coarse_block){0};
}

bool fnr_coarse_block_new(const fnr_coarse *s, int x0, int y0, fnr_coarse_block *out, bool *empty, fnr_error *err)
{
    const size_t n = (size_t)s->side * (size_t)s->side, image = fnr_fft_image_floats(s->fft), spectrum = fnr_fft_spectrum_floats(s->fft);
    float *buffer = fnr_alloc_aligned(2 * spectrum + 2 * image, sizeof *buffer, "a montage block", err);
    if (!buffer) {
        return false;
    }
    float *value = buffer + 2 * spectrum;
    fnr_target_window(s->m->target, s->level, x0, y0, s->side, s->side, value, value + image);
    *empty = true;
    for (size_t i = 0; *empty && i < n; i++) {
        *empty = !(value[i] > 0);
    }
    if (!*empty) {
        fnr_fft_forward(s->fft, value, buffer);
        for (size_t i = 0; i < n; i++) {
            value[i] *= value[i];
        }
        fnr_fft_forward(s->fft, value, buffer + spectrum);
    }
    *out = (fnr_coarse_block){.x0 = x0, .y0 = y0, .image = buffer, .square = buffer + spectrum};
    return true;
}
