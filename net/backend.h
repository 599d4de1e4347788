/* The table of functions that every backend fills: ref (plain C, the definition), onednn (CPU), cuda (NVIDIA GPU).
 *
 *   backend  one opened device
 *   state    parameters of a graph on that device: values, gradients, Adam moments
 *   program  a graph compiled for one input shape and mode; holds activations; memory layouts are its own business
 *
 * Host arrays are dense float32 in (n, c, d, h, w) order; flat parameter vectors have graph->param_floats elements.
 * A backend may refuse an operation when the program is made (FNR_E_UNSUPPORTED), never fall back silently. */
#ifndef FNR_NET_BACKEND_H
#define FNR_NET_BACKEND_H

#include "net/graph.h"

typedef struct fnr_backend fnr_backend;
typedef struct fnr_state fnr_state;
typedef struct fnr_program fnr_program;

typedef enum { FNR_MODE_INFER, FNR_MODE_TRAIN } fnr_mode;
typedef enum { FNR_STATE_VALUES, FNR_STATE_GRADS, FNR_STATE_MOMENT1, FNR_STATE_MOMENT2 } fnr_state_part;

typedef struct {
    int threads;        /* 0 = all */
    bool winograd;      /* onednn: allow Winograd 4x3 for 3x3 convolutions in 2D */
    size_t max_bytes;   /* refuse programs that need more; 0 = no limit */
} fnr_backend_options;

/* torch.optim.Adam without weight decay. */
typedef struct {
    double lr, beta1, beta2, eps;
} fnr_adam;

typedef struct {
    const char *name;        /* "ref", "onednn", "cuda" */
    const char *description; /* one line for --help and run records */

    bool (*open)(const fnr_backend_options *opt, fnr_backend **out, fnr_error *err);
    void (*close)(fnr_backend *b); /* after all its states and programs are freed; NULL is fine */

    /* The graph is borrowed and outlives the state. Values start as zero. Gradients and moments exist only when training. */
    bool (*state_new)(fnr_backend *b, const fnr_graph *g, bool training, fnr_state **out, fnr_error *err);
    void (*state_free)(fnr_state *s);
    bool (*state_write)(fnr_state *s, fnr_state_part part, const float *flat, fnr_error *err);
    bool (*state_read)(fnr_state *s, fnr_state_part part, float *flat, fnr_error *err);

    /* shape is the input's. The state is borrowed and outlives the program; several programs may share one state. */
    bool (*program_new)(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err);
    void (*program_free)(fnr_program *p);
    size_t (*program_bytes)(const fnr_program *p); /* memory it holds */

    /* Runs forward on x; copies the output to y unless y is NULL. In TRAIN mode running statistics are updated. */
    bool (*forward)(fnr_program *p, const float *x, float *y, fnr_error *err);
    /* Mean squared error of the last forward's output against target (all elements), and keeps its gradient for backward.
     * TRAIN mode. Not finite -> FNR_E_NUMERIC. */
    bool (*mse)(fnr_program *p, const float *target, double *loss, fnr_error *err);
    /* Instead of mse: the gradient with respect to the output, given by hand (tests). */
    bool (*set_output_grad)(fnr_program *p, const float *dy, fnr_error *err);
    /* Parameter gradients (overwritten, not accumulated) into the state; input gradient to dx unless NULL. */
    bool (*backward)(fnr_program *p, float *dx, fnr_error *err);
    /* Adam step number `step` (1-based, for bias correction) on every trained parameter. */
    bool (*adam)(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err);
} fnr_backend_ops;

extern const fnr_backend_ops fnr_backend_ref;
extern const fnr_backend_ops fnr_backend_onednn;

/* By name; "auto" is the best that opens here. NULL and an error that lists the names otherwise. (net/registry.c) */
const fnr_backend_ops *fnr_backend_find(const char *name, fnr_error *err);
/* NULL-terminated list of what this build holds. */
const fnr_backend_ops *const *fnr_backend_list(void);

#endif
