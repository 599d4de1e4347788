#include "net/train.h"

#include <math.h>
#include <stdlib.h>

#include "net/batch_fault.h"
#include "net/prefetch.h"
#include "net/step_queue.h"
#include "net/validate.h"
#include "src/core/mem.h"
#include "src/core/threads.h"
#include "src/core/timer.h"

#define REPORT_EVERY_S    0.3
#define MAX_CHECKPOINT_S  60.0
#define STEP_SCHEDULE_ONE 0.60 /* of the steps: the rate drops ... */
#define STEP_SCHEDULE_TWO 0.85 /* ... and drops again */

typedef struct {
    const fnr_backend_ops *be;
    const fnr_train_options *opt;
    const fnr_train_callbacks *cb;
    fnr_model *model;
    fnr_sampler *sampler;
    fnr_prefetch *prefetch;
    fnr_step_queue *queue; /* instead of prefetch, where the device makes the batches */
    long known_step;       /* queue: steps whose losses are known */
    fnr_state *state;
    fnr_program *program;
    fnr_validator *validator; /* NULL without validation images */
    double *channel_r;        /* of the last validation */
    float *prediction;        /* of a batch, and gradient of the loss: only for channels of unequal weight */
    double report_sum;        /* losses since the last report ... */
    long report_count;        /* ... and how many */
    double reported_loss;     /* the mean that was reported last; NaN before */
    double start_s, last_report_s, last_save_s;
    long start_step;
    fnr_train_end end;
} trainer;

double fnr_train_lr(const fnr_train_options *opt, long step)
{
    double lr = opt->adam.lr;
    const double last = opt->steps > 1 ? (double)(opt->steps - 1) : 1;
    switch (opt->lr_schedule) {
    case FNR_LR_COSINE:
        lr *= opt->lr_final + (1 - opt->lr_final) * 0.5 * (1 + cos(M_PI * fmin((double)step / last, 1)));
        break;
    case FNR_LR_STEP:
        lr *= (double)step >= STEP_SCHEDULE_ONE * (double)opt->steps ? opt->lr_final : 1;
        lr *= (double)step >= STEP_SCHEDULE_TWO * (double)opt->steps ? opt->lr_final : 1;
        break;
    default:
        break;
    }
    return step < opt->lr_warmup ? lr * (double)(step + 1) / (double)opt->lr_warmup : lr;
}

/* ---- opening --------------------------------------------------------------------------------------------------------------- */

static bool check_options(const fnr_train_options *o, const fnr_model *m, fnr_error *err)
{
    if (o->steps < m->step) {
        return fnr_fail(err, FNR_E_USAGE, "the state has done %ld steps already, training to %ld makes no sense", m->step,
                        o->steps);
    }
    if (o->validate_every < 0 || o->patience < 0 || !(o->checkpoint_every_s >= 0)) {
        return fnr_fail(err, FNR_E_USAGE, "intervals of validation and checkpoints, and patience, must not be negative");
    }
    const fnr_adam *a = &o->adam;
    if (!(a->lr >= 0 && a->beta1 >= 0 && a->beta1 < 1 && a->beta2 >= 0 && a->beta2 < 1 && a->eps > 0)) {
        return fnr_fail(err, FNR_E_USAGE, "Adam with lr %g, betas %g and %g, eps %g: needs lr >= 0, 0 <= beta < 1, eps > 0",
                        a->lr, a->beta1, a->beta2, a->eps);
    }
    if (o->n_channel_weights != 0 && o->n_channel_weights != m->desc.out_channels) {
        return fnr_fail(err, FNR_E_USAGE, "%d channel weights for %d output channels", o->n_channel_weights, m->desc.out_channels);
    }
    return true;
}

/* A state on the device with the model's parameters and moments. */
static bool open_state(trainer *t, fnr_backend *device, fnr_error *err)
{
    fnr_model *m = t->model;
    for (int i = 0; i < 2; i++) {
        float **moment = i ? &m->moment2 : &m->moment1;
        if (!*moment && !(*moment = fnr_calloc(m->graph.param_floats, sizeof **moment, "Adam moments", err))) {
            return false;
        }
    }
    return t->be->state_new(device, &m->graph, true, &t->state, err) &&
           t->be->state_write(t->state, FNR_STATE_VALUES, m->values, err) &&
           t->be->state_write(t->state, FNR_STATE_MOMENT1, m->moment1, err) &&
           t->be->state_write(t->state, FNR_STATE_MOMENT2, m->moment2, err);
}

