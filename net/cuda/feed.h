/* Training that does not wait for the host: images on the GPU, whole steps queued, their losses read later. */
#ifndef FNR_NET_CUDA_FEED_H
#define FNR_NET_CUDA_FEED_H

#include "net/backend.h"

bool fnr_cu_feed_new(fnr_program *p, const fnr_feed_image *images, size_t n, fnr_feed **out, fnr_error *err);
void fnr_cu_feed_free(fnr_feed *f);
bool fnr_cu_feed_step(fnr_feed *f, const fnr_patch_order *orders, const fnr_adam *hyper, long step, fnr_error *err);
bool fnr_cu_feed_losses(fnr_feed *f, bool wait, double *losses, int *count, fnr_error *err);

#endif
