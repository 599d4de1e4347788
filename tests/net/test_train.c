/* Training: it learns, it equals the plain loop written out, and it can be stopped anywhere without a trace. */
#include "tests/support/support.h"

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
static int make_problem(void **state)
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

static fnr_train_options small_options(long steps)
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
    fnr_cancel cancel;
    fnr_train_status last_status;
} observer;

static observer make_observer(const char *name)
{
    observer o = {.cancel_at = -1, .fail_at = -1};
    snprintf(o.last_path, sizeof o.last_path, "%s/%s.last", fnr_test_tmpdir(), name);
    snprintf(o.best_path, sizeof o.best_path, "%s/%s.best", fnr_test_tmpdir(), name);
    return o;
}

static void on_status(void *ctx, const fnr_train_status *s)
{
    observer *o = ctx;
    o->reports++;
    o->last_status = *s;
}

static bool on_save(void *ctx, const fnr_model *m, bool best, fnr_error *err)
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

typedef struct {
    const fnr_backend_ops *be;
    fnr_backend *device;
} device;

static device open_device(const fnr_backend_ops *be)
{
    device d = {.be = be};
    fnr_error err = {0};
    const fnr_backend_options options = {.threads = 1}; /* the work is tiny */
    assert_ok(be->open(&options, &d.device, &err), err);
    return d;
}

static bool train_with(device d, fnr_model *m, const fnr_train_options *opt, observer *o, fnr_error *err)
{
    const fnr_train_callbacks cb = {.ctx = o, .status = on_status, .save = on_save};
    fnr_train_status final;
    const bool ok = fnr_train(d.be, d.device, m, pairs, 2, pairs + 2, 1, opt, &cb, &o->cancel, &final, err);
    if (ok) {
        assert_int_equal(final.step, opt->steps);
    }
    return ok;
}

/* ---- tests
 * --------------------------------------------------------------------------------------------------------------------- */

static void learning_rates_by_hand(void **state)
{
    (void)state;
    fnr_train_options o = {.steps = 101, .adam = {.lr = 2}, .lr_schedule = FNR_LR_CONSTANT, .lr_final = 0.1};
    assert_true(fnr_train_lr(&o, 0) == 2 && fnr_train_lr(&o, 100) == 2);
    o.lr_warmup = 10;
    assert_at_most(fabs(fnr_train_lr(&o, 0) - 0.2), 1e-12);
    assert_at_most(fabs(fnr_train_lr(&o, 8) - 1.8), 1e-12);
    assert_true(fnr_train_lr(&o, 9) == 2 && fnr_train_lr(&o, 10) == 2);
    o.lr_warmup = 0;
    o.lr_schedule = FNR_LR_COSINE;
    assert_at_most(fabs(fnr_train_lr(&o, 0) - 2), 1e-12);
    assert_at_most(fabs(fnr_train_lr(&o, 25) - (0.2 + 1.8 * 0.5 * (1 + sqrt(0.5)))), 1e-12);
    assert_at_most(fabs(fnr_train_lr(&o, 50) - 1.1), 1e-12);
    assert_at_most(fabs(fnr_train_lr(&o, 100) - 0.2), 1e-12);
    o.lr_schedule = FNR_LR_STEP;
    o.steps = 100;
    assert_true(fnr_train_lr(&o, 59) == 2 && fnr_train_lr(&o, 60) == 0.2 && fnr_train_lr(&o, 84) == 0.2);
    assert_at_most(fabs(fnr_train_lr(&o, 85) - 0.02), 1e-12);
    o.steps = 1;
    o.lr_schedule = FNR_LR_COSINE;
    assert_true(fnr_train_lr(&o, 0) == 2);
}

