/* Internal to register/: slowly varying background of a montage. */
#ifndef FNR_REGISTER_BACKGROUND_H
#define FNR_REGISTER_BACKGROUND_H

#include "register/grid.h"

/* A coarse grid of background levels, `cell` montage pixels per grid pixel. */
typedef struct {
    fnr_grid grid;
    int cell;
    bool invert; /* of the montage with bright and dark exchanged */
} fnr_background;

/* Background = low quantile of each cell's pixels, then the smallest such value smoothed over a neighbourhood of a few sheaths,
 * so that a cell filled with myelin takes the level of its surroundings. */
bool fnr_background_fit(const fnr_view *montage, int cell, bool invert, fnr_background *out, fnr_error *err);
/* Row y of the montage, negated where `invert` says so. */
void fnr_background_read_row(const fnr_view *montage, int y, bool invert, float *row);
void fnr_background_free(fnr_background *b);
/* Levels of row y (w floats), bilinear between cell centres. */
void fnr_background_row(const fnr_background *b, int y, int w, float *row);

#endif
