/* Where patches may lie in one image, and where they show something.  Internal to the sampler. */
#ifndef FNR_NET_PLACES_H
#define FNR_NET_PLACES_H

#include "net/sampler.h"
#include "src/core/rng.h"

/* A run of patch corners in one row. */
typedef struct {
    int z, y, x;
    uint64_t before; /* corners in all runs before it */
} fnr_corner_run;

typedef struct {
    fnr_corner_run *runs;
    size_t n_runs, capacity;
    uint64_t corners;
} fnr_corner_list;

typedef struct {
    const fnr_pair *pair;
    fnr_corner_list valid;      /* corners of patches with valid pixels alone; the same in every z, z = 0 here */
    fnr_corner_list foreground; /* those whose centre pixel (corner + half the patch) is foreground, z included */
} fnr_places;

/* Empty lists when no patch fits. The foreground is looked for only when opt->foreground > 0. Release with fnr_places_free, also
 * after a failure. */
bool fnr_places_find(const fnr_netdesc *desc, const fnr_pair *pair, const fnr_sampler_options *opt, fnr_places *out, fnr_error *err);
void fnr_places_free(fnr_places *p);

/* A corner: over the foreground with probability opt->foreground where there is any, else uniform over the valid ones. */
void fnr_places_draw(const fnr_places *p, const fnr_sampler_options *opt, fnr_rng *rng, int *z, int *y, int *x);

/* Pixels of a channel above the returned value are foreground: the quantile q of the valid pixels, or with q = 0 Otsu's threshold
 * (1979; 256 bins between the smallest and the largest).  Infinite where nothing varies. */
float fnr_foreground_level(const fnr_pair *pair, int channel, double q);

#endif
