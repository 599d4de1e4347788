/* Training: it learns, and it equals the plain loop written out. */
#include "tests/net/train_case.h"

/* ---- tests
 * --------------------------------------------------------------------------------------------------------------------- */

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
        assert_ok(fnr_sampler_batch(sampler, step, x, y, &err), err);
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
    assert_non_null(strstr(err.message, "because the target holds values that are not: 'tile-b' at x "));
    assert_null(strstr(err.message, "tile-a")); /* only the patch that is at fault */
    int px, py; /* of 16 x 24, and over the pixel (20, 17) */
    assert_int_equal(sscanf(strstr(err.message, " at x "), " at x %d, y %d", &px, &py), 2);
    assert_true(px <= 20 && px > 20 - 24 && py <= 17 && py > 17 - 16);
    fnr_model saved;
    assert_ok(fnr_model_read(o.last_path, &saved, &err), err); /* the state before it is whole */
    assert_int_equal(saved.step, m.step);
    fnr_model_free(&saved);
    fnr_model_free(&m);
}

/* A step so large that the parameters overflow: the message names the step that did it, not the one that noticed. */
static void parameters_that_overflow_name_their_step(device d)
{
    fnr_error err = {0};
    fnr_model m;
    observer o = make_observer("overflow");
    fnr_train_options opt = small_options(50);
    opt.adam.lr = 1e38;
    opt.lr_schedule = FNR_LR_CONSTANT;
    opt.lr_warmup = 0;
    opt.validate_every = 0;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);
    assert_non_null(strstr(err.message, "smaller learning rate"));
    assert_non_null(strstr(err.message, "at x "));
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
    opt.patience = -1;
    assert_false(train_with(d, &m, &opt, &o, &err));
    assert_non_null(strstr(err.message, "patience"));
    opt = small_options(5);
    fnr_pair val = pairs[2];
    val.h = 1;
    assert_false(fnr_train(d.be, d.device, &m, pairs, 2, &val, 1, &opt, NULL, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "validation image 'held-back' has only 52 x 1 x 1 px"));
    assert_int_equal(m.step, 0);
    fnr_model_free(&m);
}

/* Loss and gradient of unequal weights: a weight of 0 leaves that channel's head where it is; weights that are nearly equal nearly
 * give the plain mean; scaling all of them changes nothing. */
static void channels_weigh_what_is_asked(device d)
{
    enum { OUT = 2 };
    static float two[OUT * H * W];
    for (int i = 0; i < H * W; i++) {
        two[i] = targets[0][i];
        two[H * W + i] = -0.5f * targets[0][i] + signals[0][i];
    }
    const fnr_pair pair = {.name = "two", .d = 1, .h = H, .w = W, .signal = signals[0], .target = two};
    const fnr_netdesc desc = {2, 1, OUT, 2, 1};
    const double weights[4][OUT] = {{1, 1}, {3, 3.0001}, {1, 0}, {5, 0}};
    fnr_error err = {0};
    fnr_model m[4], fresh;
    fnr_train_options opt = small_options(6);
    opt.validate_every = 6;
    assert_ok(fnr_model_new(&desc, 3, &fresh, &err), err);
    for (int i = 0; i < 4; i++) {
        opt.n_channel_weights = OUT;
        memcpy(opt.channel_weights, weights[i], sizeof weights[i]);
        assert_ok(fnr_model_new(&desc, 3, &m[i], &err), err);
        assert_ok(fnr_train(d.be, d.device, &m[i], &pair, 1, &pair, 1, &opt, NULL, NULL, NULL, &err), err);
    }
    const fnr_param *head = &fresh.graph.params[fnr_graph_find_param(&fresh.graph, "conv_out.weight")];
    const size_t half = head->count / OUT; /* of the first channel */
    assert_at_most(fabs(m[0].history[0].loss / m[1].history[0].loss - 1), 1e-4);
    assert_at_most(fnr_test_rel_l2(m[0].values + head->offset, m[1].values + head->offset, head->count), 1e-3);
    assert_memory_equal(m[2].values + head->offset + half, fresh.values + head->offset + half, half * sizeof(float));
    assert_memory_not_equal(m[2].values + head->offset, fresh.values + head->offset, half * sizeof(float));
    assert_memory_not_equal(m[0].values + head->offset + half, fresh.values + head->offset + half, half * sizeof(float));
    assert_memory_equal(m[2].values, m[3].values, fresh.graph.param_floats * sizeof(float));
    opt.n_channel_weights = 3;
    assert_false(fnr_train(d.be, d.device, &fresh, &pair, 1, NULL, 0, &opt, NULL, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "3 channel weights for 2 output channels"));
    for (int i = 0; i < 4; i++) {
        fnr_model_free(&m[i]);
    }
    fnr_model_free(&fresh);
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

EACH(learns_a_filter)
EACH(equals_the_plain_loop)
EACH(validation_is_what_it_says)
EACH(without_validation_the_last_state_is_the_best)
EACH(a_target_that_is_no_number_stops_with_names)
EACH(parameters_that_overflow_name_their_step)
EACH(a_full_disk_ends_training)
EACH(bad_requests_are_refused)
EACH(channels_weigh_what_is_asked)
EACH(volumes_train_too)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_a_filter_),
        cmocka_unit_test(equals_the_plain_loop_),
        cmocka_unit_test(validation_is_what_it_says_),
        cmocka_unit_test(without_validation_the_last_state_is_the_best_),
        cmocka_unit_test(a_target_that_is_no_number_stops_with_names_),
        cmocka_unit_test(parameters_that_overflow_name_their_step_),
        cmocka_unit_test(a_full_disk_ends_training_),
        cmocka_unit_test(bad_requests_are_refused_),
        cmocka_unit_test(channels_weigh_what_is_asked_),
        cmocka_unit_test(volumes_train_too_),
    };
    return cmocka_run_group_tests(tests, make_problem, NULL);
}
