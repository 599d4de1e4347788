#include "tests/support/predict_case.h"

#include <math.h>

#include "src/core/rng.h"
#include "tests/support/net_rig.h"

void fnr_test_model(const fnr_netdesc *desc, uint64_t seed, bool positive, fnr_model *m)
{
    fnr_error err = {0};
    assert_ok(fnr_model_new(desc, seed, m, &err), err);
    fnr_rng rng = fnr_rng_at(seed, 5, 6);
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        const double fan_in = p->rank > 1 ? (double)p->count / p->dims[0] : 1;
        for (size_t k = 0; k < p->count; k++) {
            const double u = fnr_rng_uniform(&rng), v = positive ? u : 2 * u - 1;
            m->values[p->offset + k] = p->role == FNR_PARAM_WEIGHT         ? (float)(2 * v / sqrt(fan_in))
                                       : p->role == FNR_PARAM_RUNNING_MEAN ? (positive ? 0 : 0.3f * (float)v)
                                       : p->role == FNR_PARAM_RUNNING_VAR  ? 0.5f + (float)u
                                       : p->role == FNR_PARAM_NORM_WEIGHT  ? 1 + 0.2f * (float)v
                                                                           : 0.2f * (float)v;
        }
    }
}

float *fnr_test_noise(size_t n, unsigned seed)
{
    float *px = malloc(n * sizeof *px);
    assert_non_null(px);
    fnr_test_fill(px, n, seed, -1.7, 1.7);
    return px;
}

bool fnr_test_read_rect(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    fnr_test_stream *s = ctx;
    assert_int_equal(image, 0);
    assert_true(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= s->w && y + h <= s->h);
    if (s->reads++ == s->fail_read) {
        return fnr_fail(err, FNR_E_IO, "tape torn");
    }
    for (int c = 0; c < s->channels_in; c++) {
        for (int r = y; r < y + h; r++) {
            memcpy(dst, s->in + (c * s->h + r) * s->w + x, (size_t)w * sizeof *dst);
            dst += w;
        }
    }
    return true;
}

bool fnr_test_take_rows(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err)
{
    fnr_test_stream *s = ctx;
    assert_int_equal(image, 0);
    assert_int_equal(y, s->next_row);
    assert_true(count > 0 && y + count <= s->h);
    s->next_row += count;
    if (s->bands++ == s->fail_band) {
        return fnr_fail(err, FNR_E_IO, "disk full");
    }
    if (s->cancel && s->bands == 2) {
        s->cancel->requested = 1;
    }
    for (int c = 0; c < s->channels_out; c++) {
        memcpy(s->out + (c * s->h + y) * s->w, rows + c * count * s->w, (size_t)(count * s->w) * sizeof *rows);
    }
    return true;
}
