/* A model: network description, parameters and everything needed to use them on images.  Stored as safetensors: tensors carry
 * pytorch_fnet's names; __metadata__ carries the rest. */
#ifndef FNR_NET_MODEL_H
#define FNR_NET_MODEL_H

#include "net/graph.h"

typedef struct {
    fnr_netdesc desc;
    fnr_graph graph; /* built from desc */
    float *values;   /* graph.param_floats, owned */
    double pixel_nm; /* pixel size the network works at; 0 = unknown (2D: x = y) */
    char *record;    /* training record, JSON text (data, digests, settings, losses); may be NULL; owned */

    /* Only in training states (last.safetensors); NULL in plain models. */
    float *moment1, *moment2; /* owned, graph.param_floats each */
    long step;                /* optimiser steps done */
} fnr_model;

bool fnr_model_new(const fnr_netdesc *desc, unsigned long long seed, fnr_model *out, fnr_error *err);
void fnr_model_free(fnr_model *m);

/* Refuses: cut files, oversized headers, overlapping or overflowing offsets, unknown dtypes, missing or misshaped tensors,
 * non-finite values. Messages name the file and the tensor. */
bool fnr_model_read(const char *path, fnr_model *out, fnr_error *err);
/* Atomic. Moments and step are written when moment1 is not NULL. float32. */
bool fnr_model_write(const char *path, const fnr_model *m, fnr_error *err);

#endif
