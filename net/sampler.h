/* Training patches as a pure function of (seed, step): thread count and restarts change nothing. */
#ifndef FNR_NET_SAMPLER_H
#define FNR_NET_SAMPLER_H

#include <stdint.h>
#include "net/patch_pixel.h"
#include "net/shape.h"

/* One registered pair at the network's pixel size, both z-scored.  Planes are dense floats, d = 1 in 2D. */
typedef struct {
    const char *name;
    int d, h, w;
    const float *signal;  /* in_channels * d*h*w */
    const float *target;  /* out_channels * d*h*w */
    const uint8_t *valid; /* h*w (every z) or NULL: pixels where the target is known; patches hold only valid pixels */
} fnr_pair;

/* Where pairs come from when not all of them stay in memory. */
typedef struct {
    void *ctx;
    size_t count;
    /* Name and extents of pair i, without pixels. */
    void (*describe)(void *ctx, size_t i, fnr_pair *out);
    /* Pair i with its pixels, lent until unload.  The same pixels every time.  Called by one thread at a time. */
    bool (*load)(void *ctx, size_t i, fnr_pair *out, fnr_error *err);
    void (*unload)(void *ctx, fnr_pair *pair);
} fnr_pair_source;

/* Pairs in memory, borrowed, as a source. */
fnr_pair_source fnr_pairs_source(const fnr_pair *pairs, size_t n);

#define FNR_SAMPLER_MAX_PATCH 4096 /* px */
#define FNR_SAMPLER_MAX_BLUR  10.0 /* px */

typedef struct {
    int patch_d, patch_h, patch_w; /* multiples of the network's grid; patch_d = 1 in 2D */
    int batch;
    bool flip;            /* mirror images in x (with turn: all 8 symmetries of the square) */
    bool turn;            /* quarter turns; square patches only */
    double scale_jitter;  /* random scale in [1/(1+s), 1+s] and, when > 0, any rotation angle: resampled, in the plane; 0 = off */
    double gain_jitter;   /* signal' = signal * g + b, g log-uniform in [1/(1+j), 1+j] ... */
    double offset_jitter; /* ... b uniform in [-j, j] (in units of the signal's sd) */
    double noise_sd;      /* white noise added to the signal [sd], its level uniform in [0, noise_sd] per patch */
    double gamma_jitter;  /* contrast curve (exp(g s) - 1) / g of the signal s, g uniform in [-j, j]; 0 = off */
    double blur_px;       /* Gaussian blur of the signal, sigma uniform in [0, blur_px]; 0 = off */
    double foreground;    /* probability that a patch is centred on a bright pixel of the target (where it has one); 0 = off */
    double foreground_quantile; /* what is bright: above this quantile of the image's target; 0 = above Otsu's threshold */
    int buffer;           /* images to draw from at a time; 0 = all */
    int buffer_steps;     /* steps after which one of them is exchanged */
    uint64_t seed;
} fnr_sampler_options;

typedef struct fnr_sampler fnr_sampler;

/* Borrows the pairs. Fails when no pair holds a valid patch, naming the largest pair and the patch size. Pairs too small for a
 * patch are left out. */
fnr_sampler *fnr_sampler_new(const fnr_netdesc *desc, const fnr_pair *pairs, size_t n_pairs, const fnr_sampler_options *opt, fnr_error *err);
/* The same from a source (borrowed, *source copied), for steps from `first` on.  With opt->buffer a thread loads images in the
 * background (net/pool.h); each pair must then hold a patch (fnr_sampler_takes). */
fnr_sampler *fnr_sampler_new_from(const fnr_netdesc *desc, const fnr_pair_source *source, const fnr_sampler_options *opt, long first, fnr_error *err);
void fnr_sampler_free(fnr_sampler *s);
/* Does the pair hold a patch? */
bool fnr_sampler_takes(const fnr_netdesc *desc, const fnr_pair *pair, const fnr_sampler_options *opt);
/* Steps before `step` are done; their images may go. */
void fnr_sampler_pass(fnr_sampler *s, long step);
/* Wakes a batch that waits for images; the sampler is not to be used afterwards. */
void fnr_sampler_stop(fnr_sampler *s);
/* Fills x (batch, in_channels, d, h, w) and y (batch, out_channels, d, h, w) for optimiser step `step` (0-based). Images are
 * drawn uniformly, then positions (see foreground) uniformly over the valid ones. Where a rotated or scaled patch would reach past the valid
 * pixels it is drawn again, and after 16 attempts taken as it is. Thread-safe; runs on the calling thread alone, because it is
 * meant to run beside the device.  False only when an image of the buffer could not be loaded. */
bool fnr_sampler_batch(const fnr_sampler *s, long step, float *x, float *y, fnr_error *err);
/* How many images all patches come from, 0 when they change (buffer); and one of them. */
size_t fnr_sampler_images(const fnr_sampler *s);
const fnr_pair *fnr_sampler_image(const fnr_sampler *s, size_t i);
/* The batch of a step as orders, for a device that holds those images and cuts the patches itself. */
void fnr_sampler_orders(const fnr_sampler *s, long step, fnr_patch_order *orders);
/* Where item `item` of that batch, or of the one before it, comes from (for messages): the pair, and the corner of the patch before turning. */
const fnr_pair *fnr_sampler_where(const fnr_sampler *s, long step, int item, int *z, int *y, int *x);

#endif
