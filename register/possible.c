/* Whether a tile can be found at all, judged by sizes alone: wrong pixel sizes are told at once and not after a long search. */
#include <math.h>
#include <stdio.h>

#include "register/target.h"

/* A tile narrower than this on the montage shows no structure to place it by [IF px]. */
static const double least_if_px = 8;

/* A tile wider than this even at the coarsest level would be searched for hours: rotations and scales grow with it, and so do the
 * transforms [px of that level]. */
static const double most_coarse_px = 512;

/* An upper bound of the part of a tile that can lie on a montage, whatever its rotation and place. */
static double most_overlap(double w, double h, double montage_w, double montage_h)
{
    const double diagonal = hypot(w, h);
    return fmin(1, fmin(montage_w, diagonal) * fmin(montage_h, diagonal) / (w * h));
}

bool fnr_register_possible(const fnr_target *t, double w_nm, double h_nm, const fnr_register_options *opt, char *why, size_t size)
{
    const fnr_target_level *full = &t->level[0];
    const double w = w_nm / t->if_nm, h = h_nm / t->if_nm; /* of the tile at nominal scale [IF px] */
    const double overlap = most_overlap(w * opt->scale_min, h * opt->scale_min, full->w, full->h);
    const double coarse = fmax(w, h) * opt->scale_max / (double)(1 << (t->n_levels - 1));
    if (!(fmin(w, h) * opt->scale_max >= least_if_px)) {
        snprintf(why, size, "it would cover only %.2g x %.2g px of the montage", w, h);
        return false;
    }
    if (!(overlap >= opt->min_overlap)) {
        snprintf(why, size, "at most %.2g %% of it can lie on the montage (register.min_overlap: %g %%)", 100 * overlap, 100 * opt->min_overlap);
        return false;
    }
    if (!(coarse <= most_coarse_px)) {
        snprintf(why, size, "it would cover %.3g x %.3g px of the montage, too many to search", w, h);
        return false;
    }
    return true;
}
