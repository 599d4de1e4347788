/* fnr_state of the CPU backends: flat vectors in host memory, and Adam on them.  ref and onednn fill the state functions of their
 * tables with these. */
#ifndef FNR_NET_HOST_STATE_H
#define FNR_NET_HOST_STATE_H

#include <stdint.h>
#include "net/backend.h"

struct fnr_state {
    const fnr_graph *graph; /* borrowed */
    float *values;          /* graph->param_floats each; the following are NULL unless training */
    float *grads, *moment1, *moment2;
    uint64_t version; /* grows whenever trained values may have changed: copies in another layout are stale */
};

bool fnr_host_state_new(fnr_backend *b, const fnr_graph *g, bool training, fnr_state **out, fnr_error *err);
void fnr_host_state_free(fnr_state *s);
bool fnr_host_state_write(fnr_state *s, fnr_state_part part, const float *flat, fnr_error *err);
bool fnr_host_state_read(fnr_state *s, fnr_state_part part, float *flat, fnr_error *err);
bool fnr_host_state_adam(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err);

#endif
