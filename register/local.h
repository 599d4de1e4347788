/* Internal to register/: what the fit looks at on the montage's own pixels, where rings are seen best.
 *
 * Intensities are not compressed: compression lifts the camera's noise and the halo of a wide-field picture, and widens bright rings.
 * Each neighbourhood has its own mean (background, light from out of focus), its own gain (a sheath brighter or fainter than predicted
 * pulls at nothing), and a weight that falls with its brightness (bright sheaths must not decide alone).  All are Gaussian
 * neighbourhoods of `sd` pixels. */
#ifndef FNR_REGISTER_LOCAL_H
#define FNR_REGISTER_LOCAL_H

#include "register/normal.h"

double fnr_local_sd_px(const fnr_match *m, int level);     /* 0: one mean and one gain for the whole tile */
bool fnr_local_is_linear(const fnr_match *m, int level); /* intensities as they are, local gain and weights */

/* x -= its weighted mean around each pixel; 0 where there is no weight.  sd 0: one mean.  s->mass: the blurred weight. */
bool fnr_local_centre(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err);

/* The adjoint of it: sum w centre(a) b = sum w a centre_back(b). */
bool fnr_local_centre_back(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err);

/* valid *= how much a pixel counts, in (0, 1], from the montage in value. */
bool fnr_local_trust(const fnr_window *win, const fnr_scratch *s, double sd, fnr_error *err);

/* gain: regression of image on drawn around each pixel, never negative; energy: its denominator; v->match. */
bool fnr_local_gain(const fnr_scratch *s, double sd, fnr_view_of_pose *v, fnr_error *err);

/* pull: the gradient of sum w (gain T - I)^2, the gain following the pose, is -2 sum w dT pull. */
bool fnr_local_pull(const fnr_scratch *s, double sd, const fnr_view_of_pose *v, fnr_error *err);

#endif
