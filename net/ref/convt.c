/* Transposed convolution (as PyTorch's ConvTranspose2d and 3d): the input is the coarse grid, the output the fine one.  It is the
 * gradient of a convolution with the same weights, so forward and backward change places. */
#include "net/ref/window.h"

#include <string.h>

void fnr_ref_convt_forward(const fnr_ref_call *c)
{
    const fnr_ref_window w = fnr_ref_window_of(c, &c->out->shape, &c->in[0]->shape);
    memset(c->out->data, 0, fnr_shape_count(&c->out->shape) * sizeof(float));
    fnr_ref_spread(&w, c->weight, c->bias, c->in[0]->data, c->out->data);
}

void fnr_ref_convt_backward(const fnr_ref_call *c)
{
    const fnr_ref_window w = fnr_ref_window_of(c, &c->out->shape, &c->in[0]->shape);
    fnr_ref_correlate(&w, c->out->grad, c->in[0]->data, c->dweight);
    fnr_ref_bias_backward(c);
    fnr_ref_gather(&w, c->weight, NULL, c->out->grad, c->in[0]->grad);
}
