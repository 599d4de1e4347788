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
#include "net/patch_pixel.h"

typedef struct fnr_backend fnr_backend;
typedef struct fnr_state fnr_state;
typedef struct fnr_program fnr_program;
typedef struct fnr_feed fnr_feed;
typedef struct fnr_flow fnr_flow;

typedef enum { FNR_MODE_INFER, FNR_MODE_TRAIN } fnr_mode;
typedef enum { FNR_STATE_VALUES, FNR_STATE_GRADS, FNR_STATE_MOMENT1, FNR_STATE_MOMENT2 } fnr_state_part;

/* Numbers in which convolutions are computed; parameters, sums and the loss stay float32.  A backend names those it has. */
typedef enum {
    FNR_PRECISION_FLOAT32, /* every product in float32 */
    FNR_PRECISION_TF32,    /* cuda: operands of convolutions rounded to 10 bits of mantissa */
    FNR_PRECISION_BF16,    /* cuda: activations and operands bfloat16, master weights float32 */
    FNR_PRECISION_INT8     /* onednn: inference of 2D networks on bytes (net/onednn/int8.h) */
} fnr_precision;

typedef struct {
    int threads;        /* 0 = all */
    bool winograd;      /* onednn: Winograd for 3x3 and 3x3x3 convolutions */
    size_t max_bytes;   /* refuse programs that need more; 0 = no limit */
    int precision;      /* fnr_precision */
    int gpus;           /* cuda: GPUs to work on together; 0 = 1 */
} fnr_backend_options;

/* A training image, in host memory: dense planes (channel, d, h, w). */
typedef struct {
    int d, h, w;
    const float *signal, *target;
} fnr_feed_image;

/* Steps that may be queued before their losses must be taken. */
enum { FNR_FEED_AHEAD = 16 };
/* Tiles that a lane holds at a time: one is computed while the other one comes or leaves. */
enum { FNR_FLOW_SLOTS = 2 };

/* torch.optim.Adam without weight decay. */
typedef struct {
    double lr, beta1, beta2, eps;
} fnr_adam;

typedef struct {
    const char *name;        /* "ref", "onednn", "cuda" */
    const char *description; /* one line for --help and run records */
    unsigned precisions;     /* bit 1 << p for each fnr_precision p that it has; 0 = float32 alone */

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

    /* ---- optional, NULL where a backend has nothing to gain ---- */
    /* Training that does not wait for the host: images are kept by the device, which cuts the patches of every step itself. The
     * program is borrowed and outlives the feed. feed_new may fail with FNR_E_LIMIT: then the images do not fit. */
    bool (*feed_new)(fnr_program *p, const fnr_feed_image *images, size_t n, fnr_feed **out, fnr_error *err);
    void (*feed_free)(fnr_feed *f);
    /* Queues forward, loss, backward and Adam step number `step` (from 1) on the patches of orders[0 .. batch-1]. At most
     * FNR_FEED_AHEAD steps before feed_losses. After a loss that is not finite parameters and moments stay as they are. */
    bool (*feed_step)(fnr_feed *f, const fnr_patch_order *orders, const fnr_adam *hyper, long step, fnr_error *err);
    /* Losses of the oldest queued steps that are done (or, with wait, of all), at most FNR_FEED_AHEAD of them. */
    bool (*feed_losses)(fnr_feed *f, bool wait, double *losses, int *count, fnr_error *err);
    /* Prediction that does not wait for the host, on all devices at once: each is a lane with FNR_FLOW_SLOTS places for a tile. */
    int (*lanes)(const fnr_backend *b);
    /* For an inference program of one sample, borrowed, which outlives the flow and runs nothing else meanwhile. Lanes compute the
     * same bits.  FNR_E_LIMIT when there is no memory for it. */
    bool (*flow_new)(fnr_program *p, fnr_flow **out, fnr_error *err);
    void (*flow_free)(fnr_flow *f);
    /* A slot's input (c, d, h, w), to be filled before flow_push, and its output, valid from flow_take until the next flow_push:
     * page-locked where that helps; the flow's own. */
    void (*flow_ends)(fnr_flow *f, int lane, int slot, float **in, const float **out);
    /* Queues one forward pass with its copies and returns; the slot has been taken since its last one. */
    bool (*flow_push)(fnr_flow *f, int lane, int slot, fnr_error *err);
    /* Is the output there?  With wait it is, afterwards. */
    bool (*flow_take)(fnr_flow *f, int lane, int slot, bool wait, bool *done, fnr_error *err);
    /* How INFER computes such a network: results are bit-equal for tiles whose blocks lie alike on every level and which hold all
     * that their cores depend on; NULL = no blocks. */
    fnr_blocks (*blocks)(const fnr_backend *b, const fnr_netdesc *desc);
    /* Name of the opened device, for logs and records; lent. */
    const char *(*device_name)(const fnr_backend *b);
} fnr_backend_ops;

extern const fnr_backend_ops fnr_backend_ref;
extern const fnr_backend_ops fnr_backend_onednn;

/* By name. "cpu" is the best on the processor that opens here; "auto" is cuda when that opens, else as "cpu". "cuda" is loaded
 * from a plug-in (net/plugin.h). NULL and an error that lists the names otherwise. (net/registry.c) */
const fnr_backend_ops *fnr_backend_find(const char *name, fnr_error *err);
/* NULL-terminated list of those that are part of the program itself: all but cuda. */
const fnr_backend_ops *const *fnr_backend_list(void);
/* Does it have this fnr_precision?  The error says which ones there are. */
bool fnr_backend_has_precision(const fnr_backend_ops *be, int precision, fnr_error *err);

#endif
