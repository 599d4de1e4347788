/* The training loop: patches -> forward -> MSE -> backward -> Adam, with validation, best and last state, exact resumption. */
#ifndef FNR_NET_TRAIN_H
#define FNR_NET_TRAIN_H

#include "net/backend.h"
#include "net/model.h"
#include "net/sampler.h"
#include "src/core/cancel.h"

typedef enum { FNR_LR_CONSTANT, FNR_LR_COSINE, FNR_LR_STEP } fnr_lr_schedule;

enum { FNR_TRAIN_MAX_WEIGHTS = 64 };

typedef struct {
    long steps;
    fnr_adam adam;             /* lr 1e-3, 0.5 / 0.999, 1e-8 */
    int lr_schedule;           /* fnr_lr_schedule */
    long lr_warmup;            /* steps of linear warm-up */
    double lr_final;           /* cosine: lr of the last step as a fraction; step: factor at 60 % and again at 85 % of the steps */
    long validate_every;       /* steps; 0 = never */
    long patience;             /* end after this many validations without a better val_r; 0 = never */
    double checkpoint_every_s; /* seconds between writes of the last state; taken as 60 when larger */
    fnr_sampler_options sampler;
    double channel_weights[FNR_TRAIN_MAX_WEIGHTS]; /* of the output channels in the loss; only their ratios count ... */
    int n_channel_weights;                         /* ... 0 = all equal, else one for each channel */
} fnr_train_options;

typedef enum {
    FNR_TRAIN_UNDER_WAY,   /* or ended by an error */
    FNR_TRAIN_ALL_STEPS,   /* every step was done */
    FNR_TRAIN_NO_PROGRESS, /* val_r did not rise for `patience` validations */
    FNR_TRAIN_CANCELLED
} fnr_train_end;

typedef struct {
    long step, steps;
    fnr_train_end end;
    double loss;            /* mean over the steps since the last report; the one before when there was no step, NaN at first */
    double val_loss, val_r; /* of the last validation (MSE, Pearson r over all validation pixels); NaN before the first */
    const double *channel_r; /* val_r of every output channel, n_channels of them, lent; val_r is their mean.  NULL before the first */
    int n_channels;
    double best_val_r; /* NaN before the first */
    long best_step;
    double steps_per_s; /* over this run */
} fnr_train_status;

typedef struct {
    void *ctx;
    /* A few times a second at most, after each validation and at the end. May be NULL. */
    void (*status)(void *ctx, const fnr_train_status *s);
    /* After each validation, with the new row in m->history. May be NULL. */
    void (*validated)(void *ctx, const fnr_model *m);
    /* Writes last (with moments) or best (without). May be NULL. */
    bool (*save)(void *ctx, const fnr_model *m, bool best, fnr_error *err);
} fnr_train_callbacks;

/* Trains *model in place from model->step to opt->steps.  train/val pairs are borrowed; val may be empty.
 *
 * The best state is the one with the highest val_r; where there is no validation (or none with a correlation) the last one is
 * handed over as the best, at the end.  A run that is stopped at any time and continued from its last state gives, to the bit,
 * what an uninterrupted one gives: patches depend on the step alone, and model->history with loss_sum holds the bookkeeping
 * (early stopping counts the rows of the history, so a run that has ended stays ended).
 *
 * On cancel the last state is saved and FNR_E_CANCELLED returned.  A loss that is not finite ends training with FNR_E_NUMERIC,
 * the step and the pairs named; the last state on disk is the one before.  After a failure *model holds some earlier state. */
bool fnr_train(const fnr_backend_ops *be, fnr_backend *device, fnr_model *model, const fnr_pair *train, size_t n_train,
               const fnr_pair *val, size_t n_val, const fnr_train_options *opt, const fnr_train_callbacks *cb,
               const fnr_cancel *cancel, fnr_train_status *final, fnr_error *err);

/* The same with pairs that come from sources (borrowed, used by other threads during the call).  An image that cannot be loaded any
 * more ends training with the last state saved: what follows could not be continued exactly without it. */
bool fnr_train_from(const fnr_backend_ops *be, fnr_backend *device, fnr_model *model, const fnr_pair_source *train, const fnr_pair_source *val,
                    const fnr_train_options *opt, const fnr_train_callbacks *cb, const fnr_cancel *cancel, fnr_train_status *final, fnr_error *err);

/* Learning rate at a 0-based step. */
double fnr_train_lr(const fnr_train_options *opt, long step);

#endif