/* Backends know the plain mean; where channels weigh differently the loss is computed here. */
static bool open_weights(trainer *t, const fnr_shape *in, fnr_error *err)
{
    const fnr_train_options *o = t->opt;
    bool equal = true;
    for (int c = 1; c < o->n_channel_weights; c++) {
        equal = equal && o->channel_weights[c] == o->channel_weights[0];
    }
    const size_t n = fnr_shape_count(in) / (size_t)in->c * (size_t)t->model->desc.out_channels;
    t->prediction = equal ? NULL : fnr_alloc_aligned(n, sizeof *t->prediction, "prediction of a batch", err);
    return equal || t->prediction;
}

/* Batches come from the device itself where it can (and the loss is the plain one), else from threads beside it. */
static bool open_batches(trainer *t, const fnr_shape *shape, fnr_error *err)
{
    const fnr_netdesc *desc = &t->model->desc;
    if (!t->prediction && !fnr_step_queue_new(t->be, t->program, t->sampler, shape->n, &t->queue, err)) {
        return false;
    }
    if (t->queue) {
        return true;
    }
    const int threads = fnr_threads_get(), slots = threads < 8 ? 2 : threads > 32 ? 8 : threads / 4; /* many cores feed a GPU */
    const size_t pixels = fnr_shape_count(shape) / (size_t)desc->in_channels;
    t->prefetch = fnr_prefetch_start(t->sampler, pixels * (size_t)desc->in_channels, pixels * (size_t)desc->out_channels,
                                     t->model->step, t->opt->steps, slots, err);
    return t->prefetch != NULL;
}

static bool open_trainer(trainer *t, fnr_backend *device, const fnr_pair_source *train, const fnr_pair_source *val, fnr_error *err)
{
    const fnr_netdesc *desc = &t->model->desc;
    const fnr_sampler_options *o = &t->opt->sampler;
    const fnr_shape shape = {
        .spatial = desc->spatial, .n = o->batch, .c = desc->in_channels, .d = o->patch_d, .h = o->patch_h, .w = o->patch_w};
    t->channel_r = fnr_calloc((size_t)desc->out_channels, sizeof *t->channel_r, "validation", err);
    if (!t->channel_r || !open_state(t, device, err)) {
        return false;
    }
    for (int c = 0; c < desc->out_channels; c++) {
        t->channel_r[c] = NAN;
    }
    /* The source serves one thread at a time: validation images come before the sampler's thread. */
    if (val->count > 0 && t->opt->validate_every > 0 &&
        !(t->validator = fnr_validator_new(t->be, device, t->state, desc, val, err))) {
        return false;
    }
    t->sampler = fnr_sampler_new_from(desc, train, o, t->model->step, err);
    if (!t->sampler || !open_weights(t, &shape, err) ||
        !t->be->program_new(device, t->state, &shape, FNR_MODE_TRAIN, &t->program, err)) {
        return false;
    }
    t->start_step = t->known_step = t->model->step;
    t->start_s = t->last_report_s = t->last_save_s = fnr_now_s();
    return open_batches(t, &shape, err);
}

static void close_trainer(trainer *t)
{
    fnr_prefetch_stop(t->prefetch);
    fnr_step_queue_free(t->queue);
    fnr_validator_free(t->validator);
    if (t->program) {
        t->be->program_free(t->program);
    }
    if (t->state) {
        t->be->state_free(t->state);
    }
    fnr_sampler_free(t->sampler);
    free(t->channel_r);
    free(t->prediction);
}

/* ---- saving and telling ---------------------------------------------------------------------------------------------------- */

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            return false;
        }
    }
    return true;
}

