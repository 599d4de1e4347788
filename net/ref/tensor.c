/* Buffers between guard values: a loop that runs past an end is found after the operation that did it, in every build. */
#include "net/ref/ref.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

enum { GUARD = 16 }; /* floats on each side; a multiple of a cache line, so that the data stay aligned */

static const uint32_t guard_word = 0xFA17ED11u; /* as a float it is -1.9e35: what is read there by mistake shows too */

static float *buffer_new(size_t count, fnr_error *err)
{
    float *all = fnr_alloc_aligned(count + 2 * GUARD, sizeof *all, "network activations", err);
    if (!all) {
        return NULL;
    }
    for (size_t i = 0; i < GUARD; i++) {
        memcpy(&all[i], &guard_word, sizeof guard_word);
        memcpy(&all[GUARD + count + i], &guard_word, sizeof guard_word);
    }
    memset(all + GUARD, 0, count * sizeof *all);
    return all + GUARD;
}

static void buffer_free(float *p)
{
    if (p) {
        free(p - GUARD);
    }
}

static bool buffer_intact(const float *p, size_t count)
{
    for (size_t i = 0; p && i < GUARD; i++) {
        if (memcmp(p - GUARD + i, &guard_word, sizeof guard_word) != 0 ||
            memcmp(p + count + i, &guard_word, sizeof guard_word) != 0) {
            return false;
        }
    }
    return true;
}

bool fnr_ref_tensor_new(fnr_ref_tensor *t, const fnr_shape *shape, bool training, fnr_error *err)
{
    const size_t count = fnr_shape_count(shape);
    t->shape = *shape;
    t->data = buffer_new(count, err);
    t->grad = t->data && training ? buffer_new(count, err) : NULL;
    return t->data && (t->grad || !training);
}

void fnr_ref_tensor_free(fnr_ref_tensor *t)
{
    buffer_free(t->data);
    buffer_free(t->grad);
}

size_t fnr_ref_tensor_bytes(const fnr_shape *shape, bool training)
{
    return (fnr_shape_count(shape) + 2 * GUARD) * sizeof(float) * (training ? 2 : 1);
}

bool fnr_ref_tensor_intact(const fnr_ref_tensor *t)
{
    const size_t count = fnr_shape_count(&t->shape);
    return buffer_intact(t->data, count) && buffer_intact(t->grad, count);
}
