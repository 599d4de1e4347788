#include "net/step_queue.h"

#include <stdlib.h>

#include "src/core/mem.h"

struct fnr_step_queue {
    const fnr_backend_ops *be;
    const fnr_sampler *sampler;
    fnr_feed *feed;
    fnr_patch_order *orders; /* of one batch */
    int under_way;
};

void fnr_step_queue_free(fnr_step_queue *q)
{
    if (q) {
        if (q->feed) {
            q->be->feed_free(q->feed);
        }
        free(q->orders);
        free(q);
    }
}

static bool make_feed(fnr_step_queue *q, fnr_program *p, size_t n, fnr_error *err)
{
    fnr_feed_image *images = fnr_calloc(n, sizeof *images, "training feed", err);
    if (!images) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const fnr_pair *pair = fnr_sampler_image(q->sampler, i);
        images[i] = (fnr_feed_image){.d = pair->d, .h = pair->h, .w = pair->w, .signal = pair->signal, .target = pair->target};
    }
    const bool ok = q->be->feed_new(p, images, n, &q->feed, err);
    free(images);
    return ok;
}

bool fnr_step_queue_new(const fnr_backend_ops *be, fnr_program *p, const fnr_sampler *s, int batch, fnr_step_queue **out,
                        fnr_error *err)
{
    const size_t n = fnr_sampler_images(s);
    *out = NULL;
    if (!be->feed_new || n == 0) {
        return true;
    }
    fnr_step_queue *q = fnr_calloc(1, sizeof *q, "training feed", err);
    if (!q) {
        return false;
    }
    q->be = be;
    q->sampler = s;
    q->orders = fnr_calloc((size_t)batch, sizeof *q->orders, "training feed", err);
    fnr_error failure = {0};
    const bool ok = q->orders && make_feed(q, p, n, &failure);
    if (ok) {
        *out = q;
        return true;
    }
    fnr_step_queue_free(q);
    return failure.code == FNR_E_LIMIT || fnr_fail(err, failure.code, "%s", failure.message);
}

bool fnr_step_queue_push(fnr_step_queue *q, const fnr_adam *hyper, long step, fnr_error *err)
{
    fnr_sampler_orders(q->sampler, step, q->orders);
    const bool ok = q->be->feed_step(q->feed, q->orders, hyper, step + 1, err);
    q->under_way += ok;
    return ok;
}

bool fnr_step_queue_take(fnr_step_queue *q, bool wait, double losses[FNR_FEED_AHEAD], int *count, fnr_error *err)
{
    const bool ok = q->be->feed_losses(q->feed, wait || q->under_way == FNR_FEED_AHEAD, losses, count, err);
    q->under_way -= *count;
    return ok;
}