/* Brings parameters and moments from the device into the model. */
static bool fetch_model(trainer *t, fnr_error *err)
{
    fnr_model *m = t->model;
    if (!t->be->state_read(t->state, FNR_STATE_VALUES, m->values, err) ||
        !t->be->state_read(t->state, FNR_STATE_MOMENT1, m->moment1, err) ||
        !t->be->state_read(t->state, FNR_STATE_MOMENT2, m->moment2, err)) {
        return false;
    }
    const size_t n = m->graph.param_floats;
    return (all_finite(m->values, n) && all_finite(m->moment1, n) && all_finite(m->moment2, n)) ||
           fnr_fail(err, FNR_E_NUMERIC, "training stopped at step %ld: a parameter is not finite; use a smaller learning rate",
                    m->step);
}

static bool save_last(trainer *t, fnr_error *err)
{
    t->last_save_s = fnr_now_s();
    return fetch_model(t, err) && (!t->cb->save || t->cb->save(t->cb->ctx, t->model, false, err));
}

static bool save_best(trainer *t, fnr_error *err)
{
    if (!fetch_model(t, err)) {
        return false;
    }
    fnr_model plain = *t->model; /* borrows everything but the training state */
    plain.moment1 = plain.moment2 = NULL;
    return !t->cb->save || t->cb->save(t->cb->ctx, &plain, true, err);
}

static fnr_train_status status_of(const trainer *t)
{
    const fnr_model *m = t->model;
    const fnr_history_row *best = fnr_model_best(m), *last = m->n_history ? &m->history[m->n_history - 1] : NULL;
    const double elapsed = fnr_now_s() - t->start_s;
    return (fnr_train_status){.step = m->step,
                              .steps = t->opt->steps,
                              .end = t->end,
                              .loss = t->report_count ? t->report_sum / (double)t->report_count : t->reported_loss,
                              .val_loss = last ? last->val_loss : NAN,
                              .val_r = last ? last->val_r : NAN,
                              .channel_r = last ? t->channel_r : NULL,
                              .n_channels = m->desc.out_channels,
                              .best_val_r = best ? best->val_r : NAN,
                              .best_step = best ? best->step : 0,
                              .steps_per_s = elapsed > 0 ? (double)(m->step - t->start_step) / elapsed : 0};
}

static void report(trainer *t)
{
    const fnr_train_status s = status_of(t);
    if (t->cb->status) {
        t->cb->status(t->cb->ctx, &s);
    }
    t->reported_loss = s.loss;
    t->report_sum = 0;
    t->report_count = 0;
    t->last_report_s = fnr_now_s();
}

/* ---- one step -------------------------------------------------------------------------------------------------------------- */

/* The user looks for the image that did it. The model in host memory keeps its earlier state. */
static bool fail_not_finite(const trainer *t, const float *x, const float *y, fnr_error *err)
{
    const size_t n = t->model->graph.param_floats;
    float *values = fnr_alloc_aligned(n, sizeof *values, "network parameters", NULL);
    const bool known = values && t->be->state_read(t->state, FNR_STATE_VALUES, values, NULL);
    const fnr_batch_case batch = {.sampler = t->sampler,
                                  .desc = &t->model->desc,
                                  .options = &t->opt->sampler,
                                  .step = t->model->step,
                                  .x = x,
                                  .y = y,
                                  .parameters = known ? values : NULL,
                                  .n_parameters = n};
    fnr_batch_fault(&batch, err);
    free(values);
    return false;
}

/* loss = mean of w_c (p - t)^2, the weights scaled to a mean of 1; p is overwritten with the gradient. */
static double weighted_loss(const trainer *t, const float *target, float *p)
{
    const fnr_sampler_options *o = &t->opt->sampler;
    const int channels = t->model->desc.out_channels;
    const size_t plane = (size_t)o->patch_d * (size_t)o->patch_h * (size_t)o->patch_w, n = plane * (size_t)(o->batch * channels);
    double total = 0, loss = 0;
    for (int c = 0; c < channels; c++) {
        total += t->opt->channel_weights[c];
    }
    for (int k = 0; k < o->batch * channels; k++) {
        const double weight = t->opt->channel_weights[k % channels] * channels / total;
        const float slope = (float)(2 * weight / (double)n);
        double sum = 0;
        for (size_t i = (size_t)k * plane; i < ((size_t)k + 1) * plane; i++) {
            const float e = p[i] - target[i];
            sum += (double)e * (double)e;
            p[i] = slope * e;
        }
        loss += weight * sum / (double)n;
    }
    return loss;
}

