/* The training loop: patches -> forward -> MSE -> backward -> Adam, with validation, best and last state, exact resumption. */
#ifndef FNR_NET_TRAIN_H
#define FNR_NET_TRAIN_H

#include "net/backend.h"
#include "net/model.h"
#include "net/sampler.h"
#include "src/core/cancel.h"

typedef enum { FNR_LR_CONSTANT, FNR_LR_COSINE, FNR_LR_STEP } fnr_lr_schedule;

typedef struct {
    long steps;
    fnr_adam adam;            /* lr 1e-3, 0.5 / 0.999, 1e-8 */
    int lr_schedule;          /* fnr_lr_schedule */
    long lr_warmup;           /* steps of linear warm-up */
    double lr_final;          /* cosine: lr at the end as a fraction; step: factor at 60 % and 85 % of the steps */
    long validate_every;      /* steps; 0 = never */
    double checkpoint_every_s; /* seconds between writes of the last state; <= 60 */
    fnr_sampler_options sampler;
} fnr_train_options;

typedef struct {
    long step, steps;
    double loss;          /* mean over the steps since the last report */
    double val_loss, val_r; /* of the last validation (MSE, Pearson r over all validation pixels); NaN before the first */
    double best_val_r;
    long best_step;
    double steps_per_s;
} fnr_train_status;

typedef struct {
    void *ctx;
    void (*status)(void *ctx, const fnr_train_status *s);              /* a few times a second at most */
    bool (*save)(void *ctx, const fnr_model *m, bool best, fnr_error *err); /* write last (with moments) or best (without) */
} fnr_train_callbacks;

/* Trains *model in place from model->step to opt->steps.  train/val pairs are borrowed; val may be empty.  On cancel the last
 * state is saved and FNR_E_CANCELLED returned.  A loss that is not finite ends training with the step and the pairs named. */
bool fnr_train(const fnr_backend_ops *be, fnr_backend *device, fnr_model *model, const fnr_pair *train, size_t n_train,
               const fnr_pair *val, size_t n_val, const fnr_train_options *opt, const fnr_train_callbacks *cb,
               const fnr_cancel *cancel, fnr_train_status *final, fnr_error *err);

/* Learning rate at a 0-based step. */
double fnr_train_lr(const fnr_train_options *opt, long step);

#endif
