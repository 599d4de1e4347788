/* pytorch_fnet's model.p.  Containers: PyTorch's zip (1.6 and later) and its older stream of pickles.  Dictionaries: the current
 * one {fnet_model_class, fnet_model_kwargs, fnet_model_posargs, nn_state, optimizer_state, count_iter} and that of the paper's
 * code (release_1) {nn_module, nn_kwargs, nn_state, optimizer_state, count_iter}; a bare state dict is read too.
 *
 * What pytorch_fnet has no place for (pixel size, record, history, running loss) travels as {text: text} under "fnet_register",
 * which PyTorch's side ignores, so that model.p keeps all that a .safetensors file holds. */
#ifndef FNR_NET_CHECKPOINT_H
#define FNR_NET_CHECKPOINT_H

#include "net/model.h"

typedef struct {
    bool weights_only; /* leave the optimiser's state alone, whatever it is */
} fnr_checkpoint_read_options;

/* Moments and step are read when there is an Adam state of one group, or of the two that pytorch_fnet makes for weight decay.
 * *out is untouched on failure. *count_iter (may be NULL): training iterations that the checkpoint tells, -1 when it tells none.
 */
bool fnr_checkpoint_read(const char *path, const fnr_checkpoint_read_options *opt, fnr_model *out, long long *count_iter,
                         fnr_error *err);

typedef enum {
    FNR_CHECKPOINT_CURRENT, /* zip container, current dictionary: PyTorch 1.6 and later, pytorch_fnet's master */
    FNR_CHECKPOINT_PAPER    /* stream container, the paper's dictionary: pytorch_fnet's release_1 and its PyTorch */
} fnr_checkpoint_layout;

/* Atomic. The optimiser's learning rate and betas are those of `record`'s settings, or pytorch_fnet's defaults (1e-3, 0.5,
 * 0.999). pytorch_fnet's 2D network is fixed at 32 base channels and depth 4 with one channel in and out: others are written with
 * keyword arguments that its Net() does not take as it comes. */
bool fnr_checkpoint_write(const char *path, const fnr_model *m, fnr_checkpoint_layout layout, fnr_error *err);

#endif
