/* The tile as the search uses it: drawn, normalised, transformed, summed up. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/coarse.h"
#include "src/core/mem.h"

static void tile_free(fnr_coarse_tile *t)
{
    free(t->content);
    free(t->table[0]);
    *t = (fnr_coarse_tile){0};
}

void fnr_coarse_item_free(fnr_coarse_item *item)
{
    if (item->tile[1].outline != item->tile[0].outline) {
        free(item->tile[1].outline);
    }
    free(item->tile[0].outline);
    tile_free(&item->tile[0]);
    tile_free(&item->tile[1]);
}

size_t fnr_coarse_item_bytes(const fnr_coarse *s)
{
    return 4 * fnr_fft_spectrum_floats(s->fft) * sizeof(float) + 6 * (size_t)(s->foot + 1) * (size_t)(s->foot + 1) * sizeof(double);
}

/* Draws the tile around the middle of the footprint with weighted mean 0 and energy 1; false when it is flat there. */
static bool draw_tile(const fnr_coarse *s, double scale, double rotation, float *value, float *weight, double *mass)
{
    const double px = (double)(1 << s->level), middle = (s->foot / 2 + 0.5) * px - 0.5;
    const fnr_window win = {.level = s->level, .w = s->foot, .h = s->foot};
    const fnr_pose pose = fnr_pose_similarity(&s->m->tpl->size, middle, middle, scale, rotation);
    fnr_template_draw(s->m->tpl, &pose, &win, value, weight);
    const size_t n = (size_t)s->foot * (size_t)s->foot;
    double mean = 0, energy = 0;
    *mass = 0;
    for (size_t i = 0; i < n; i++) {
        *mass += (double)weight[i];
        mean += (double)weight[i] * (double)value[i];
    }
    mean /= *mass;
    for (size_t i = 0; i < n; i++) {
        energy += (double)weight[i] * ((double)value[i] - mean) * ((double)value[i] - mean);
    }
    if (!(energy > 1e-9 * *mass)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        value[i] = (float)(((double)value[i] - mean) / sqrt(energy));
    }
    return true;
}

static bool fill_tables(const fnr_coarse *s, const float *value, const float *weight, fnr_coarse_tile *t, fnr_error *err)
{
    const size_t stride = (size_t)s->foot + 1, cells = stride * stride;
    t->table[0] = fnr_calloc(3 * cells, sizeof *t->table[0], "summed-area tables", err);
    for (size_t k = 0; t->table[0] && k < 3; k++) {
        t->table[k] = t->table[0] + k * cells;
        for (size_t y = 0; y < stride - 1; y++) {
            double row = 0;
            for (size_t x = 0; x < stride - 1; x++) {
                const double v = (double)value[y * (stride - 1) + x];
                row += (double)weight[y * (stride - 1) + x] * (k == 0 ? 1 : k == 1 ? v : v * v);
                t->table[k][(y + 1) * stride + x + 1] = t->table[k][y * stride + x + 1] + row;
            }
        }
    }
    return t->table[0] != NULL;
}

/* a (times b, unless NULL), foot x foot, with its middle moved to pixel (0, 0), around the edges -> *spectrum. */
static bool kernel(const fnr_coarse *s, const float *a, const float *b, float *room, float **spectrum, fnr_error *err)
{
    const int half = s->foot / 2;
    *spectrum = fnr_alloc_aligned(fnr_fft_spectrum_floats(s->fft), sizeof **spectrum, "a drawn tile", err);
    if (!*spectrum) {
        return false;
    }
    memset(room, 0, fnr_fft_image_floats(s->fft) * sizeof *room);
    for (int y = 0; y < s->foot; y++) {
        float *row = room + (size_t)((y - half + s->side) % s->side) * (size_t)s->side;
        for (int x = 0; x < s->foot; x++) {
            const size_t i = (size_t)y * (size_t)s->foot + (size_t)x;
            row[(x - half + s->side) % s->side] = b ? a[i] * b[i] : a[i];
        }
    }
    fnr_fft_forward(s->fft, room, *spectrum);
    return true;
}

/* outline: of the other quarter turn when it is the same, else NULL. */
static bool tile_new(const fnr_coarse *s, double scale, double rotation, float *outline, float *room, fnr_coarse_tile *t, fnr_error *err)
{
    float *value = room + fnr_fft_image_floats(s->fft), *weight = value + (size_t)s->foot * (size_t)s->foot;
    t->outline = outline;
    if (!draw_tile(s, scale, rotation, value, weight, &t->n)) {
        return true;
    }
    return fill_tables(s, value, weight, t, err) && kernel(s, value, weight, room, &t->content, err) &&
           (outline || kernel(s, weight, NULL, room, &t->outline, err));
}

bool fnr_coarse_item_new(const fnr_coarse *s, size_t index, fnr_coarse_item *out, fnr_error *err)
{
    const bool is_square = s->m->tpl->size.w == s->m->tpl->size.h;
    fnr_coarse_item item = {.rotation = s->rotation_step * (double)(index % (size_t)s->n_rotations),
                            .scale = s->scale[index / (size_t)s->n_rotations]};
    const size_t foot2 = (size_t)s->foot * (size_t)s->foot;
    float *room = fnr_alloc_aligned(fnr_fft_image_floats(s->fft) + 2 * foot2, sizeof *room, "a drawn tile", err);
    const bool ok = room && tile_new(s, item.scale, item.rotation, NULL, room, &item.tile[0], err) &&
                    tile_new(s, item.scale, item.rotation + 90, is_square ? item.tile[0].outline : NULL, room, &item.tile[1], err);
    free(room);
    if (!ok) {
        fnr_coarse_item_free(&item);
        return false;
    }
    *out = item;
    return true;
}