static void learns_a_filter(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("learns");
    fnr_train_options opt = small_options(120);
    opt.validate_every = 30;
    opt.sampler.batch = 4;
    opt.sampler.gain_jitter = 0;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(train_with(d, &m, &opt, &o, &err), err);
    assert_int_equal(m.n_history, 4);
    assert_int_equal(m.step, 120);
    assert_true(m.history[0].loss > 0.3); /* the target's variance is 0.94 */
    assert_at_most(m.history[3].loss, 0.25);
    assert_at_most(m.history[3].val_loss, 0.2);
    assert_at_most(0.92, m.history[3].val_r);
    assert_true(o.reports >= 4);
    assert_int_equal(o.last_status.step, 120);
    assert_true(o.last_status.best_val_r == fnr_model_best(&m)->val_r && o.last_status.steps_per_s > 0);
    fnr_model_free(&m);
}

/* The loop as one would write it down, without prefetching, checkpoints or schedules. */
static void train_plainly(device d, fnr_model *m, const fnr_train_options *opt)
{
    fnr_error err = {0};
    fnr_state *s;
    fnr_program *p;
    static float x[2 * 16 * 24], y[2 * 16 * 24];
    const fnr_shape shape = {.spatial = 2, .n = 2, .c = 1, .d = 1, .h = 16, .w = 24};
    fnr_sampler *sampler = fnr_sampler_new(&m->desc, pairs, 2, &opt->sampler, &err);
    assert_non_null(sampler);
    assert_ok(d.be->state_new(d.device, &m->graph, true, &s, &err), err);
    assert_ok(d.be->state_write(s, FNR_STATE_VALUES, m->values, &err), err);
    assert_ok(d.be->program_new(d.device, s, &shape, FNR_MODE_TRAIN, &p, &err), err);
    for (long step = 0; step < opt->steps; step++) {
        double loss;
        fnr_adam hyper = opt->adam;
        hyper.lr = fnr_train_lr(opt, step);
        fnr_sampler_batch(sampler, step, x, y);
        assert_ok(d.be->forward(p, x, NULL, &err), err);
        assert_ok(d.be->mse(p, y, &loss, &err), err);
        assert_ok(d.be->backward(p, NULL, &err), err);
        assert_ok(d.be->adam(s, &hyper, step + 1, &err), err);
    }
    assert_ok(d.be->state_read(s, FNR_STATE_VALUES, m->values, &err), err);
    d.be->program_free(p);
    d.be->state_free(s);
    fnr_sampler_free(sampler);
}

static void equals_the_plain_loop(device d)
{
    fnr_error err = {0};
    fnr_model a, b;
    observer o = make_observer("plain");
    const fnr_train_options opt = small_options(23);
    assert_ok(fnr_model_new(&tiny, 3, &a, &err), err);
    assert_ok(fnr_model_new(&tiny, 3, &b, &err), err);
    assert_ok(train_with(d, &a, &opt, &o, &err), err);
    train_plainly(d, &b, &opt);
    assert_memory_equal(a.values, b.values, a.graph.param_floats * sizeof(float));
    fnr_model_free(&a);
    fnr_model_free(&b);
}

static void assert_same_file(const char *a, const char *b)
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

/* Stopped after steps 5, 6, 14 (a validation step) and 22, each time continued from the file: the same bytes in the end. */
static void an_interrupted_run_leaves_no_trace(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer whole = make_observer("whole"), parts = make_observer("parts");
    fnr_train_options opt = small_options(30);
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(train_with(d, &m, &opt, &whole, &err), err);
    assert_int_equal(m.n_history, 5); /* 7, 14, 21, 28, 30 */
    fnr_model_free(&m);

    opt.checkpoint_every_s = 0; /* save after each step, so that the observer can ask to stop there */
    const long stops[] = {5, 6, 14, 22};
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    for (int i = 0; i < 4; i++) {
        parts.cancel_at = stops[i];
        assert_false(train_with(d, &m, &opt, &parts, &err));
        assert_int_equal(err.code, FNR_E_CANCELLED);
        parts.cancel.requested = 0;
        fnr_model_free(&m);
        assert_ok(fnr_model_read(parts.last_path, &m, &err), err);
        assert_int_equal(m.step, stops[i]);
    }
    parts.cancel_at = -1;
    assert_ok(train_with(d, &m, &opt, &parts, &err), err);
    fnr_model_free(&m);
    assert_same_file(whole.last_path, parts.last_path);
    assert_same_file(whole.best_path, parts.best_path);
    assert_int_equal(whole.best_step, parts.best_step);
}

