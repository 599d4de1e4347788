/* Internal to register/: the prediction as a smooth function that can be drawn onto the montage's grid under any pose.
 *
 * The montage is never resampled.  The prediction is kept at pixels finer than those it is drawn at and evaluated with cubic
 * B-splines, which smooth a little but equally at every sub-pixel position: no position is preferred, so there is no bias towards
 * whole pixels, and derivatives are exact. */
#ifndef FNR_REGISTER_TEMPLATE_H
#define FNR_REGISTER_TEMPLATE_H

#include "register/grid.h"
#include "register/pose.h"

#define FNR_TEMPLATE_LEVELS 12

typedef struct {
    fnr_tile_size size;
    int n_levels;
    fnr_grid level[FNR_TEMPLATE_LEVELS]; /* level j: 2^j NET px per pixel; compressed intensities in [0, 1) */
    fnr_grid linear;                     /* the level that is drawn at IF pixels, not compressed [knees] */
} fnr_template;

/* prediction: finite float view.  Prepares levels for drawing at if_nm * 2^0 .. 2^coarsest.  blur_px: the prediction is first made
 * this much blurrier (Gaussian sigma [IF px]), for montages blurrier than what the network learnt; 0 leaves it. */
bool fnr_template_new(fnr_template *t, const fnr_view *prediction, double if_nm, int coarsest, double knee_factor, double blur_px,
                      fnr_error *err);
void fnr_template_free(fnr_template *t);

/* A rectangle of pixels of size 2^level IF px: pixel (i, j) has its centre at IF position ((x + i + 0.5) * 2^level - 0.5, ...).
 */
typedef struct {
    double level; /* log2 of the pixel size; -1 is half a montage pixel */
    int x, y, w, h;
} fnr_window;

/* The window that holds the tile under `pose` and `margin` pixels around it. */
fnr_window fnr_window_around(const fnr_pose *pose, const fnr_tile_size *s, double level, int margin);

/* value: the prediction at each pixel; weight: 1 inside the tile, falling linearly to 0 over one pixel at its edges. */
void fnr_template_draw(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight);
/* The same, and the derivative of value by IF position's image in the NET frame, times M: gx, gy [per NET px]. */
void fnr_template_draw_gradient(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight,
                                float *gx, float *gy);

/* The same from the intensities that are not compressed, for windows at level 0; gx, gy NULL: no derivatives. */
void fnr_template_draw_linear(const fnr_template *t, const fnr_pose *pose, const fnr_window *win, float *value, float *weight, float *gx,
                              float *gy);

#endif
