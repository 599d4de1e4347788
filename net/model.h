/* A model: network description, parameters and everything needed to use them on images.  Stored as safetensors: tensors carry
 * pytorch_fnet's names, so that `torch.load_state_dict(safetensors.torch.load_file(...))` works; __metadata__ carries the rest:
 *
 *   format                                            "pt"
 *   fnet.spatial .in_channels .out_channels .base_channels .depth     fnr_netdesc, decimal
 *   fnet.pixel_nm                                     decimal; absent when unknown
 *   fnet.normalisation                                "z-score per image", the only one there is
 *   fnet.record                                       JSON
 *   fnet.history                                      JSON: [[step, loss, val_loss, val_r], ...], null for NaN
 *   fnet.step .loss_sum .loss_count                   training states only, with tensors adam.exp_avg.NAME, adam.exp_avg_sq.NAME
 *
 * A file without fnet.* metadata is a plain state dict: the description follows from the tensors' names and extents. */
#ifndef FNR_NET_MODEL_H
#define FNR_NET_MODEL_H

#include "net/graph.h"

/* One validation during training. NaN where there is nothing to say (no validation pixels, a constant image). */
typedef struct {
    long step;       /* optimiser steps done */
    double loss;     /* mean training loss of the steps since the row before */
    double val_loss; /* MSE over all validation pixels */
    double val_r;    /* Pearson correlation over all validation pixels, mean over the output channels */
} fnr_history_row;

typedef struct {
    fnr_netdesc desc;
    fnr_graph graph; /* built from desc */
    float *values;   /* graph.param_floats, owned */
    double pixel_nm; /* pixel size the network works at; 0 = unknown (2D: x = y) */
    char *record;    /* training record, JSON text (data, digests, settings, losses); may be NULL; owned */

    fnr_history_row *history; /* rising steps; NULL when empty; owned */
    size_t n_history, history_capacity;

    /* Only in training states (last.safetensors); NULL in plain models. */
    float *moment1, *moment2; /* owned, graph.param_floats each; zero where a parameter is not trained */
    long step;                /* optimiser steps done */
    double loss_sum;          /* training losses since the last row of history ... */
    long loss_count;          /* ... and how many */
} fnr_model;

/* Fresh parameters as pytorch_fnet draws them; a pure function of seed. Release with fnr_model_free. */
bool fnr_model_new(const fnr_netdesc *desc, unsigned long long seed, fnr_model *out, fnr_error *err);
void fnr_model_free(fnr_model *m);

/* Row with the highest val_r, the first of equals; NULL when no row has one. */
const fnr_history_row *fnr_model_best(const fnr_model *m);

/* Refuses: cut files, oversized headers, overlapping or overflowing offsets, unknown dtypes, missing or misshaped tensors,
 * non-finite values. Messages name the file and the tensor. *out is untouched on failure. */
bool fnr_model_read(const char *path, fnr_model *out, fnr_error *err);
/* Atomic. Moments and step are written when moment1 is not NULL. float32. */
bool fnr_model_write(const char *path, const fnr_model *m, fnr_error *err);

#endif
