/* Textures as a pure function of (key, x, y): the same for every tile, thread and order of drawing. */
#ifndef FNR_SIM_NOISE_H
#define FNR_SIM_NOISE_H

#include <stdint.h>

/* Gradient noise (Perlin 2002) in [-1, 1], standard deviation about 0.35, with a lattice spacing of 1. */
float fnr_sim_noise(uint64_t key, double x, double y);

/* Two octaves, the second at half the spacing and amplitude; in [-1, 1]. */
float fnr_sim_fractal(uint64_t key, double x, double y);

#endif