static void a_finished_run_is_left_alone(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("finished");
    fnr_train_options opt = small_options(3);
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(train_with(d, &m, &opt, &o, &err), err);
    float before[64];
    memcpy(before, m.values, sizeof before);
    assert_ok(train_with(d, &m, &opt, &o, &err), err);
    assert_memory_equal(before, m.values, sizeof before);
    opt.steps = 2;
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_non_null(strstr(err.message, "has done 3 steps already"));
    fnr_model_free(&m);
}

/* MSE and r of a validation, from the saved parameters by another way: two passes, in the open. */
static void validation_is_what_it_says(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("validation");
    const fnr_train_options opt = small_options(7);
    static uint8_t valid[H * W];
    for (int k = 0; k < H * W; k++) {
        valid[k] = k % W > 5 && k % 11 != 0;
    }
    fnr_pair val = pairs[2];
    val.valid = valid;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    const fnr_train_callbacks cb = {.ctx = &o, .save = on_save};
    assert_ok(fnr_train(d.be, d.device, &m, pairs, 2, &val, 1, &opt, &cb, NULL, NULL, &err), err);

    static float prediction[H * W];
    fnr_state *s;
    fnr_program *p;
    const fnr_shape shape = {.spatial = 2, .n = 1, .c = 1, .d = 1, .h = H, .w = W};
    assert_ok(d.be->state_new(d.device, &m.graph, false, &s, &err), err);
    assert_ok(d.be->state_write(s, FNR_STATE_VALUES, m.values, &err), err);
    assert_ok(d.be->program_new(d.device, s, &shape, FNR_MODE_INFER, &p, &err), err);
    assert_ok(d.be->forward(p, val.signal, prediction, &err), err);
    double n = 0, mean_p = 0, mean_t = 0, mse = 0, pp = 0, tt = 0, pt = 0;
    for (int k = 0; k < H * W; k++) {
        n += valid[k];
        mean_p += valid[k] ? (double)prediction[k] : 0;
        mean_t += valid[k] ? (double)val.target[k] : 0;
    }
    for (int k = 0; k < H * W; k++) {
        const double a = (double)prediction[k] - mean_p / n, b = (double)val.target[k] - mean_t / n;
        const double e = (double)prediction[k] - (double)val.target[k];
        mse += valid[k] ? e * e / n : 0;
        pp += valid[k] ? a * a : 0;
        tt += valid[k] ? b * b : 0;
        pt += valid[k] ? a * b : 0;
    }
    assert_int_equal(m.n_history, 1);
    assert_at_most(fabs(m.history[0].val_loss - mse), 1e-9);
    assert_at_most(fabs(m.history[0].val_r - pt / sqrt(pp * tt)), 1e-9);
    d.be->program_free(p);
    d.be->state_free(s);
    fnr_model_free(&m);
}

static void without_validation_the_last_state_is_the_best(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("unjudged");
    fnr_train_options opt = small_options(15);
    const fnr_train_callbacks cb = {.ctx = &o, .save = on_save};
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(fnr_train(d.be, d.device, &m, pairs, 2, NULL, 0, &opt, &cb, NULL, NULL, &err), err);
    assert_int_equal(o.best_saves, 1);
    assert_int_equal(o.best_step, 15);
    fnr_model_free(&m);

    o = make_observer("constant"); /* nothing to correlate with */
    static const float zeros[H * W];
    fnr_pair val = pairs[2];
    val.target = zeros;
    opt.steps = 14;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(fnr_train(d.be, d.device, &m, pairs, 2, &val, 1, &opt, &cb, NULL, NULL, &err), err);
    assert_int_equal(o.best_saves, 1);
    assert_true(isnan(m.history[1].val_r) && m.history[1].val_loss > 0);
    fnr_model_free(&m);
}