static bool forward_and_loss(trainer *t, const float *x, const float *y, double *loss, fnr_error *err)
{
    if (!t->prediction) {
        return t->be->forward(t->program, x, NULL, err) && t->be->mse(t->program, y, loss, err);
    }
    if (!t->be->forward(t->program, x, t->prediction, err)) {
        return false;
    }
    *loss = weighted_loss(t, y, t->prediction);
    return !isfinite(*loss) || t->be->set_output_grad(t->program, t->prediction, err);
}

static void count_loss(trainer *t, double loss)
{
    t->model->loss_sum += loss;
    t->model->loss_count++;
    t->report_sum += loss;
    t->report_count++;
}

/* The batch of step `step` (0-based) is made again, to be looked at. */
static bool fail_not_finite_at(trainer *t, long step, fnr_error *err)
{
    const fnr_netdesc *desc = &t->model->desc;
    const fnr_sampler_options *o = &t->opt->sampler;
    const size_t pixels = (size_t)o->batch * (size_t)o->patch_d * (size_t)o->patch_h * (size_t)o->patch_w;
    float *x = fnr_alloc_aligned(pixels * (size_t)desc->in_channels, sizeof *x, "training batch", err);
    float *y = x ? fnr_alloc_aligned(pixels * (size_t)desc->out_channels, sizeof *y, "training batch", err) : NULL;
    if (y) {
        t->model->step = step;
        (void)(fnr_sampler_batch(t->sampler, step, x, y, err) && fail_not_finite(t, x, y, err));
    }
    free(x);
    free(y);
    return false;
}

/* Takes the losses of queued steps that are done; with wait, of all. Before anything looks at parameters or mean losses. */
static bool settle(trainer *t, bool wait, fnr_error *err)
{
    int count = 0;
    do {
        double losses[FNR_FEED_AHEAD];
        if (!t->queue || !fnr_step_queue_take(t->queue, wait, losses, &count, err)) {
            return !t->queue;
        }
        for (int i = 0; i < count; i++) {
            if (!isfinite(losses[i])) {
                return fail_not_finite_at(t, t->known_step, err);
            }
            count_loss(t, losses[i]);
            t->known_step++;
        }
    } while (wait && count > 0);
    return true;
}

/* The device goes on while this thread draws the next batch; a loss that is not finite shows a few steps later, and the device
 * has left the parameters alone since. */
static bool queued_step(trainer *t, const fnr_adam *hyper, fnr_error *err)
{
    fnr_error failure = {0};
    if (!fnr_step_queue_push(t->queue, hyper, t->model->step, &failure)) {
        return fnr_fail(err, failure.code, "training step %ld: %s", t->model->step + 1, failure.message);
    }
    t->model->step++;
    return settle(t, false, err);
}

static bool train_step(trainer *t, fnr_error *err)
{
    const float *x, *y;
    double loss = NAN;
    fnr_model *m = t->model;
    fnr_adam hyper = t->opt->adam;
    hyper.lr = fnr_train_lr(t->opt, m->step);
    if (t->queue) {
        return queued_step(t, &hyper, err);
    }
    fnr_error failure = {0};
    fnr_sampler_pass(t->sampler, m->step);
    if (!fnr_prefetch_next(t->prefetch, &x, &y, &failure)) {
        return save_last(t, err) && fnr_fail(err, failure.code, "step %ld: %s; the state is saved: continue when the file is back", m->step + 1,
                                             failure.message);
    }
    bool ok = forward_and_loss(t, x, y, &loss, &failure);
    if ((ok && !isfinite(loss)) || (!ok && failure.code == FNR_E_NUMERIC)) {
        return fail_not_finite(t, x, y, err);
    }
    ok = ok && t->be->backward(t->program, NULL, &failure) && t->be->adam(t->state, &hyper, m->step + 1, &failure);
    if (!ok) {
        return fnr_fail(err, failure.code, "training step %ld: %s", m->step + 1, failure.message);
    }
    m->step++;
    count_loss(t, loss);
    return true;
}

