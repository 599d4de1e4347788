/* The images that patches are drawn from at a given step: all of them, or a buffer that is refilled in the background.  Internal to
 * the sampler.
 *
 * Which images are in the buffer is a pure function of (seed, step): the images follow each other in an endless sequence, each
 * epoch shuffled anew, and step s sees the `buffer` items of it from number s / buffer_steps on.  A thread loads the next one
 * while they are in use. */
#ifndef FNR_NET_POOL_H
#define FNR_NET_POOL_H

#include "net/places.h"

typedef struct fnr_pool fnr_pool;

/* With opt->buffer 0, or as many as there are images: loads all now and leaves out those without a place for a patch (*none is set
 * when there is no other).  Else starts the thread, for steps from `first` on.  The source is borrowed, *source copied. */
fnr_pool *fnr_pool_new(const fnr_netdesc *desc, const fnr_pair_source *source, const fnr_sampler_options *opt, long first, bool *none,
                       fnr_error *err);
/* Wakes who waits, with an error; the pool is not to be used afterwards. NULL is fine. */
void fnr_pool_stop(fnr_pool *p);
void fnr_pool_free(fnr_pool *p);

/* Do all steps draw from the same images? */
bool fnr_pool_stays(const fnr_pool *p);
/* How many images a step draws from. */
size_t fnr_pool_width(const fnr_pool *p);
/* Waits until the images of a step are there; false when one of them could not be loaded. */
bool fnr_pool_wait(fnr_pool *p, long step, fnr_error *err);
/* Image j < width of that step, which was waited for and not passed. */
const fnr_places *fnr_pool_get(const fnr_pool *p, long step, size_t j);
/* Steps before step - 1 will not be asked for again: their images may go. */
void fnr_pool_pass(fnr_pool *p, long step);

#endif
