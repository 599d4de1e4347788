/* A small training problem, and callbacks that watch: shared by the tests of training. */
#ifndef FNR_TESTS_NET_TRAIN_CASE_H
#define FNR_TESTS_NET_TRAIN_CASE_H

#include "tests/support/net_rig.h"

#include "net/train.h"
#include "src/core/rng.h"
#include "src/core/fs.h"

static const fnr_netdesc tiny = {.spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = 2, .depth = 1};

/* ---- a problem: find the filter ----------------------------------------------------------------------------------------------
 */

enum { IMAGES = 3, H = 40, W = 52 };

static float signals[IMAGES][H * W], targets[IMAGES][H * W];
static const fnr_pair pairs[IMAGES] = {
    {.name = "tile-a", .d = 1, .h = H, .w = W, .signal = signals[0], .target = targets[0]},
    {.name = "tile-b", .d = 1, .h = H, .w = W, .signal = signals[1], .target = targets[1]},
    {.name = "held-back", .d = 1, .h = H, .w = W, .signal = signals[2], .target = targets[2]},
};

/* target(y, x) = signal(y, x + 1) - signal(y - 1, x): a filter that a 3x3 convolution can hold, and that no symmetry leaves
 * alone. */
static inline int make_problem(void **state)
{
    (void)state;
    for (int i = 0; i < IMAGES; i++) {
        fnr_rng rng = fnr_rng_at(77, (uint64_t)i, 0);
        for (int k = 0; k < H * W; k++) {
            signals[i][k] = (float)(fnr_rng_uniform(&rng) * 3.4 - 1.7);
        }
        for (int k = 0; k < H * W; k++) {
            const int y = k / W, x = k % W;
            const float right = signals[i][y * W + (x + 1) % W], above = signals[i][(y + H - 1) % H * W + x];
            targets[i][k] = 0.7f * (right - above);
        }
    }
    return 0;
}

static inline fnr_train_options small_options(long steps)
{
    return (fnr_train_options){
        .steps = steps,
        .adam = {.lr = 1e-2, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8},
        .lr_schedule = FNR_LR_COSINE,
        .lr_final = 0.1,
        .lr_warmup = 4,
        .validate_every = 7,
        .checkpoint_every_s = 60,
        .sampler = {.patch_d = 1, .patch_h = 16, .patch_w = 24, .batch = 2, .gain_jitter = 0.1, .seed = 12}};
}

/* ---- what the callbacks see ---------------------------------------------------------------------------------------------------
 */

typedef struct {
    char last_path[300], best_path[300];
    int last_saves, best_saves, reports;
    long best_step; /* of the last best save */
    long cancel_at; /* step at which the user asks to stop; -1 = never */
    long fail_at;   /* step at which the disk is full; -1 = never */
    int validations;
    fnr_cancel cancel;
    fnr_train_status last_status;
} observer;

static inline observer make_observer(const char *name)
{
    observer o = {.cancel_at = -1, .fail_at = -1};
    snprintf(o.last_path, sizeof o.last_path, "%s/%s.last", fnr_test_tmpdir(), name);
    snprintf(o.best_path, sizeof o.best_path, "%s/%s.best", fnr_test_tmpdir(), name);
    return o;
}

static inline void on_status(void *ctx, const fnr_train_status *s)
{
    observer *o = ctx;
    o->reports++;
    o->last_status = *s;
}

static inline bool on_save(void *ctx, const fnr_model *m, bool best, fnr_error *err)
{
    observer *o = ctx;
    assert_true(best == (m->moment1 == NULL)); /* the best state needs no moments, the last one does */
    if (best) {
        o->best_saves++;
        o->best_step = m->step;
    } else {
        o->last_saves++;
    }
    if (m->step == o->cancel_at) {
        o->cancel.requested = 1;
    }
    if (m->step == o->fail_at) {
        return fnr_fail(err, FNR_E_IO, "disk full");
    }
    return fnr_model_write(best ? o->best_path : o->last_path, m, err);
}

static inline void on_validation(void *ctx, const fnr_model *m)
{
    observer *o = ctx;
    o->validations++;
    assert_int_equal(m->history[m->n_history - 1].step, m->step);
}

typedef struct {
    const fnr_backend_ops *be;
    fnr_backend *device;
} device;

static inline device open_device(const fnr_backend_ops *be)
{
    device d = {.be = be};
    fnr_error err = {0};
    const fnr_backend_options options = {.threads = 1}; /* the work is tiny */
    assert_ok(be->open(&options, &d.device, &err), err);
    return d;
}

static inline bool train_with(device d, fnr_model *m, const fnr_train_options *opt, observer *o, fnr_error *err)
{
    const fnr_train_callbacks cb = {.ctx = o, .status = on_status, .validated = on_validation, .save = on_save};
    fnr_train_status final;
    const bool ok = fnr_train(d.be, d.device, m, pairs, 2, pairs + 2, 1, opt, &cb, &o->cancel, &final, err);
    if (ok && final.end == FNR_TRAIN_ALL_STEPS) {
        assert_int_equal(final.step, opt->steps);
    } else if (ok) {
        assert_int_equal(final.end, FNR_TRAIN_NO_PROGRESS);
        assert_true(opt->patience > 0 && final.step < opt->steps);
    } else {
        assert_int_equal(final.end, err->code == FNR_E_CANCELLED ? FNR_TRAIN_CANCELLED : FNR_TRAIN_UNDER_WAY);
    }
    return ok;
}

static inline void assert_same_file(const char *a, const char *b)
{
    fnr_error err = {0};
    char *da, *db;
    size_t na, nb;
    assert_ok(fnr_read_file(a, 1 << 20, &da, &na, &err), err);
    assert_ok(fnr_read_file(b, 1 << 20, &db, &nb, &err), err);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
    free(da);
    free(db);
}

static inline void on_every_backend(void (*test)(device))
{
    for (const fnr_backend_ops *const *be = fnr_test_backends(); *be; be++) {
        device d = open_device(*be);
        test(d);
        d.be->close(d.device);
    }
}

#define EACH(name)                                                                                                               \
    static void name##_(void **state)                                                                                            \
    {                                                                                                                            \
        (void)state;                                                                                                             \
        on_every_backend(name);                                                                                                  \
    }

#endif