/* Adds a row to the history; keeps the parameters when they are the best so far. */
static bool validate(trainer *t, fnr_error *err)
{
    if (!settle(t, true, err)) {
        return false;
    }
    fnr_model *m = t->model;
    fnr_history_row row = {
        .step = m->step, .loss = m->loss_count ? m->loss_sum / (double)m->loss_count : NAN, .val_loss = NAN, .val_r = NAN};
    if (t->validator && !fnr_validator_run(t->validator, &row.val_loss, &row.val_r, t->channel_r, err)) {
        return false;
    }
    if (!fnr_grow(&m->history, &m->history_capacity, m->n_history, sizeof *m->history, "training history", err)) {
        return false;
    }
    m->history[m->n_history++] = row;
    m->loss_sum = 0;
    m->loss_count = 0;
    const bool best = fnr_model_best(m) == &m->history[m->n_history - 1];
    const bool ok = !best || save_best(t, err);
    report(t);
    if (t->cb->validated) {
        t->cb->validated(t->cb->ctx, m);
    }
    return ok;
}

static bool is_validation_step(const fnr_train_options *o, long step)
{
    return o->validate_every > 0 && (step % o->validate_every == 0 || step == o->steps);
}

/* The last `patience` validations brought nothing better than the one before them. */
static bool no_progress(const fnr_train_options *o, const fnr_model *m)
{
    const fnr_history_row *best = fnr_model_best(m);
    return o->patience > 0 && best && m->history + m->n_history - 1 - best >= o->patience;
}

static bool run(trainer *t, const fnr_cancel *cancel, fnr_error *err)
{
    const fnr_train_options *o = t->opt;
    const double checkpoint_s = fmin(o->checkpoint_every_s, MAX_CHECKPOINT_S);
    while (t->model->step < o->steps && !no_progress(o, t->model)) {
        if (fnr_cancelled(cancel)) {
            const long step = t->model->step;
            t->end = FNR_TRAIN_CANCELLED;
            return settle(t, true, err) && save_last(t, err) &&
                   fnr_fail(err, FNR_E_CANCELLED, "training stopped after step %ld of %ld; its state is saved", step, o->steps);
        }
        if (!train_step(t, err) || (is_validation_step(o, t->model->step) && !validate(t, err))) {
            return false;
        }
        const double now = fnr_now_s();
        if (now - t->last_report_s >= REPORT_EVERY_S) {
            report(t);
        }
        if (now - t->last_save_s >= checkpoint_s && !(settle(t, true, err) && save_last(t, err))) {
            return false;
        }
    }
    t->end = t->model->step < o->steps ? FNR_TRAIN_NO_PROGRESS : FNR_TRAIN_ALL_STEPS;
    return settle(t, true, err) && save_last(t, err) && (fnr_model_best(t->model) || save_best(t, err));
}

bool fnr_train_from(const fnr_backend_ops *be, fnr_backend *device, fnr_model *model, const fnr_pair_source *train, const fnr_pair_source *val,
                    const fnr_train_options *opt, const fnr_train_callbacks *cb, const fnr_cancel *cancel, fnr_train_status *final, fnr_error *err)
{
    static const fnr_train_callbacks silent = {0};
    trainer t = {.be = be, .opt = opt, .cb = cb ? cb : &silent, .model = model, .reported_loss = NAN};
    bool ok = check_options(opt, model, err) && open_trainer(&t, device, train, val, err) && run(&t, cancel, err);
    if (ok && t.report_count > 0) {
        report(&t);
    }
    if (final) {
        *final = status_of(&t);
        final->channel_r = NULL; /* its storage ends here */
    }
    close_trainer(&t);
    return ok;
}

bool fnr_train(const fnr_backend_ops *be, fnr_backend *device, fnr_model *model, const fnr_pair *train, size_t n_train,
               const fnr_pair *val, size_t n_val, const fnr_train_options *opt, const fnr_train_callbacks *cb,
               const fnr_cancel *cancel, fnr_train_status *final, fnr_error *err)
{
    const fnr_pair_source from = fnr_pairs_source(train, n_train), judged = fnr_pairs_source(val, n_val);
    return fnr_train_from(be, device, model, &from, &judged, opt, cb, cancel, final, err);
}
