#include <stdlib.h>
#include <string.h>

#include "register/coarse.h"
#include "src/core/mem.h"
#include "src/cv/cv.h"

void fnr_coarse_turn(int turns, int last, int x, int y, int *ox, int *oy)
{
    switch (turns & 3) {
    case 0:
        *ox = x, *oy = y;
        break;
    case 1:
        *ox = last - y, *oy = x;
        break;
    case 2:
        *ox = last - x, *oy = last - y;
        break;
    default:
        *ox = y, *oy = last - x;
        break;
    }
}

void fnr_coarse_block_free(fnr_coarse_block *b)
{
    free(b->buffer);
    *b = (fnr_coarse_block){0};
}

bool fnr_coarse_block_new(const fnr_coarse *s, int x0, int y0, fnr_coarse_block *out, bool *empty, fnr_error *err)
{
    const size_t n = (size_t)s->side * (size_t)s->side;
    fnr_coarse_block b = {.x0 = x0, .y0 = y0, .buffer = fnr_alloc_aligned(n * 8, sizeof *b.buffer, "a montage block", err)};
    if (!b.buffer) {
        return false;
    }
    float *value = b.buffer, *work = b.buffer + n;
    fnr_target_window(s->m->target, s->level, x0, y0, s->side, s->side, value, work);
    *empty = true;
    for (size_t i = 0; *empty && i < n; i++) {
        *empty = !(value[i] > 0);
    }
    bool ok = true;
    for (int k = 0; ok && !*empty && k < FNR_TURNS + 2; k++) {
        float *spectrum = b.buffer + (size_t)(2 + k) * n;
        for (int y = 0; y < s->side; y++) {
            for (int x = 0; x < s->side; x++) {
                int ox, oy;
                fnr_coarse_turn(k < FNR_TURNS ? k : k - FNR_TURNS, s->side - 1, x, y, &ox, &oy);
                const float v = value[(size_t)oy * (size_t)s->side + (size_t)ox];
                work[(size_t)y * (size_t)s->side + (size_t)x] = k < FNR_TURNS ? v : v * v;
            }
        }
        ok = fnr_cv_dft(work, s->side, s->side, s->side, spectrum, err);
        *(k < FNR_TURNS ? &b.image[k] : &b.square[k - FNR_TURNS]) = spectrum;
    }
    if (!ok) {
        fnr_coarse_block_free(&b);
        return false;
    }
    *out = b;
    return true;
}
