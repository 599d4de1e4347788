/* Concatenation of channels. */
#include "net/ref/ref.h"

#include <string.h>

static size_t image_floats(const fnr_shape *s)
{
    return fnr_shape_count(s) / (size_t)s->n;
}

void fnr_ref_concat_forward(const fnr_ref_call *c)
{
    const size_t first = image_floats(&c->in[0]->shape), second = image_floats(&c->in[1]->shape);
    for (size_t n = 0; n < (size_t)c->out->shape.n; n++) {
        float *to = c->out->data + n * (first + second);
        memcpy(to, c->in[0]->data + n * first, first * sizeof *to);
        memcpy(to + first, c->in[1]->data + n * second, second * sizeof *to);
    }
}

static void add(float *to, const float *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] += from[i];
    }
}

void fnr_ref_concat_backward(const fnr_ref_call *c)
{
    const size_t first = image_floats(&c->in[0]->shape), second = image_floats(&c->in[1]->shape);
    for (size_t n = 0; n < (size_t)c->out->shape.n; n++) {
        const float *from = c->out->grad + n * (first + second);
        add(c->in[0]->grad + n * first, from, first);
        add(c->in[1]->grad + n * second, from + first, second);
    }
}