static void a_target_that_is_no_number_stops_with_names(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("nan");
    fnr_train_options opt = small_options(50);
    opt.checkpoint_every_s = 0;
    const float kept = targets[1][17 * W + 20];
    targets[1][17 * W + 20] = NAN;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_false(train_with(d, &m, &opt, &o, &err));
    targets[1][17 * W + 20] = kept;
    assert_int_equal(err.code, FNR_E_NUMERIC);
    char expected[64];
    snprintf(expected, sizeof expected, "stopped at step %ld: the loss is not finite", m.step + 1);
    assert_non_null(strstr(err.message, expected));
    assert_non_null(strstr(err.message, "tile-b"));
    fnr_model saved;
    assert_ok(fnr_model_read(o.last_path, &saved, &err), err); /* the state before it is whole */
    assert_int_equal(saved.step, m.step);
    fnr_model_free(&saved);
    fnr_model_free(&m);
}

static void a_full_disk_ends_training(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("full");
    fnr_train_options opt = small_options(50);
    opt.checkpoint_every_s = 0;
    o.fail_at = 9;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_string_equal(err.message, "disk full");
    assert_int_equal(m.step, 9);
    fnr_model_free(&m);
}

static void bad_requests_are_refused(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("bad");
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    fnr_train_options opt = small_options(5);
    opt.sampler.patch_h = 15;
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_non_null(strstr(err.message, "multiples of 2"));
    opt = small_options(5);
    opt.adam.beta2 = 1;
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_non_null(strstr(err.message, "Adam"));
    opt = small_options(5);
    fnr_pair val = pairs[2];
    val.h = 1;
    assert_false(fnr_train(d.be, d.device, &m, pairs, 2, &val, 1, &opt, NULL, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "validation image 'held-back' has only 52 x 1 x 1 px"));
    assert_int_equal(m.step, 0);
    fnr_model_free(&m);
}

static void volumes_train_too(device d)
{
    enum { D = 6, N = D * 12 * 10 };
    static float signal[N], target[N];
    for (int i = 0; i < N; i++) {
        signal[i] = signals[0][i];
        target[i] = signals[1][i];
    }
    const fnr_pair volume = {.name = "volume", .d = D, .h = 12, .w = 10, .signal = signal, .target = target};
    const fnr_netdesc desc = {3, 1, 1, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    fnr_train_options opt = small_options(30);
    opt.validate_every = 30;
    opt.sampler.patch_d = 4;
    opt.sampler.patch_h = 8;
    opt.sampler.patch_w = 6;
    fnr_train_status final;
    assert_ok(fnr_model_new(&desc, 3, &m, &err), err);
    assert_ok(fnr_train(d.be, d.device, &m, &volume, 1, &volume, 1, &opt, NULL, NULL, &final, &err), err);
    assert_int_equal(final.best_step, 30);
    assert_at_most(0.05, final.val_r); /* memorises a little of the noise that it was shown */
    fnr_model_free(&m);
}

static void on_every_backend(void (*test)(device))
{
    for (const fnr_backend_ops *const *be = fnr_backend_list(); *be; be++) {
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

EACH(learns_a_filter)
EACH(equals_the_plain_loop)
EACH(an_interrupted_run_leaves_no_trace)
EACH(a_finished_run_is_left_alone)
EACH(validation_is_what_it_says)
EACH(without_validation_the_last_state_is_the_best)
EACH(a_target_that_is_no_number_stops_with_names)
EACH(a_full_disk_ends_training)
EACH(bad_requests_are_refused)
EACH(volumes_train_too)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_rates_by_hand),
        cmocka_unit_test(learns_a_filter_),
        cmocka_unit_test(equals_the_plain_loop_),
        cmocka_unit_test(an_interrupted_run_leaves_no_trace_),
        cmocka_unit_test(a_finished_run_is_left_alone_),
        cmocka_unit_test(validation_is_what_it_says_),
        cmocka_unit_test(without_validation_the_last_state_is_the_best_),
        cmocka_unit_test(a_target_that_is_no_number_stops_with_names_),
        cmocka_unit_test(a_full_disk_ends_training_),
        cmocka_unit_test(bad_requests_are_refused_),
        cmocka_unit_test(volumes_train_too_),
    };
    return cmocka_run_group_tests(tests, make_problem, NULL);
}
