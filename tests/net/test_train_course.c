/* The course of a training: learning rates, early stopping, and that it can be stopped anywhere without a trace. */
#include "tests/net/train_case.h"

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

/* torch.optim.lr_scheduler (PyTorch 2), lr 0.003, 40 steps: constant, CosineAnnealingLR(T_max=39, eta_min=0.00015),
 * MultiStepLR(milestones=[24, 34], gamma=0.05); each times LinearLR(start_factor=1/5, total_iters=4). */
static void learning_rates_are_pytorchs(void **state)
{
    (void)state;
    static const long at[] = {0, 1, 3, 4, 5, 12, 23, 24, 33, 34, 39};
    static const double torch_lr[3][sizeof at / sizeof *at] = {
        {0.0006, 0.0012, 0.0024, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003},
        {0.0006, 0.00119815166564, 0.00236687367187, 0.00292666442977, 0.00288597070721, 0.00238449226409, 0.00117854011392,
         0.00106968803596, 0.000313225163444, 0.000264029292786, 0.00015},
        {0.0006, 0.0012, 0.0024, 0.003, 0.003, 0.003, 0.003, 0.00015, 0.00015, 7.5e-06, 7.5e-06}};
    for (int schedule = 0; schedule < 3; schedule++) {
        const fnr_train_options o = {.steps = 40, .adam = {.lr = 0.003}, .lr_schedule = schedule, .lr_final = 0.05, .lr_warmup = 5};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            assert_at_most(fabs(fnr_train_lr(&o, at[i]) / torch_lr[schedule][i] - 1), 1e-9);
        }
    }
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

/* Where a run of `opt` ends, found by hand in the history of a run that never stops early. */
static size_t rows_until_patience_ends(const fnr_model *m, long patience)
{
    size_t best = 0;
    for (size_t i = 0; i < m->n_history; i++) {
        if (m->history[i].val_r > m->history[best].val_r) {
            best = i;
        }
        if ((long)(i - best) == patience) {
            return i + 1;
        }
    }
    return m->n_history;
}

/* A learning rate that falls and rises again makes r go down; patience 2 must stop at the row counted by hand, also when the run
 * is interrupted on the way there, and stay stopped. */
static void stops_early_where_the_history_says(device d)
{
    fnr_error err = {0};
    fnr_model free_run, m;
    observer o = make_observer("free");
    fnr_train_options opt = small_options(200);
    opt.adam.lr = 0.1; /* so large that r goes up and down */
    opt.lr_schedule = FNR_LR_CONSTANT;
    opt.validate_every = 4;
    assert_ok(fnr_model_new(&tiny, 3, &free_run, &err), err);
    assert_ok(train_with(d, &free_run, &opt, &o, &err), err);
    assert_int_equal(o.validations, free_run.n_history);
    opt.patience = 3;
    const size_t rows = rows_until_patience_ends(&free_run, opt.patience);
    assert_in_range(rows, 4, free_run.n_history - 1); /* a case worth looking at */

    observer whole = make_observer("early");
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(train_with(d, &m, &opt, &whole, &err), err);
    assert_int_equal(m.step, 4 * rows);
    assert_int_equal(m.n_history, rows);
    assert_memory_equal(m.history, free_run.history, rows * sizeof *m.history);
    assert_int_equal(whole.best_step, fnr_model_best(&m)->step);
    assert_ok(train_with(d, &m, &opt, &whole, &err), err); /* nothing more to do */
    assert_int_equal(m.step, 4 * rows);
    fnr_model_free(&m);
    fnr_model_free(&free_run);

    observer parts = make_observer("early-parts");
    opt.checkpoint_every_s = 0;
    parts.cancel_at = 4 * (long)rows - 3;
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_false(train_with(d, &m, &opt, &parts, &err));
    parts.cancel.requested = 0;
    parts.cancel_at = -1;
    fnr_model_free(&m);
    assert_ok(fnr_model_read(parts.last_path, &m, &err), err);
    assert_ok(train_with(d, &m, &opt, &parts, &err), err);
    fnr_model_free(&m);
    assert_same_file(whole.last_path, parts.last_path);
    assert_same_file(whole.best_path, parts.best_path);
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

EACH(an_interrupted_run_leaves_no_trace)
EACH(stops_early_where_the_history_says)
EACH(a_finished_run_is_left_alone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_rates_by_hand),
        cmocka_unit_test(learning_rates_are_pytorchs),
        cmocka_unit_test(an_interrupted_run_leaves_no_trace_),
        cmocka_unit_test(stops_early_where_the_history_says_),
        cmocka_unit_test(a_finished_run_is_left_alone_),
    };
    return cmocka_run_group_tests(tests, make_problem, NULL);
}
