/* Convolution (cross-correlation, as PyTorch's Conv2d and Conv3d): the input is the fine grid, the output the coarse one. */
#include "net/ref/window.h"

#include <string.h>

void fnr_ref_conv_forward(const fnr_ref_call *c)
{
    const fnr_ref_window w = fnr_ref_window_of(c, &c->in[0]->shape, &c->out->shape);
    memset(c->out->data, 0, fnr_shape_count(&c->out->shape) * sizeof(float));
    fnr_ref_gather(&w, c->weight, c->bias, c->in[0]->data, c->out->data);
}

void fnr_ref_conv_backward(const fnr_ref_call *c)
{
    const fnr_ref_window w = fnr_ref_window_of(c, &c->in[0]->shape, &c->out->shape);
    fnr_ref_correlate(&w, c->in[0]->data, c->out->grad, c->dweight);
    fnr_ref_bias_backward(c);
    fnr_ref_spread(&w, c->weight, NULL, c->out->grad, c->in[0]->grad);
}

void fnr_ref_bias_backward(const fnr_ref_call *c)
{
    if (!c->dbias) {
        return;
    }
    const fnr_shape *s = &c->out->shape;
    const size_t plane = (size_t)s->d * (size_t)s->h * (size_t)s->w;
    for (int channel = 0; channel < s->c; channel++) {
        double sum = 0;
        for (int n = 0; n < s->n; n++) {
            const float *dy = c->out->grad + ((size_t)n * (size_t)s->c + (size_t)channel) * plane;
            for (size_t i = 0; i < plane; i++) {
                sum += (double)dy[i];
            }
        }
        /* The norm subtracts the mean and with it the bias: what the sum holds is rounding noise, and Adam would blow that up to
         * steps of lr. */
        c->dbias[channel] = c->op->bias_feeds_norm ? 0.0f : (float)sum;
    }
}
